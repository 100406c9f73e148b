import assert from 'node:assert/strict';
import { test } from 'node:test';
import { sampleSent, sampleTenant as tenant } from '../../dev/sample-event.ts';
import { SampleLog } from '../../dev/sample-log.ts';
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
  return watchLog({ tenant, statedKey: log.vkey, store, fetchCheckpoint, readTile: tilesOf(log), now, ...changes });
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
