/** The `files` driver keeps the contract of storage drivers. */
import { cp, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openFilesDriver } from '../../packages/server/src/ledger/files-driver.ts';
import { faultyDisk } from '../../packages/server/src/ledger/ledger.fixture.ts';
import { realClock, realRandom } from '../../packages/server/src/world/real-world.ts';
import { type DriverPlace, storageContract } from './storage.fixture.ts';

async function placeAt(dir: string): Promise<DriverPlace> {
  const faults = { journalRoomBytes: 1e9, failSync: undefined };
  return {
    open: (archiving) =>
      openFilesDriver({
        dir: join(dir, 'ledger'),
        workDir: dir,
        disk: faultyDisk(faults),
        clock: realClock,
        random: realRandom,
        report: () => undefined,
        ...(archiving === undefined ? {} : { archiving }),
      }),
    async afterKill() {
      const to = await mkdtemp(join(tmpdir(), 'watchglass-contract-'));
      await cp(dir, to, { recursive: true });
      return placeAt(to);
    },
    limit(bytes) {
      faults.journalRoomBytes = bytes;
    },
    remove: () => rm(dir, { recursive: true, force: true }),
  };
}

storageContract('files', async () => placeAt(await mkdtemp(join(tmpdir(), 'watchglass-contract-'))));
