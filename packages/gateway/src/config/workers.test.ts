/** How many workers there may be, and what each gets of a configuration whose numbers are those of the whole. */
import assert from 'node:assert/strict';
import { availableParallelism } from 'node:os';
import { describe, it } from 'node:test';
import type { GatewayConfig } from './config.ts';
import { primaryConfig, workerConfig } from './slots.ts';
import { readWorkers, spoolBytesMin, workersSchema } from './workers.ts';

const of = { file: 'gateway.yaml', emitter: 'edge', spoolBytesMax: 256 * 1024 * 1024 };

describe('workers', () => {
  it('are one unless said, one a core with auto, and no more than their spools have room for', () => {
    assert.equal(workersSchema.parse(undefined), 1);
    for (const wrong of [0, 65, 1.5, 'all']) assert.equal(workersSchema.safeParse(wrong).success, false, String(wrong));
    assert.equal(readWorkers('auto', of), Math.min(30, availableParallelism()));
    assert.equal(readWorkers('auto', { ...of, spoolBytesMax: spoolBytesMin }), 1);
    assert.equal(readWorkers(3, { ...of, spoolBytesMax: 4 * spoolBytesMin }), 3);
    assert.throws(() => readWorkers(4, { ...of, spoolBytesMax: 4 * spoolBytesMin }), {
      code: 'config-invalid',
      message: /expected spool\.maxBytes to hold 8388608 bytes for each of 4 workers/,
    });
    assert.throws(() => readWorkers(2, { ...of, emitter: 'e'.repeat(127) }), { code: 'config-invalid' });
    assert.equal(readWorkers(1, { ...of, emitter: 'e'.repeat(128) }), 1);
  });

  it('have together what the gateway has, and a name and a folder each', () => {
    const upstream = { url: 'http://127.0.0.1:1', connectionsMax: 9 };
    const config = {
      emitter: 'edge',
      listen: { host: '127.0.0.1', port: 0 },
      admin: { host: '127.0.0.1', port: 9 },
      spool: { dir: '/var/spool', keyFile: '/var/spool/spool.key', maxBytes: of.spoolBytesMax },
      upstream,
      upstreams: new Map([['other', upstream]]),
      websockets: { connectionsMax: 4 },
      limits: { connectionsMax: 10, inFlightMax: 5, requestBytesMax: 7 },
      fronts: { inFlightMax: 3, outcomes: { openMax: 20 } },
    } as unknown as GatewayConfig;
    const [one, two] = [1, 2].map((slot) => workerConfig(config, { slot, count: 2, port: 4_711 }));
    assert.deepEqual([one?.emitter, two?.emitter], ['edge/1', 'edge/2']);
    assert.deepEqual([one?.spool.dir, two?.spool.dir], ['/var/spool/worker-1', '/var/spool/worker-2']);
    assert.equal(two?.spool.keyFile, config.spool.keyFile);
    assert.deepEqual([two?.listen.port, two?.admin], [4_711, undefined]);
    const bytes = [primaryConfig(config), one, two].reduce((sum, each) => sum + (each?.spool.maxBytes ?? 0), 0);
    assert.ok(bytes <= of.spoolBytesMax && bytes > of.spoolBytesMax - 3);
    assert.deepEqual(
      [two?.upstream.connectionsMax, two?.upstreams.get('other')?.connectionsMax, two?.limits.connectionsMax],
      [5, 5, 5],
    );
    // Places are counted together.
    assert.equal(two?.websockets.connectionsMax, 4);
    assert.deepEqual([two?.limits.inFlightMax, two?.limits.requestBytesMax], [3, 7]);
    assert.deepEqual([two?.fronts?.inFlightMax, two?.fronts?.outcomes?.openMax], [2, 10]);
  });
});
