/**
 * The wrapped seeds of ledgers that were left for a successor (`ledger.<number>/` beside the present one). They are under the same key-encryption keys: so they
 * are wrapped anew with the present ones, and a key that still opens something there is not destroyed.
 */
import { basename, dirname, join } from 'node:path';
import { parseVerifierKey, type TenantId } from '@watchglass/record';
import {
  holdIdPattern,
  holdSeedData,
  type Kek,
  type KekFinder,
  parseSeedFile,
  parseWrappedSecret,
  rewrapSeed,
  unwrapSecret,
  wrapSecret,
} from '@watchglass/record/reader';
import type { Disk } from '../world/disk.ts';
import type { WrappedFile } from './kek/wrapped-file.ts';

/** @param ledgerDir of the present ledger */
export async function leftSeedsOf(disk: Disk, ledgerDir: string, tenant: TenantId): Promise<readonly WrappedFile[]> {
  const dataDir = dirname(ledgerDir);
  const left = (await disk.list(dataDir)).filter((name) => /^ledger\.\d{1,6}\/$/.test(name));
  const files: WrappedFile[] = [];
  for (const name of left) {
    const place: LeftLog = { disk, tenant, ledger: basename(name), dataDir };
    files.push(...(await blockSeeds(place)), ...(await holdSeeds(place)));
  }
  return files;
}

interface LeftLog {
  readonly disk: Disk;
  readonly tenant: TenantId;
  /** `ledger.1` */
  readonly ledger: string;
  readonly dataDir: string;
}

async function blockSeeds(log: LeftLog): Promise<WrappedFile[]> {
  const files: WrappedFile[] = [];
  for (const name of await log.disk.list(pathOf(log, 'seeds'))) {
    if (!name.endsWith('.json')) continue;
    const bytes = await log.disk.readFile(pathOf(log, `seeds/${name}`));
    if (bytes === undefined) continue;
    const { retentionClass, epoch, kek } = parseSeedFile(bytes);
    files.push({
      ...fileOf(log, `seeds/${name}`, async (stored, keys, under) => rewrapSeed(parseSeedFile(stored), keys, under)),
      kind: 'seed',
      scope: { retentionClass, epoch },
      kek,
    });
  }
  return files;
}

async function holdSeeds(log: LeftLog): Promise<WrappedFile[]> {
  const files: WrappedFile[] = [];
  for (const entry of await log.disk.list(pathOf(log, 'holds'))) {
    const hold = entry.slice(0, -1);
    if (!holdIdPattern.test(hold)) continue;
    const bytes = await log.disk.readFile(pathOf(log, `holds/${hold}/seed`));
    if (bytes === undefined) continue;
    const rewrap = async (stored: Uint8Array, keys: KekFinder, under: Kek): Promise<Uint8Array> => {
      const aad = holdSeedData(await originOf(log), hold);
      const seed = await unwrapSecret(stored, aad, keys);
      const wrapped = await wrapSecret(seed, aad, under);
      seed.fill(0);
      return wrapped;
    };
    files.push({
      ...fileOf(log, `holds/${hold}/seed`, rewrap),
      kind: 'hold-seed',
      kek: parseWrappedSecret(bytes).kek,
    });
  }
  return files;
}

function fileOf(
  log: LeftLog,
  name: string,
  wrapAnew: (stored: Uint8Array, keys: KekFinder, under: Kek) => Promise<Uint8Array>,
): Pick<WrappedFile, 'tenant' | 'place' | 'rewrap'> {
  const { disk, tenant, ledger, dataDir } = log;
  return {
    tenant,
    place: `${ledger}/${tenant}/${name}`,
    async rewrap(keys, under) {
      const stored = await disk.readFile(pathOf(log, name));
      if (stored === undefined) return;
      // Every byte of that ledger is verified, too: nothing is left lying in it.
      const temporary = join(dataDir, 'tmp', `${ledger}-${tenant}-${name.replaceAll('/', '-')}`);
      await disk.replace(pathOf(log, name), await wrapAnew(stored, keys, under), { temporary });
    },
  };
}

/** A key of a log is named like it. */
async function originOf(log: LeftLog): Promise<string> {
  const bytes = (await log.disk.readFile(pathOf(log, 'vkey'))) ?? new Uint8Array(0);
  return parseVerifierKey(Buffer.from(bytes).toString('utf8').split('\n')[0] ?? '').name;
}

function pathOf({ dataDir, ledger, tenant }: LeftLog, name: string): string {
  return join(dataDir, ledger, tenant, name);
}
