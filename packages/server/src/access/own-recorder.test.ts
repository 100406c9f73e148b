import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Envelope, type MinimisedEvent, parseEvent, parseTenantId, RecordError } from '@watchglass/record';
import { realWorld } from '../world/real-world.ts';
import type { OwnEvent } from './own-event.ts';
import { createOwnRecorder } from './own-recorder.ts';

const tenant = parseTenantId('clinic');
const login: OwnEvent = {
  tenant,
  kind: 'auth',
  action: 'execute',
  operation: 'login',
  outcome: { status: 'success' },
  actor: { id: 'p-1', type: 'human' },
};

interface Item {
  readonly event: MinimisedEvent;
  readonly envelope: Envelope;
}

test('an own event is complete, valid and says it is our own', async () => {
  const stored: Item[] = [];
  const record = createOwnRecorder({
    world: realWorld(),
    site: 'localhost:9440',
    append: async (_tenant, items) => stored.push(...items),
    lastSeq: () => 41,
  });
  await record({ ...login, changes: [{ path: '/roles', op: 'add', after: 'nurse' }] });
  const [{ event, envelope }] = stored as [Item];
  parseEvent(event);
  assert.deepEqual(event.emitter, { id: 'server', seq: 42 });
  assert.equal(event.site, 'localhost:9440');
  assert.equal(event.changes?.[0]?.after, 'nurse');
  assert.deepEqual([envelope.submitter, envelope.intake, envelope.digest.length], ['self', 'self', 64]);
});

test('numbers are gap-free although some appends fail', async () => {
  const stored: number[] = [];
  let calls = 0;
  const record = createOwnRecorder({
    world: realWorld(),
    site: 's',
    append: async (_tenant, items) => {
      calls += 1;
      if (calls % 3 === 0) throw new Error('no room');
      stored.push(...items.map(({ event }) => event.emitter.seq));
    },
    lastSeq: () => 0,
  });
  const results: PromiseSettledResult<void>[] = [];
  for (let round = 0; round < 12; round++) {
    results.push(...(await Promise.allSettled(Array.from({ length: round % 4 }, () => record(login)))));
  }
  const fulfilled = results.filter(({ status }) => status === 'fulfilled').length;
  assert.ok(fulfilled > 0 && fulfilled < results.length);
  assert.deepEqual(
    stored,
    Array.from({ length: fulfilled }, (_, index) => index + 1),
  );
});

test('what comes while an append is under way goes together into the next', async () => {
  const batches: number[] = [];
  const gates: (() => void)[] = [];
  const record = createOwnRecorder({
    world: realWorld(),
    site: 's',
    append: (_tenant, items) => {
      batches.push(items.length);
      return new Promise<void>((resolve) => gates.push(resolve));
    },
    lastSeq: () => 0,
  });
  const first = record(login);
  const others = Promise.all([record(login), record(login), record(login)]);
  gates.shift()?.();
  await first;
  gates.shift()?.();
  await others;
  assert.deepEqual(batches, [1, 3]);
});

test('an event that is not valid is refused alone', async () => {
  const stored: number[] = [];
  const record = createOwnRecorder({
    world: realWorld(),
    site: 's',
    append: async (_tenant, items) => stored.push(...items.map(({ event }) => event.emitter.seq)),
    lastSeq: () => 0,
  });
  const results = await Promise.allSettled([
    record(login),
    record({ ...login, operation: 'not\na code' }),
    record(login),
  ]);
  assert.deepEqual(
    results.map(({ status }) => status),
    ['fulfilled', 'rejected', 'fulfilled'],
  );
  assert.ok(results[1]?.status === 'rejected' && results[1].reason instanceof RecordError);
  assert.deepEqual(stored, [1, 2]);
});
