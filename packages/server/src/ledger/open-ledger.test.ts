import assert from 'node:assert/strict';
import { readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import {
  decode,
  hashLeaf,
  leafDataOf,
  openNote,
  parseCheckpoint,
  parseTenantId,
  verifyInclusion,
} from '@watchglass/record';
import { encodeBatch } from './encoded-batch.ts';
import { LedgerError } from './errors.ts';
import { clinic, digestOf, faultyDisk, filesBelow, item, items, type TestPlace, testPlace } from './ledger.fixture.ts';
import type { Ledger } from './ledger.ts';

async function withLedger(run: (ledger: Ledger, place: TestPlace) => Promise<void>): Promise<void> {
  await using place = await testPlace();
  const ledger = await place.open();
  await ledger.addTenant(clinic);
  try {
    await run(ledger, place);
  } finally {
    await ledger[Symbol.asyncDispose]();
  }
}

const coded = (code: string) => (error: unknown) => error instanceof LedgerError && error.code === code;

test('an appended event is covered by the checkpoint of its receipt, and proven by it', () =>
  withLedger(async (ledger, place) => {
    const { receipts, checkpoint } = await ledger.append(clinic, items(place, 5));
    assert.deepEqual(
      receipts.map(({ index, duplicate }) => [index, duplicate]),
      [0, 1, 2, 3, 4].map((index) => [index, false]),
    );
    const { size, root } = parseCheckpoint(openNote(checkpoint, [ledger.vkey(clinic)]).text);
    assert.equal(size, 5n);
    for (const { index, leaf } of receipts) {
      const proof = await ledger.prove(clinic, index);
      assert.equal(proof.checkpoint, checkpoint);
      verifyInclusion({ leafHash: leaf, index: BigInt(index), size, proof: proof.hashes, root });
      assert.deepEqual(hashLeaf((await ledger.open(clinic, index)).leaf), leaf);
    }
  }));

test('records are read back in order, from memory and after a restart from files', async () => {
  await using place = await testPlace();
  const sent = [...items(place, 30), ...items(place, 3, { kind: 'review' }), ...items(place, 4, { kind: 'auth' })];
  const first = await place.open();
  await first.addTenant(clinic);
  for (let at = 0; at < sent.length; at += 5) await first.append(clinic, sent.slice(at, at + 5));
  const ids = sent.map(({ event }) => event.id);
  const read = async (ledger: Ledger) => (await ledger.read(clinic, 0, 100)).map(({ m }) => decode(m).event.id);
  assert.deepEqual(await read(first), ids);
  assert.deepEqual(
    (await first.read(clinic, 31, 2)).map(({ index, retentionClass }) => [index, retentionClass]),
    [
      [31, 'oversight'],
      [32, 'oversight'],
    ],
  );
  assert.deepEqual(await first.read(clinic, 37, 10), []);
  await first[Symbol.asyncDispose]();
  const second = await place.open();
  assert.deepEqual(await read(second), ids);
  assert.equal(second.head(clinic).size, 37);
  assert.equal((await second.read(clinic, 34, 1))[0]?.retentionClass, 'security');
  await second[Symbol.asyncDispose]();
  assert.equal((await place.verify({ full: true })).intact, true);
});

/** Encoded calls of 500 events of a few hundred bytes: groups of several blocks, which are sealed beside. */
async function appendMany(ledger: Ledger, place: TestPlace, calls: number): Promise<void> {
  const batches = Array.from({ length: calls }, () => encodeBatch(clinic, items(place, 500)));
  await Promise.all(batches.map((batch) => ledger.appendEncoded(clinic, batch)));
}

test('what was read stays as it was while its memory is used for later events, and large groups verify', async () => {
  await using place = await testPlace();
  const ledger = await place.open({ segmentBytesMax: 1024 * 1024 });
  await ledger.addTenant(clinic);
  await appendMany(ledger, place, 12);
  const entries = await ledger.read(clinic, 0, 1000);
  const before = entries.map(({ m }) => Buffer.from(m));
  for (let round = 0; round < 5; round++) await appendMany(ledger, place, 12);
  assert.deepEqual(
    entries.map(({ m }) => Buffer.from(m)),
    before,
  );
  const again = await ledger.read(clinic, 0, 1000);
  assert.deepEqual(
    again.map(({ m }) => Buffer.from(m)),
    before,
  );
  await ledger[Symbol.asyncDispose]();
  const report = await place.verify({ full: true });
  assert.deepEqual([report.intact, report.tenants[0]?.opened], [true, 36_000]);
});

test('small blocks are merged however many come in a minute', async () => {
  await using place = await testPlace();
  const ledger = await place.open();
  await ledger.addTenant(clinic);
  const calls = 100;
  const site = 'x'.repeat(120);
  for (let call = 0; call < calls; call++) {
    const many = items(place, 200, { site, outcome: { status: 'success', code: 200 } });
    await ledger.appendEncoded(clinic, encodeBatch(clinic, many));
  }
  await ledger[Symbol.asyncDispose]();
  const blocks = await blocksIn(place);
  assert.ok(blocks.length < calls / 5, `${blocks.length} blocks of ${calls} calls`);
  assert.equal((await place.verify({ full: true })).tenants[0]?.opened, calls * 200);
});

/** Bytes of each archived block. */
async function blocksIn(place: TestPlace): Promise<number[]> {
  const found: number[] = [];
  for (const name of (await filesBelow(place.ledgerDir)).filter((path) => path.endsWith('.wgb'))) {
    const bytes = await readFile(join(place.ledgerDir, name));
    for (let at = 0; at < bytes.length; at += 8 + bytes.readUInt32BE(at)) found.push(bytes.readUInt32BE(at));
  }
  return found;
}

test('a disk that fills up under large groups stores nothing of a refused call', async () => {
  await using place = await testPlace();
  const faults = { journalRoomBytes: 2_600_000, failSync: undefined };
  const ledger = await place.open({ world: place.world(faultyDisk(faults)) });
  await ledger.addTenant(clinic);
  const batches = Array.from({ length: 60 }, () => encodeBatch(clinic, items(place, 500)));
  const results = await Promise.allSettled(batches.map((batch) => ledger.appendEncoded(clinic, batch)));
  const refused = results.filter((result) => result.status === 'rejected');
  assert.ok(refused.length > 0 && refused.length < 60);
  assert.ok(refused.every(({ reason }) => coded('storage-full')(reason)));
  faults.journalRoomBytes = Number.POSITIVE_INFINITY;
  await appendMany(ledger, place, 1);
  assert.equal(ledger.head(clinic).size, (60 - refused.length + 1) * 500);
  await ledger[Symbol.asyncDispose]();
  assert.equal((await place.verify()).intact, true);
});

test('the same event again gives the same receipt, in one call, in flight, later and after a restart', async () => {
  await using place = await testPlace();
  const ledger = await place.open();
  await ledger.addTenant(clinic);
  const [one, two, three] = items(place, 3) as [
    ReturnType<typeof item>,
    ReturnType<typeof item>,
    ReturnType<typeof item>,
  ];
  const inOneCall = await ledger.append(clinic, [one, one]);
  assert.deepEqual(
    inOneCall.receipts.map(({ index, duplicate }) => [index, duplicate]),
    [
      [0, false],
      [0, true],
    ],
  );
  assert.deepEqual(inOneCall.receipts[0]?.leaf, inOneCall.receipts[1]?.leaf);
  const [first, second] = await Promise.all([ledger.append(clinic, [two]), ledger.append(clinic, [two, three])]);
  assert.deepEqual(
    [first, second].map(({ receipts }) => receipts[0]?.index),
    [1, 1],
  );
  assert.deepEqual(
    second.receipts.map(({ index, duplicate }) => [index, duplicate]),
    [
      [1, true],
      [2, false],
    ],
  );
  assert.equal(parseCheckpoint(second.checkpoint).size, 3n);
  await ledger[Symbol.asyncDispose]();
  const again = await place.open();
  const later = await again.append(clinic, [three, one]);
  assert.deepEqual(
    later.receipts.map(({ index, duplicate }) => [index, duplicate]),
    [
      [2, true],
      [0, true],
    ],
  );
  assert.equal(again.head(clinic).size, 3);
  await again[Symbol.asyncDispose]();
});

test('the same id with other bytes is a conflict that names the position, and stores nothing of the call', () =>
  withLedger(async (ledger, place) => {
    const [known, fresh] = items(place, 2) as [ReturnType<typeof item>, ReturnType<typeof item>];
    await ledger.append(clinic, [known]);
    const other = { ...known, envelope: { ...known.envelope, digest: '0'.repeat(64) } };
    await assert.rejects(
      ledger.append(clinic, [fresh, other]),
      (error) => coded('id-conflict')(error) && (error as LedgerError).details.position === 1,
    );
    assert.equal(ledger.head(clinic).size, 1);
    const { receipts } = await ledger.append(clinic, [fresh]);
    assert.deepEqual(
      receipts.map(({ index, duplicate }) => [index, duplicate]),
      [[1, false]],
    );
  }));

test('a conflict is still seen after a restart, when only the ids are remembered', async () => {
  await using place = await testPlace();
  const ledger = await place.open();
  await ledger.addTenant(clinic);
  const known = item(place);
  await ledger.append(clinic, [known]);
  await ledger[Symbol.asyncDispose]();
  const again = await place.open();
  const other = { ...known, envelope: { ...known.envelope, digest: 'f'.repeat(64) } };
  await assert.rejects(again.append(clinic, [other]), coded('id-conflict'));
  await again[Symbol.asyncDispose]();
});

test('tenants have logs, keys and ids of their own', () =>
  withLedger(async (ledger, place) => {
    const other = parseTenantId('other');
    await Promise.all([ledger.addTenant(other), ledger.addTenant(other)]);
    assert.deepEqual(ledger.tenants(), ['clinic', 'other']);
    const one = item(place);
    const event = { ...one.event, tenant: other };
    const theirs = { event, envelope: { ...one.envelope, digest: digestOf(event) } };
    const [mine, their] = await Promise.all([ledger.append(clinic, [one]), ledger.append(other, [theirs])]);
    assert.deepEqual([mine.receipts[0]?.index, their.receipts[0]?.index], [0, 0]);
    assert.notEqual(ledger.vkey(clinic), ledger.vkey(other));
    assert.match(their.checkpoint, /^watchglass\.example\/other\n1\n/);
    await assert.rejects(ledger.append(parseTenantId('nobody'), [one]), coded('unknown-tenant'));
    await assert.rejects(ledger.append(other, [one]), TypeError);
  }));

test('tiles, bundles and checkpoints are served as tlog-tiles has them', () =>
  withLedger(async (ledger, place) => {
    await ledger.append(clinic, items(place, 300));
    const leaf = leafDataOf((await ledger.open(clinic, 257)).leaf.subarray(1));
    const bundle = (await ledger.resource(clinic, 'tile/entries/001.p/44')) as Uint8Array;
    assert.equal(bundle.length, 44 * 35);
    assert.deepEqual(Uint8Array.from(bundle.subarray(35 + 2, 70)), leaf);
    assert.deepEqual((await ledger.resource(clinic, 'tile/0/001.p/44'))?.subarray(32, 64), Buffer.from(hashLeaf(leaf)));
    assert.equal((await ledger.resource(clinic, 'tile/0/000'))?.length, 8192);
    assert.equal((await ledger.resource(clinic, 'tile/1/000.p/1'))?.length, 32);
    assert.equal(
      Buffer.from((await ledger.resource(clinic, 'checkpoint')) as Uint8Array).toString(),
      ledger.head(clinic).checkpoint,
    );
    for (const missing of [
      'tile/0/001',
      'tile/0/002',
      'tile/0/001.p/45',
      'tile/2/000.p/1',
      'tile/0/1',
      '../keys/kek',
      'blocks',
    ]) {
      assert.equal(await ledger.resource(clinic, missing), undefined, missing);
    }
  }));

test('grown wakes when the log grows, and rejects when it is told to stop or the ledger closes', async () => {
  await using place = await testPlace();
  const ledger = await place.open();
  await ledger.addTenant(clinic);
  const never = new AbortController();
  const grown = ledger.grown(clinic, 0, never.signal);
  await ledger.append(clinic, items(place, 1));
  await grown;
  await ledger.grown(clinic, 0, never.signal);
  const stopped = new AbortController();
  const waiting = ledger.grown(clinic, 1, stopped.signal);
  stopped.abort(new Error('enough'));
  await assert.rejects(waiting, /enough/);
  const atClose = ledger.grown(clinic, 1, never.signal);
  const rejected = assert.rejects(atClose, coded('closed'));
  await ledger[Symbol.asyncDispose]();
  await rejected;
  await assert.rejects(ledger.append(clinic, items(place, 1)), coded('closed'));
});

test('a second process is kept out, with a message that says what to do', async () => {
  await using place = await testPlace();
  const ledger = await place.open();
  await assert.rejects(
    place.open(),
    (error) => coded('locked')(error) && /stop it, or give this one/.test((error as Error).message),
  );
  await ledger[Symbol.asyncDispose]();
  assert.equal((await stat(`${place.ledgerDir}/lock`)).size, 0);
  await (await place.open())[Symbol.asyncDispose]();
});

test('a full disk stores nothing of the call, says so, and heals when there is room', async () => {
  await using place = await testPlace();
  const faults = { journalRoomBytes: 4096, failSync: undefined };
  const ledger = await place.open({ world: place.world(faultyDisk(faults)) });
  await ledger.addTenant(clinic);
  await ledger.append(clinic, items(place, 2));
  const refused = items(place, 200);
  const more = items(place, 3);
  const calls = [ledger.append(clinic, refused), ledger.append(clinic, more)];
  for (const call of calls) await assert.rejects(call, coded('storage-full'));
  assert.equal(ledger.head(clinic).size, 2);
  assert.equal(ledger.state.kind, 'writable');
  faults.journalRoomBytes = 1e9;
  const { receipts } = await ledger.append(clinic, [...refused, ...more]);
  assert.deepEqual([receipts[0]?.index, receipts[0]?.duplicate, receipts.at(-1)?.index], [2, false, 204]);
  await ledger[Symbol.asyncDispose]();
  const report = await place.verify();
  assert.deepEqual(report.findings, []);
  assert.equal(report.tenants[0]?.size, 205);
});

test('a failed fsync is the end of writing: nothing is acknowledged any more, and reading goes on', async () => {
  await using place = await testPlace();
  const faults: { journalRoomBytes: number; failSync: string | undefined } = {
    journalRoomBytes: 1e9,
    failSync: undefined,
  };
  const ledger = await place.open({ world: place.world(faultyDisk(faults)) });
  await ledger.addTenant(clinic);
  await ledger.append(clinic, items(place, 2));
  faults.failSync = 'input/output error';
  await assert.rejects(ledger.append(clinic, items(place, 1)), coded('read-only'));
  faults.failSync = undefined;
  await assert.rejects(ledger.append(clinic, items(place, 1)), coded('read-only'));
  assert.equal(ledger.state.kind, 'read-only');
  assert.equal(ledger.head(clinic).size, 2);
  assert.equal((await ledger.read(clinic, 0, 10)).length, 2);
  await ledger[Symbol.asyncDispose]();
});

test('more than may wait is refused, and what was taken is stored', () =>
  withLedger(async (ledger, place) => {
    const batch = encodeBatch(clinic, items(place, 10_000));
    const calls = Array.from({ length: 16 }, () => ledger.appendEncoded(clinic, batch));
    const settled = await Promise.allSettled(calls);
    const refused = settled.filter(({ status }) => status === 'rejected') as PromiseRejectedResult[];
    assert.ok(refused.length > 0);
    for (const { reason } of refused) assert.ok(coded('overloaded')(reason));
    assert.equal(ledger.head(clinic).size, 10_000);
    await assert.rejects(ledger.append(clinic, items(place, 16_385)), coded('batch-too-large'));
  }));

test('a hole in a sequence becomes an event once it has been open for a while, and another when it closes', async () => {
  await using place = await testPlace();
  const ledger = await place.open({ heartbeatMs: 300_000 });
  await ledger.addTenant(clinic);
  const when = new Date(place.clock.now()).toISOString();
  await ledger.append(clinic, [
    item(place, { emitter: { id: 'edge', seq: 1 } }),
    item(place, { emitter: { id: 'edge', seq: 4 } }),
  ]);
  assert.deepEqual(
    ledger.emitters(clinic).map(({ id, lastSeq, gaps }) => [id, lastSeq, gaps[0]?.first, gaps[0]?.last]),
    [['edge', 4, 2, 3]],
  );
  const next = async (): Promise<{ operation: string | undefined; facts: string[] }> => {
    const { size } = ledger.head(clinic);
    place.clock.advance(31_000);
    await ledger.grown(clinic, size, AbortSignal.timeout(60_000));
    const { event } = decode((await ledger.read(clinic, size, 1))[0]?.m as Uint8Array);
    return {
      operation: event.operation,
      facts: [event.targets?.[0]?.id ?? '', ...(event.changes ?? []).map(({ after }) => after ?? '')],
    };
  };
  assert.deepEqual(await next(), { operation: 'sequence-gap', facts: ['edge', '2', '3', '2', when, when] });
  await ledger.append(clinic, [
    item(place, { emitter: { id: 'edge', seq: 3 } }),
    item(place, { emitter: { id: 'edge', seq: 2 } }),
  ]);
  assert.equal((await next()).operation, 'sequence-gap-closed');
  await ledger.append(clinic, [item(place, { emitter: { id: 'edge', seq: 2 } })]);
  assert.deepEqual(await next(), { operation: 'sequence-repeat', facts: ['edge', '2', '2', '1'] });
  place.clock.advance(280_000);
  ledger.countRefused(clinic, 7);
  const beat = await next();
  assert.equal(beat.operation, 'heartbeat');
  assert.equal(beat.facts[2], '7');
  await ledger[Symbol.asyncDispose]();
  assert.deepEqual((await place.verify({ full: true })).findings, []);
});

test('what an emitter has sent is remembered over a restart, whether the journal was archived or not', async () => {
  await using place = await testPlace();
  for (const seq of [1, 2, 5]) {
    const ledger = await place.open();
    await ledger.addTenant(clinic);
    await ledger.append(clinic, [item(place, { emitter: { id: 'edge', seq } })]);
    await ledger[Symbol.asyncDispose]();
  }
  const ledger = await place.open();
  const [edge] = ledger.emitters(clinic);
  assert.deepEqual(
    [edge?.lastSeq, edge?.received, edge?.gaps.map(({ first, last }) => [first, last])],
    [5, 3, [[3, 4]]],
  );
  await ledger[Symbol.asyncDispose]();
});

test('a month that ends opens an epoch, and a clock that steps back does not reopen one', () =>
  withLedger(async (ledger, place) => {
    await ledger.append(clinic, items(place, 1));
    place.clock.advance(31 * 86_400_000);
    await ledger.append(clinic, items(place, 1));
    place.clock.advance(-31 * 86_400_000);
    await ledger.append(clinic, items(place, 1));
    const march = (2026 - 1970) * 12 + 2;
    assert.deepEqual(
      (await ledger.read(clinic, 0, 3)).map(({ epoch }) => epoch),
      [march, march + 1, march + 1],
    );
  }));
