import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseTenantId } from '@watchglass/record';
import type { OwnEvent } from '../access/access.ts';
import { realWorld } from '../world/real-world.ts';
import { RefusalTally } from './refusal-tally.ts';

const tenant = parseTenantId('clinic');

test('a thousand refusals are a few records, with their number', async () => {
  const recorded: OwnEvent[] = [];
  const tally = new RefusalTally({ world: realWorld(), tenant, record: async (event) => void recorded.push(event) });
  for (let i = 0; i < 1_234; i++)
    tally.add({ operation: 'write-key', code: 'write-key-invalid', address: '127.1.0.1' });
  for (let i = 0; i < 500; i++)
    tally.add({ operation: 'search', code: 'unauthenticated', address: `127.2.${i >> 8}.${i & 255}` });
  assert.equal(recorded.length, 0);
  await tally[Symbol.asyncDispose]();
  assert.ok(recorded.length <= 34, `${recorded.length}`);
  assert.equal(recorded[0]?.outcome.reason, '1 234 requests refused');
  assert.deepEqual(
    [recorded[0]?.kind, recorded[0]?.outcome.status, recorded[0]?.source?.address],
    ['auth', 'denied', '127.1.0.1'],
  );
  assert.ok(recorded.some(({ source }) => source === undefined));
});

test('what could not be recorded stays counted', async () => {
  const recorded: OwnEvent[] = [];
  let broken = true;
  const tally = new RefusalTally({
    world: realWorld(),
    tenant,
    record: async (event) => {
      if (broken) throw new Error('full');
      recorded.push(event);
    },
  });
  tally.add({ operation: 'write-key', code: 'write-key-invalid', address: undefined });
  await assert.rejects(tally.flush());
  tally.add({ operation: 'write-key', code: 'write-key-invalid', address: undefined });
  broken = false;
  await tally[Symbol.asyncDispose]();
  assert.equal(recorded[0]?.outcome.reason, '2 requests refused');
});
