import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { test } from 'node:test';
import { constants, zstdCompressSync } from 'node:zlib';
import { RecordError } from '../errors.ts';
import { openBlock, parseBlockHeader, sealBlock } from './block.ts';
import { RecordPacker, unpackRecords } from './packed-records.ts';
import { sentDigest } from './sent-digest.ts';

const id = '01a20eda-6257-7c55-97ad-f01040138835';
const traceparent = '00-5fb2d3b18360a3d78fcd052030fc0344-59c40ad3f66fc56a-00';
const head = `"v":1,"id":"${id}","time":"2026-11-24T18:38:42.775Z",`;
const tenant = '"tenant":"clinic",';
const emitter = '"emitter":{"id":"gateway","seq":2},';
const rest = `"kind":"api","request":{"traceparent":"${traceparent}"}}`;
const event = `{${head}${tenant}${emitter}${rest}`;

const sha = (text: string): string => createHash('sha256').update(text).digest('hex');
const recordOf = (digest: string, ofEvent = event): string =>
  `{"received":"2026-11-24T18:38:43.284Z","submitter":"key:k-3c5e878e4c7ded5e","intake":"http","digest":"${digest}","event":${ofEvent}}`;

function plaintextOf(records: readonly (string | Uint8Array)[]): Buffer {
  return Buffer.concat(
    records.flatMap((record) => {
      const m = Buffer.from(record as string);
      const length = Buffer.alloc(4);
      length.writeUInt32BE(m.length);
      return [length, m];
    }),
  );
}

function pack(plaintext: Buffer): Buffer {
  const packer = new RecordPacker(plaintext.length);
  assert.ok(packer.add(plaintext));
  return packer.finish();
}

/** The packed form of one record, made by hand. */
function packedOf(bytes: { readonly length: number; readonly text: Uint8Array; readonly octets?: Uint8Array }): Buffer {
  const { length, text, octets = Buffer.alloc(0) } = bytes;
  const head = Buffer.alloc(8);
  head.writeUInt32BE(4 + text.length);
  head.writeUInt32BE(length, 4);
  return Buffer.concat([head, text, octets]);
}

const isMalformed = (error: unknown): boolean => error instanceof RecordError && error.code === 'block-malformed';

test('records come out of their packed form as they went in, whatever is in them', () => {
  const edges = [
    '',
    'a',
    '0123456',
    'f'.repeat(15),
    'f'.repeat(16),
    'f'.repeat(17),
    'f'.repeat(1021),
    `x${id}`,
    `${id}0`,
  ];
  const broken = [id.slice(0, 35), id.toUpperCase(), id.replace('-7', '_7'), `${id}${id}`, `${'e'.repeat(8)}-`];
  const texts = [
    'Ågren \u{1f3e5} ﷽',
    '\u0000',
    `${traceparent}${'0'.repeat(64)}`,
    '","event":',
    `{"digest":"${sha('')}"`,
  ];
  const records = [...edges, ...broken, ...texts, recordOf(sha(event)), recordOf(sha('another text'))];
  for (const record of records) {
    const plaintext = plaintextOf([record]);
    assert.deepEqual(unpackRecords(pack(plaintext), plaintext.length), plaintext, record);
  }
  const all = plaintextOf([...records, ...records]);
  assert.deepEqual(unpackRecords(pack(all), all.length), all);
});

test('the digest of what each of our senders sends takes two bytes', () => {
  const sent = [event, `{${emitter}${head}${tenant}${rest}`, `{${emitter}${head}${rest}`];
  const other = pack(plaintextOf([recordOf(sha('another text'))])).length;
  for (const [at, text] of sent.entries()) {
    const plaintext = plaintextOf([recordOf(sha(text))]);
    const packed = pack(plaintext);
    // The other one has 34: a token, a length and 32 octets.
    assert.equal(packed.length, other - 32);
    assert.ok(packed.includes(Buffer.of(0xff, at + 1)));
    assert.deepEqual(unpackRecords(packed, plaintext.length), plaintext);
  }
  assert.equal(sentDigest(Buffer.from('{"v":1}'), 1), sha('{"v":1}'));
  assert.equal(sentDigest(Buffer.from('{"v":1}'), 2), undefined);
});

test('a digest that is no whole text between its place and the event is kept as it is', () => {
  const record = recordOf(sha(event));
  for (const odd of [record.slice(0, -1), record.replace('","event":', '", "event":'), `${record} `]) {
    const plaintext = plaintextOf([odd]);
    assert.ok(!pack(plaintext).includes(0xff));
    assert.deepEqual(unpackRecords(pack(plaintext), plaintext.length), plaintext);
  }
});

test('what is no UTF-8 has no packed form', () => {
  for (const bytes of [[0xff], [0xfd, 8], [0xc3], [0xed, 0xa0, 0x80]])
    assert.equal(new RecordPacker(100).add(plaintextOf(['{}', Uint8Array.from(bytes)])), false);
});

test('no packed form makes more than the block states, nor less', () => {
  const uuid = packedOf({ length: 36, text: Buffer.of(0xfe), octets: Buffer.alloc(16) });
  assert.equal(unpackRecords(uuid, 40).toString('utf8', 4), '00000000-0000-0000-0000-000000000000');
  for (const plaintextBytes of [0, 3, 4, 39, 41, 1000])
    assert.throws(() => unpackRecords(uuid, plaintextBytes), isMalformed);
  const hostile: Record<string, Buffer> = {
    'no length': Buffer.alloc(3),
    'a text longer than what is there': Buffer.of(0, 0, 0, 5, 0, 0, 0, 0),
    'half a record’s length': Buffer.of(0, 0, 0, 2, 0, 0),
    'a record cut short': packedOf({ length: 36, text: Buffer.from('{}') }),
    'a record longer than its length': packedOf({ length: 1, text: Buffer.from('{}') }),
    'a record beyond 64 KiB': packedOf({ length: 65_537, text: Buffer.alloc(65_537, 0x20) }),
    'an id beyond the record': packedOf({ length: 35, text: Buffer.of(0xfe), octets: Buffer.alloc(16) }),
    'an id of too few octets': packedOf({ length: 36, text: Buffer.of(0xfe), octets: Buffer.alloc(15) }),
    'octets left over': packedOf({ length: 36, text: Buffer.of(0xfe), octets: Buffer.alloc(17) }),
    'digits without a count': packedOf({ length: 36, text: Buffer.of(0xfd) }),
    'too few digits': packedOf({ length: 36, text: Buffer.of(0xfd, 7, 0x20), octets: Buffer.alloc(7) }),
    'digits of no octets': packedOf({ length: 36, text: Buffer.of(0xfd, 0), octets: Buffer.alloc(0) }),
    'digits beyond the record': packedOf({ length: 36, text: Buffer.of(0xfd, 19), octets: Buffer.alloc(19) }),
    'an unknown byte': packedOf({ length: 36, text: Buffer.of(0xf8) }),
    'a digest without a form': packedOf({ length: 64, text: Buffer.of(0xff) }),
    'a digest without an event': packedOf({ length: 64, text: Buffer.of(0xff, 1) }),
  };
  for (const [name, packed] of Object.entries(hostile))
    assert.throws(() => unpackRecords(packed, name.includes('64 KiB') ? 65_541 : 40), isMalformed, name);
});

test('a digest follows from its event, in a form there is, once in a record', () => {
  const plaintext = plaintextOf([recordOf(sha(event))]);
  const packed = pack(plaintext);
  const form = packed.indexOf(Buffer.of(0xff, 1)) + 1;
  for (const unknown of [0, 4, 255]) {
    packed[form] = unknown;
    assert.throws(() => unpackRecords(packed, plaintext.length), isMalformed);
  }
  const twice = Buffer.concat([Buffer.of(0xff, 1), Buffer.from('","event":{}}'), Buffer.of(0xff, 1)]);
  assert.throws(() => unpackRecords(packedOf({ length: 141, text: twice }), 145), isMalformed);
});

test('a packed form with any byte changed makes a plaintext of that length, or an error with a code', () => {
  const plaintext = plaintextOf([recordOf(sha(event)), recordOf(sha('x')), id]);
  const packed = pack(plaintext);
  let refused = 0;
  for (let at = 0; at < packed.length; at++) {
    for (const value of [0, 0xf8, 0xfd, 0xfe, 0xff, (packed[at] as number) ^ 1]) {
      const changed = Buffer.from(packed);
      changed[at] = value;
      try {
        assert.equal(unpackRecords(changed, plaintext.length).length, plaintext.length);
      } catch (error) {
        assert.ok(isMalformed(error), `${value} at ${at}: ${String(error)}`);
        refused++;
      }
    }
  }
  assert.ok(refused > 1000);
});

test('a packed block opens as one that isn’t; a bomb in one is refused before it grows', () => {
  const scope = {
    retentionClass: 'access',
    originHash: Buffer.alloc(32, 1),
    epoch: 674,
    writer: Buffer.alloc(16, 2),
    step: 3,
    stepFirstIndex: 10,
  } as const;
  const plaintext = plaintextOf(Array.from({ length: 40 }, () => recordOf(sha(event))));
  const input = { scope, stepKey: Buffer.alloc(32, 4), salt: Buffer.alloc(16, 5), ranges: [{ first: 10, count: 40 }] };
  const open = (block: Buffer): Uint8Array => openBlock(block, parseBlockHeader(block), input.stepKey);
  const block = sealBlock({ ...input, plaintext, packed: pack(plaintext) });
  assert.equal(parseBlockHeader(block).codec, 2);
  assert.deepEqual(Buffer.from(open(block)), plaintext);
  // An insider with the keys, whose block states little and holds sixteen megabytes.
  const bomb = sealBlock({ ...input, plaintext, packed: Buffer.alloc(16 * 1024 * 1024) });
  const compressed = zstdCompressSync(Buffer.alloc(16 * 1024 * 1024), {
    params: { [constants.ZSTD_c_compressionLevel]: 1 },
  });
  assert.ok(bomb.length < compressed.length + 1000);
  assert.throws(() => open(bomb), isMalformed);
});
