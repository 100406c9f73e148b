/**
 * The keys behind tokens and pseudonyms: 32 random bytes each, stored only wrapped by the key-encryption key and bound to their place by the
 * additional data. Token keys live beside their index file and go with it; the pseudonym key of a tenant lives in `keys/`, because pseudonyms stand in notes
 * and links and have to survive a rebuilt index.
 */
import { join } from 'node:path';
import type { RetentionClass, TenantId } from '@watchglass/record';
import { type Keyrings, unwrapSecret, wrapSecret } from '@watchglass/record/reader';
import type { World } from '../world/world.ts';

const keyBytes = 32;
const text = new TextEncoder();

interface KeyDeps {
  readonly keyrings: Keyrings;
  readonly world: World;
}

/** The tenant's pseudonym key, made at the first call. */
export function pseudonymKey(deps: KeyDeps, keysDir: string, tenant: TenantId): Promise<Uint8Array> {
  const path = join(keysDir, `${tenant}.pseudonym-key`);
  return loadOrMake(deps, { dir: keysDir, path, tenant, aad: `watchglass/v1/pseudonym-key\n${tenant}\n` });
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
  const { dir, tenant, retentionClass, epoch } = place;
  const path = join(dir, `${retentionClass}-${epoch}.token-key`);
  return loadOrMake(deps, {
    dir,
    path,
    tenant,
    aad: `watchglass/v1/token-key\n${tenant}\n${retentionClass}\n${epoch}\n`,
  });
}

async function loadOrMake(
  { keyrings, world }: KeyDeps,
  file: { readonly dir: string; readonly path: string; readonly tenant: TenantId; readonly aad: string },
): Promise<Uint8Array> {
  const ring = keyrings.of(file.tenant);
  const aad = text.encode(file.aad);
  const stored = await world.disk.readFile(file.path);
  if (stored !== undefined) return await unwrapSecret(stored, aad, ring);
  const key = world.random.bytes(keyBytes);
  await world.disk.makeDirectory(file.dir);
  await world.disk.replace(file.path, await wrapSecret(key, aad, ring.current), { mode: 0o600 });
  return key;
}
