/**
 * Key-encryption keys that lie in the keys directory: as they are (`local`), or made of a passphrase and the parameters beside it (`passphrase`,
 * Argon2id). A file is named `kek-<16 hex>`, with `<tenant>.` before it where a tenant has its own; the first local one is `kek`. To destroy is to
 * overwrite and remove the file: as good as the disk, and as the care with its backups.
 */
import { argon2 } from 'node:crypto';
import { RecordError } from '@watchglass/record';
import { kekIdOf, kekOfBytes } from '@watchglass/record/reader';
import type { World } from '../../world/world.ts';
import { type KekProvider, type ProviderDeps, readSecret } from './provider.ts';
import type { PassphraseSettings, SecretSource } from './settings.ts';

const kekBytes = 32;
const saltBytes = 32;
const passphraseCharactersMin = 16;
/** RFC 9106 §4, the second recommended option. */
const costs = { memory: 65_536, passes: 3, parallelism: 4 } as const;
const costBounds = { memory: 4 * 1024 * 1024, passes: 100, parallelism: 64 } as const;

export interface FilePlace {
  readonly keysDir: string;
  /** Whose keys: of the installation when undefined. */
  readonly tenant: string | undefined;
}

export function localKeks(place: FilePlace, { world }: ProviderDeps): KekProvider {
  return {
    async open(name) {
      const path = pathOf(place, name);
      const key = await world.disk.readFile(path);
      // Any 32 bytes are a key: what was misread once would have secrets wrapped under a key that is nowhere.
      const again = await world.disk.readFile(path);
      if (key === undefined)
        throw new RecordError('kek-lost', `keys/${name} is missing; restore it from its backup, it can't be made anew`);
      if (key.length !== kekBytes)
        throw new RecordError(
          'kek-lost',
          `expected keys/${name} with ${kekBytes} bytes, got ${key.length}; restore it from its backup`,
        );
      const named = /kek-([0-9a-f]{16})$/.exec(name)?.[1];
      if (
        Buffer.compare(key, again ?? Buffer.alloc(0)) !== 0 ||
        (named !== undefined && kekIdOf('local', key) !== `local:${named}`)
      )
        throw new RecordError(
          'kek-refused',
          `keys/${name} reads otherwise than it was written; check the disk, or restore the file from its backup`,
        );
      return kekOfBytes('local', key, () => erase(world, path));
    },
    async create() {
      const key = world.random.bytes(kekBytes);
      const name = nameOf(place, kekIdOf('local', key).split(':')[1] as string, '');
      await write(world, place, name, key);
      return name;
    },
    erase: (name) => erase(world, pathOf(place, name)),
  };
}

/** @param older where a key's passphrase was when it was made, if that was elsewhere */
export function passphraseKeks(
  settings: PassphraseSettings,
  place: FilePlace,
  deps: ProviderDeps,
  older: readonly SecretSource[] = [],
): KekProvider {
  const { world } = deps;
  return {
    async open(name) {
      const path = pathOf(place, name);
      const bytes = await world.disk.readFile(path);
      if (bytes === undefined)
        throw new RecordError(
          'kek-lost',
          `keys/${name} is missing: without its salt the passphrase makes no key; restore it from its backup`,
        );
      const stored = parseParameters(new TextDecoder().decode(bytes), name);
      let last: unknown;
      for (const source of [settings.passphrase, ...older]) {
        try {
          const key = await derive(await passphraseFrom(deps, source), stored);
          if (kekIdOf('passphrase', key) === stored.id) return kekOfBytes('passphrase', key, () => erase(world, path));
          last = undefined;
        } catch (error) {
          last = error;
        }
      }
      if (last !== undefined) throw last;
      throw new RecordError(
        'kek-refused',
        `the passphrase is not the one that keys/${name} was made with; give that one`,
      );
    },
    async create() {
      const passphrase = await passphraseFrom(deps, settings.passphrase);
      const parameters = { ...costs, salt: Buffer.from(world.random.bytes(saltBytes)) };
      const id = kekIdOf('passphrase', await derive(passphrase, parameters));
      const name = nameOf(place, id.split(':')[1] as string, '.argon2id');
      await write(world, place, name, new TextEncoder().encode(formatParameters({ ...parameters, id })));
      return name;
    },
    erase: (name) => erase(world, pathOf(place, name)),
  };
}

interface Parameters {
  readonly id: string;
  readonly memory: number;
  readonly passes: number;
  readonly parallelism: number;
  readonly salt: Buffer;
}

async function passphraseFrom(deps: ProviderDeps, source: SecretSource): Promise<string> {
  const text = (await readSecret(deps, source, 'the passphrase')).normalize('NFKC');
  if (text.length < passphraseCharactersMin)
    throw new RecordError(
      'kek-refused',
      `expected a passphrase of at least ${passphraseCharactersMin} characters, got ${text.length}`,
    );
  return text;
}

function derive(
  message: string,
  { memory, passes, parallelism, salt: nonce }: Omit<Parameters, 'id'>,
): Promise<Uint8Array> {
  return new Promise((resolve, reject) => {
    argon2('argon2id', { message, nonce, memory, passes, parallelism, tagLength: kekBytes }, (error, key) =>
      error === null ? resolve(new Uint8Array(key)) : reject(error),
    );
  });
}

/** One line: the id of the key it makes, and the parameters as the usual PHC string has them. */
function formatParameters({ id, memory, passes, parallelism, salt }: Parameters): string {
  return `${id} $argon2id$v=19$m=${memory},t=${passes},p=${parallelism}$${salt.toString('base64').replace(/=+$/, '')}\n`;
}

function parseParameters(text: string, name: string): Parameters {
  const match =
    /^(passphrase:[0-9a-f]{16}) \$argon2id\$v=19\$m=(\d{1,9}),t=(\d{1,9}),p=(\d{1,9})\$([A-Za-z0-9+/]{43})\n$/.exec(
      text,
    );
  const [, id = '', memory = 0, passes = 0, parallelism = 0, salt = ''] = match ?? [];
  const found = { memory: Number(memory), passes: Number(passes), parallelism: Number(parallelism) };
  const bounded = (['memory', 'passes', 'parallelism'] as const).every(
    (cost) => found[cost] >= 1 && found[cost] <= costBounds[cost],
  );
  if (match === null || !bounded)
    throw new RecordError(
      'kek-lost',
      `keys/${name} does not hold the parameters of a passphrase; restore it from its backup`,
    );
  return { id, ...found, salt: Buffer.from(salt, 'base64') };
}

function nameOf({ tenant }: FilePlace, hex: string, extension: string): string {
  return `${tenant === undefined ? '' : `${tenant}.`}kek-${hex}${extension}`;
}

function pathOf({ keysDir }: FilePlace, name: string): string {
  if (!/^(?:[a-z][a-z0-9-]{0,62}\.)?kek(?:-[0-9a-f]{16}(?:\.argon2id)?)?$/.test(name))
    throw new RecordError(
      'kek-lost',
      'the keyring names a file that no key has; restore keys/keyring.json from its backup',
    );
  return `${keysDir}/${name}`;
}

async function write(world: World, { keysDir }: FilePlace, name: string, bytes: Uint8Array): Promise<void> {
  await world.disk.makeDirectory(keysDir);
  await world.disk.replace(`${keysDir}/${name}`, bytes, { mode: 0o600 });
}

/** What was there is overwritten first: the name alone would leave the bytes to whoever reads the disk. */
async function erase(world: World, path: string): Promise<void> {
  const bytes = await world.disk.size(path);
  if (bytes !== undefined) {
    const file = await world.disk.open(path, 'append');
    try {
      await file.write(new Uint8Array(bytes), 0);
      await file.datasync();
    } finally {
      await file.close();
    }
  }
  await world.disk.remove(path);
  await world.disk.syncDirectory(path.slice(0, path.lastIndexOf('/')));
}

/** Whether a key's file is there, without opening it. */
export async function hasKeyFile(world: World, { keysDir }: FilePlace, name: string): Promise<boolean> {
  return (await world.disk.size(`${keysDir}/${name}`)) !== undefined;
}
