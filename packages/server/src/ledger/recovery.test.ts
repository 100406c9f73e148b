import assert from 'node:assert/strict';
import { copyFile, mkdir, readdir, readFile, rm, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { decode, generateSigner, parseCheckpoint } from '@watchglass/record';
import { groupMaskOf, parseGroup, segmentHeaderBytes } from '@watchglass/record/reader';
import { LedgerError } from './errors.ts';
import { clinic, filesBelow, flip, items, type TestPlace, testPlace } from './ledger.fixture.ts';
import type { Ledger } from './ledger.ts';
import { signHead } from './tenant-log.ts';

/** A ledger as a killed process leaves it: three groups in the journal, nothing archived. */
async function killed(): Promise<{ place: TestPlace; ids: string[]; segment: string; ends: number[] }> {
  const place = await testPlace();
  const ledger = await place.open();
  await ledger.addTenant(clinic);
  const ids: string[] = [];
  for (const count of [3, 2, 2]) {
    const sent = items(place, count);
    ids.push(...sent.map(({ event }) => event.id));
    await ledger.append(clinic, sent);
  }
  const copy = await place.copy();
  await ledger[Symbol.asyncDispose]();
  await place.remove();
  const [name] = await readdir(join(copy.ledgerDir, 'journal'));
  const segment = join(copy.ledgerDir, 'journal', name as string);
  const bytes = await readFile(segment);
  const ends: number[] = [];
  for (let at = segmentHeaderBytes; at < bytes.length; ) {
    at = parseGroup(bytes, at, groupMaskOf(bytes)).end;
    ends.push(at);
  }
  assert.equal(ends.length, 3);
  return { place: copy, ids, segment, ends };
}

async function idsOf(ledger: Ledger): Promise<string[]> {
  return (await ledger.read(clinic, 0, 1000)).map(({ m }) => decode(m).event.id);
}

/** The checkpoint as it was before the last group: what a process that died before it could sign leaves. */
async function signBefore(place: TestPlace, segment: string, end: number): Promise<void> {
  const { parseSignerKey } = await import('@watchglass/record');
  const signer = parseSignerKey((await readFile(join(place.keysDir, 'clinic.checkpoint-key'), 'utf8')).trim());
  const bytes = await readFile(segment);
  let last: ReturnType<typeof parseGroup> | undefined;
  for (let at = segmentHeaderBytes; at < end; at = last.end) last = parseGroup(bytes, at, groupMaskOf(bytes));
  const part = last?.tenants[0];
  assert.ok(part !== undefined);
  const text = signHead([signer], signer.name, part.sizeBefore + part.count, part.rootAfter);
  await writeFile(join(place.ledgerDir, 'clinic', 'checkpoint'), text);
}

test('after a kill every acknowledged event is there, and the next start goes on', async () => {
  const { place, ids } = await killed();
  try {
    assert.deepEqual((await place.verify()).findings, []);
    const ledger = await place.open();
    assert.deepEqual(ledger.state, { kind: 'writable' });
    assert.deepEqual(await idsOf(ledger), ids);
    await ledger.append(clinic, items(place, 1));
    assert.equal(ledger.head(clinic).size, 8);
    await ledger[Symbol.asyncDispose]();
    assert.deepEqual((await place.verify()).findings, []);
  } finally {
    await place.remove();
  }
});

test('a last group torn at any byte is cut off and kept aside, and nothing else is lost', async () => {
  const { place, ids, segment, ends } = await killed();
  try {
    const whole = await readFile(segment);
    const [, second = 0, third = 0] = ends;
    await signBefore(place, segment, second);
    const pristine = await place.copy();
    // Every byte of the last group would take minutes of start-ups: every byte of its header, then every 37th, then its end.
    const cuts = Array.from({ length: third - second }, (_, i) => second + i).filter(
      (at) => at < second + 26 || at % 37 === 0 || at > third - 4,
    );
    for (const at of cuts) {
      const trial = await pristine.copy();
      const path = segment.replace(place.dir, trial.dir);
      await truncate(path, at);
      assert.deepEqual((await trial.verify()).findings, [], `cut at ${at}`);
      const ledger = await trial.open();
      assert.deepEqual(ledger.state, { kind: 'writable' }, `cut at ${at}`);
      assert.deepEqual(await idsOf(ledger), ids.slice(0, 5));
      const { receipts } = await ledger.append(clinic, items(trial, 1));
      assert.equal(receipts[0]?.index, 5);
      await ledger[Symbol.asyncDispose]();
      const kept = (await filesBelow(trial.dir)).filter((name) => name.startsWith('quarantine/'));
      assert.equal(kept.length, at === second ? 0 : 1);
      if (kept[0] !== undefined) assert.deepEqual(await readFile(join(trial.dir, kept[0])), whole.subarray(second, at));
      assert.deepEqual((await trial.verify()).findings, [], `after recovery from a cut at ${at}`);
      await trial.remove();
    }
    await pristine.remove();
  } finally {
    await place.remove();
  }
});

test('a last group that is whole but was never signed is signed at the next start', async () => {
  const { place, ids, segment, ends } = await killed();
  try {
    await signBefore(place, segment, ends[1] as number);
    assert.deepEqual((await place.verify()).findings, []);
    const ledger = await place.open();
    assert.deepEqual(await idsOf(ledger), ids);
    assert.equal(parseCheckpoint(ledger.head(clinic).checkpoint).size, 7n);
    await ledger[Symbol.asyncDispose]();
  } finally {
    await place.remove();
  }
});

const damages: Record<
  string,
  { readonly reason: RegExp; readonly damage: (found: Awaited<ReturnType<typeof killed>>) => Promise<void> }
> = {
  'a torn group that a checkpoint covers': {
    reason: /checkpoint of clinic covers 7 leaves, the files hold 5/,
    damage: async ({ segment, ends }) => truncate(segment, (ends[2] as number) - 1),
  },
  'a byte changed in a group that others follow': {
    reason: /is not the last/,
    damage: ({ segment, ends }) => flip(segment, (ends[0] as number) - 40),
  },
  'a length changed in a group that others follow': {
    reason: /is not the last/,
    damage: ({ segment }) => flip(segment, segmentHeaderBytes + 20),
  },
  'a segment that is gone': {
    reason: /checkpoint of clinic covers 7 leaves, the files hold 0/,
    damage: ({ segment }) => rm(segment),
  },
  'a checkpoint of another key': {
    reason: /is not signed by this log's key/,
    damage: async ({ place }) => {
      const stranger = generateSigner('watchglass.example/clinic', new Uint8Array(32).fill(7));
      await writeFile(
        join(place.ledgerDir, 'clinic', 'checkpoint'),
        signHead([stranger], stranger.name, 7, new Uint8Array(32)),
      );
    },
  },
  'a checkpoint that is no checkpoint': {
    reason: /is not signed by this log's key/,
    damage: ({ place }) => writeFile(join(place.ledgerDir, 'clinic', 'checkpoint'), 'hello\n'),
  },
  'a manifest that is gone': {
    reason: /manifest is missing/,
    damage: ({ place }) => rm(join(place.ledgerDir, 'manifest')),
  },
  'a manifest with a changed byte': {
    reason: /manifest is not laid out/,
    damage: ({ place }) => flip(join(place.ledgerDir, 'manifest'), 12),
  },
  'a verifier key of another log': {
    reason: /vkey is not the verifier key/,
    damage: ({ place }) =>
      copyFile(join(place.keysDir, 'clinic.checkpoint-key'), join(place.ledgerDir, 'clinic', 'vkey')),
  },
  'a directory in place of a segment': {
    reason: /checkpoint of clinic covers 7 leaves, the files hold 0/,
    damage: async ({ segment }) => {
      await rm(segment);
      await mkdir(segment);
    },
  },
  'a directory in place of the checkpoint': {
    reason: /system refuses to read/,
    damage: async ({ place }) => {
      await rm(join(place.ledgerDir, 'clinic', 'checkpoint'));
      await mkdir(join(place.ledgerDir, 'clinic', 'checkpoint'));
    },
  },
  'a checkpoint key that is gone': {
    reason: /checkpoint-key is missing/,
    damage: ({ place }) => rm(join(place.keysDir, 'clinic.checkpoint-key')),
  },
};

for (const [what, { reason, damage }] of Object.entries(damages)) {
  test(`${what} makes the ledger read-only, changes nothing, and says why`, async () => {
    const found = await killed();
    const { place } = found;
    try {
      await damage(found);
      const before = await snapshot(place);
      const ledger = await place.open();
      assert.equal(ledger.state.kind, 'read-only');
      assert.match(ledger.state.kind === 'read-only' ? ledger.state.reason : '', reason);
      await assert.rejects(
        ledger.append(clinic, items(place, 1)),
        (error) => error instanceof LedgerError && error.code === 'read-only',
      );
      await ledger[Symbol.asyncDispose]();
      assert.deepEqual(await snapshot(place), before);
    } finally {
      await place.remove();
    }
  });
}

async function snapshot(place: TestPlace): Promise<Record<string, string>> {
  const files: Record<string, string> = {};
  for (const name of await filesBelow(place.ledgerDir))
    files[name] = (await readFile(join(place.ledgerDir, name))).toString('base64');
  return files;
}

test('a key-encryption key that is gone is never made anew beside a ledger that needs it', async () => {
  const { place } = await killed();
  try {
    await rm(join(place.keysDir, 'kek'));
    await assert.rejects(place.open(), /keys\/kek is missing/);
  } finally {
    await place.remove();
  }
});

test('no key-encryption key is made where the manifest is damaged: nobody knows what was sealed', async () => {
  const { place } = await killed();
  try {
    await rm(join(place.keysDir, 'kek'));
    await flip(join(place.ledgerDir, 'manifest'), 12);
    await assert.rejects(place.open(), /manifest is not laid out/);
    assert.equal((await readdir(place.keysDir)).includes('kek'), false);
  } finally {
    await place.remove();
  }
});

for (const [what, storedOf] of [
  ['no bytes', () => Buffer.alloc(0)],
  ['zeros only', (whole: Buffer) => Buffer.alloc(whole.length)],
  [
    'zeros from somewhere on',
    (whole: Buffer) => Buffer.concat([whole.subarray(0, 70), Buffer.alloc(whole.length - 70)]),
  ],
] as const) {
  test(`a checkpoint of which a power failure left ${what} is signed again, and that is told`, async () => {
    const { place, ids } = await killed();
    try {
      const path = join(place.ledgerDir, 'clinic', 'checkpoint');
      await writeFile(path, storedOf(await readFile(path)));
      const ledger = await place.open();
      assert.deepEqual(ledger.state, { kind: 'writable' });
      assert.deepEqual(await idsOf(ledger), ids);
      assert.ok(place.reports.some(({ message }) => /lost in a power failure/.test(message)));
      await ledger[Symbol.asyncDispose]();
      assert.deepEqual((await place.verify()).findings, []);
    } finally {
      await place.remove();
    }
  });
}

test('left-overs of an interrupted archiving are ignored by verify and gone after a start', async () => {
  const { place, ids } = await killed();
  try {
    const tenant = join(place.ledgerDir, 'clinic');
    await writeFile(join(tenant, 'blocks', 'access-674-000000.wgb'), 'half a block');
    await writeFile(join(tenant, 'commitments', '000000.wgc'), new Uint8Array(6 * 32 + 7));
    assert.deepEqual((await place.verify()).findings, []);
    const first = await place.open();
    await first[Symbol.asyncDispose]();
    const [blocks = ''] = await readdir(join(tenant, 'blocks'));
    await writeFile(join(tenant, 'blocks', blocks), 'half a block', { flag: 'a' });
    await writeFile(join(tenant, 'blocks', 'oversight-674-000000.wgb'), 'half a block');
    await writeFile(join(place.ledgerDir, 'journal', '0000000000000000.wgj'), 'archived');
    assert.deepEqual((await place.verify()).findings, []);
    const ledger = await place.open();
    assert.deepEqual(await idsOf(ledger), ids);
    await ledger[Symbol.asyncDispose]();
    assert.deepEqual(await readdir(join(place.ledgerDir, 'journal')), []);
    assert.deepEqual(await readdir(join(tenant, 'blocks')), [blocks]);
    assert.deepEqual((await place.verify()).findings, []);
  } finally {
    await place.remove();
  }
});

test('a manifest and a checkpoint put back together are found by what the longer log left, which is not removed', async () => {
  const { place } = await killed();
  try {
    const again = await place.open();
    await again[Symbol.asyncDispose]();
    const older = await place.copy();
    const longer = await place.open();
    await longer.append(clinic, items(place, 3));
    await longer[Symbol.asyncDispose]();
    for (const name of ['manifest', 'clinic/checkpoint'])
      await copyFile(join(older.ledgerDir, name), join(place.ledgerDir, name));
    assert.ok((await place.verify()).findings.some(({ code }) => code === 'rollback'));
    const before = await snapshot(place);
    const ledger = await place.open();
    assert.match(ledger.state.kind === 'read-only' ? ledger.state.reason : '', /commitments of 10 leaves/);
    await ledger[Symbol.asyncDispose]();
    assert.deepEqual(await snapshot(place), before);
    await older.remove();
  } finally {
    await place.remove();
  }
});

test('a log past the first full tile is opened from its tiles, and goes on with the same tree', async () => {
  await using place = await testPlace();
  const { encodeBatch } = await import('./encoded-batch.ts');
  let ledger = await place.open();
  await ledger.addTenant(clinic);
  const size = 66_000;
  for (let sent = 0; sent < size; sent += 11_000)
    await ledger.appendEncoded(clinic, encodeBatch(clinic, items(place, 11_000)));
  await ledger[Symbol.asyncDispose]();
  assert.ok((await filesBelow(place.ledgerDir)).includes('clinic/tile/1/000'));
  ledger = await place.open();
  assert.equal(ledger.head(clinic).size, size);
  await ledger.append(clinic, items(place, 300));
  const { verifyInclusion, hashLeaf } = await import('@watchglass/record');
  const { root, size: grown } = ledger.head(clinic);
  for (const index of [0, 65_535, 65_536, 66_299]) {
    const { hashes } = await ledger.prove(clinic, index);
    const { leaf } = await ledger.open(clinic, index);
    verifyInclusion({ leafHash: hashLeaf(leaf), index: BigInt(index), size: BigInt(grown), proof: hashes, root });
  }
  assert.equal((await ledger.resource(clinic, 'tile/1/000'))?.length, 8192);
  assert.equal((await ledger.resource(clinic, 'tile/2/000.p/1'))?.length, 32);
  await ledger[Symbol.asyncDispose]();
  assert.deepEqual((await place.verify()).findings, []);
});
