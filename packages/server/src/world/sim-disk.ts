/**
 * A disk in memory that outlives the processes on it. It knows what a kill leaves (everything that was written, synced or not) and
 * what a power failure leaves (what was synced, and of the rest whatever the seed decides: sim-content.ts and sim-names.ts).
 * The promises are those of disk.ts. What a process meets is decided by its faults, one for each operation by number.
 */
import { dirname } from 'node:path';
import type { Disk, DiskFile, DiskLock, ReplaceOptions } from './disk.ts';
import { makeDirectory } from './make-directory.ts';
import { SimContent } from './sim-content.ts';
import { SimNames } from './sim-names.ts';
import type { SimRandom } from './sim-random.ts';

export type SimFault =
  /** The process dies before the operation. */
  | 'dies'
  /** The process dies inside a write, some of which is done; for anything else, after it. */
  | 'dies-within'
  /** A write stores some of it and fails, a sync loses what it was asked for, everything else just fails. */
  | 'EIO'
  /** The same for want of room. Once. */
  | 'ENOSPC'
  /** Nothing grows and nothing is made for the next operations. */
  | 'full'
  /** A write does less than it was asked for, and says so. */
  | 'short';

/** One thing that goes wrong in a process's life. */
export interface SimMishap {
  readonly fault: SimFault;
  /** At which operation, from 0. */
  readonly at: number;
  /** Counted are only operations that begin with the first and contain the second: `['datasync', '.wgj']`. All of them unless said. */
  readonly among?: readonly [verb: string, path: string];
}

/** A file that can't be read as it is, from one of a process's reads on. What is stored stays as it is. */
export interface SimMisread {
  /** It fails; it ends too early; or a bit of it is another. */
  readonly fault: 'EIO' | 'ends early' | 'flip';
  /** At which read, from 0. */
  readonly at: number;
  /** How many reads of the file it is so for. */
  readonly times: number;
  /** Where in the file, beyond its size counted on from its beginning. */
  readonly spot: number;
}

const fullForOperations = 12;
const sectorBytes = 512;
/** What room is given out by: a file grows inside its last block on the fullest disk. */
const blockBytes = 4096;

export class SimDisk {
  readonly #random: SimRandom;
  readonly names: SimNames = new SimNames();
  readonly #locks: Map<string, SimProcess> = new Map();
  /** Told of each operation that was done, for a trace. */
  onOperation: ((what: string) => void) | undefined;

  constructor(random: SimRandom) {
    this.#random = random;
  }

  /** The disk as the next process has it. */
  process(mishaps: readonly SimMishap[] = [], misreads: readonly SimMisread[] = []): SimProcess {
    return new SimProcess(this, this.#random, { mishaps, misreads, locks: this.#locks });
  }

  losePower(): void {
    const contents = new Set([...this.names.files()].map(([, content]) => content));
    for (const content of this.names.storedFiles()) contents.add(content);
    for (const content of contents) content.losePower(this.#random);
    this.names.losePower(this.#random);
  }
}

export class SimProcess implements Disk {
  readonly #disk: SimDisk;
  readonly #names: SimNames;
  readonly #random: SimRandom;
  readonly #mishaps: (SimMishap & { left: number })[];
  readonly #misreads: readonly SimMisread[];
  readonly #unreadable: Map<string, { readonly misread: SimMisread; left: number }> = new Map();
  readonly #locks: Map<string, SimProcess>;
  readonly #durableDirectories: Set<string> = new Set();
  #fullUntil = -1;
  #dead = false;
  #die: () => void = () => undefined;
  /** Resolves when the process dies of a fault. */
  readonly died: Promise<void> = new Promise((resolve) => {
    this.#die = resolve;
  });
  operations = 0;
  reads = 0;
  /** Something went wrong. */
  met = false;
  /** Something was read that isn't so. */
  misled = false;
  /** The first sync that failed. */
  failedSync: string | undefined;

  constructor(
    disk: SimDisk,
    random: SimRandom,
    {
      mishaps,
      misreads,
      locks,
    }: {
      readonly mishaps: readonly SimMishap[];
      readonly misreads: readonly SimMisread[];
      readonly locks: Map<string, SimProcess>;
    },
  ) {
    this.#disk = disk;
    this.#misreads = misreads;
    this.#names = disk.names;
    this.#random = random;
    this.#mishaps = mishaps.map((mishap) => ({ ...mishap, left: mishap.at }));
    this.#locks = locks;
  }

  get dead(): boolean {
    return this.#dead;
  }

  /** SIGKILL: nothing answers the process any more, and its locks are free. */
  kill(): void {
    if (this.#dead) return;
    this.#dead = true;
    for (const [path, holder] of this.#locks) if (holder === this) this.#locks.delete(path);
    this.#die();
  }

  #next(what: string): SimFault | undefined {
    let fault: SimFault | undefined;
    for (const mishap of this.#mishaps) {
      const [verb, path] = mishap.among ?? ['', ''];
      if (what.startsWith(verb) && what.includes(path) && mishap.left-- === 0) fault ??= mishap.fault;
    }
    return fault;
  }

  /**
   * One operation. `done` does it; `some` does a part of it, for a write that is torn; `grows` says whether it needs room.
   */
  async #operate<T>(
    what: string,
    done: (fault: SimFault | undefined) => T,
    { some = () => undefined, grows = false, sync }: Operation = {},
  ): Promise<T> {
    if (this.#dead) return forever();
    // Others get their turn, as they do while a real disk works.
    await new Promise((resolve) => setImmediate(resolve));
    if (this.#dead) return forever();
    const at = this.operations++;
    const fault = this.#next(what);
    if (fault !== undefined) this.met = true;
    this.#disk.onOperation?.(fault === undefined ? `${at} ${what}` : `${at} ${what} ← ${fault}`);
    if (fault === 'full') this.#fullUntil = at + fullForOperations;
    if (grows && at <= this.#fullUntil) {
      some();
      throw failure('ENOSPC', what);
    }
    switch (fault) {
      case 'dies':
        this.kill();
        return forever();
      case 'dies-within':
        if (what.startsWith('write')) some();
        else done(fault);
        this.kill();
        return forever();
      case 'EIO':
      case 'ENOSPC':
        if (sync !== undefined) {
          sync();
          // No room isn't a disk that can't be trusted: what is written anew from its first byte may be tried again.
          if (fault === 'EIO') this.failedSync ??= what;
        } else some();
        throw failure(fault, what);
      default:
        return done(fault);
    }
  }

  async open(path: string, how: 'read' | 'append' | 'create'): Promise<DiskFile> {
    if (this.#dead) return forever();
    const known = this.#names.file(path);
    if (how === 'read') {
      if (known === undefined) throw failure('ENOENT', path);
      return this.#file(path, known);
    }
    if (how === 'create' && known !== undefined) throw failure('EEXIST', path);
    if (known !== undefined) return this.#file(path, known);
    return this.#operate(`create ${path}`, () => this.#file(path, this.#make(path)), { grows: true });
  }

  #make(path: string): SimContent {
    if (!this.#names.isDirectory(dirname(path))) throw failure('ENOENT', path);
    const content = new SimContent();
    this.#names.change([[path, content]]);
    return content;
  }

  #file(path: string, content: SimContent): DiskFile {
    return {
      write: (bytes, position) => this.#write(path, content, bytes, position),
      read: async (into, position) => {
        if (this.#dead) return forever();
        const got = content.read(into, position);
        return this.#misread(path, content.size, into.subarray(0, got), position);
      },
      datasync: () =>
        this.#operate(`datasync ${path}`, () => content.sync(), { sync: () => content.failSync(this.#random) }),
      truncate: (sizeBytes) => this.#operate(`truncate ${path} to ${sizeBytes}`, () => content.truncate(sizeBytes)),
      size: async () => content.size,
      close: async () => undefined,
    };
  }

  #write(path: string, content: SimContent, bytes: Uint8Array, position: number): Promise<number> {
    const part = bytes.subarray(0, this.#random.below(bytes.length + 1));
    // The system copies a sector as a whole, whatever happens to the process.
    const whole = Math.max(0, part.length - ((position + part.length) % sectorBytes));
    const some = (): void =>
      content.write(bytes.subarray(0, part.length === bytes.length ? bytes.length : whole), position);
    const done = (fault: SimFault | undefined): number => {
      const taken = fault === 'short' && part.length > 0 ? part : bytes;
      content.write(taken, position);
      return taken.length;
    };
    const what = `write ${path} +${bytes.length} at ${position}`;
    return this.#operate(what, done, { some, grows: blocksOf(position + bytes.length) > blocksOf(content.size) });
  }

  async readFile(path: string): Promise<Uint8Array | undefined> {
    if (this.#dead) return forever();
    if (this.#names.isDirectory(path)) throw failure('EISDIR', path);
    const bytes = this.#names.file(path)?.bytes();
    return bytes?.subarray(0, this.#misread(path, bytes.length, bytes, 0));
  }

  /** What a read brings: `bytes` as they are stored, or not. @returns how many of them */
  #misread(path: string, size: number, bytes: Uint8Array, position: number): number {
    const at = this.reads++;
    const begins = this.#misreads.find((one) => one.at === at);
    if (begins !== undefined && !this.#unreadable.has(path))
      this.#unreadable.set(path, { misread: begins, left: begins.times });
    const bad = this.#unreadable.get(path);
    if (bad === undefined || bad.left <= 0 || bytes.length === 0) return bytes.length;
    bad.left--;
    const { fault, spot } = bad.misread;
    const where = (spot % size) - position;
    const isHit = fault === 'EIO' || (where < bytes.length && (where >= 0 || fault === 'ends early'));
    if (!isHit) return bytes.length;
    this.met = true;
    this.misled = true;
    this.#disk.onOperation?.(`read ${path} at ${position} ← ${fault} at ${spot % size}`);
    if (fault === 'EIO') throw failure('EIO', `read ${path}`);
    if (fault === 'ends early') return Math.max(0, where);
    bytes[where] = (bytes[where] as number) ^ (1 << (spot & 7));
    return bytes.length;
  }

  async replace(path: string, bytes: Uint8Array, options: ReplaceOptions = {}): Promise<void> {
    const { durable = true, temporary = `${path}.tmp` } = options;
    const content = await this.#operate(
      `create ${temporary}`,
      () => {
        const known = this.#names.file(temporary);
        known?.truncate(0);
        return known ?? this.#make(temporary);
      },
      { grows: this.#names.file(temporary) === undefined },
    );
    const file = this.#file(temporary, content);
    for (let written = 0; written < bytes.length; ) written += await file.write(bytes.subarray(written), written);
    if (durable) await file.datasync();
    await this.rename(temporary, path);
    if (durable) await this.syncDirectory(dirname(path));
  }

  rename(from: string, to: string): Promise<void> {
    return this.#operate(`rename ${from} ${to}`, () => {
      const found = this.#names.below(from).reverse();
      if (found.length === 0 || !this.#names.isDirectory(dirname(to))) throw failure('ENOENT', from);
      this.#names.change(
        found.flatMap((name) => [
          [name, undefined],
          [`${to}${name.slice(from.length)}`, this.#names.file(name) ?? 'directory'],
        ]),
      );
    });
  }

  link(from: string, to: string): Promise<void> {
    return this.#operate(
      `link ${from} ${to}`,
      () => {
        const content = this.#names.file(from);
        if (content === undefined) throw failure('ENOENT', from);
        if (this.#names.file(to) !== undefined) throw failure('EEXIST', to);
        this.#names.change([[to, content]]);
      },
      { grows: true },
    );
  }

  remove(path: string): Promise<void> {
    return this.#operate(`remove ${path}`, () => {
      if (this.#names.file(path) !== undefined) this.#names.change([[path, undefined]]);
    });
  }

  removeTree(path: string): Promise<void> {
    return this.#operate(`remove ${path}/`, () => {
      for (const known of [...this.#durableDirectories])
        if (known === path || known.startsWith(`${path}/`)) this.#durableDirectories.delete(known);
      for (const name of this.#names.below(path)) this.#names.change([[name, undefined]]);
    });
  }

  makeDirectory(path: string): Promise<void> {
    const make = async (directory: string): Promise<string | undefined> => {
      if (this.#names.isDirectory(directory)) return undefined;
      let first = directory;
      while (!this.#names.isDirectory(dirname(first))) first = dirname(first);
      await this.#operate(
        `make ${directory}/`,
        () => {
          for (let at = first; ; at = directory.slice(0, nextSlash(directory, at.length))) {
            this.#names.change([[at, 'directory']]);
            if (at === directory) break;
          }
        },
        { grows: true },
      );
      return first;
    };
    const sync = (directory: string): Promise<void> => this.syncDirectory(directory);
    return makeDirectory({ make, sync, durable: this.#durableDirectories }, path);
  }

  syncDirectory(path: string): Promise<void> {
    // A file system whose own log can't be written stops; so what a failed sync was asked for isn't lost behind our backs here.
    return this.#operate(
      `sync ${path}/`,
      () => {
        if (!this.#names.isDirectory(path)) throw failure('ENOENT', path);
        this.#names.sync(path);
      },
      { sync: () => undefined },
    );
  }

  async list(path: string): Promise<string[]> {
    if (this.#dead) return forever();
    return this.#names.list(path);
  }

  async size(path: string): Promise<number | undefined> {
    if (this.#dead) return forever();
    return this.#names.file(path)?.size;
  }

  async lock(path: string): Promise<DiskLock | undefined> {
    if (this.#dead) return forever();
    if (this.#locks.has(path)) return undefined;
    if (this.#names.file(path) === undefined) this.#make(path);
    this.#locks.set(path, this);
    return {
      release: () => {
        if (this.#locks.get(path) === this) this.#locks.delete(path);
      },
    };
  }
}

interface Operation {
  readonly some?: () => void;
  readonly grows?: boolean;
  /** For a sync: what happens to what it was asked for when it fails. */
  readonly sync?: () => void;
}

function blocksOf(bytes: number): number {
  return Math.ceil(bytes / blockBytes);
}

/** The process is dead: nothing answers it any more. */
function forever<T>(): Promise<T> {
  return new Promise<T>(() => undefined);
}

function nextSlash(path: string, from: number): number {
  const at = path.indexOf('/', from + 1);
  return at < 0 ? path.length : at;
}

function failure(code: string, what: string): Error {
  return Object.assign(new Error(`${code}: ${what}`), { code });
}
