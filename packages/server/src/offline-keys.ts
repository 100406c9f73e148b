/**
 * The key-encryption keys of an installation where no server runs: for verification and for a look. Nothing is made, made current or written.
 */
import { join } from 'node:path';
import { parseTenantId, type TenantId } from '@watchglass/record';
import type { KekFinder, Keyrings } from '@watchglass/record/reader';
import { parseSeedFile } from '@watchglass/record/reader';
import { wrappedKeysOf } from './indexes/index-keys.ts';
import { type KekStatus, KeyService } from './ledger/kek/key-service.ts';
import { openKeyrings } from './ledger/kek/open-keyrings.ts';
import { defaultKeys, type KeysSettings } from './ledger/kek/settings.ts';
import type { WrappedFile } from './ledger/kek/wrapped-file.ts';
import { leftSeedsOf } from './ledger/left-seeds.ts';
import { realWorld } from './world/real-world.ts';

export interface OfflineKeys extends Keyrings<KekFinder>, AsyncDisposable {}

/** Opens what `keysDir` holds and names. @throws LedgerError `keyring-invalid`; a key that can't be used says so when it is needed */
export function openOfflineKeys(options: {
  readonly keysDir: string;
  readonly keys?: KeysSettings;
}): Promise<OfflineKeys> {
  const { keysDir, keys: settings = defaultKeys } = options;
  return openKeyrings({ world: realWorld(), env: process.env, keysDir, settings, mayMake: false, readOnly: true });
}

/** What a running server answers to `GET /v1/keys`, read from the files. */
export async function listKeysOf(dataDir: string): Promise<readonly KekStatus[]> {
  const world = realWorld();
  const keysDir = join(dataDir, 'keys');
  const ledgerDir = join(dataDir, 'ledger');
  await using keyrings = await openKeyrings({
    world,
    env: {},
    keysDir,
    settings: defaultKeys,
    mayMake: false,
    readOnly: true,
  });
  const tenants: TenantId[] = [];
  for (const name of await world.disk.list(ledgerDir)) {
    const tenant = name.slice(0, -1);
    if (name.endsWith('/') && (await world.disk.size(join(ledgerDir, tenant, 'vkey'))) !== undefined)
      tenants.push(parseTenantId(tenant));
  }
  const seeds = async (tenant: string): Promise<readonly WrappedFile[]> => {
    const files: WrappedFile[] = [];
    for (const name of await world.disk.list(join(ledgerDir, tenant, 'seeds'))) {
      const bytes = await world.disk.readFile(join(ledgerDir, tenant, 'seeds', name));
      if (bytes === undefined) continue;
      const { retentionClass, epoch, kek } = parseSeedFile(bytes);
      const rewrap = (): Promise<never> => Promise.reject(new TypeError('nothing is written here'));
      files.push({
        tenant: parseTenantId(tenant),
        kind: 'seed',
        place: name,
        scope: { retentionClass, epoch },
        kek,
        rewrap,
      });
    }
    return files;
  };
  const service = new KeyService({
    keyrings,
    sources: [
      seeds,
      (tenant) => leftSeedsOf(world.disk, ledgerDir, tenant),
      (tenant) => wrappedKeysOf(world, { dir: join(dataDir, 'index'), keysDir, tenant }),
    ],
    tenants: () => tenants,
    world,
  });
  return service.list();
}
