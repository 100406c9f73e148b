/** All that a log keeps wrapped: the seeds of its blocks, those of its holds, and those of the logs it goes on from. Each can be wrapped anew, by one rename. */
import type { TenantId } from '@watchglass/record';
import {
  holdIdPattern,
  holdSeedData,
  parseSeedFile,
  parseWrappedSecret,
  rewrapSeed,
  unwrapSecret,
  wrapSecret,
} from '@watchglass/record/reader';
import type { Disk } from '../world/disk.ts';
import type { WrappedFile } from './kek/wrapped-file.ts';
import { leftSeedsOf } from './left-seeds.ts';
import type { StorageDriver } from './storage.ts';

interface WrappingLog {
  readonly tenant: TenantId;
  readonly origin: string;
}

export async function wrappedSeedsOf(
  driver: StorageDriver,
  log: WrappingLog,
  { disk, ledgerDir }: { readonly disk: Disk; readonly ledgerDir: string },
): Promise<readonly WrappedFile[]> {
  const left = await leftSeedsOf(disk, ledgerDir, log.tenant);
  return [...(await blockSeeds(driver, log)), ...(await holdSeeds(driver, log)), ...left];
}

async function blockSeeds(driver: StorageDriver, { tenant }: WrappingLog): Promise<WrappedFile[]> {
  const files: WrappedFile[] = [];
  for (const name of await driver.seeds(tenant)) {
    const bytes = await driver.seed(tenant, name);
    if (bytes === undefined) continue;
    const { retentionClass, epoch, kek } = parseSeedFile(bytes);
    files.push({
      tenant,
      kind: 'seed',
      place: `ledger/${tenant}/seeds/${name}`,
      scope: { retentionClass, epoch },
      kek,
      async rewrap(keys, under) {
        const stored = await driver.seed(tenant, name);
        // It was shredded meanwhile: nothing must bring it back.
        if (stored === undefined) return;
        await driver.putSeed(tenant, name, await rewrapSeed(parseSeedFile(stored), keys, under));
      },
    });
  }
  return files;
}

async function holdSeeds(driver: StorageDriver, { tenant, origin }: WrappingLog): Promise<WrappedFile[]> {
  const files: WrappedFile[] = [];
  for (const entry of await driver.documents(tenant, 'holds')) {
    const hold = entry.slice(0, -1);
    if (!holdIdPattern.test(hold)) continue;
    const name = `holds/${hold}/seed`;
    const bytes = await driver.document(tenant, name);
    if (bytes === undefined) continue;
    files.push({
      tenant,
      kind: 'hold-seed',
      place: `ledger/${tenant}/${name}`,
      kek: parseWrappedSecret(bytes).kek,
      async rewrap(keys, under) {
        const stored = await driver.document(tenant, name);
        // The hold was released meanwhile.
        if (stored === undefined) return;
        const aad = holdSeedData(origin, hold);
        const seed = await unwrapSecret(stored, aad, keys);
        await driver.putDocument(tenant, name, await wrapSecret(seed, aad, under));
        seed.fill(0);
      },
    });
  }
  return files;
}
