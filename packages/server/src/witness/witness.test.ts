import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import {
  consistencyProof,
  cosignerOf,
  formatAddCheckpoint,
  formatCheckpoint,
  formatVerifierKey,
  generateSigner,
  hashLeaf,
  openCosignatures,
  openNote,
  parseCheckpoint,
  rootOf,
  type Signer,
  signNote,
} from '@watchglass/record';
import type { Disk } from '../world/disk.ts';
import { realDisk } from '../world/real-disk.ts';
import { realClock, realRandom } from '../world/real-world.ts';
import type { World } from '../world/world.ts';
import { KnownLogs } from './known-logs.ts';
import { Witness, type WitnessAnswer } from './witness.ts';
import { originHex, WitnessStore } from './witness-store.ts';

const seed = (n: number): Uint8Array => new Uint8Array(32).fill(n);
const log = generateSigner('log.example/clinic', seed(1));
const signer = cosignerOf(generateSigner('witness.example/w1', seed(2)));

/** Leaves of one history; `fork` gives another from an index on. */
const leaves = (size: number, forkAt = Number.POSITIVE_INFINITY): Uint8Array[] =>
  Array.from({ length: size }, (_, i) => hashLeaf(Buffer.from(i < forkAt ? `leaf ${i}` : `other ${i}`)));

function head(size: number, { forkAt, by = log }: { forkAt?: number; by?: Signer } = {}): string {
  const root = rootOf(leaves(size, forkAt));
  return signNote(formatCheckpoint({ origin: log.name, size: BigInt(size), root }), [by]);
}

function request(
  oldSize: number,
  size: number,
  more: { forkAt?: number; by?: Signer; proof?: Uint8Array[] } = {},
): Buffer {
  const proof = more.proof ?? (oldSize < size ? consistencyProof(oldSize, size, leaves(size, more.forkAt)) : []);
  return Buffer.from(formatAddCheckpoint({ oldSize: BigInt(oldSize), proof, checkpoint: head(size, more) }));
}

interface Place extends AsyncDisposable {
  readonly dir: string;
  readonly told: { nowMs: number };
  open(disk?: Disk): Promise<{ readonly witness: Witness; readonly store: WitnessStore }>;
}

async function place(): Promise<Place> {
  const dir = await mkdtemp(join(tmpdir(), 'watchglass-witness-'));
  await writeFile(join(dir, 'logs.txt'), `# logs\n${formatVerifierKey(log)}\n`);
  const told = { nowMs: Date.UTC(2026, 5, 1) };
  return {
    dir,
    told,
    async open(disk = realDisk) {
      const world: World = { clock: { ...realClock, now: () => told.nowMs }, random: realRandom, disk };
      const store = await WitnessStore.open(world, dir, [signer]);
      const logs = await KnownLogs.open(world, join(dir, 'logs.txt'), assert.fail);
      return { store, witness: new Witness({ world, signers: [signer], logs, store }) };
    },
    [Symbol.asyncDispose]: () => rm(dir, { recursive: true, force: true }),
  };
}

const timeOf = (answer: WitnessAnswer, size: number): bigint | undefined =>
  openCosignatures(answer.body, head(size), [signer]).signatures[0]?.timeSeconds;

describe('a witness (c2sp.org/tlog-witness)', () => {
  test('cosigns a log that grows, and says what it saw last', async () => {
    await using at = await place();
    const { witness, store } = await at.open();
    using _ = store;
    assert.equal(witness.latest(originHex(log.name)), undefined);
    for (const [old, size] of [
      [0, 0],
      [0, 3],
      [3, 3],
      [3, 7],
      [7, 8],
    ] as const) {
      const answer = await witness.addCheckpoint(request(old, size));
      assert.equal(answer.status, 200, answer.body);
      assert.equal(timeOf(answer, size), BigInt(at.told.nowMs) / 1000n);
      const note = witness.latest(originHex(log.name)) ?? '';
      assert.equal(note, head(size) + answer.body);
    }
    const known = await witness.addCheckpoint(request(0, 8));
    assert.deepEqual([known.status, known.type, known.body], [409, 'text/x.tlog.size', '8\n']);
  });

  test('refuses what the specification has it refuse, in its order, and remembers nothing of it', async () => {
    await using at = await place();
    const { witness, store } = await at.open();
    using _ = store;
    const stranger = generateSigner(log.name, seed(9));
    const unknown = generateSigner('log.example/other', seed(1));
    assert.equal((await witness.addCheckpoint(request(0, 5))).status, 200);
    const cases: readonly (readonly [string, Uint8Array, number])[] = [
      ['no request', Buffer.from('hello'), 400],
      ['an old size past the new', request(6, 5), 400],
      [
        'an unknown log',
        Buffer.from(
          `old 0\n\n${signNote(formatCheckpoint({ origin: unknown.name, size: 1n, root: rootOf(leaves(1)) }), [unknown])}`,
        ),
        404,
      ],
      ['a key it does not trust', request(5, 7, { by: stranger }), 403],
      ['a signature that does not verify', Buffer.from(`old 5\n\n${spoil(head(5))}`), 403],
      ['a signature that is no base64', Buffer.from(`old 5\n\n${head(5).slice(0, -4)}x=\n`), 403],
      ['no signature', Buffer.from(`old 5\n\n${head(5).slice(0, head(5).lastIndexOf('\n\n') + 2)}`), 403],
      ['another old size', request(4, 7), 409],
      ['a smaller tree', request(0, 4), 409],
      ['a proof that does not hold', request(5, 7, { proof: [seed(1), seed(2)] }), 422],
      ['no proof', request(5, 7, { proof: [] }), 422],
      ['a fork', request(5, 9, { forkAt: 3 }), 422],
      ['another root of one size', request(5, 5, { forkAt: 2 }), 422],
      ['a proof where none belongs', request(5, 5, { proof: [seed(1)] }), 422],
    ];
    for (const [what, body, status] of cases) {
      const answer = await witness.addCheckpoint(body);
      assert.equal(answer.status, status, `${what}: ${answer.body}`);
      assert.equal(parseCheckpoint(witness.latest(originHex(log.name)) ?? '').size, 5n, what);
    }
    assert.equal((await witness.addCheckpoint(request(5, 9))).status, 200);
  });

  test('an empty tree has one root, and a proof from nothing is empty', async () => {
    await using at = await place();
    const { witness, store } = await at.open();
    using _ = store;
    const wrong = signNote(formatCheckpoint({ origin: log.name, size: 0n, root: seed(3) }), [log]);
    assert.equal((await witness.addCheckpoint(Buffer.from(`old 0\n\n${wrong}`))).status, 422);
    assert.equal((await witness.addCheckpoint(request(0, 2, { proof: [seed(1)] }))).status, 422);
  });

  test('requests at the same time are one after the other: of two from one size only one is cosigned', async () => {
    await using at = await place();
    const { witness, store } = await at.open();
    using _ = store;
    assert.equal((await witness.addCheckpoint(request(0, 2))).status, 200);
    const sizes = [3, 4, 5, 6, 7, 8];
    const answers = await Promise.all(sizes.map((size) => witness.addCheckpoint(request(2, size))));
    assert.deepEqual(
      answers.map(({ status }) => status),
      [200, 409, 409, 409, 409, 409],
    );
    const many = await Promise.all(Array.from({ length: 40 }, () => witness.addCheckpoint(request(3, 3))));
    assert.equal(many.filter(({ status }) => status === 200).length, 16);
    assert.equal(many.filter(({ status }) => status === 429).length, 24);
  });

  test('what it cosigned survives its end, and its time never steps back', async () => {
    await using at = await place();
    const first = await at.open();
    const answer = await first.witness.addCheckpoint(request(0, 3));
    await assert.rejects(at.open(), { code: 'witness-locked' });
    first.store[Symbol.dispose]();
    at.told.nowMs -= 3_600_000;
    const { witness, store } = await at.open();
    using _ = store;
    assert.equal(witness.latest(originHex(log.name)), head(3) + answer.body);
    assert.equal((await witness.addCheckpoint(request(0, 4, { forkAt: 1 }))).status, 409);
    assert.equal(timeOf(await witness.addCheckpoint(request(3, 4)), 4), timeOf(answer, 3));
  });

  test('a memory that was changed is not believed, and stops it for that log', async () => {
    await using at = await place();
    const first = await at.open();
    const answer = await first.witness.addCheckpoint(request(0, 3));
    first.store[Symbol.dispose]();
    const path = join(at.dir, 'logs', originHex(log.name));
    for (const text of ['', head(2), head(2) + answer.body, `${head(3)}${spoil(answer.body)}`]) {
      await writeFile(path, text);
      const { witness, store } = await at.open();
      using _ = store;
      assert.equal(store.broken.size, 1, text);
      await assert.rejects(witness.addCheckpoint(request(0, 5)), { code: 'witness-state-damaged' });
    }
  });

  test('nothing is answered that could not be stored; after a failed sync nothing more is signed', async () => {
    await using at = await place();
    let code = 'ENOSPC';
    const disk: Disk = {
      ...realDisk,
      replace: async (path, bytes, options) => {
        if (code !== '') throw Object.assign(new Error('injected'), { code });
        await realDisk.replace(path, bytes, options);
      },
    };
    const { witness, store } = await at.open(disk);
    using _ = store;
    await assert.rejects(witness.addCheckpoint(request(0, 3)), { code: 'unavailable' });
    code = '';
    assert.equal((await witness.addCheckpoint(request(0, 2))).status, 200);
    code = 'EIO';
    await assert.rejects(witness.addCheckpoint(request(2, 3)), { code: 'unavailable' });
    code = '';
    await assert.rejects(witness.addCheckpoint(request(2, 3)), { code: 'witness-state-damaged' });
  });

  test('signatures of strangers are neither kept nor answered', async () => {
    await using at = await place();
    const { witness, store } = await at.open();
    using _ = store;
    const text = openNote(head(3), [log]).text;
    const other = cosignerOf(generateSigner('witness.example/w2', seed(7)));
    const crowded = head(3) + signNote(text, [other], { timeSeconds: 5n }).slice(text.length + 1);
    const answer = await witness.addCheckpoint(Buffer.from(`old 0\n\n${crowded}`));
    assert.equal(answer.status, 200);
    assert.equal(witness.latest(originHex(log.name)), head(3) + answer.body);
  });
});

/** Another signature of the right length. */
function spoil(note: string): string {
  const at = note.length - 20;
  return `${note.slice(0, at)}${note[at] === 'A' ? 'B' : 'A'}${note.slice(at + 1)}`;
}
