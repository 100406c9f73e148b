import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  emptyRoot,
  generateSigner,
  hashRotation,
  type KeyStatements,
  type Rotation,
  type RotationKind,
  type Signer,
  sealKeyName,
  signRotation,
  signSeal,
} from '@watchglass/record';
import { sha256 } from '../../dev/hash.ts';
import { sampleSent, sampleTenant as tenant } from '../../dev/sample-event.ts';
import { SampleLog, sampleOrigin } from '../../dev/sample-log.ts';
import { ConsoleError } from '../errors.ts';
import { recall, type TextStore, trustKey } from './log-memory.ts';
import { type LogState, watchLog } from './log-watch.ts';
import { verifyEvent } from './verify-event.ts';

const now = '2026-03-12T14:00:00.000Z';

function memory(): TextStore {
  const items = new Map<string, string>();
  return { getItem: (key) => items.get(key) ?? null, setItem: (key, value) => void items.set(key, value) };
}

function tilesOf(log: SampleLog): (path: string) => Promise<Uint8Array> {
  return async (path) => {
    const tile = log.tile(path);
    if (!tile) throw new ConsoleError('not-found', 'no such tile', { status: 404 });
    return tile;
  };
}

function watch(
  store: TextStore,
  log: SampleLog,
  changes: Partial<Parameters<typeof watchLog>[0]> = {},
): Promise<LogState> {
  const fetchCheckpoint = async (): Promise<string> => log.checkpoint();
  const fetchStatements = async (): Promise<KeyStatements> => ({ origin: sampleOrigin, rotations: [], seals: [] });
  const given = { tenant, statedKey: log.vkey, store, fetchCheckpoint, fetchStatements, readTile: tilesOf(log), now };
  return watchLog({ ...given, ...changes });
}

function extend(log: SampleLog, to: number, from = 0): SampleLog {
  while (log.size < to) log.append(sampleSent(log.size + from));
  return log;
}

test('a log that only grows stays intact, across tile borders too', async () => {
  const store = memory();
  const log = new SampleLog();
  for (const size of [1, 2, 7, 255, 256, 257, 300, 511, 600]) {
    const state = await watch(store, extend(log, size));
    assert.equal(state.kind, 'intact', `at ${size}`);
    assert.equal(recall(store, tenant)?.checkpoint, log.checkpoint());
  }
});

test('the first sight of a key is said, and what follows is held to it', async () => {
  const store = memory();
  const log = extend(new SampleLog(), 5);
  const first = await watch(store, log);
  assert.equal(first.kind === 'intact' && first.pin.kind, 'first-use');
  const second = await watch(store, log);
  assert.equal(second.kind === 'intact' && second.pin.kind, 'same');
});

test('another stated key is reported and not remembered, until somebody trusts it', async () => {
  const store = memory();
  const log = extend(new SampleLog(), 5);
  await watch(store, log);
  const other = extend(new SampleLog('other'), 5);
  assert.equal((await watch(store, other)).kind, 'key-changed');
  assert.equal(recall(store, tenant)?.vkey, log.vkey);
  trustKey(store, tenant, other.vkey, now);
  assert.equal((await watch(store, other)).kind, 'intact');
});

test('a checkpoint that the remembered key did not sign is reported', async () => {
  const store = memory();
  const log = extend(new SampleLog(), 5);
  await watch(store, log);
  const forged = extend(new SampleLog('other'), 9).checkpoint();
  assert.equal((await watch(store, log, { fetchCheckpoint: async () => forged })).kind, 'signature-invalid');
});

test('a log that went back is reported, and the newer checkpoint stays remembered', async () => {
  const store = memory();
  const log = extend(new SampleLog(), 300);
  await watch(store, log);
  const restored = extend(new SampleLog(), 280);
  const state = await watch(store, restored);
  assert.deepEqual(state, { kind: 'rolled-back', before: 300n, now: 280n, checkedAt: now });
  assert.equal(recall(store, tenant)?.checkpoint, log.checkpoint());
});

test('a log that was rewritten is reported, whether it is as long or longer', async () => {
  for (const size of [300, 420]) {
    const store = memory();
    await watch(store, extend(new SampleLog(), 300));
    const rewritten = extend(extend(new SampleLog(), 120), size, 1000);
    assert.equal((await watch(store, rewritten)).kind, 'split', `at ${size}`);
  }
});

test('an answer that was overtaken by a newer one is no rollback', async () => {
  const store = memory();
  const log = extend(new SampleLog(), 300);
  await watch(store, log);
  const state = await watch(store, log, { fetchCheckpoint: async () => log.checkpoint(280) });
  assert.equal(state.kind, 'intact');
  assert.equal(recall(store, tenant)?.checkpoint, log.checkpoint());
});

test('a server that cannot be reached says nothing about the log', async () => {
  const store = memory();
  const log = extend(new SampleLog(), 300);
  await watch(store, log);
  extend(log, 310);
  const readTile = async (): Promise<Uint8Array> => {
    throw new ConsoleError('unreachable', 'no answer');
  };
  await assert.rejects(watch(store, log, { readTile }), { code: 'unreachable' });
});

test('a proof of another history is not intact, though it is sound in itself', async () => {
  const store = memory();
  await watch(store, extend(new SampleLog(), 300));
  const rewritten = extend(extend(new SampleLog(), 120), 320, 1000);
  const shown = rewritten.shown[10];
  assert.ok(shown);
  const verdict = await verifyEvent({ tenant, shown, proof: rewritten.proof(10), store, readTile: tilesOf(rewritten) });
  assert.equal(verdict.kind === 'not-intact' && verdict.link, 'history');
});

const epochKey = generateSigner(sealKeyName(sampleOrigin, 674), sha256('epoch'));

/** Statements of a log that began with the first of these keys and was handed on to each of the others. */
function statementsOf(
  keys: readonly Signer[],
  kind: RotationKind = 'planned',
  sealedBy = keys[0] as Signer,
  announced = epochKey,
): KeyStatements {
  const seal = { origin: sampleOrigin, epoch: 673, size: 0, root: emptyRoot(), previous: undefined, next: announced };
  const rotations: Uint8Array[] = [];
  for (const [at, next] of keys.slice(1).entries()) {
    const old = keys[at] as Signer;
    const before = rotations.at(-1);
    const rotation: Rotation = {
      ...{ origin: sampleOrigin, number: at + 1, kind, size: 5, root: sha256('root'), trusted: 5, epoch: 674 },
      ...{ previous: before && hashRotation(before), old, next },
    };
    rotations.push(signRotation(rotation, { old, next, epochKey: announced }));
  }
  return { origin: sampleOrigin, rotations, seals: [signSeal(seal, sealedBy)] };
}

const [first, second, third] = ['sample', 'second', 'third'].map((seed) =>
  generateSigner(sampleOrigin, sha256(seed)),
) as [Signer, Signer, Signer];

test('a rotated key is followed by the statements of the log, told, and what the older key signed still counts', async () => {
  const store = memory();
  const log = extend(new SampleLog(), 300);
  await watch(store, log, { fetchStatements: async () => statementsOf([first]) });
  const rotated = extend(new SampleLog('third'), 310);
  const state = await watch(store, rotated, { fetchStatements: async () => statementsOf([first, second, third]) });
  assert.equal(state.kind, 'intact');
  assert.deepEqual(state.kind === 'intact' && state.rotated.map(({ number }) => number), [1, 2]);
  assert.equal(state.kind === 'intact' && state.continues, 300n, 'it is the same log, held to what was remembered');
  assert.deepEqual(recall(store, tenant)?.rotated, { number: 2, epoch: 674, size: 5 });
  const shown = log.shown[7];
  assert.ok(shown);
  const older = { tenant, shown, proof: log.proof(7), store, readTile: tilesOf(rotated) };
  assert.equal((await verifyEvent(older)).kind, 'sealed', 'a proof to a checkpoint of the older key');
  assert.equal((await watch(store, log, { statedKey: rotated.vkey })).kind, 'signature-invalid', 'not the newest one');
});

test('a revoked key, and statements that do not hold, are never followed', async () => {
  const store = memory();
  await watch(store, extend(new SampleLog(), 5), { fetchStatements: async () => statementsOf([first]) });
  const other = extend(new SampleLog('second'), 6);
  const kindOf = async (statements: KeyStatements): Promise<string> =>
    (await watch(store, other, { fetchStatements: async () => statements })).kind;
  assert.equal(await kindOf(statementsOf([first, second], 'compromised')), 'key-revoked');
  const sound = statementsOf([first, second]);
  assert.equal(await kindOf({ ...sound, rotations: [] }), 'key-changed');
  assert.equal(await kindOf({ ...sound, seals: [] }), 'key-changed');
  assert.equal(await kindOf(statementsOf([third, second])), 'key-changed', 'a chain from a key that is not ours');
  assert.equal(await kindOf(statementsOf([first, second], 'planned', third)), 'key-changed', 'a seal by a stranger');
  const thief = generateSigner(sealKeyName(sampleOrigin, 674), sha256('thief'));
  assert.equal(
    await kindOf(statementsOf([first, second], 'planned', first, thief)),
    'key-changed',
    'another first seal',
  );
  assert.equal(await kindOf(statementsOf([first, second, first])), 'key-changed', 'a chain that leads back');
  assert.equal(recall(store, tenant)?.vkey, new SampleLog().vkey);
  assert.equal(await kindOf(sound), 'intact');
});
