/** When the record may be incomplete, over real processes: a server that was killed for a while, and one that comes back with another history than it acknowledged. */
import assert from 'node:assert/strict';
import { cp, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { createClient, type ReceiptFailure } from '@watchglass/sdk';
import { watchglass, watchglassJson } from './command.fixture.ts';
import { anEvent, install, post, serve } from './server.fixture.ts';

interface Report {
  readonly verdict: string;
  readonly red: readonly {
    readonly kind: string;
    readonly from: string;
    readonly to: string;
    readonly evidence: readonly number[];
    readonly words: string;
  }[];
  readonly unexamined: readonly unknown[];
}

const dir = await mkdtemp(join(tmpdir(), 'watchglass-completeness-'));
after(() => rm(dir, { recursive: true, force: true }));

test('a server that was killed for a while is reported, from its last entry to its start, with the events that show it', async () => {
  const here = await install(join(dir, 'killed'));
  // `init` ran the server too, for its keys: what is asked for begins after that.
  const at = ['completeness', '--data', here.dataDir, '--from'];
  let lastIndex = -1;
  {
    await using server = await serve(here);
    at.push(new Date().toISOString());
    const { body } = await post(here, anEvent());
    lastIndex = body.receipts?.[0]?.index ?? -1;
    const { code, out } = await watchglass([...at, '--strict']);
    assert.equal(code, 0, out);
    await server.kill();
  }
  {
    await using server = await serve(here);
    const report = await watchglassJson<Report>(at);
    assert.deepEqual([report.verdict, report.unexamined], ['red', []]);
    const [paused, ...others] = report.red;
    assert.deepEqual(others, []);
    assert.equal(paused?.kind, 'recording-paused');
    assert.match(paused?.words ?? '', /without a stop on record/);
    // The look at the report before is the last thing on record.
    const [before = -1, start = -1] = paused?.evidence ?? [];
    assert.ok(before > lastIndex && start > before, `${lastIndex} ${before} ${start}`);
    assert.ok(Date.parse(paused?.from ?? '') < Date.parse(paused?.to ?? ''));
    const shown = await watchglass([...at, '--strict']);
    assert.equal(shown.code, 3);
    assert.match(shown.out, /recording paused/);
    assert.equal((await watchglass([...at.slice(0, -1), '2999-01-01'])).code, 1);
    assert.equal(await server.stop(), 0);
  }
  await using _again = await serve(here);
  const { red } = await watchglassJson<Report>(at);
  assert.deepEqual(
    red.map(({ kind, words }) => [kind, /was stopped and started again/.test(words)]),
    [
      ['recording-paused', false],
      ['recording-paused', true],
    ],
  );
});

test('a server that comes back with another history, signed by the same key, is found by whoever has its receipts', async () => {
  const here = await install(join(dir, 'lying'));
  const earlier = join(dir, 'earlier');
  {
    await using server = await serve(here);
    await post(here, anEvent());
    await server.stop();
  }
  await cp(here.dataDir, earlier, { recursive: true });
  const failures: ReceiptFailure[] = [];
  await using client = await createClient({
    url: here.url,
    writeKey: here.writeKey,
    dir: join(dir, 'spool'),
    emitterId: 'ward-app',
    vkey: here.vkey,
    onReceiptFailed: (failure) => failures.push(failure),
  });
  const capture = async (): Promise<void> => {
    await client.capture({ kind: 'api', action: 'read', outcome: { status: 'success' }, actor: { id: 'amara.osei' } });
    await client.sender.drain(AbortSignal.timeout(30_000));
  };
  {
    await using server = await serve(here);
    await capture();
    await client.receipts.check();
    assert.deepEqual(
      [client.receipts.status.checkedCount, client.receipts.status.problem, failures],
      [1, undefined, []],
    );
    await server.stop();
  }
  // The files of before, under the same keys, and other events since.
  await rm(here.dataDir, { recursive: true });
  await cp(earlier, here.dataDir, { recursive: true });
  await using _server = await serve(here);
  await client.receipts.check();
  for (let sent = 0; sent < 12; sent++) await post(here, anEvent());
  await client.receipts.check();
  assert.deepEqual([...new Set(failures.map(({ code }) => code))].sort().at(0), 'receipt-history-changed');
  assert.ok(failures.every(({ checkpoint }) => checkpoint?.includes('clinic')));
});
