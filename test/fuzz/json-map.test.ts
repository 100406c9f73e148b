/**
 * Paths and maps of APIs that are no FHIR, under random and hostile input: the readers never end in anything but a path, a map or their own coded error, take bounded time, and find what a recursion
 * finds that is too plain to be clever. fast-check prints the seed of a failure.
 */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { describe, test } from 'node:test';
import { patientIdOf } from '@watchglass/gateway';
import fc from 'fast-check';
import { learnMapped } from '../../packages/gateway/src/exposure/json-exposure.ts';
import {
  compileJsonMap,
  isMapped,
  type JsonMap,
  jsonMapSchema,
  type MappedInteraction,
  recogniseMapped,
} from '../../packages/gateway/src/exposure/json-map.ts';
import {
  type JsonPath,
  parseJsonPath,
  pathCharsMax,
  pathStepsMax,
  readPath,
  type Step,
} from '../../packages/gateway/src/exposure/json-path.ts';
import { MappedReader } from '../../packages/gateway/src/exposure/mapped-reader.ts';
import { parseStrictYaml } from '../../packages/gateway/src/policy/strict-yaml.ts';
import { inTime } from './in-time.fixture.ts';

const runs = { numRuns: 3_000 };

const memberName = fc.constantFrom('a', 'b', 'items', 'odd name', "it's", '__proto__', 'constructor', 'length', '0');
const step: fc.Arbitrary<Step> = fc.oneof(
  memberName.filter((name) => !name.includes("'")).map((name): Step => ({ kind: 'member', name })),
  fc.nat({ max: 3 }).map((at): Step => ({ kind: 'index', at })),
  fc.constant<Step>({ kind: 'each' }),
);

/** As somebody would write it. */
function write(steps: readonly Step[], quoteAll: boolean): string {
  const said = steps.map((one) => {
    if (one.kind === 'each') return '[*]';
    if (one.kind === 'index') return `[${one.at}]`;
    return !quoteAll && /^[A-Za-z_][A-Za-z0-9_-]*$/.test(one.name) ? `.${one.name}` : `['${one.name}']`;
  });
  return `$${said.join('')}`;
}

/** JSON whose members the paths know. */
const { document } = fc.letrec<{ document: unknown }>((tie) => ({
  document: fc.oneof(
    { depthSize: 'small', withCrossShrink: true },
    fc.constantFrom<unknown>('p-1', 'John Doe', 7, 1.5, null, true, '', 'x'.repeat(65)),
    fc.array(tie('document'), { maxLength: 4 }),
    // By way of a text, as it comes: `__proto__` is a member then.
    fc
      .array(fc.tuple(memberName, tie('document')), { maxLength: 4 })
      .map((members) =>
        JSON.parse(`{${members.map(([name, of]) => `${JSON.stringify(name)}:${JSON.stringify(of)}`)}}`),
      ),
  ),
}));

const missing = Symbol('missing');

/** One step after the other, each by a recursion. */
function plainly(value: unknown, steps: readonly Step[]): readonly unknown[] {
  const [first, ...rest] = steps;
  if (first === undefined) return [value === null ? missing : value];
  if (first.kind === 'each') return Array.isArray(value) ? value.flatMap((item) => plainly(item, rest)) : [missing];
  if (first.kind === 'index') {
    const item = Array.isArray(value) && first.at < value.length ? value[first.at] : missing;
    return item === missing ? [missing] : plainly(item, rest);
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return [missing];
  const found = Object.entries(value).find(([name]) => name === first.name);
  return found === undefined ? [missing] : plainly(found[1], rest);
}

describe('a path', () => {
  test('of any text is a path within its bounds, or none', () => {
    const alphabet = fc.constantFrom(
      '$',
      '.',
      '[',
      ']',
      '*',
      "'",
      '"',
      '\\',
      '0',
      '9',
      'a',
      '_',
      '-',
      ' ',
      '\u0000',
      'é',
      '😀',
    );
    fc.assert(
      fc.property(fc.oneof(fc.string({ unit: alphabet, maxLength: 400 }), fc.string({ unit: 'binary' })), (text) => {
        const path = inTime(() => parseJsonPath(text));
        if (path === undefined) return;
        assert.equal(path.text, text);
        assert.ok(text.length <= pathCharsMax && path.steps.length <= pathStepsMax);
      }),
      runs,
    );
    for (const text of [
      '$',
      '$'.repeat(10_000),
      `$${'[*]'.repeat(5_000)}`,
      `$['${'a'.repeat(10_000)}`,
      `$.${'a'.repeat(255)}`,
    ])
      inTime(() => parseJsonPath(text));
  });

  test('that is written reads as what it was written from', () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: pathStepsMax }), fc.boolean(), (steps, quoteAll) => {
        assert.deepEqual(parseJsonPath(write(steps, quoteAll))?.steps, steps);
      }),
      runs,
    );
  });

  test('finds what a recursion finds, and misses as often', () => {
    fc.assert(
      fc.property(document, fc.array(step, { maxLength: 5 }), (value, steps) => {
        const path = parseJsonPath(write(steps, false)) as JsonPath;
        const found = inTime(() => readPath(path, value));
        const wanted = plainly(value, steps);
        assert.deepEqual(
          found.values,
          wanted.filter((one) => one !== missing),
        );
        assert.equal(found.missingCount, wanted.filter((one) => one === missing).length);
      }),
      runs,
    );
  });
});

function compile(text: string): JsonMap | undefined {
  try {
    return compileJsonMap(parseStrictYaml(text, { schema: jsonMapSchema, file: 'api.yaml', code: 'config-invalid' }));
  } catch (error) {
    const { code, message } = error as { readonly code?: string; readonly message: string };
    assert.equal(code, 'config-invalid', String(error));
    assert.ok(message.startsWith('api.yaml: ') && message.length < 20_000, message.slice(0, 200));
    return undefined;
  }
}

const example = [
  ...readFileSync(new URL('../../docs/json-apis.md', import.meta.url), 'utf8').matchAll(/```yaml\n([^`]+)```/g),
]
  .map((match) => match[1] ?? '')
  .find((text) => text.includes('GET /patients/{id}')) as string;

describe('a map', () => {
  test('of any text is a map, or a coded error that says where', () => {
    assert.ok(compile(example) !== undefined);
    const piece = fc.constantFrom(
      '{',
      '}',
      '[',
      ']',
      ':',
      '\n',
      '  ',
      "'",
      '"',
      '*',
      '&a',
      '!!x',
      '$',
      '/',
      '- ',
      'patient',
      'GET /a',
      '\u0000',
      '9',
    );
    fc.assert(
      fc.property(fc.nat(), fc.nat({ max: 12 }), fc.array(piece, { maxLength: 4 }), (at, cut, pieces) => {
        const from = at % example.length;
        inTime(() => compile(example.slice(0, from) + pieces.join('') + example.slice(from + cut)));
      }),
      runs,
    );
    fc.assert(
      fc.property(fc.string({ unit: 'binary', maxLength: 200 }), (text) => void inTime(() => compile(text))),
      runs,
    );
  });

  test('recognises a request of any shape, or does not, and never takes one template for another', () => {
    const map = compile(example) as JsonMap;
    const segment = fc.oneof(fc.constantFrom('patients', 'visits', 'drugs', 'merge', 'p-1', '', '..'), fc.string());
    fc.assert(
      fc.property(
        fc.constantFrom('GET', 'HEAD', 'POST', 'DELETE', 'constructor', ''),
        fc.array(segment, { maxLength: 5 }),
        fc.array(fc.record({ name: memberName, rawValue: fc.string() }), { maxLength: 3 }),
        (method, segments, parameters) => {
          const found = inTime(() => recogniseMapped(map, { method, prefix: '/api', segments, parameters }));
          if (found.kind !== 'interaction') return;
          assert.ok(isMapped(found.interaction));
          const { template, method: own } = found.interaction.map;
          assert.equal(own, method === 'HEAD' ? 'GET' : method);
          const pattern = template.replace(/[.*+?^$()|[\]\\]/g, '\\$&').replace(/\{[^}]+\}/g, '[^/]+');
          // A segment of the router never holds a slash.
          if (!segments.some((one) => one.includes('/') || one.includes('\n')))
            assert.match(`/${segments.join('/')}`, new RegExp(`^${pattern}$`, 's'));
        },
      ),
      runs,
    );
  });
});

/** Ids as FHIR has them, read by the other function that knows them. */
function idOf(value: unknown): string | undefined {
  if (typeof value === 'number') return Number.isSafeInteger(value) && value >= 0 ? String(value) : undefined;
  return typeof value === 'string' ? patientIdOf(`Patient/${value}`) : undefined;
}

describe('what a map finds', () => {
  const operationOf = (paths: readonly (readonly Step[])[]): MappedInteraction => {
    const patient = paths.map((steps) => `response ${write(steps, false)}`);
    const map = compileJsonMap({ version: 1, routes: { 'GET /x': { type: 'Encounter', patient } } });
    const found = recogniseMapped(map, { method: 'GET', prefix: '', segments: ['x'], parameters: [] });
    assert.ok(found.kind === 'interaction' && isMapped(found.interaction));
    return found.interaction;
  };

  const learn = (paths: readonly (readonly Step[])[], body: Uint8Array): ReturnType<typeof learnMapped> => {
    const interaction = operationOf(paths);
    const contentType = 'application/json';
    return inTime(() => learnMapped(body, { interaction, of: 'response', contentType, complete: true }));
  };
  const paths = fc.array(fc.array(step, { maxLength: 4 }), { minLength: 1, maxLength: 3 });

  test('in a document is whom a recursion finds at its places, and who is not found there is said', () => {
    fc.assert(
      fc.property(document, paths, (value, places) => {
        const { exposure, unattributed } = learn(places, Buffer.from(JSON.stringify(value)));
        const found = places.flatMap((steps) => plainly(value, steps));
        const ids = found.map((one) => (one === missing ? undefined : idOf(one)));
        const named = ids.filter((id) => id !== undefined);
        assert.deepEqual((exposure.patients ?? []).map(({ id }) => id).sort(), [...new Set(named)].sort());
        for (const { id, count } of exposure.patients ?? [])
          assert.equal(count, named.filter((one) => one === id).length);
        assert.equal(exposure.truncated === true, ids.includes(undefined));
        assert.equal(unattributed, ids.includes(undefined) || named.length === 0);
      }),
      runs,
    );
  });

  test('in a document that passes is, with what its beginning told, whom the whole names', async () => {
    const listed = fc.array(fc.record({ a: document, b: document }, { requiredKeys: [], noNullPrototype: true }), {
      maxLength: 6,
    });
    const large = fc.oneof(
      document,
      listed,
      listed.map((items) => ({ a: 'p-2', items })),
      listed.map((items) => ({ items, b: 'p-3' })),
    );
    await fc.assert(
      fc.asyncProperty(large, paths, fc.nat(), fc.integer({ min: 1, max: 40 }), async (value, places, at, size) => {
        const bytes = Buffer.from(JSON.stringify(value));
        const cut = at % bytes.length;
        const interaction = operationOf(places);
        const options = { interaction, of: 'response', contentType: 'application/json' } as const;
        const first = learnMapped(bytes.subarray(0, cut), { ...options, complete: false });
        const reader = new MappedReader(bytes.subarray(0, cut), { interaction, pieceBytesMax: 65_536 });
        for (let from = cut; from < bytes.length; from += size) reader.push(bytes.subarray(from, from + size));
        const rest = await reader.finish(true);
        const whole = learnMapped(bytes, { ...options, complete: true });
        const container = typeof value === 'object' && value !== null;
        // What is no list and no object is one value, which only its end would tell.
        if (!container) return assert.equal(rest.exposure.truncated, true);
        assert.equal(rest.unread, false);
        const idsOf = (...learned: (typeof whole)[]): string[] =>
          [...new Set(learned.flatMap(({ exposure }) => (exposure.patients ?? []).map(({ id }) => id)))].sort();
        assert.deepEqual(idsOf(first, rest), idsOf(whole));
        if (rest.exposure.truncated === true) assert.equal(whole.exposure.truncated, true);
      }),
      runs,
    );
  });

  test('in any bytes is never a surprise, and never silence', () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 1, maxLength: 200 }), paths, (bytes, places) => {
        const { exposure, unread } = learn(places, bytes);
        assert.equal(exposure.bytes, bytes.length);
        if (unread) assert.equal(exposure.truncated, true);
        for (const { id } of exposure.patients ?? []) assert.match(id, /^[A-Za-z0-9.-]{1,64}$/);
      }),
      runs,
    );
  });
});
