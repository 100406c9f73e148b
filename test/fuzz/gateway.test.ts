/**
 * The judging parts of the gateway under hostile input. Each is held against a second implementation that is too plain to be clever; where there is none, against what must never happen.
 * fast-check prints the seed of a failure.
 */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import {
  canonicalise,
  type Interaction,
  interactionNames,
  judgeScopes,
  type Parameter,
  parseBatch,
  parseParameters,
  parsePolicy,
  parseScopes,
  permissionBits,
  recognise,
} from '@watchglass/gateway';
import fc from 'fast-check';
import { inTime } from './in-time.fixture.ts';

const runs = { numRuns: 3_000 };

/** Pieces that targets are made of, sound ones and odd ones. */
const piece = fc.constantFrom(
  ...[
    '/',
    '//',
    'fhir',
    'Patient',
    'patient',
    '1',
    '.',
    '..',
    '...',
    '%2e',
    '%2F',
    '%2f',
    '%C3%A9',
    '%c3%a9',
    '%C0%AE',
    '%00',
    '%25',
    '%',
    '%3F',
    ';x',
    '\\',
    '#',
    '?',
    '&',
    '=',
    '_id',
    '_has:',
    '$everything',
    '_history',
  ],
  ...[
    'a+b',
    "'",
    '"',
    '<',
    '|',
    '[',
    '{',
    '^',
    '`',
    ' ',
    '\t',
    '\u00e9',
    '\ud83d',
    '%F0%9F%98%80',
    '@',
    ':',
    'http:',
    '*',
    '~',
    '!',
    ',',
  ],
);
const target = fc.oneof(
  fc.array(piece, { maxLength: 10 }).map((pieces) => pieces.join('')),
  fc.string({ maxLength: 40 }),
  fc.array(piece, { maxLength: 10 }).map((pieces) => `/${pieces.join('')}`),
);

describe('a target that is canonical', () => {
  test('is the same to a URL parser, and has the same parts', () => {
    fc.assert(
      fc.property(target, (raw) => {
        const result = inTime(() => canonicalise(raw));
        if (result.kind === 'refused') return;
        const url = new URL(`http://upstream.example${raw}`);
        assert.equal(url.host, 'upstream.example');
        assert.equal(url.pathname, result.path);
        assert.equal(url.hash, '');
        assert.equal(
          url.search,
          result.query === undefined || result.query === '' ? '' : `?${result.query.replaceAll("'", '%27')}`,
        );
        assert.deepEqual(result.segments, result.path.slice(1).split('/'));
        for (const segment of result.segments) {
          const decoded = decodeURIComponent(segment);
          assert.ok(!['.', '..'].includes(decoded) && !/[/\\%;?#\0-\x20\x7f]/.test(decoded), JSON.stringify(segment));
        }
        // Once decoded and encoded again it is what it was: there is one spelling.
        assert.equal(result.path.replace(/%[0-9A-F]{2}/g, ''), result.path.replace(/%../g, ''));
      }),
      { numRuns: 20_000 },
    );
  });

  test('has the parameters that a form parser finds', () => {
    fc.assert(
      fc.property(target, (raw) => {
        const text = raw.replace(/^[^?]*\?/, '');
        const parameters = inTime(() => parseParameters(text));
        if (typeof parameters === 'string') return;
        const plain = [...new URLSearchParams(text)];
        assert.deepEqual(
          parameters.map(({ name }) => name),
          plain.map(([name]) => name),
        );
        for (const [position, { rawValue }] of parameters.entries())
          assert.equal(decodeURIComponent(rawValue.replaceAll('+', ' ')), plain[position]?.[1]);
      }),
      { numRuns: 20_000 },
    );
  });
});

/** FHIR R4 §3.1.0 as a table: pattern of the path behind the prefix, and the operation of each method. */
const types = 'Patient|Observation|Encounter|Bundle';
const id = '[A-Za-z0-9.-]{1,64}';
const op = '\\$[a-z][A-Za-z-]{0,39}';
const table: readonly (readonly [RegExp, Readonly<Record<string, string>>])[] = [
  [/^$/, { GET: 'search-system', POST: 'batch' }],
  [/^\/metadata$/, { GET: 'capabilities' }],
  [/^\/\.well-known\/smart-configuration$/, { GET: 'smart-configuration' }],
  [/^\/_search$/, { POST: 'search-system' }],
  [/^\/_history$/, { GET: 'history-system' }],
  [new RegExp(`^/${op}$`), { GET: 'op', POST: 'op' }],
  [
    new RegExp(`^/(?:${types})$`),
    {
      GET: 'search-type',
      POST: 'create',
      PUT: 'conditional-update',
      PATCH: 'conditional-patch',
      DELETE: 'conditional-delete',
    },
  ],
  [new RegExp(`^/(?:${types})/_search$`), { POST: 'search-type' }],
  [new RegExp(`^/(?:${types})/_history$`), { GET: 'history-type' }],
  [new RegExp(`^/(?:${types})/${op}$`), { GET: 'op', POST: 'op' }],
  [new RegExp(`^/(?:${types})/${id}$`), { GET: 'read', PUT: 'update', PATCH: 'patch', DELETE: 'delete' }],
  [new RegExp(`^/(?:${types})/${id}/_history$`), { GET: 'history-instance' }],
  [new RegExp(`^/(?:${types})/${id}/_history/${id}$`), { GET: 'vread' }],
  [new RegExp(`^/(?:${types})/${id}/${op}$`), { GET: 'op', POST: 'op' }],
  [new RegExp(`^/(?:${types})/${id}/(?:${types}|\\*)$`), { GET: 'search-compartment' }],
  [new RegExp(`^/(?:${types})/${id}/(?:${types}|\\*)/_search$`), { POST: 'search-compartment' }],
];
const reading = /^(?:read|vread|search|history|capabilities|smart)/;

function lookUp(
  verb: string,
  path: string,
  conditional: boolean,
): { readonly found: boolean; readonly operation: string | undefined } {
  const row = table.find(([pattern]) => pattern.test(path))?.[1];
  if (row === undefined) return { found: false, operation: undefined };
  const key = verb === 'HEAD' ? 'GET' : verb;
  const operation = Object.hasOwn(row, key) ? row[key] : undefined;
  // Without a condition there is nothing it could be about.
  return {
    found: true,
    operation: operation?.startsWith('conditional-') === true && !conditional ? undefined : operation,
  };
}

const segment = fc.constantFrom(
  'Patient',
  'Observation',
  'patient',
  'Patients',
  '1',
  'a.b-C',
  'a_b',
  '_search',
  '_history',
  '_History',
  'metadata',
  '$everything',
  '$Everything',
  '$graphql',
  '$',
  '*',
  '',
  '.well-known',
  'smart-configuration',
  '__proto__',
  'constructor',
  'x'.repeat(65),
);
const method = fc.constantFrom(
  'GET',
  'HEAD',
  'POST',
  'PUT',
  'PATCH',
  'DELETE',
  'get',
  'constructor',
  '__proto__',
  'toString',
  '',
);

describe('an interaction', () => {
  test('is what the table of the specification says, and nothing else has a route', () => {
    fc.assert(
      fc.property(method, fc.array(segment, { maxLength: 5 }), fc.boolean(), (verb, segments, conditional) => {
        const parameters: Parameter[] = conditional ? [{ name: 'identifier', rawValue: '1' }] : [];
        const result = inTime(() => recognise({ method: verb, prefix: '/fhir', segments, parameters }));
        const path = segments.map((part) => `/${part}`).join('');
        const { found, operation } = lookUp(verb, path, conditional);
        if (operation === undefined) {
          assert.equal(result.kind, found ? 'method-not-allowed' : 'no-route', `${verb} ${path}`);
          return;
        }
        assert.ok(result.kind === 'interaction', `${verb} ${path}`);
        const { interaction } = result;
        if (operation === 'op') assert.equal(interaction.operation, segments.at(-1));
        else assert.equal(interaction.operation, operation, `${verb} ${path}`);
        if (operation !== 'op') assert.equal(interaction.safe, reading.test(operation));
        assert.ok((interactionNames as readonly string[]).includes(interaction.name));
        // A template holds no id.
        assert.equal(
          interaction.route.split('/').some((part) => part === '1' || part === 'a.b-C'),
          false,
        );
        assert.ok(interaction.permissions > 0 || interaction.name === 'batch' || interaction.name === 'capabilities');
      }),
      { numRuns: 20_000 },
    );
  });
});

/** SMART App Launch 2.2 §"Scopes for requesting FHIR Resources", read letter by letter. */
function plainLetters(
  scope: string,
): { readonly context: string; readonly type: string; readonly letters: string } | undefined {
  const [context, rest, ...more] = scope.split('/');
  if (
    context === undefined ||
    rest === undefined ||
    more.length > 0 ||
    !['patient', 'user', 'system'].includes(context)
  )
    return undefined;
  const [type, letters, ...others] = rest.split('.');
  if (
    type === undefined ||
    letters === undefined ||
    others.length > 0 ||
    !['*', 'Patient', 'Observation'].includes(type)
  )
    return undefined;
  const spelt = { read: 'rs', write: 'cud', '*': 'cruds' }[letters] ?? letters;
  if (
    spelt === '' ||
    [...spelt].some(
      (letter, position) =>
        !'cruds'.includes(letter) ||
        'cruds'.indexOf(letter) <= (position === 0 ? -1 : 'cruds'.indexOf(spelt[position - 1] ?? '')),
    )
  )
    return undefined;
  return { context, type, letters: spelt };
}

const scope = fc
  .tuple(
    fc.constantFrom('patient', 'user', 'system', 'User', 'launch'),
    fc.constantFrom('/', '.', '//'),
    fc.constantFrom('*', 'Patient', 'Observation', 'patient', 'Nothing'),
    fc.constantFrom('.', ''),
    fc.oneof(
      fc.constantFrom('read', 'write', '*', 'cruds', 'rs', 'sr', '', 'rr', 'R', 'r s'),
      fc.string({ unit: fc.constantFrom('c', 'r', 'u', 'd', 's'), maxLength: 5 }),
    ),
  )
  .map((parts) => parts.join(''));

describe('scopes', () => {
  test('cover what they spell together, letter by letter, and nothing else', () => {
    fc.assert(
      fc.property(
        fc.array(scope, { maxLength: 4 }),
        fc.constantFrom('Patient', 'Observation', undefined),
        fc.constantFrom('r', 's', 'c', 'u', 'd', 'rs', 'us', 'cruds'),
        fc.boolean(),
        (scopes, type, wanted, launched) => {
          const claim = scopes.join(' ');
          const interaction = { name: 'search', type, permissions: permissionBits(wanted) } as const;
          const verdict = inTime(() =>
            judgeScopes({
              grants: parseScopes(claim),
              patient: launched ? 'p-1' : undefined,
              interaction,
              parameters: [],
            }),
          );
          const given = { wide: '', patient: '' };
          for (const grant of claim.split(' ').map(plainLetters)) {
            if (grant === undefined || (grant.type !== '*' && grant.type !== type)) continue;
            if (grant.context === 'patient') given.patient += grant.letters;
            else given.wide += grant.letters;
          }
          const covers = (letters: string): boolean => [...wanted].every((letter) => letters.includes(letter));
          const expected = covers(given.wide)
            ? 'covered'
            : launched && covers(given.wide + given.patient)
              ? 'covered-for-patient'
              : 'not-covered';
          assert.equal(verdict.kind, expected, claim);
        },
      ),
      { numRuns: 10_000 },
    );
  });

  test('never throw, whatever the text', () => {
    fc.assert(
      fc.property(fc.string({ maxLength: 2_000 }), (claim) => void inTime(() => parseScopes(claim))),
      runs,
    );
  });
});

describe('a batch', () => {
  const sound = fc.record({
    method: fc.constantFrom('GET', 'DELETE', 'PUT'),
    url: fc.constantFrom('Patient/1', 'Observation?code=x', '/Patient/1'),
  });
  const wrap = (entries: readonly object[]): string =>
    JSON.stringify({ resourceType: 'Bundle', type: 'batch', entry: entries.map((request) => ({ request })) });

  test('of sound entries has each of them, in order', () => {
    fc.assert(
      fc.property(fc.array(sound, { minLength: 1, maxLength: 8 }), (requests) => {
        const batch = inTime(() => parseBatch(Buffer.from(wrap(requests)), '/fhir'));

        assert.equal(batch.kind, 'batch');
        if (batch.kind !== 'batch') return;
        assert.deepEqual(
          batch.entries.map(({ interaction }: { readonly interaction: Interaction }) => interaction.safe),
          requests.map(({ method: verb }) => verb === 'GET'),
        );
      }),
      runs,
    );
  });

  test('with any member written twice is never read', () => {
    fc.assert(
      fc.property(fc.array(sound, { minLength: 1, maxLength: 3 }), fc.nat(), (requests, at) => {
        const text = wrap(requests);
        const members = [...text.matchAll(/"[A-Za-z]+":/g)];
        const member = members[at % members.length];
        assert.ok(member !== undefined);
        const doubled = `${text.slice(0, member.index)}${member[0]}null,${text.slice(member.index)}`;
        assert.equal(parseBatch(Buffer.from(doubled), '/fhir').kind, 'unreadable');
      }),
      runs,
    );
  });

  test('of any bytes, or of any JSON, never throws', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => void inTime(() => parseBatch(bytes, '/fhir'))),
      runs,
    );
    const anything = fc.record({
      resourceType: fc.constant('Bundle'),
      type: fc.constant('batch'),
      entry: fc.oneof(
        fc.jsonValue({ maxDepth: 3 }),
        fc.array(
          fc.record({
            request: fc.oneof(
              fc.jsonValue({ maxDepth: 2 }),
              fc.record({
                method: fc.oneof(method, fc.jsonValue({ maxDepth: 1 })),
                url: fc.oneof(target, fc.jsonValue({ maxDepth: 1 })),
              }),
            ),
          }),
          { maxLength: 3 },
        ),
      ),
    });
    fc.assert(
      fc.property(anything, (value) => void inTime(() => parseBatch(Buffer.from(JSON.stringify(value)), '/fhir'))),
      runs,
    );
  });
});

describe('a policy', () => {
  test('is read, or refused with a code that names the file', () => {
    const text = fc
      .array(
        fc.constantFrom(
          'version: 1\n',
          'roles:\n',
          '  nurse:\n',
          '    allow:\n',
          '      - interactions: [read]\n',
          '        types: [Patient]\n',
          '&a',
          '*a',
          '{',
          '}',
          '[',
          ']',
          '- ',
          ': ',
          '\t',
          '!!js',
          '"',
          "'",
          '\n',
          'x',
        ),
        { maxLength: 14 },
      )
      .map((parts) => parts.join(''));
    fc.assert(
      fc.property(text, (yaml) => {
        try {
          inTime(() => parsePolicy(yaml, 'policy.yaml'));
        } catch (error) {
          const { code, message } = error as { readonly code?: string; readonly message: string };
          assert.equal(code, 'policy-invalid', String(error));
          assert.ok(message.includes('policy.yaml'));
        }
      }),
      runs,
    );
  });
});
