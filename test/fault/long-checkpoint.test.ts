/**
 * A disk without room for a second file, under a log whose checkpoints are longer than a sector: they have an ML-DSA-44 signature. The call is refused with
 * `storage-full` and nothing of it is stored; once there is room the next one is taken, without a restart.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseTenantId } from '../../packages/record/src/index.ts';
import { verifyLedger } from '../../packages/record/src/reader.ts';
import { LedgerError } from '../../packages/server/src/ledger/errors.ts';
import { openLedger } from '../../packages/server/src/ledger/open-ledger.ts';
import type { Disk } from '../../packages/server/src/world/disk.ts';
import { SimClock, SimDisk, SimRandom } from '../../packages/server/src/world/simulated.ts';
import { layerOver } from '../sim/disk-layer.ts';
import { EventMaker, LogModel } from '../sim/model.ts';

const clinic = parseTenantId('clinic');
const place = { dir: '/data/ledger', keysDir: '/data/keys', originBase: 'watchglass.example' };

/** Full for new files while `isFull` says so; the journal has blocks to grow in. */
function fullDisk(disk: Disk, isFull: () => boolean): Disk {
  const refuse = (path: string): void => {
    if (isFull()) throw Object.assign(new Error(`ENOSPC: ${path}`), { code: 'ENOSPC' });
  };
  return layerOver(disk, {
    open: async (path, how, mode) => {
      if ((await disk.size(path)) === undefined) refuse(path);
      return disk.open(path, how, mode);
    },
    replace: async (path, bytes, options) => {
      refuse(path);
      await disk.replace(path, bytes, options);
    },
  });
}

test('a checkpoint longer than a sector, on a full disk, is refused before anything is stored, and taken once there is room', async () => {
  const random = new SimRandom(20260314);
  const disk = new SimDisk(random.fork());
  const clock = new SimClock(Date.UTC(2026, 2, 14));
  let isFull = false;
  const process = disk.process();
  const world = { disk: fullDisk(process, () => isFull), clock, random: random.fork() };
  const ledger = await openLedger({ ...place, world, heartbeatMs: 0, idEntriesMax: 1024 });
  await ledger.addTenant(clinic);
  const maker = new EventMaker(random.fork());
  const model = new LogModel(clinic);
  const item = (): ReturnType<EventMaker['make']> => maker.make(model, clock.now(), { kind: 'api' });
  await ledger.append(clinic, [item()]);
  await ledger.changeCheckpointKey(clinic, { kind: 'add-ml-dsa-44' });
  const { checkpoint } = await ledger.append(clinic, [item()]);
  assert.ok(checkpoint.length > 512, `${checkpoint.length} bytes`);
  const { size } = ledger.head(clinic);

  isFull = true;
  const refused = item();
  for (let attempt = 0; attempt < 3; attempt++)
    await assert.rejects(
      ledger.append(clinic, [refused]),
      (error: unknown) => error instanceof LedgerError && error.code === 'storage-full',
    );
  assert.deepEqual(ledger.state, { kind: 'writable' });
  assert.equal(ledger.head(clinic).size, size);

  isFull = false;
  const { receipts } = await ledger.append(clinic, [refused]);
  assert.deepEqual([receipts[0]?.index, receipts[0]?.duplicate], [size, false]);
  await ledger[Symbol.asyncDispose]();
  const report = await verifyLedger({
    ledgerDir: place.dir,
    keysDir: place.keysDir,
    files: disk.process(),
    full: true,
  });
  assert.deepEqual(report.findings, []);
});
