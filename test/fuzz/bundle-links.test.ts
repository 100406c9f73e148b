/**
 * The pieces of JSON that passes, the links in it and the seals on them, under random input: however the bytes come, the same is found, nothing but links changes, and a seal opens to what was sealed, for
 * that search only. fast-check prints the seed of a failure.
 */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { type Interaction, learnExposure, recognise } from '@watchglass/gateway';
import fc from 'fast-check';
import { BundleLinks, relinkBatch, relinkBundle } from '../../packages/gateway/src/exposure/bundle-links.ts';
import { BundleReader } from '../../packages/gateway/src/exposure/bundle-reader.ts';
import { PageLinks, pageParameter } from '../../packages/gateway/src/exposure/page-links.ts';
import { JsonPieces, piecesOf } from '../../packages/gateway/src/http/json-pieces.ts';
import { inTime } from './in-time.fixture.ts';

const runs = { numRuns: 2_000 };

/** Cuts bytes wherever the sizes say. */
function* chunksOf(bytes: Buffer, sizes: readonly number[]): Generator<Buffer> {
  for (let at = 0, turn = 0; at < bytes.length; turn += 1) {
    const size = sizes[turn % sizes.length] ?? 1;
    yield bytes.subarray(at, at + size);
    at += size;
  }
}

const sizes = fc.array(fc.integer({ min: 1, max: 90 }), { minLength: 1, maxLength: 5 });
const indent = fc.constantFrom(undefined, 1, '\t', '\n');
const name = fc.oneof(fc.constantFrom('link', 'entry', 'resourceType', 'a"b', 'é\\u', ''), fc.string({ maxLength: 8 }));
const object = fc
  .array(fc.tuple(name, fc.jsonValue({ maxDepth: 3 })), { maxLength: 8 })
  .map((members) => [...new Map(members.map(([key, value]) => [key, value]))])
  .map((members) => members.filter(([key]) => key !== '__proto__'));

const write = (members: readonly (readonly [string, unknown])[], gap: string | number | undefined): string =>
  JSON.stringify(Object.fromEntries(members), undefined, gap);

describe('the pieces of an object', () => {
  test('are what JSON.parse finds in it, however it is written and however it comes', () => {
    fc.assert(
      fc.property(object, indent, sizes, (members, gap, cuts) => {
        const text = write(members, gap);
        const bytes = Buffer.from(text);
        const scanner = new JsonPieces();
        const found: [string, boolean, unknown][] = [];
        let at = 0;
        let from = 0;
        for (const chunk of chunksOf(bytes, cuts)) {
          for (const mark of scanner.push(chunk)) {
            if (mark.kind === 'start') from = at + mark.at;
            else found.push([mark.name, mark.item, JSON.parse(bytes.subarray(from, at + mark.at).toString())]);
          }
          at += chunk.length;
        }
        assert.equal(scanner.whole, true, text);
        const wanted = Object.entries(JSON.parse(text) as object).flatMap(([key, value]) =>
          Array.isArray(value) ? value.map((item) => [key, true, item]) : [[key, false, value]],
        );
        assert.deepEqual(found, wanted);
      }),
      runs,
    );
  });

  test('of any bytes are found without a surprise, and no sound object is called unsound', () => {
    const alphabet = fc.constantFrom('{', '}', '[', ']', ',', ':', '"', '\\', 'a', '1', ' ', 'link', '"x":', 'é');
    fc.assert(
      fc.property(fc.string({ unit: alphabet, maxLength: 120 }), (text) => {
        const bytes = Buffer.from(text);
        const found = inTime(() => piecesOf(bytes));
        inTime(() => relinkBundle(bytes, () => ({})));
        inTime(() => relinkBatch(bytes, () => () => ({})));
        let value: unknown;
        try {
          value = JSON.parse(text);
        } catch {
          return;
        }
        const sound = typeof value === 'object' && value !== null && !Array.isArray(value);
        // With a member twice it has two readings.
        if (found === undefined && sound) assert.match(text, /(".*":)[\s\S]*\1|""[\s\S]*""/);
        if (!sound) assert.equal(found, undefined);
      }),
      runs,
    );
  });
});

const plain = { noNullPrototype: true } as const;
const patient = fc.constantFrom('p-1', 'p-2', 'p-3', 'p-4');
const entry = fc.record(
  {
    fullUrl: fc.constantFrom('http://x/fhir/Observation/1', 'urn:uuid:0'),
    resource: fc.record(
      {
        resourceType: fc.constantFrom('Observation', 'Condition', 'Bundle', 'Basic'),
        subject: patient.map((id) => ({ reference: `Patient/${id}` })),
        note: fc.array(fc.record({ text: fc.string() }, plain), { maxLength: 2 }),
        link: fc.array(fc.record({ url: fc.string() }, plain), { maxLength: 2 }),
      },
      { requiredKeys: ['resourceType'], noNullPrototype: true },
    ),
  },
  plain,
);
const link = fc.record({ relation: fc.constantFrom('next', 'self', 'last'), url: fc.string() }, plain);
const bundle = fc
  .record({
    link: fc.array(link, { maxLength: 3 }),
    entry: fc.array(entry, { maxLength: 5 }),
    linksFirst: fc.boolean(),
  })
  .map(({ link: links, entry: entries, linksFirst }) =>
    linksFirst
      ? { resourceType: 'Bundle', link: links, entry: entries }
      : { resourceType: 'Bundle', entry: entries, total: 1, link: links },
  );

describe('a Bundle that passes', () => {
  test('has other links, and is otherwise what it was', () => {
    fc.assert(
      fc.property(bundle, indent, sizes, (value, gap, cuts) => {
        const bytes = Buffer.from(JSON.stringify(value, undefined, gap));
        const links = new BundleLinks((one) => ({ ...one, url: `sealed:${String(one.url)}` }));
        const out = Buffer.concat([...chunksOf(bytes, cuts)].map((chunk) => links.change(chunk) as Buffer));
        const changed = JSON.parse(out.toString()) as typeof value;
        const wanted = value.link.map((one) => ({ ...one, url: `sealed:${one.url}` }));
        assert.deepEqual(changed, { ...value, link: wanted });
        assert.equal(out.length - bytes.length, links.addedBytes);
        // All at once it is the same.
        assert.deepEqual(
          relinkBundle(bytes, (one) => ({ ...one, url: `sealed:${String(one.url)}` })),
          out,
        );
      }),
      runs,
    );
  });

  test('tells with its beginning whom it tells as a whole, wherever the bound falls', async () => {
    await fc.assert(
      fc.asyncProperty(bundle, fc.nat(), sizes, async (value, at, cuts) => {
        const bytes = Buffer.from(JSON.stringify(value));
        const cut = at % bytes.length;
        const contentType = 'application/fhir+json';
        const reader = new BundleReader(bytes.subarray(0, cut), { pieceBytesMax: 65_536 });
        for (const chunk of chunksOf(bytes.subarray(cut), cuts)) reader.push(chunk);
        const rest = await reader.finish(true);
        const first = learnExposure(bytes.subarray(0, cut), { contentType, complete: false });
        const whole = learnExposure(bytes, { contentType, complete: true });
        const idsOf = (...learned: (typeof whole)[]): string[] =>
          [...new Set(learned.flatMap(({ exposure }) => (exposure.patients ?? []).map(({ id }) => id)))].sort();
        assert.deepEqual(idsOf(first, rest), idsOf(whole));
        assert.equal(rest.unread, false);
        // What is about nobody, or somebody without a name, is so in one of the two.
        if (whole.exposure.truncated === true) assert.ok(rest.exposure.truncated ?? first.exposure.truncated);
      }),
      runs,
    );
  });

  test('of any bytes is read without a surprise, and is truncated where it is no Bundle', async () => {
    await fc.assert(
      fc.asyncProperty(fc.uint8Array({ minLength: 1, maxLength: 200 }), sizes, async (bytes, cuts) => {
        const reader = new BundleReader(new Uint8Array(), { pieceBytesMax: 64 });
        for (const chunk of chunksOf(Buffer.from(bytes), cuts)) reader.push(chunk);
        const { exposure } = await reader.finish(true);
        assert.equal(exposure.truncated, true);
      }),
      runs,
    );
  });
});

function interaction(path: string): Interaction {
  const found = recognise({ method: 'GET', prefix: '/fhir', segments: path.split('/'), parameters: [] });
  assert.equal(found.kind, 'interaction');
  return found.interaction;
}

describe('the seal of a page', () => {
  const links = new PageLinks(Buffer.alloc(32, 7), { tenant: 'clinic', validMs: 60_000 });
  const search = interaction('Observation');
  const sealed = fc.record({
    origin: fc.constantFrom(undefined, 'http://10.0.0.7:8080'),
    target: fc.webPath().map((path) => `/fhir${path}`),
    actor: fc.string({ minLength: 1, maxLength: 60 }),
    parameters: fc.array(
      fc.record(
        {
          name: fc.stringMatching(/^[A-Za-z0-9_.:$-]{1,20}$/),
          rawValue: fc.stringMatching(/^[A-Za-z0-9%=_.:|+-]{0,40}$/),
        },
        plain,
      ),
      { maxLength: 8 },
    ),
  });
  const textOf = (url: string | undefined): string => String(url).split(`?${pageParameter}=`)[1] ?? '';

  test('opens to what was sealed, at the path of that search only', () => {
    fc.assert(
      fc.property(sealed, fc.integer({ min: 0, max: 2 ** 41 }), (page, nowMs) => {
        const text = textOf(links.seal(page, search, nowMs));
        const opened = links.open(text, search);
        assert.ok(typeof opened === 'object');
        assert.deepEqual({ ...opened, untilMs: undefined }, { ...page, untilMs: undefined });
        assert.ok(opened.untilMs >= nowMs + 60_000 && opened.untilMs < nowMs + 61_000);
        for (const other of ['Patient', 'Observation/_history', 'Patient/1/Observation'])
          assert.equal(links.open(text, interaction(other)), 'unreadable');
      }),
      runs,
    );
  });

  test('with any bit turned, cut anywhere or with anything behind it does not open', () => {
    fc.assert(
      fc.property(sealed, fc.nat(), fc.nat({ max: 7 }), (page, at, bit) => {
        const text = textOf(links.seal(page, search, 0));
        const bytes = Buffer.from(text, 'base64url');
        const place = at % bytes.length;
        bytes[place] = (bytes[place] as number) ^ (1 << bit);
        for (const other of [bytes.toString('base64url'), text.slice(0, at % text.length), `${text}A`])
          assert.equal(typeof links.open(other, search), 'string');
      }),
      runs,
    );
  });

  test('of any text does not open', () => {
    fc.assert(
      fc.property(fc.oneof(fc.string(), fc.base64String({ minLength: 40 })), (text) => {
        assert.equal(typeof inTime(() => links.open(text, search)), 'string');
      }),
      runs,
    );
  });
});
