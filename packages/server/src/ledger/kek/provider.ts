/** What every keeper of key-encryption keys offers beside the keys themselves, and what it needs of the world. */
import { RecordError } from '@watchglass/record';
import type { Kek } from '@watchglass/record/reader';
import type { World } from '../../world/world.ts';
import type { SecretSource } from './settings.ts';

export interface KekProvider {
  /** The key that a locator names. Remote keepers aren't asked anything yet. @throws RecordError */
  open(locator: string): Promise<Kek>;
  /** Makes a key; its locator. @throws RecordError `kek-refused` where making keys isn't allowed: make one there, and name it. */
  create(): Promise<string>;
  /** Removes what is stored here of a key that doesn't open any more: it may be left of a destruction that a crash cut short. */
  erase?(locator: string): Promise<void>;
}

export interface ProviderDeps {
  readonly world: World;
  /** The environment of the process, read once by `main`. */
  readonly env: Readonly<Record<string, string | undefined>>;
}

/** A secret from where the configuration says it is. Without the last line end. @throws RecordError `kek-refused` */
export async function readSecret({ world, env }: ProviderDeps, source: SecretSource, what: string): Promise<string> {
  if (source.kind === 'environment') {
    const value = env[source.name];
    if (value === undefined || value === '')
      throw new RecordError('kek-refused', `expected ${what} in the environment as ${source.name}, which is not set`);
    return value;
  }
  const bytes = await world.disk.readFile(source.path);
  const text = bytes === undefined ? '' : new TextDecoder().decode(bytes).replace(/\r?\n$/, '');
  if (text === '')
    throw new RecordError('kek-refused', `expected ${what} in ${source.path}, which is missing or empty`);
  return text;
}

/** The members of a JSON secret, all texts. @throws RecordError `kek-refused`, which never repeats the secret */
export function parseSecret<Name extends string>(
  text: string,
  what: string,
  required: readonly Name[],
): Record<Name, string> & Readonly<Record<string, string | undefined>> {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    value = undefined;
  }
  const members = (typeof value === 'object' && value !== null ? value : {}) as Record<string, unknown>;
  const texts: Record<string, string | undefined> = {};
  for (const [name, one] of Object.entries(members)) if (typeof one === 'string') texts[name] = one;
  for (const name of required) {
    if (texts[name] === undefined || texts[name] === '')
      throw new RecordError('kek-refused', `expected ${what} as JSON with ${required.join(', ')}; ${name} is missing`);
  }
  return texts as Record<Name, string> & Record<string, string | undefined>;
}
