/** Key-encryption keys of a test that can end: `kek` and older ones beside it, on the disk of the test, as the local keys of a ledger are. */
import {
  type Destruction,
  holdSeedData,
  type Kek,
  type Keyrings,
  localKek,
  parseSeedFile,
  parseWrappedSecret,
  rewrapSeed,
  unwrapSecret,
  wrapSecret,
} from '@watchglass/record/reader';
import type { World } from '../world/world.ts';
import type { EndedKey, KeyEnding } from './shred.ts';

export class TurningKeys implements Keyrings, KeyEnding {
  readonly #world: World;
  readonly #ledgerDir: string;
  readonly #keysDir: string;
  readonly #origins: (tenant: string) => string;
  readonly #keks: Map<string, Kek> = new Map();
  #current!: Kek;
  /** What the keeper says instead of destroying. */
  refusal: Error | undefined;
  pending: string | undefined;

  private constructor(world: World, dir: string, originBase: string) {
    this.#world = world;
    this.#ledgerDir = `${dir}/ledger`;
    this.#keysDir = `${dir}/keys`;
    this.#origins = (tenant) => `${originBase}/${tenant}`;
  }

  /** @param dir the data directory */
  static async open(world: World, dir: string, originBase = 'watchglass.example'): Promise<TurningKeys> {
    const keys = new TurningKeys(world, dir, originBase);
    const { disk } = world;
    await disk.makeDirectory(keys.#keysDir);
    if ((await disk.readFile(`${keys.#keysDir}/kek`)) === undefined)
      await disk.replace(`${keys.#keysDir}/kek`, world.random.bytes(32), { mode: 0o600 });
    for (const name of await disk.list(keys.#keysDir)) {
      if (!/^kek(-[0-9a-f]{16})?$/.test(name)) continue;
      const kek = localKek((await disk.readFile(`${keys.#keysDir}/${name}`)) as Uint8Array);
      keys.#keks.set(kek.id, kek);
      if (name === 'kek') keys.#current = kek;
    }
    return keys;
  }

  of(): ReturnType<Keyrings['of']> {
    const current = this.#current;
    return { current, find: (id) => this.#keks.get(id), hold: (work) => work(current) };
  }

  async standing(): Promise<readonly string[]> {
    return [...this.#keks.keys()].sort();
  }

  async end(_tenant: string, keks: readonly string[]): Promise<readonly EndedKey[]> {
    const { disk, random } = this.#world;
    if (keks.includes(this.#current.id)) {
      const older = (await disk.readFile(`${this.#keysDir}/kek`)) as Uint8Array;
      await disk.replace(`${this.#keysDir}/${fileOf(this.#current.id)}`, older, { mode: 0o600 });
      const key = random.bytes(32);
      await disk.replace(`${this.#keysDir}/kek`, key, { mode: 0o600 });
      this.#current = localKek(key);
      this.#keks.set(this.#current.id, this.#current);
    }
    for (const entry of await disk.list(this.#ledgerDir))
      if (entry.endsWith('/') && entry !== 'journal/') await this.#rewrap(entry.slice(0, -1));
    if (this.refusal !== undefined) throw this.refusal;
    const destruction: Destruction =
      this.pending === undefined ? { kind: 'destroyed' } : { kind: 'pendingUntil', at: this.pending };
    for (const kek of keks) {
      await disk.remove(`${this.#keysDir}/${fileOf(kek)}`);
      this.#keks.delete(kek);
    }
    await disk.syncDirectory(this.#keysDir);
    return keks.map((kek) => ({ kek, destruction }));
  }

  async #rewrap(tenant: string): Promise<void> {
    const { disk } = this.#world;
    const dir = `${this.#ledgerDir}/${tenant}`;
    for (const name of await disk.list(`${dir}/seeds`)) {
      const file = parseSeedFile((await disk.readFile(`${dir}/seeds/${name}`)) as Uint8Array);
      if (file.kek === this.#current.id) continue;
      await disk.replace(`${dir}/seeds/${name}`, await rewrapSeed(file, this.of(), this.#current), {
        temporary: `${this.#ledgerDir}/../tmp/rewrap`,
      });
    }
    for (const hold of await disk.list(`${dir}/holds`)) {
      const path = `${dir}/holds/${hold}seed`;
      const bytes = await disk.readFile(path);
      if (bytes === undefined || parseWrappedSecret(bytes).kek === this.#current.id) continue;
      const aad = holdSeedData(this.#origins(tenant), hold.slice(0, -1));
      const seed = await unwrapSecret(bytes, aad, this.of());
      await disk.replace(path, await wrapSecret(seed, aad, this.#current), {
        temporary: `${this.#ledgerDir}/../tmp/rewrap`,
      });
    }
  }
}

function fileOf(id: string): string {
  return `kek-${id.slice(id.indexOf(':') + 1)}`;
}
