import assert from 'node:assert/strict';
import { createHash, createHmac } from 'node:crypto';
import { test } from 'node:test';
import fc from 'fast-check';
import { encodeHex, encodeUtf8 } from './bytes.ts';
import { leafHashOf, originHashOf } from './commitment.ts';
import { encode } from './encode.ts';
import { readVector, sampleRecord } from './event.fixture.ts';
import { commitFields, fieldRootOf, fieldRootOfDisclosure, withhold } from './field-commitment.ts';

const r = new Uint8Array(32).map((_, i) => i);
const m = encode(sampleRecord);
const text = (bytes: Uint8Array): string => Buffer.from(bytes).toString();

/** Written from docs/format.md, "Leaf type 0x02", with nothing of this package. */
function independentRoot(opening: Buffer, record: string): Buffer {
  let leaves = 0;
  const sha = (...parts: (string | Buffer)[]): Buffer => {
    const hash = createHash('sha256').update('watchglass/f/v1\0');
    for (const part of parts) hash.update(part);
    return hash.digest();
  };
  const u32 = (n: number): Buffer => {
    const bytes = Buffer.alloc(4);
    bytes.writeUInt32BE(n);
    return bytes;
  };
  const node = (value: unknown, path: string): Buffer => {
    const place = [u32(Buffer.byteLength(path)), path] as const;
    if (typeof value !== 'object' || value === null || Object.keys(value).length === 0) {
      const k = leaves++;
      const block = createHmac('sha256', opening)
        .update('watchglass/f/v1\0')
        .update(u32(k >> 1))
        .digest();
      return sha(Buffer.of(0), block.subarray(16 * (k & 1), 16 * (k & 1) + 16), ...place, JSON.stringify(value));
    }
    const children = Object.keys(value).map((name) =>
      node((value as Record<string, unknown>)[name], `${path}/${name.replaceAll('~', '~0').replaceAll('/', '~1')}`),
    );
    return sha(Buffer.of(Array.isArray(value) ? 2 : 1), ...place, ...children);
  };
  return node(JSON.parse(record), '');
}

test('the vectors hold, and so does a second writing of the format', () => {
  const vector: {
    readonly origin: string;
    readonly index: number;
    readonly r: string;
    readonly m: string;
    readonly root: string;
    readonly commitment: string;
    readonly leafHash: string;
    readonly withheld: {
      readonly pointers: string[];
      readonly m: string;
      readonly salts: string;
      readonly holes: string;
    };
  } = readVector('fields');
  const opening = {
    originHash: originHashOf(vector.origin),
    index: vector.index,
    r: Buffer.from(vector.r, 'hex'),
    m: encodeUtf8(vector.m),
  };
  assert.equal(encodeHex(fieldRootOf(opening.r, opening.m)), vector.root);
  assert.equal(independentRoot(opening.r, vector.m).toString('hex'), vector.root);
  const commitment = commitFields(opening);
  assert.equal(encodeHex(commitment), vector.commitment);
  assert.equal(encodeHex(leafHashOf(commitment, 2)), vector.leafHash);
  const { disclosure } = withhold(opening.r, opening.m, vector.withheld.pointers);
  assert.equal(text(disclosure.m), vector.withheld.m);
  assert.equal(encodeHex(disclosure.salts), vector.withheld.salts);
  assert.equal(encodeHex(disclosure.holes), vector.withheld.holes);
  assert.equal(encodeHex(fieldRootOfDisclosure(disclosure)), vector.root);
});

/** Values as a record may hold them, with empty lists and objects and names that need escaping. */
const json = fc.letrec<{ value: unknown; list: unknown[]; object: object }>((tie) => ({
  value: fc.oneof({ depthSize: 'small' }, fc.string(), fc.integer(), fc.boolean(), tie('list'), tie('object')),
  list: fc.array(tie('value'), { maxLength: 4 }),
  object: fc.dictionary(fc.stringMatching(/^[a-z~/]{1,5}$/), tie('value'), { maxKeys: 4 }),
}));
const records = json.object.filter((one) => Object.keys(one).length > 0);

function pointersOf(value: unknown, path = ''): string[] {
  const own = path === '' ? [] : [path];
  if (typeof value !== 'object' || value === null) return own;
  return [
    ...own,
    ...Object.entries(value).flatMap(([name, one]) =>
      pointersOf(one, `${path}/${name.replaceAll('~', '~0').replaceAll('/', '~1')}`),
    ),
  ];
}

test('whatever is withheld of whatever record, what is shown leads to the same root', () => {
  fc.assert(
    fc.property(records, fc.infiniteStream(fc.boolean()), (record, coins) => {
      const bytes = encodeUtf8(JSON.stringify(record));
      const pointers = pointersOf(record).filter(() => coins.next().value);
      const { disclosure } = withhold(r, bytes, pointers);
      assert.equal(encodeHex(fieldRootOfDisclosure(disclosure)), encodeHex(fieldRootOf(r, bytes)));
      assert.equal(
        encodeHex(fieldRootOf(r, bytes)),
        independentRoot(Buffer.from(r), JSON.stringify(record)).toString('hex'),
      );
      if (pointers.length === 0) assert.deepEqual(disclosure.m, bytes);
    }),
  );
});

test('a value, a name, an order, a type or a salt that is another gives another root', () => {
  const root = encodeHex(fieldRootOf(r, m));
  const changes: [string, string][] = [
    ['"read"', '"edit"'],
    ['"status":200', '"status":"200"'],
    ['"classes":["demographics"]', '"classes":{"0":"demographics"}'],
    ['"durationMs":3.5', '"durationMs":3'],
    ['"site":', '"sight":'],
  ];
  for (const [from, to] of changes) {
    const changed = text(m).replace(from, to);
    assert.notEqual(changed, text(m), from);
    assert.notEqual(encodeHex(fieldRootOf(r, encodeUtf8(changed))), root, to);
  }
  const { disclosure } = withhold(r, m, ['/event/actor/id', '/event/source']);
  for (const part of ['salts', 'holes'] as const) {
    for (let at = 0; at < disclosure[part].length; at++) {
      disclosure[part][at]! ^= 1;
      assert.notEqual(encodeHex(fieldRootOfDisclosure(disclosure)), root);
      disclosure[part][at]! ^= 1;
    }
  }
  assert.equal(encodeHex(fieldRootOfDisclosure(disclosure)), root);
});

test('what is withheld leaves nothing of its value, its type or its length', () => {
  const long = { ...sampleRecord, event: { ...sampleRecord.event, actor: { id: 'a'.repeat(200) } } };
  const short = { ...sampleRecord, event: { ...sampleRecord.event, actor: { id: 'a', shared: true } } };
  const shown = [long, short].map((record) => withhold(r, encode(record), ['/event/actor']).disclosure);
  const [one, two] = shown as [(typeof shown)[0], (typeof shown)[0]];
  assert.equal(text(one.m), text(two.m));
  assert.deepEqual([one.holes.length, two.holes.length], [32, 32]);
  assert.equal(one.salts.length, two.salts.length);
  // The same value twice, in two fields or two records, doesn't look the same.
  const same = { a: 'x', b: 'x', c: ['x', 'x'] };
  const { holes } = withhold(r, encodeUtf8(JSON.stringify(same)), ['/a', '/b', '/c/*']).disclosure;
  const other = withhold(new Uint8Array(32), encodeUtf8(JSON.stringify(same)), ['/a']).disclosure.holes;
  const hashes = [0, 32, 64, 96].map((at) => encodeHex(holes.subarray(at, at + 32)));
  assert.equal(new Set([...hashes, encodeHex(other)]).size, 5);
  // Nothing that is shown lets anybody derive the salt of what isn't: salts are used once.
  const salts = Array.from({ length: one.salts.length / 16 }, (_, i) =>
    encodeHex(one.salts.subarray(i * 16, i * 16 + 16)),
  );
  assert.equal(new Set(salts).size, salts.length);
});

test('a pointer takes what it names, says how often, and refuses to be none', () => {
  const { disclosure, taken } = withhold(r, m, ['/event/targets/*/id', '/event/nothing', '/digest']);
  assert.deepEqual(taken, [1, 0, 1]);
  assert.match(text(disclosure.m), /"digest":null/);
  assert.throws(() => withhold(r, m, ['event']), { code: 'argument-invalid' });
});

test('what is not a record as it was encoded is refused in one code, whatever it is', () => {
  const { disclosure } = withhold(r, m, ['/digest']);
  for (const wrong of [
    { ...disclosure, salts: disclosure.salts.subarray(16) },
    { ...disclosure, holes: new Uint8Array(0) },
    { ...disclosure, holes: new Uint8Array(64) },
    { ...disclosure, m },
  ])
    assert.throws(() => fieldRootOfDisclosure(wrong), { code: 'record-invalid' });
  for (const bad of ['', '1', '[]', '{"a": 1}', '{"a":1,"a":1}', '{"a":1.0}', '{"a":null}', '{"a":1}\n'])
    assert.throws(
      () => fieldRootOf(r, encodeUtf8(bad)),
      (error: { code?: string }) => ['record-invalid', 'json-invalid'].includes(error.code ?? ''),
    );
  fc.assert(
    fc.property(fc.uint8Array(), fc.uint8Array(), fc.uint8Array(), (bytes, salts, holes) => {
      assert.throws(
        () => fieldRootOfDisclosure({ m: bytes, salts, holes }),
        (error: { code?: string }) => ['record-invalid', 'json-invalid'].includes(error.code ?? ''),
      );
    }),
  );
});
