/** Step keys for readers: finds a block's wrapped seed, unwraps it once, and walks to the step. Holds keys in memory, bounded. */
import type { BlockScope } from '../codec/block.ts';
import type { KekFinder } from '../codec/kek.ts';
import { stepKeyOf } from '../codec/key-tree.ts';
import { seedFileName } from '../codec/names.ts';
import { parseSeedFile, unwrapSeed } from '../codec/seed-file.ts';
import { RecordError } from '../errors.ts';

const seedsMax = 1024;
const stepKeysMax = 256;

export class SeedKeeper {
  readonly #origin: string;
  readonly #keys: KekFinder;
  readonly #readSeed: (name: string) => Promise<Uint8Array | undefined>;
  readonly #seeds: Map<string, Promise<Uint8Array>> = new Map();
  readonly #stepKeys: Map<string, Uint8Array> = new Map();

  /** @param readSeed reads `seeds/<name>` of the tenant */
  constructor(origin: string, keys: KekFinder, readSeed: (name: string) => Promise<Uint8Array | undefined>) {
    this.#origin = origin;
    this.#keys = keys;
    this.#readSeed = readSeed;
  }

  /** @throws {RecordError} `seed-malformed`, `seed-refused`, `kek-unknown`, and what the key's provider says */
  async stepKey(scope: BlockScope): Promise<Uint8Array> {
    const name = seedFileName(scope.retentionClass, scope.epoch, scope.writer);
    const place = `${name} ${scope.step}`;
    const known = this.#stepKeys.get(place);
    if (known !== undefined) return known;
    const key = stepKeyOf(await this.#seed(name, scope), scope.step);
    if (this.#stepKeys.size >= stepKeysMax) this.#stepKeys.delete(this.#stepKeys.keys().next().value ?? '');
    this.#stepKeys.set(place, key);
    return key;
  }

  /** Lets go of the keys it holds: a class and epoch are being shredded. Who is reading with one at the moment still may. */
  forget(): void {
    this.#stepKeys.clear();
    this.#seeds.clear();
  }

  #seed(name: string, scope: BlockScope): Promise<Uint8Array> {
    let seed = this.#seeds.get(name);
    if (seed === undefined) {
      seed = this.#unwrap(name, scope);
      if (this.#seeds.size >= seedsMax) this.#seeds.delete(this.#seeds.keys().next().value ?? '');
      this.#seeds.set(name, seed);
      seed.catch(() => this.#seeds.delete(name));
    }
    return seed;
  }

  async #unwrap(name: string, scope: BlockScope): Promise<Uint8Array> {
    const bytes = await this.#readSeed(name);
    if (bytes === undefined)
      throw new RecordError('seed-refused', `the wrapped seed seeds/${name} is missing: its blocks can't be opened`);
    const file = parseSeedFile(bytes);
    if (file.origin !== this.#origin || seedFileName(file.retentionClass, file.epoch, file.writer) !== name) {
      throw new RecordError(
        'seed-malformed',
        `seeds/${name} says it is the seed of another log, class, epoch or writer`,
      );
    }
    if (file.retentionClass !== scope.retentionClass)
      throw new RecordError('seed-malformed', `seeds/${name} is of another class`);
    return unwrapSeed(file, this.#keys);
  }
}
