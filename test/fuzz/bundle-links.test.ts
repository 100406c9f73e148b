/**
 * The pieces of JSON that passes, the links in it and the seals on them, under random input: however the bytes come, the same is found, nothing but links changes, and a seal opens to what was sealed, for
 * that search only. fast-check prints the seed of a failure.
 */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { type Interaction, learnExposure, recognise } from '@watchglass/gateway';
import fc from 'fast-check';
import {
  BundleAddresses,
  type Readdress,
  readdressBundle,
} from '../../packages/gateway/src/exposure/bundle-addresses.ts';
import { BundleReader } from '../../packages/gateway/src/exposure/bundle-reader.ts';
import { moveOf } from '../../packages/gateway/src/exposure/moved-address.ts';
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
        inTime(() => readdressBundle(bytes, { ...to, relink: () => ({}) }));
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

const move = moveOf(['http://10.0.0.7:8080', 'http://api'], '/fhir', 'https://guard.example');
const sealedUrl = (url: unknown): string => `sealed:${String(url).length}`;
const to: Readdress = {
  relink: (one, { depth, ofEntry }) =>
    'url' in one ? { ...one, url: depth === 0 && !ofEntry ? sealedUrl(one.url) : 'nowhere' } : one,
  move,
};

/** All bytes of it, that came so. */
function passed(bytes: Buffer, cuts: readonly number[]): Buffer {
  const addresses = new BundleAddresses(to);
  const out = Buffer.concat([...chunksOf(bytes, cuts)].map((chunk) => addresses.change(chunk) as Buffer));
  assert.equal(out.length - bytes.length, addresses.addedBytes);
  return out;
}

/** The base of the API, and what is none of it although it begins alike. */
const base = fc.constantFrom('http://10.0.0.7:8080/fhir', 'http://api/fhir', 'http://api:80/fhir');
const address = fc.oneof(
  base.map((one) => `${one}/Patient/1`),
  base.map((one) => `${one}?_getpages=1`),
  base,
  fc.constantFrom('urn:uuid:0', 'http://api/fhirs/1', 'http://api.example/fhir/1', 'Patient/1', 'http://10.0.0.7/fhir'),
);
const ways = ['fullUrl', 'location', 'url'] as const;
const others = fc.record(
  { id: fc.string(), reference: address, valueDecimal: fc.constant(0), text: fc.string({ unit: 'grapheme' }) },
  plain,
);
type Any = Record<string, unknown>;
const { nested } = fc.letrec<{ nested: Any; entry: Any; parameter: Any; resource: Any }>((tie) => ({
  resource: fc.oneof({ depthSize: 'small' }, others as fc.Arbitrary<Any>, tie('nested')),
  entry: fc.record(
    {
      fullUrl: address,
      link: fc.array(fc.record({ relation: fc.constant('next'), url: address }, plain), { maxLength: 1 }),
      resource: tie('resource'),
      request: fc.record({ method: fc.constant('GET'), url: address }, plain),
      response: fc.record({ status: fc.constant('201'), location: address, etag: address }, plain),
    },
    { requiredKeys: [], noNullPrototype: true },
  ),
  parameter: fc.record(
    {
      name: fc.string(),
      valueUri: address,
      resource: tie('nested'),
      part: fc.array(tie('parameter'), { maxLength: 2 }),
    },
    { requiredKeys: ['name'], noNullPrototype: true },
  ),
  nested: fc.record(
    {
      link: fc.array(fc.record({ relation: fc.constant('next'), url: address }, plain), { maxLength: 2 }),
      entry: fc.array(tie('entry'), { maxLength: 3 }),
      parameter: fc.array(tie('parameter'), { maxLength: 2 }),
      id: fc.string(),
      resourceType: fc.constantFrom('Bundle', 'Parameters'),
      total: fc.constant(0),
      note: others,
    },
    { requiredKeys: ['resourceType'], noNullPrototype: true },
  ),
}));

/** What it has to be, said once more in another way. */
function wanted(value: unknown, at: string, depth: number): unknown {
  if (Array.isArray(value)) return value.map((one) => wanted(one, at, depth));
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(
    Object.entries(value).map(([key, inner]) => {
      const own = at === 'entry' || at === 'exchange';
      if (own && (ways as readonly string[]).includes(key) && (key === 'fullUrl') === (at === 'entry'))
        return [key, movedOf(String(inner))];
      if (key === 'link' && (at === 'resource' || at === 'entry'))
        return [
          key,
          (inner as { url: string }[]).map((one) => ({
            ...one,
            url: depth === 0 && at === 'resource' ? sealedUrl(one.url) : 'nowhere',
          })),
        ];
      const next = inward[`${at} ${key}`];
      return [key, next === undefined ? inner : wanted(inner, next, depth + (next === 'resource' ? 1 : 0))];
    }),
  );
}
const inward: Readonly<Record<string, string>> = {
  'resource entry': 'entry',
  'resource parameter': 'parameter',
  'entry resource': 'resource',
  'entry request': 'exchange',
  'entry response': 'exchange',
  'parameter resource': 'resource',
  'parameter part': 'parameter',
};
const movedOf = (url: string): string =>
  url.replace(/^http:\/\/(?:10\.0\.0\.7:8080|api(?::80)?)\/fhir(?=$|[/?#])/, 'https://guard.example/fhir');

/** Ways of writing the same: other escapes, and digits that no parser keeps. */
const written: readonly ((text: string) => string)[] = [
  (text) => text,
  (text) => text.replaceAll('/', '\\/'),
  (text) => text.replaceAll('http', '\\u0068ttp').replaceAll('link', 'l\\u0069nk'),
  (text) => text.replace(/:(\s*)0(?=[,}\s])/g, ':$10.10000000000000000000'),
];

describe('a Bundle that passes', () => {
  test('has other links, and is otherwise what it was', () => {
    fc.assert(
      fc.property(bundle, indent, sizes, (value, gap, cuts) => {
        const bytes = Buffer.from(JSON.stringify(value, undefined, gap));
        const out = passed(bytes, cuts);
        assert.deepEqual(JSON.parse(out.toString()), wanted(value, 'resource', 0));
        // All at once it is the same.
        assert.deepEqual(readdressBundle(bytes, to), out);
      }),
      runs,
    );
  });

  test('has the gateway’s addresses wherever it says the API’s, in Bundles inside of it too, and not a digit else is changed', () => {
    fc.assert(
      fc.property(nested, indent, sizes, fc.constantFrom(...written), (value, gap, cuts, write) => {
        const bytes = Buffer.from(write(JSON.stringify(value, undefined, gap)));
        const out = passed(bytes, cuts);
        const plainly = JSON.stringify(wanted(JSON.parse(JSON.stringify(value)), 'resource', 0));
        assert.deepEqual(JSON.parse(out.toString()), JSON.parse(write(plainly)));
        assert.deepEqual(readdressBundle(bytes, to), out);
        // Digits are as they came, however odd.
        const digits = (text: string): number => text.split('0.10000000000000000000').length;
        assert.equal(digits(out.toString()), digits(bytes.toString()));
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
