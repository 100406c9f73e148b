/** Records of shreds and copies of holds: one spelling each, and everything else refused by its own code. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { RecordError } from './index.ts';
import {
  encodeRanges,
  encodeShredRecord,
  openHeld,
  openHoldTerms,
  parseHeldHeader,
  parseRanges,
  parseShredRecord,
  type ShredRecord,
  sealHeld,
  sealHoldTerms,
} from './reader.ts';

const hash = 'ab'.repeat(32);
const hold = '0123456789abcdef0123456789abcdef';
const bytes = (count: number, fill: number): Uint8Array => new Uint8Array(count).fill(fill);
const event = { index: 7, r: bytes(32, 1), m: new TextEncoder().encode('{"received":"x"}') };
const record: ShredRecord = {
  terms: {
    origin: 'watchglass.example/clinic',
    retentionClass: 'access',
    epoch: 674,
    events: 3,
    first: 0,
    last: 5,
    ranges: hash,
    seeds: [['access-674-0.json', hash]],
    keks: ['local:0'],
    held: [[hold, 1]],
    days: 2192,
    plan: hash,
    people: ['p-1', 'p-2'],
  },
  begun: event,
  done: { ...event, index: 9 },
};

const refuses = (work: () => unknown, code: string): void =>
  assert.throws(work, (error) => error instanceof RecordError && error.code === code);

test('a record of a shred comes back as it was, in each of its three states', () => {
  for (const state of [record, { ...record, done: undefined }, { ...record, begun: undefined, done: undefined }]) {
    const encoded = encodeShredRecord(state);
    assert.equal(Buffer.compare(encodeShredRecord(parseShredRecord(encoded)), encoded), 0);
  }
});

test('any other spelling of a record is refused', () => {
  const text = Buffer.from(encodeShredRecord(record)).toString();
  for (const other of [
    '',
    text.slice(0, -1),
    `${text}\n`,
    `${text}{}\n`,
    text.replace('"v":1', '"v":2'),
    text.replace('"v":1,', '"v": 1,'),
    text.replace('access', 'acces'),
    text.replace('"events":3', '"events":-3'),
    text.replace('"events":3', '"events":3,"more":1'),
    text.replace(hash, hash.toUpperCase()),
    text.replace(hold, hold.slice(1)),
    text.replace('"index":7', '"index":"7"'),
    text.replace('"p-1"', '1'),
    text.replace('"r":"AQEB', '"r":"AQE'),
    '[]\n',
    'null\n',
  ])
    refuses(() => parseShredRecord(Buffer.from(other)), 'shred-malformed');
});

test('ranges ascend and do not touch', () => {
  const ranges = [
    { first: 0, count: 2 },
    { first: 3, count: 1 },
  ];
  assert.deepEqual([...parseRanges(encodeRanges(ranges))], [0, 2, 3, 4]);
  for (const wrong of [
    [{ first: 0, count: 0 }],
    [
      { first: 0, count: 2 },
      { first: 2, count: 1 },
    ],
    [
      { first: 4, count: 2 },
      { first: 1, count: 1 },
    ],
    [],
  ])
    refuses(() => parseRanges(encodeRanges(wrong)), 'shred-malformed');
  refuses(() => parseRanges(encodeRanges(ranges).subarray(1)), 'shred-malformed');
  refuses(() => parseRanges(bytes(12, 0xff)), 'shred-malformed');
});

test('a held copy opens under its seed, and every flipped byte of it is found', () => {
  const scope = { originHash: bytes(32, 2), hold, retentionClass: 'access', epoch: 674 } as const;
  const seed = bytes(32, 3);
  const events = [event, { ...event, index: 8 }, { ...event, index: 10, m: bytes(3000, 0x61) }];
  const copy = sealHeld({ scope, seed, salt: bytes(16, 4), events });
  const header = parseHeldHeader(copy);
  assert.deepEqual(header.ranges, [
    { first: 7, count: 2 },
    { first: 10, count: 1 },
  ]);
  assert.deepEqual(
    openHeld(copy, header, seed).map(({ index, r, m }) => [index, Buffer.from(r), Buffer.from(m)]),
    events.map(({ index, r, m }) => [index, Buffer.from(r), Buffer.from(m)]),
  );
  refuses(() => openHeld(copy, header, bytes(32, 9)), 'hold-tampered');
  refuses(() => parseHeldHeader(copy.subarray(0, 60)), 'hold-malformed');
  for (let at = 0; at < copy.length; at++) {
    const forged = Buffer.from(copy);
    forged[at] = (forged[at] as number) ^ 1;
    assert.throws(
      () => openHeld(forged, parseHeldHeader(forged), seed),
      (error) => error instanceof RecordError && /^hold-(malformed|tampered)$/.test(error.code),
      `byte ${at}`,
    );
  }
});

test('the terms of a hold open under its seed only, and not as another hold’s', () => {
  const seed = bytes(32, 3);
  const sealed = sealHoldTerms({ originHash: bytes(32, 2), hold, seed, salt: bytes(16, 4), text: '{"v":1}' });
  assert.equal(openHoldTerms(sealed, seed), '{"v":1}');
  assert.ok(!sealed.includes('{"v":1}'));
  refuses(() => openHoldTerms(sealed, bytes(32, 4)), 'hold-tampered');
  const other = Buffer.from(sealed);
  other[40] = (other[40] as number) ^ 1;
  refuses(() => openHoldTerms(other, seed), 'hold-tampered');
  refuses(() => openHoldTerms(sealed.subarray(0, -1), seed), 'hold-malformed');
  refuses(
    () => sealHoldTerms({ originHash: bytes(32, 2), hold: 'x', seed, salt: bytes(16, 4), text: '' }),
    'argument-invalid',
  );
});
