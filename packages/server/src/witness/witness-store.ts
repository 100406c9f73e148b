/**
 * What a witness must not forget: of each log the newest checkpoint it cosigned, one file a log, `logs/<hex SHA-256(origin)>`, the note as it was
 * answered. A file that isn't such a note stops the witness for that log: without its memory it could be talked into two histories.
 *
 * `put` resolves after the bytes are on stable storage. One process a directory, kept by `lock`.
 */
import { createHash } from 'node:crypto';
import { type Checkpoint, openNote, parseCheckpoint, type Verifier } from '@watchglass/record';
import { ServerError } from '../errors.ts';
import type { DiskLock } from '../world/disk.ts';
import type { World } from '../world/world.ts';

export interface Remembered {
  readonly checkpoint: Checkpoint;
  /** The log's signatures that were verified, and ours. */
  readonly note: string;
  /** Of our newest cosignature. */
  readonly timeSeconds: bigint;
}

export class WitnessStore implements Disposable {
  readonly #world: World;
  readonly #dir: string;
  readonly #lock: DiskLock;
  readonly #known: Map<string, Remembered>;
  /** Logs whose file can't be believed, or whose last write failed. */
  readonly #broken: Map<string, string>;

  private constructor(
    world: World,
    dir: string,
    lock: DiskLock,
    known: Map<string, Remembered>,
    broken: Map<string, string>,
  ) {
    this.#world = world;
    this.#dir = dir;
    this.#lock = lock;
    this.#known = known;
    this.#broken = broken;
  }

  /** @throws ServerError `witness-locked` */
  static async open(world: World, dataDir: string, keys: readonly Verifier[]): Promise<WitnessStore> {
    const dir = `${dataDir}/logs`;
    await world.disk.makeDirectory(dir);
    const lock = await world.disk.lock(`${dataDir}/lock`);
    if (lock === undefined)
      throw new ServerError(
        'witness-locked',
        `another process is the witness of ${dataDir}; end it first: two with one key could cosign two histories`,
      );
    const known = new Map<string, Remembered>();
    const broken = new Map<string, string>();
    try {
      for (const name of await world.disk.list(dir)) {
        if (!/^[0-9a-f]{64}$/.test(name)) continue;
        const bytes = await world.disk.readFile(`${dir}/${name}`);
        const read = readRemembered(name, bytes, keys);
        if (typeof read === 'string') broken.set(name, read);
        else known.set(name, read);
      }
    } catch (error) {
      lock.release();
      throw error;
    }
    return new WitnessStore(world, dir, lock, known, broken);
  }

  /** What can't be believed, by hash of the origin. */
  get broken(): ReadonlyMap<string, string> {
    return this.#broken;
  }

  all(): Iterable<Remembered> {
    return this.#known.values();
  }

  /** @throws ServerError `witness-state-damaged` */
  get(hash: string): Remembered | undefined {
    const fault = this.#broken.get(hash);
    if (fault !== undefined) throw new ServerError('witness-state-damaged', fault);
    return this.#known.get(hash);
  }

  async put(hash: string, remembered: Remembered): Promise<void> {
    try {
      await this.#world.disk.replace(`${this.#dir}/${hash}`, Buffer.from(remembered.note), { mode: 0o600 });
    } catch (cause) {
      // Full is full, and nothing was replaced; after anything else nobody knows what is stored until it is read back.
      if (!isFull(cause))
        this.#broken.set(hash, 'the last cosignature could not be stored; restart the witness after checking its disk');
      throw new ServerError('unavailable', 'the witness cannot store what it would sign', { cause });
    }
    this.#known.set(hash, remembered);
  }

  [Symbol.dispose](): void {
    this.#lock.release();
  }
}

/** Names a log's file, and its address below the monitoring prefix (c2sp.org/tlog-witness). */
export function originHex(origin: string): string {
  return createHash('sha256').update(origin).digest('hex');
}

/** What the file says, or why it can't be believed. */
function readRemembered(name: string, bytes: Uint8Array | undefined, keys: readonly Verifier[]): Remembered | string {
  const what = `logs/${name} is not a checkpoint that this witness cosigned`;
  try {
    const note = Buffer.from(bytes ?? []).toString('utf8');
    const { text, signatures } = openNote(note, keys);
    const checkpoint = parseCheckpoint(text);
    const timeSeconds = signatures[0]?.timeSeconds;
    if (originHex(checkpoint.origin) !== name || timeSeconds === undefined)
      return `${what}; restore it from its backup, and never an older one`;
    return { checkpoint, note, timeSeconds };
  } catch (error) {
    return `${what} (${error instanceof Error ? error.message : String(error)}); restore it, and never an older one`;
  }
}

function isFull(error: unknown): boolean {
  return error instanceof Error && 'code' in error && (error.code === 'ENOSPC' || error.code === 'EDQUOT');
}
