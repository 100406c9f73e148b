/**
 * Returned means durable, on the real binary: the server is killed with SIGKILL again and again while many senders write to it, and every
 * event it ever acknowledged is there afterwards, at the index its receipt said.
 */
import assert from 'node:assert/strict';
import { randomInt } from 'node:crypto';
import { test } from 'node:test';
import { setTimeout as wait } from 'node:timers/promises';
import { makeFolder, watchglassJson } from '../scenario/command.fixture.ts';
import { anEvent, type Installation, install, post, type Serving, serve } from '../scenario/server.fixture.ts';

const kills = process.env.WATCHGLASS_LONG === '1' ? 8 : 3;
const senders = 8;
const batchEvents = 20;

interface Acknowledged {
  readonly event: Record<string, unknown>;
  readonly index: number;
  readonly leaf: string;
}

/** Sends batches until told to stop; what wasn't answered is sent again, byte for byte, as a sender should. */
async function send(
  here: Installation,
  actor: string,
  acknowledged: Acknowledged[],
  signal: AbortSignal,
): Promise<void> {
  let batch: Record<string, unknown>[] = [];
  while (!signal.aborted) {
    if (batch.length === 0) batch = Array.from({ length: batchEvents }, () => anEvent({ actor: { id: actor } }));
    const answer = await post(here, batch).catch(() => undefined);
    if (answer === undefined || answer.status === 503) {
      await wait(20);
      continue;
    }
    assert.equal(answer.status, 201, JSON.stringify(answer.body));
    const receipts = answer.body.receipts!;
    for (const [at, event] of batch.entries()) {
      assert.equal(receipts[at]!.id, event.id);
      acknowledged.push({ event, index: receipts[at]!.index, leaf: receipts[at]!.leaf });
    }
    batch = [];
  }
}

test('every event acknowledged before a SIGKILL is there after it, once, at its index', async (t) => {
  await using folder = await makeFolder('kill');
  const here = await install(folder.path);
  const acknowledged: Acknowledged[] = [];
  const stop = new AbortController();
  let server: Serving = await serve(here);
  const sending = Array.from({ length: senders }, (_, at) => send(here, `sender-${at}`, acknowledged, stop.signal));
  for (let kill = 0; kill < kills; kill++) {
    const before = acknowledged.length;
    while (acknowledged.length < before + senders * batchEvents) await wait(5);
    await wait(randomInt(0, 150));
    await server.kill();
    server = await serve(here);
  }
  stop.abort();
  await Promise.all(sending);
  t.diagnostic(`${acknowledged.length} events acknowledged over ${kills} kills`);

  const byIndex = new Map(acknowledged.map((one) => [one.index, one.event.id]));
  assert.equal(byIndex.size, acknowledged.length, 'two receipts name one index');
  for (let at = 0; at < acknowledged.length; at += 1_000) {
    const some = acknowledged.slice(at, at + 1_000);
    const { status, body } = await post(
      here,
      some.map(({ event }) => event),
    );
    assert.equal(status, 201, JSON.stringify(body).slice(0, 500));
    assert.deepEqual(
      body.receipts!.map(({ id, index, leaf }) => ({ id, index, leaf })),
      some.map(({ event, index, leaf }) => ({ id: event.id, index, leaf })),
    );
  }
  for (let sender = 0; sender < senders; sender++) {
    const page = await watchglassJson<{ events: { id: string; index: number }[] }>([
      'search',
      '--data',
      here.dataDir,
      '--actor',
      `sender-${sender}`,
      '--all',
    ]);
    const found = new Set(page.events.map(({ id, index }) => `${index} ${id}`));
    assert.equal(found.size, page.events.length, 'the search shows an event twice');
    const missing = acknowledged.filter(
      ({ event, index }) =>
        (event.actor as { id: string }).id === `sender-${sender}` && !found.has(`${index} ${event.id}`),
    );
    assert.deepEqual(missing, [], 'acknowledged, and not found by the search');
  }
  assert.equal(await server.stop(), 0);
  const report = await watchglassJson<{ intact: boolean; tenants: { size: number }[] }>([
    'verify',
    here.dataDir,
    '--vkey',
    here.vkey,
  ]);
  assert.equal(report.intact, true);
  assert.ok(report.tenants[0]!.size >= acknowledged.length);
});
