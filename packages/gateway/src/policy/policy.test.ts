import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { describe, it } from 'node:test';

import { GatewayError } from '../errors.ts';
import { nowhere } from './policy.fixture.ts';
import { parsePolicy } from './policy.ts';
import { samplePolicyPath } from './sample-policy.ts';
import { type Asked, judge, type Policy, receivable } from './tables.ts';

const policy = parsePolicy(
  `
version: 1
roles:
  nurse:
    allow:
      - {interactions: [read, search], types: [Patient, Observation]}
      - {interactions: [update], types: [Observation]}
      - {operations: [$everything], types: [Patient]}
  clerk:
    allow:
      - {interactions: [read], types: ['*']}
      - {interactions: [update], types: [Patient]}
      - {interactions: [batch, capabilities]}
`,
  'test.yaml',
);

function allows(of: Policy, roles: readonly string[], asked: Asked): boolean {
  return judge(of, roles, asked, nowhere).kind === 'allowed';
}

function mayReceive(of: Policy, roles: readonly string[], type: string): boolean {
  return receivable(of, roles, type, nowhere) !== 0;
}

function allowed(roles: string[], name: Asked['name'], type?: string, operation: string = name): boolean {
  return allows(policy, roles, { name, operation, type });
}

describe('a policy', () => {
  it('is refused in one line a problem, whatever its keys are', () => {
    for (const key of [
      '? {acr: [secret], amr: [hwk]}\n',
      "? {strong: {acr: ['urn:example:gold'], amr: [hwk], mfa: true, maxAgeSeconds: 300}}\n",
      '"a\\nb": 1\n',
      '? [secret]\n',
    ])
      assert.throws(
        () => parsePolicy(`version: 1\nroles: {}\n${key}`, 'test.yaml'),
        ({ message }: Error) =>
          /^test\.yaml: line \d+: unknown key \(no plain key\);[^\n]*$/.test(message) && !/secret|gold/.test(message),
        key,
      );
  });

  it('allows what a rule of one of the roles allows, and nothing else', () => {
    assert.equal(allowed(['nurse'], 'read', 'Patient'), true);
    assert.equal(allowed(['nurse'], 'read', 'Condition'), false);
    assert.equal(allowed(['nurse'], 'delete', 'Patient'), false);
    assert.equal(allowed(['nurse', 'clerk'], 'read', 'Condition'), true);
    assert.equal(allowed(['unknown'], 'read', 'Patient'), false);
    assert.equal(allowed([], 'capabilities'), false);
    assert.equal(allowed(['clerk'], 'capabilities'), true);
    assert.equal(allowed(['clerk'], 'batch'), true);
    assert.equal(allowed(['__proto__', 'constructor'], 'read', 'Patient'), false);
  });

  it('asks for every type where an interaction names none', () => {
    assert.equal(allowed(['nurse'], 'search'), false);
    assert.equal(allowed(['clerk'], 'read'), true);
  });

  it('allows operations by name only', () => {
    assert.equal(allowed(['nurse'], 'operation', 'Patient', '$everything'), true);
    assert.equal(allowed(['nurse'], 'operation', 'Patient', '$export'), false);
    assert.equal(allowed(['clerk'], 'operation', 'Patient', '$everything'), false);
  });

  it('takes a condition for the search that it is', () => {
    assert.equal(allowed(['nurse'], 'update', 'Observation', 'conditional-update'), true);
    assert.equal(allowed(['clerk'], 'update', 'Patient', 'conditional-update'), false);
    assert.equal(mayReceive(policy, ['nurse'], 'Observation'), true);
    assert.equal(mayReceive(policy, ['nurse'], 'Condition'), false);
  });

  it('that is wrong is refused, with the place and what was meant', () => {
    const cases: readonly (readonly [string, RegExp])[] = [
      ['version: 2\nroles: {}', /version: expected version: 1/],
      ['version: 1\nrole: {}', /unknown key role; did you mean roles\?/],
      ['version: 1\nroles: {nurse: {alow: []}}', /unknown key roles\.nurse\.alow; did you mean allow\?/],
      [
        'version: 1\nroles: {nurse: {allow: [{interactons: [read]}]}}',
        /unknown key roles\.nurse\.allow\.0\.interactons; did you mean interactions\?/,
      ],
      [
        'version: 1\nroles: {nurse: {allow: [{interactions: [raed], types: [Patient]}]}}',
        /roles\.nurse\.allow\.0\.interactions\.0: expected one of read/,
      ],
      [
        'version: 1\nroles: {nurse: {allow: [{interactions: [read], types: [patient]}]}}',
        /expected a FHIR R4 resource type/,
      ],
      ['version: 1\nroles: {nurse: {allow: [{types: [Patient]}]}}', /expected interactions or operations/],
      ['version: 1\nroles: {a: {allow: []}, a: {allow: []}}', /expected YAML/],
      ['version: 1\nroles: [', /expected YAML/],
    ];
    for (const [text, message] of cases) {
      assert.throws(
        () => parsePolicy(text, 'test.yaml'),
        (error) => error instanceof GatewayError && error.code === 'policy-invalid' && message.test(error.message),
        text,
      );
    }
  });

  it('whose parts do not fit together is refused, with the line', () => {
    const purposes = 'purposeOfUse: {header: X-Purpose, allow: [TREAT, BTG]}';
    const nurse = (rule: string): string => `version: 1\n${purposes}\nroles: {nurse: {allow: [${rule}]}}`;
    const read = 'interactions: [read], types: [Patient]';
    const cases: readonly (readonly [string, RegExp])[] = [
      [nurse(`{${read}, hours: [day]}`), /line 3: roles\.nurse\.allow\.0\.hours: expected names defined under hours/],
      [nurse(`{${read}, networks: [ward]}`), /expected names defined under networks at the top; there are none/],
      [nurse(`{${read}, assurance: strong}`), /expected names defined under assurance/],
      [nurse(`{${read}, purposes: [HPAYMT]}`), /expected a purpose that purposeOfUse\.allow names/],
      [
        nurse(`{${read}, classes: [billing]}`),
        /expected a type whose class is in classes, got Patient, which holds demo/,
      ],
      [
        nurse(`{name: a, ${read}}, {name: a, ${read}}`),
        /expected a name that no other rule has, roles\.nurse\.allow\.0/,
      ],
      [
        `${nurse(`{${read}, purposes: [TREAT]}`)}\nrequire: [{interactions: [read], types: ['*'], purposes: [BTG]}]`,
        /line 3: roles\.nurse\.allow\.0\.purposes: .*this rule never holds/,
      ],
      [`${nurse(`{${read}}`)}\nrequire: [{interactions: [read], types: [Patient]}]`, /expected what is required/],
      [
        `${nurse(`{${read}}`)}\nrequire: [{roles: [nurze], interactions: [read], purposes: [BTG]}]`,
        /expected one of the roles/,
      ],
      [
        `version: 1\nbreakGlass: {reasons: [emergency]}\nroles: {}`,
        /line 2: breakGlass: expected purposeOfUse\.allow to name BTG/,
      ],
      [`version: 1\n${purposes}\nbreakGlass: {reasons: []}\nroles: {}`, /expected at least one reason/],
      [
        `version: 1\n${purposes}\nbreakGlass: {reasons: [a], reasonHeader: x-purpose}\nroles: {}`,
        /expected different headers/,
      ],
      [
        `version: 1\nroles: {nurse: {allow: [], breakGlass: [{${read}}]}}`,
        /expected breakGlass with its reasons at the top/,
      ],
      [
        `version: 1\nroles: {nurse: {allow: [], breakGlass: [{interactions: [update], types: [Patient]}]}}`,
        /expected one of read, vread, search, history/,
      ],
      [
        'version: 1\nengine: cedar\nroles: {}',
        /line 2: engine: expected engine: cedar and cedar: \{policies: FILE\} together/,
      ],
      ['version: 1\nhours: {day: [{zone: Europe/Berln}]}\nroles: {}', /expected a time zone, such as Europe\/Berlin/],
      ["version: 1\nhours: {day: [{zone: UTC, from: '09:00', to: '09:00'}]}\nroles: {}", /such a window is never open/],
      ['version: 1\nhours: {day: [{zone: UTC, from: 7:00}]}\nroles: {}', /expected a time of day in quotes/],
      [
        'version: 1\nnetworks: {ward: [10.0.0.0/33]}\nroles: {}',
        /line 2: networks\.ward\.0: expected an address or a range/,
      ],
      ['version: 1\nassurance: {strong: {}}\nroles: {}', /expected acr, amr, mfa or maxAgeSeconds/],
      ["version: 1\nassurance: {strong: {acr: ['a b']}}\nroles: {}", /expected an acr or amr value/],
      ['version: 1\nconsent: {url: http://consent.example}\nroles: {}', /expected an https URL/],
      ['', /line 1: the document: /],
    ];
    for (const [text, message] of cases) {
      assert.throws(
        () => parsePolicy(text, 'test.yaml'),
        (error) => error instanceof GatewayError && error.code === 'policy-invalid' && message.test(error.message),
        text,
      );
    }
  });

  it('decides without a look at rules that are about something else', () => {
    const types = ['Patient', 'Observation', 'Condition', 'Encounter', 'Claim'];
    const many = Array.from(
      { length: 500 },
      (_, n) => `{interactions: [read], types: [${types[n % 5]}], networks: [ward]}`,
    );
    const large = parsePolicy(
      `version: 1\nnetworks: {ward: [10.0.0.0/8]}\nroles: {nurse: {allow: [${many.join(', ')}, {interactions: [search], types: ['*']}]}}`,
      'test.yaml',
    );
    let looks = 0;
    const watched = new Proxy(nowhere, {
      get: (target, name) => {
        looks += 1;
        return Reflect.get(target, name);
      },
    });
    assert.equal(
      judge(large, ['nurse'], { name: 'search', operation: 'search-type', type: 'Patient' }, watched).kind,
      'allowed',
    );
    assert.equal(looks, 0);
    assert.equal(
      judge(large, ['nurse'], { name: 'read', operation: 'read', type: 'Procedure' }, watched).kind,
      'refused',
    );
    assert.equal(looks, 0);
    judge(large, ['nurse'], { name: 'read', operation: 'read', type: 'Claim' }, watched);
    assert.equal(looks, 100);
  });

  it('comes with a sample for a hospital', () => {
    const sample = parsePolicy(readFileSync(samplePolicyPath(), 'utf8'), 'hospital.yaml');
    assert.deepEqual([...sample.roles.keys()], ['physician', 'nurse', 'billing', 'registration', 'patient']);
    assert.equal(allows(sample, ['physician'], { name: 'operation', operation: '$everything', type: 'Patient' }), true);
    assert.equal(allows(sample, ['billing'], { name: 'read', operation: 'read', type: 'Observation' }), false);
    assert.equal(allows(sample, ['auditor'], { name: 'read', operation: 'read', type: 'Patient' }), false);
  });
});
