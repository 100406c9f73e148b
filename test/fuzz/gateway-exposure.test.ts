/** Exposure under hostile input: against a recursion that is too plain to be clever, and against what must never happen. fast-check prints the seed of a failure. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { countMembers, learnExposure, parsePartialJson } from '@watchglass/gateway';
import fc from 'fast-check';
import { inTime } from './in-time.fixture.ts';

const runs = { numRuns: 3_000 };

/** FHIR-like JSON: references, resources and envelopes in any order and depth. */
const tree = fc.letrec<{ node: unknown; resource: unknown }>((tie) => ({
  resource: fc.record(
    {
      resourceType: fc.constantFrom(
        'Patient',
        'Observation',
        'Bundle',
        'Parameters',
        'Basic',
        'OperationOutcome',
        'Odd Type',
      ),
      id: fc.constantFrom('a', 'b', 'c', 'not_an_id', ''),
      subject: tie('node'),
      entry: fc.array(fc.record({ resource: tie('resource') }), { maxLength: 3 }),
      parameter: fc.array(fc.record({ part: fc.array(tie('node'), { maxLength: 2 }) }), { maxLength: 2 }),
    },
    { requiredKeys: ['resourceType'] },
  ),
  node: fc.oneof(
    { depthSize: 'small', withCrossShrink: true },
    fc.record({
      reference: fc.constantFrom(
        'Patient/x',
        'http://h/Patient/y/_history/1',
        'Patient/',
        'Device/1',
        '#a',
        'Patient?x=1',
      ),
    }),
    fc.jsonValue({ maxDepth: 2 }),
    tie('resource'),
    fc.array(tie('node'), { maxLength: 3 }),
  ),
}));

/** By recursion: every patient that stands there or is referred to. */
function plainPatients(value: unknown, found: Set<string> = new Set()): Set<string> {
  if (Array.isArray(value)) for (const item of value) plainPatients(item, found);
  else if (typeof value === 'object' && value !== null) {
    const { resourceType, id: own, reference } = value as Record<string, unknown>;
    if (resourceType === 'Patient' && typeof own === 'string' && /^[A-Za-z0-9.-]{1,64}$/.test(own)) found.add(own);
    const referred =
      typeof reference === 'string'
        ? /(?:^|\/)Patient\/([A-Za-z0-9.-]{1,64})(?:\/_history\/[^/]+)?$/.exec(reference)?.[1]
        : undefined;
    if (referred !== undefined) found.add(referred);
    for (const below of Object.values(value)) plainPatients(below, found);
  }
  return found;
}

function plainMembers(value: unknown): number {
  if (Array.isArray(value)) return value.reduce((sum: number, item) => sum + plainMembers(item), 0);
  if (typeof value !== 'object' || value === null) return 0;
  return Object.values(value).reduce((sum: number, below) => sum + 1 + plainMembers(below), 0);
}

const json = 'application/fhir+json';

describe('exposure', () => {
  test('names exactly the patients that a recursion finds', () => {
    fc.assert(
      fc.property(tree.resource, fc.constantFrom(undefined, 2, '\t'), (resource, indent) => {
        const text = JSON.stringify(resource, undefined, indent);
        const { exposure, unread } = inTime(() =>
          learnExposure(Buffer.from(text), { contentType: json, complete: true }),
        );
        assert.equal(unread, false);
        assert.deepEqual(
          (exposure.patients ?? []).map(({ id: patient }) => patient).sort(),
          [...plainPatients(JSON.parse(text))].sort(),
        );
      }),
      runs,
    );
  });

  test('of a beginning names nobody whom the whole does not name, and says that it is one', () => {
    fc.assert(
      fc.property(tree.resource, fc.nat(), (resource, at) => {
        const bytes = Buffer.from(JSON.stringify(resource));
        const { exposure } = inTime(() =>
          learnExposure(bytes.subarray(0, at % (bytes.length + 1)), { contentType: json, complete: false }),
        );
        const all = plainPatients(resource);
        for (const { id: patient } of exposure.patients ?? []) assert.ok(all.has(patient));
        assert.equal(exposure.truncated, true);
      }),
      runs,
    );
  });

  test('of any bytes in any type never throws, and is never silent about bytes it could not read', () => {
    fc.assert(
      fc.property(
        fc.uint8Array({ maxLength: 200 }),
        fc.constantFrom(json, 'application/ndjson', 'text/html', undefined),
        fc.boolean(),
        (bytes, contentType, complete) => {
          const { exposure } = inTime(() => learnExposure(bytes, { contentType, complete }));
          assert.equal(exposure.bytes, bytes.length);
          if (bytes.length > 0 && (contentType === undefined || contentType === 'text/html'))
            assert.equal(exposure.truncated, true);
        },
      ),
      runs,
    );
  });
});

describe('members', () => {
  test('are counted as they are written', () => {
    fc.assert(
      fc.property(fc.jsonValue({ maxDepth: 5 }), fc.constantFrom(undefined, 1, '\n'), (value, indent) => {
        const text = JSON.stringify(value, undefined, indent);
        assert.equal(countMembers(text), plainMembers(JSON.parse(text)));
      }),
      runs,
    );
  });

  test('of a beginning are those of the whole', () => {
    fc.assert(
      fc.property(
        fc.string({ maxLength: 300, unit: fc.constantFrom('{', '}', '[', ']', ',', ':', '"', '\\', 'a', '1', ' ') }),
        (text) => void inTime(() => parsePartialJson(text)),
      ),
      runs,
    );
  });
});
