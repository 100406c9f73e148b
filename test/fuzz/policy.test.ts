/**
 * The policy of the gateway under hostile and random input: its parser never ends in anything but a policy or a message with the place, and its tables say what a second
 * implementation says that reads the document rule by rule. fast-check prints the seed of a failure.
 */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { describe, test } from 'node:test';
import { explain, parsePolicy, type Supposed, samplePolicyPath, summary } from '@watchglass/gateway';
import fc from 'fast-check';
import { inTime } from './in-time.fixture.ts';

function parses(text: string): boolean {
  try {
    inTime(() => parsePolicy(text, 'policy.yaml'));
    return true;
  } catch (error) {
    const { code, message } = error as { readonly code?: string; readonly message: string };
    assert.equal(code, 'policy-invalid', String(error));
    for (const line of message.split('\n'))
      assert.match(line, /^policy\.yaml: (?:line \d+: .+|expected (?:YAML|at most))/, message);
    assert.ok(message.length < 20_000);
    return false;
  }
}

const whole = `version: 1
anonymous: [capabilities]
purposeOfUse: {header: X-Purpose-Of-Use, allow: [TREAT, HPAYMT, BTG]}
networks: {ward: [10.1.0.0/16, '2001:db8::/32']}
hours:
  day:
    - {zone: Europe/Berlin, days: [mon, tue], from: '07:00', to: '19:00'}
assurance:
  strong: {acr: ['urn:example:gold'], amr: [hwk], mfa: true, maxAgeSeconds: 300}
require:
  - {name: surely, roles: [nurse], interactions: ['*'], types: [Composition], assurance: strong}
breakGlass: {reasons: [emergency], minutes: 30}
consent: {url: 'https://consent.example/ask', onFailure: allow-and-flag}
roles:
  nurse:
    allow:
      - {name: a, interactions: [read, search], types: ['*'], purposes: [TREAT], hours: [day], networks: [ward]}
      - {operations: ['$everything'], types: [Patient], classes: [demographics]}
    breakGlass:
      - {interactions: [read], types: ['*'], assurance: strong}
`;

describe('a policy file', () => {
  test('that is mutilated is a policy or is refused with its place', () => {
    const bytes = fc.constantFrom(
      ...'{}[]:,-&*!|>\'"#%@`\n\t \u0000\u00a0\u2028x1$~?<=',
      '<<: *a',
      '&a ',
      '*a',
      '__proto__: ',
      '---\n',
      '? ',
    );
    const edit = fc.record({ at: fc.nat(whole.length), drop: fc.nat(40), put: fc.array(bytes, { maxLength: 4 }) });
    fc.assert(
      fc.property(fc.array(edit, { minLength: 1, maxLength: 6 }), (edits) => {
        let text = whole;
        for (const { at, drop, put } of edits) text = text.slice(0, at) + put.join('') + text.slice(at + drop);
        parses(text);
      }),
      { numRuns: 1_000 },
    );
    assert.equal(parses(whole), true);
    assert.equal(parses(readFileSync(samplePolicyPath(), 'utf8')), true);
  });

  test('that is cut off anywhere is a policy or is refused with its place', () => {
    for (let length = 0; length < whole.length; length++) parses(whole.slice(0, length));
  });

  test('that is made to be expensive is refused in time', () => {
    const bomb = ['a: &a [x, x, x, x, x, x, x, x, x]'];
    for (let level = 1; level < 30; level++)
      bomb.push(
        `b${level}: &b${level} [${Array(9)
          .fill(level === 1 ? '*a' : `*b${level - 1}`)
          .join(', ')}]`,
      );
    const expensive = [
      bomb.join('\n'),
      '['.repeat(100_000),
      '{a: '.repeat(20_000),
      '- '.repeat(50_000),
      'x'.repeat(1_100_000),
      `version: 1\nroles: {${Array.from({ length: 2_000 }, (_, n) => `x${n}: 1`).join(', ')}}`,
      `version: 1\n${Array.from({ length: 2_000 }, (_, n) => `key${n}: 1`).join('\n')}\nroles: {}`,
      '? '.repeat(10_000),
      'a: &a\n  <<: *a\n',
      'a: &a {b: *a}',
    ];
    for (const text of expensive) assert.equal(parses(text), false, text.slice(0, 40));
  });
});

const names = ['read', 'search', 'history', 'delete'] as const;
const types = ['Patient', 'Observation', 'Claim'] as const;
const some = <T extends string>(...all: readonly T[]): fc.Arbitrary<T[]> => fc.subarray([...all], { minLength: 1 });

const conditions = {
  purposes: fc.option(some('TREAT', 'HPAYMT'), { nil: undefined }),
  hours: fc.option(some('early', 'late'), { nil: undefined }),
  networks: fc.option(some('ward', 'office'), { nil: undefined }),
  assurance: fc.option(fc.constantFrom('gold', 'fresh'), { nil: undefined }),
};
const rule = fc.record({ interactions: some(...names), types: some(...types, '*'), ...conditions });
const requirement = fc
  .record({
    interactions: some(...names, '*'),
    types: some(...types, '*'),
    roles: fc.option(some('a', 'b'), { nil: undefined }),
    ...conditions,
  })
  .filter(({ purposes, hours, networks, assurance }) =>
    [purposes, hours, networks, assurance].some((one) => one !== undefined),
  );

type Rule = typeof rule extends fc.Arbitrary<infer T> ? T : never;
type Requirement = typeof requirement extends fc.Arbitrary<infer T> ? T : never;

interface Asked {
  readonly roles: readonly string[];
  readonly name: (typeof names)[number];
  readonly type: (typeof types)[number];
  readonly purpose: 'TREAT' | 'HPAYMT' | undefined;
  readonly hour: number;
  readonly from: string;
  readonly acr: string | undefined;
  readonly ago: number | undefined;
}

/** Rule by rule, as the page says it. */
function plainly(
  roles: Readonly<Record<string, readonly Rule[]>>,
  required: readonly Requirement[],
  asked: Asked,
): string {
  const hold = ({ purposes, hours, networks, assurance }: Rule | Requirement): boolean =>
    (purposes === undefined || (asked.purpose !== undefined && purposes.includes(asked.purpose))) &&
    (hours === undefined || hours.some((name) => (name === 'early' ? asked.hour < 12 : asked.hour >= 12))) &&
    (networks === undefined || networks.some((name) => asked.from.startsWith(name === 'ward' ? '10.1.' : '10.2.'))) &&
    (assurance === undefined ||
      (assurance === 'gold' ? asked.acr === 'gold' : asked.ago !== undefined && asked.ago <= 300));
  const about = ({
    interactions,
    types: of,
  }: {
    readonly interactions: readonly string[];
    readonly types: readonly string[];
  }): boolean =>
    (interactions.includes(asked.name) || interactions.includes('*')) && (of.includes(asked.type) || of.includes('*'));
  const given = asked.roles.some((role) => (roles[role] ?? []).some((one) => about(one) && hold(one)));
  const kept = required.every(
    (one) =>
      !about(one) ||
      (one.roles !== undefined && !asked.roles.some((role) => one.roles?.includes(role as 'a'))) ||
      hold(one),
  );
  return given && kept ? 'allow' : 'no';
}

const paths = {
  read: (type: string): string => `/fhir/${type}/1`,
  delete: (type: string): string => `/fhir/${type}/1`,
  search: (type: string): string => `/fhir/${type}`,
  history: (type: string): string => `/fhir/${type}/1/_history`,
};

describe('the tables of a policy', () => {
  test('say what the rules say one by one', () => {
    const asked: fc.Arbitrary<Asked> = fc.record({
      roles: fc.subarray(['a', 'b', 'c']),
      name: fc.constantFrom(...names),
      type: fc.constantFrom(...types),
      purpose: fc.constantFrom('TREAT', 'HPAYMT', undefined),
      hour: fc.nat(23),
      from: fc.constantFrom('10.1.0.9', '10.2.0.9', '192.0.2.1'),
      acr: fc.constantFrom('gold', 'bronze', undefined),
      ago: fc.constantFrom(10, 1_000, undefined),
    });
    const rules = fc.array(rule, { maxLength: 4 });
    const outcomes = new Set<string>();
    fc.assert(
      fc.property(
        rules,
        rules,
        fc.array(requirement, { maxLength: 2 }),
        fc.array(asked, { minLength: 5, maxLength: 5 }),
        (a, b, required, all) => {
          const document = {
            version: 1,
            purposeOfUse: { header: 'X-Purpose-Of-Use', allow: ['TREAT', 'HPAYMT'] },
            networks: { ward: ['10.1.0.0/16'], office: ['10.2.0.0/16'] },
            hours: { early: [{ zone: 'UTC', to: '12:00' }], late: [{ zone: 'UTC', from: '12:00' }] },
            assurance: { gold: { acr: ['gold'] }, fresh: { maxAgeSeconds: 300 } },
            require: required,
            roles: { a: { allow: a }, b: { allow: b } },
          };
          let policy: ReturnType<typeof parsePolicy>;
          try {
            policy = parsePolicy(JSON.stringify(document), 'policy.yaml');
          } catch (error) {
            // Two that contradict each other leave nothing to compare.
            assert.match(String(error), /never holds/);
            return;
          }
          for (const one of all) {
            const { roles, name, type, purpose, hour, from, acr, ago } = one;
            const supposed: Supposed = {
              ...{ roles, prefix: '/fhir', scopes: 'user/*.cruds', purpose, from, acr, amr: [], mfa: false },
              method: name === 'delete' ? 'DELETE' : 'GET',
              path: paths[name](type),
              atMs: Date.UTC(2026, 10, 24, hour),
              signedInSecondsAgo: ago,
            };
            const { outcome } = summary(explain(policy, supposed));
            outcomes.add(outcome);
            assert.equal(outcome === 'allow' ? 'allow' : 'no', plainly({ a, b }, required, one));
          }
        },
      ),
      { numRuns: 1_000 },
    );
    assert.deepEqual([...outcomes].sort(), ['allow', 'deny', 'step-up']);
  });
});
