/**
 * Secrets on disk: files of mode 0600 in a directory of mode 0700, made at random when missing and never a default.
 * A key file that others can read is refused, since from then on nobody can say who knows it.
 */
import { join } from 'node:path';
import { ServerError } from '../errors.ts';
import { fileMode } from '../world/file-mode.ts';
import type { World } from '../world/world.ts';

/** Bits of a mode that let somebody else than the owner in. */
const othersMask = 0o077;
const othersWriteMask = 0o022;

/**
 * Makes the directory when missing, and refuses it when others can put files there or read a file in it.
 * @throws ServerError `key-file-exposed`.
 */
export async function checkKeysDirectory(world: World, keysDir: string): Promise<void> {
  await world.disk.makeDirectory(keysDir);
  const mode = await fileMode(keysDir);
  if (mode !== undefined && (mode & othersWriteMask) !== 0) {
    throw new ServerError(
      'key-file-exposed',
      `expected ${keysDir} to be writable by its owner only, got mode ${octal(mode)}; run chmod 700 ${keysDir}`,
    );
  }
  for (const name of await world.disk.list(keysDir)) {
    if (!name.endsWith('/')) await checkMode(join(keysDir, name));
  }
}

/** The file's text without the last line end; undefined when there is none. @throws ServerError `key-file-exposed`. */
export async function readKeyFile(world: World, path: string): Promise<string | undefined> {
  await checkMode(path);
  const bytes = await world.disk.readFile(path);
  return bytes === undefined ? undefined : new TextDecoder().decode(bytes).trimEnd();
}

/** Writes durably, by rename, with mode 0600. */
export async function writeKeyFile(world: World, path: string, text: string): Promise<void> {
  await world.disk.replace(path, new TextEncoder().encode(`${text}\n`), { mode: 0o600 });
}

/** Reads the file, or makes it with what `make` gives. `valid` guards against an emptied or foreign file. */
export async function keepKeyFile(options: {
  readonly world: World;
  readonly path: string;
  readonly make: () => string | Promise<string>;
  readonly valid: (text: string) => boolean;
}): Promise<string> {
  const { world, path } = options;
  const stored = await readKeyFile(world, path);
  if (stored === undefined) {
    const made = await options.make();
    await writeKeyFile(world, path, made);
    return made;
  }
  if (!options.valid(stored)) {
    throw new ServerError(
      'key-file-invalid',
      `${path} does not hold the key it should (${stored.length} characters); restore it from its backup, or remove it to have a new one made`,
    );
  }
  return stored;
}

/** `prefix` and 32 random bytes, base64url: the form of every secret of ours. */
export function freshSecret(world: World, prefix: string): string {
  return `${prefix}${Buffer.from(world.random.bytes(32)).toString('base64url')}`;
}

async function checkMode(path: string): Promise<void> {
  const mode = await fileMode(path);
  if (mode !== undefined && (mode & othersMask) !== 0) {
    throw new ServerError(
      'key-file-exposed',
      `expected ${path} to be readable by its owner only, got mode ${octal(mode)}; run chmod 600 ${path}, and consider making a new key`,
    );
  }
}

function octal(mode: number): string {
  return `0${(mode & 0o777).toString(8)}`;
}
