/**
 * The keys behind tokens and pseudonyms: 32 random bytes each, stored only wrapped by the key-encryption key and bound to their place by the
 * additional data. Token keys live beside their index file and go with it; the pseudonym key of a tenant lives in `keys/`, because pseudonyms stand in notes
 * and links and have to survive a rebuilt index.
 */
import { join } from 'node:path';
import { type RetentionClass, retentionClasses, type TenantId } from '@watchglass/record';
import { type Keyrings, parseWrappedSecret, unwrapSecret, wrapSecret } from '@watchglass/record/reader';
import type { WrappedFile } from '../ledger/kek/wrapped-file.ts';
import type { World } from '../world/world.ts';

const keyBytes = 32;
const text = new TextEncoder();

interface KeyDeps {
  readonly keyrings: Keyrings;
  readonly world: World;
}

/** The tenant's pseudonym key, made at the first call. */
export function pseudonymKey(deps: KeyDeps, keysDir: string, tenant: TenantId): Promise<Uint8Array> {
  return loadOrMake(deps, pseudonymKeyFile(keysDir, tenant));
}

/** The token key of one index file, made at the first call. */
export function tokenKey(
  deps: KeyDeps,
  place: {
    readonly dir: string;
    readonly tenant: TenantId;
    readonly retentionClass: RetentionClass;
    readonly epoch: number;
  },
): Promise<Uint8Array> {
  return loadOrMake(deps, tokenKeyFile(place));
}

/** All of these keys that a tenant has, each of which can be wrapped anew. */
export async function wrappedKeysOf(
  world: World,
  { dir, keysDir, tenant }: { readonly dir: string; readonly keysDir: string; readonly tenant: TenantId },
): Promise<readonly WrappedFile[]> {
  const found: WrappedFile[] = [];
  const add = async (file: KeyFile, about: Pick<WrappedFile, 'kind' | 'place' | 'scope'>): Promise<void> => {
    const stored = await world.disk.readFile(file.path);
    if (stored === undefined) return;
    found.push({
      ...about,
      tenant,
      kek: parseWrappedSecret(stored).kek,
      async rewrap(keys, under) {
        const now = await world.disk.readFile(file.path);
        // It went with its index meanwhile: nothing must bring it back.
        if (now === undefined) return;
        const aad = text.encode(file.aad);
        const key = await unwrapSecret(now, aad, keys);
        await world.disk.replace(file.path, await wrapSecret(key, aad, under), { mode: 0o600 });
        key.fill(0);
      },
    });
  };
  await add(pseudonymKeyFile(keysDir, tenant), { kind: 'pseudonym-key', place: `keys/${tenant}.pseudonym-key` });
  const folder = join(dir, tenant);
  for (const name of await world.disk.list(folder)) {
    const match = /^([a-z]+)-(\d{1,10})\.token-key$/.exec(name);
    const retentionClass = retentionClasses.find((one) => one === match?.[1]);
    if (match === null || retentionClass === undefined) continue;
    const scope = { retentionClass, epoch: Number(match[2]) };
    await add(tokenKeyFile({ dir: folder, tenant, ...scope }), {
      kind: 'token-key',
      place: `index/${tenant}/${name}`,
      scope,
    });
  }
  return found;
}

interface KeyFile {
  readonly dir: string;
  readonly path: string;
  readonly tenant: TenantId;
  readonly aad: string;
}

function pseudonymKeyFile(keysDir: string, tenant: TenantId): KeyFile {
  const path = join(keysDir, `${tenant}.pseudonym-key`);
  return { dir: keysDir, path, tenant, aad: `watchglass/v1/pseudonym-key\n${tenant}\n` };
}

function tokenKeyFile(place: {
  readonly dir: string;
  readonly tenant: TenantId;
  readonly retentionClass: RetentionClass;
  readonly epoch: number;
}): KeyFile {
  const { dir, tenant, retentionClass, epoch } = place;
  const path = join(dir, `${retentionClass}-${epoch}.token-key`);
  return { dir, path, tenant, aad: `watchglass/v1/token-key\n${tenant}\n${retentionClass}\n${epoch}\n` };
}

async function loadOrMake({ keyrings, world }: KeyDeps, file: KeyFile): Promise<Uint8Array> {
  const ring = keyrings.of(file.tenant);
  const aad = text.encode(file.aad);
  const stored = await world.disk.readFile(file.path);
  if (stored !== undefined) return await unwrapSecret(stored, aad, ring);
  const key = world.random.bytes(keyBytes);
  await world.disk.makeDirectory(file.dir);
  await ring.hold(async (kek) => world.disk.replace(file.path, await wrapSecret(key, aad, kek), { mode: 0o600 }));
  return key;
}
