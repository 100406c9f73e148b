/**
 * The key that seals a spool: 32 random bytes in a file that only its owner can read. Made on first use; there is no default
 * and no derivation from anything guessable. Whoever loses the file loses what is still in the spool, and nothing else.
 */
import { randomBytes } from 'node:crypto';
import { link, mkdir, open, readFile, rm, stat } from 'node:fs/promises';
import { dirname } from 'node:path';

import { SdkError } from './errors.ts';

export const spoolKeyBytes = 32;

/** Reads the key, making it (mode 0600, synced) where there is none. */
export async function readSpoolKey(path: string): Promise<Uint8Array> {
  const made = await makeKey(path);
  if (made !== undefined) return made;
  const { mode } = await stat(path);
  if (process.platform !== 'win32' && (mode & 0o077) !== 0) {
    throw new SdkError(
      'key-file',
      `expected ${path} to be readable by its owner only, got mode ${(mode & 0o777).toString(8)}; run chmod 600 on it`,
    );
  }
  const key = await readFile(path);
  if (key.length !== spoolKeyBytes) {
    throw new SdkError(
      'key-file',
      `expected ${spoolKeyBytes} bytes in ${path}, got ${key.length}; restore it from a backup, or move the spool aside and remove the file`,
    );
  }
  return key;
}

async function exists(path: string): Promise<boolean> {
  return stat(path).then(
    () => true,
    (error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOENT') return false;
      throw error;
    },
  );
}

async function makeKey(path: string): Promise<Uint8Array | undefined> {
  await mkdir(dirname(path), { recursive: true, mode: 0o700 });
  if (await exists(path)) return undefined;
  const key = randomBytes(spoolKeyBytes);
  // Under its name only once it is whole: a power cut leaves no key, or this one. A link, unlike a rename, never replaces another's.
  const temporary = `${path}.${randomBytes(8).toString('hex')}.new`;
  const file = await open(temporary, 'wx', 0o600);
  try {
    await file.write(key);
    await file.sync();
    await link(temporary, path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return undefined;
    throw error;
  } finally {
    await file.close();
    await rm(temporary, { force: true });
  }
  const directory = await open(dirname(path), 'r');
  try {
    await directory.sync();
  } finally {
    await directory.close();
  }
  return key;
}
