/**
 * A disk in memory that can fail at any operation, and that knows what a power failure leaves: bytes that were synced, names whose directory was
 * synced, and of the rest whatever the seed decides. A failed datasync drops what it was asked for, as Linux does: the next one succeeds
 * without it. The promises are those of packages/server/src/world/disk.ts.
 */
import { dirname } from 'node:path';
import type { Disk, DiskFile, DiskLock, ReplaceOptions } from '../../packages/server/src/world/disk.ts';

export type Fault =
  /** The process dies before the operation. */
  | 'dies'
  /** The process dies half-way through a write; for anything else, after it. */
  | 'dies-half-way'
  /** A write stores half and then fails; everything else just fails. Once. */
  | 'ENOSPC'
  | 'EIO'
  /** As ENOSPC, for the next operations too. */
  | 'full';

const fullForOperations = 9;
const sectorBytes = 512;

type Change = { readonly position: number; readonly bytes: Uint8Array } | { readonly truncatedTo: number };

interface Inode {
  current: Buffer;
  durable: Buffer;
  /** Not synced yet, in order. */
  dirty: Change[];
}

/** Numbers from a seed, for what a power failure leaves. */
export function seeded(seed: number): (below: number) => number {
  let state = seed >>> 0;
  return (below) => {
    state = (Math.imul(state ^ (state >>> 15), 0x2c1b3c6d) + 0x9e3779b9) >>> 0;
    return ((state ^ (state >>> 13)) >>> 0) % below;
  };
}

export class CrashDisk implements Disk {
  readonly #names: Map<string, Inode>;
  #durableNames: Map<string, Inode>;
  readonly #directories: Set<string>;
  readonly #locks: Set<string> = new Set();
  #fault: { readonly at: number; readonly kind: Fault } | undefined;
  #fullUntil = -1;
  #dead = false;
  #die: () => void = () => undefined;
  /** Resolves when the process dies of a fault. */
  readonly died: Promise<void> = new Promise((resolve) => {
    this.#die = resolve;
  });
  operations = 0;
  /** What each operation was, for messages. */
  readonly trace: string[] = [];

  constructor(names: Map<string, Inode> = new Map(), directories: Set<string> = new Set()) {
    this.#names = names;
    this.#durableNames = new Map(names);
    this.#directories = directories;
  }

  get dead(): boolean {
    return this.#dead;
  }

  /** Operation number `at`, from 0, goes wrong. */
  failAt(at: number, kind: Fault): void {
    this.#fault = { at, kind };
  }

  /** The disk as the next process finds it after a kill: what was written is there. */
  afterKill(): CrashDisk {
    const names = new Map<string, Inode>();
    for (const [path, { current }] of this.#names) names.set(path, inodeOf(Buffer.from(current)));
    return new CrashDisk(names, new Set(this.#directories));
  }

  /** As the next process finds it after a power failure. */
  afterPowerFailure(random: (below: number) => number): CrashDisk {
    const names = new Map<string, Inode>();
    // A directory that wasn't synced is as it was, or as it became; each on its own.
    const kept = new Map<string, boolean>();
    for (const path of new Set([...this.#durableNames.keys(), ...this.#names.keys()])) {
      const directory = dirname(path);
      if (!kept.has(directory)) kept.set(directory, random(2) === 0);
      const inode = (kept.get(directory) === true ? this.#names : this.#durableNames).get(path);
      if (inode !== undefined) names.set(path, inodeOf(contentAfterPowerFailure(inode, random)));
    }
    return new CrashDisk(names, new Set(this.#directories));
  }

  async #operate<T>(what: string, whole: () => T, half: () => T = whole): Promise<T> {
    if (this.#dead) return forever();
    // Others get their turn, as they do while a real disk works.
    await new Promise((resolve) => setImmediate(resolve));
    if (this.#dead) return forever();
    const at = this.operations++;
    this.trace.push(what);
    if (at <= this.#fullUntil) throw failure('ENOSPC', what);
    if (this.#fault?.at !== at) return whole();
    switch (this.#fault.kind) {
      case 'dies':
        return this.#end();
      case 'dies-half-way':
        half();
        return this.#end();
      case 'full':
        this.#fullUntil = at + fullForOperations;
        if (what.startsWith('write')) half();
        throw failure('ENOSPC', what);
      case 'ENOSPC':
      case 'EIO':
        if (what.startsWith('write')) half();
        throw failure(this.#fault.kind, what);
      default:
        throw new TypeError(`no such fault: ${this.#fault.kind satisfies never}`);
    }
  }

  #end<T>(): Promise<T> {
    this.#dead = true;
    this.#die();
    return forever();
  }

  async open(path: string, how: 'read' | 'append' | 'create'): Promise<DiskFile> {
    if (this.#dead) return forever();
    const known = this.#names.get(path);
    if (how === 'read' && known === undefined) throw failure('ENOENT', path);
    if (how === 'create' && known !== undefined) throw failure('EEXIST', path);
    if (known !== undefined) return this.#file(path, known);
    return this.#operate(`create ${path}`, () => {
      const inode = inodeOf(Buffer.alloc(0));
      this.#names.set(path, inode);
      return this.#file(path, inode);
    });
  }

  #file(path: string, inode: Inode): DiskFile {
    const write = (position: number, bytes: Uint8Array): number => {
      change(inode, { position, bytes: Uint8Array.from(bytes) });
      return bytes.length;
    };
    return {
      write: (bytes, position) =>
        this.#operate(
          `write ${path}`,
          () => write(position, bytes),
          () => write(position, bytes.subarray(0, bytes.length >>> 1)),
        ),
      read: async (into, position) => {
        if (this.#dead) return forever();
        return inode.current.copy(into, 0, position);
      },
      datasync: () => this.#sync(`datasync ${path}`, inode),
      truncate: (sizeBytes) => this.#operate(`truncate ${path}`, () => change(inode, { truncatedTo: sizeBytes })),
      size: async () => inode.current.length,
      close: async () => undefined,
    };
  }

  async #sync(what: string, inode: Inode): Promise<void> {
    const { dirty } = inode;
    try {
      await this.#operate(what, () => {
        for (const made of inode.dirty.splice(0)) inode.durable = applied(inode.durable, made);
      });
    } catch (error) {
      dirty.splice(0);
      throw error;
    }
  }

  async readFile(path: string): Promise<Uint8Array | undefined> {
    if (this.#dead) return forever();
    const inode = this.#names.get(path);
    return inode === undefined ? undefined : Buffer.from(inode.current);
  }

  async replace(path: string, bytes: Uint8Array, options: ReplaceOptions = {}): Promise<void> {
    const { durable = true, temporary = `${path}.tmp` } = options;
    const file = await this.open(temporary, 'append');
    await file.truncate(0);
    await file.write(bytes, 0);
    if (durable) await file.datasync();
    await this.rename(temporary, path);
    if (durable) await this.syncDirectory(dirname(path));
  }

  rename(from: string, to: string): Promise<void> {
    return this.#operate(`rename ${to}`, () => {
      const inode = this.#names.get(from);
      if (inode === undefined) throw failure('ENOENT', from);
      this.#names.delete(from);
      this.#names.set(to, inode);
    });
  }

  link(from: string, to: string): Promise<void> {
    return this.#operate(`link ${to}`, () => {
      const inode = this.#names.get(from);
      if (inode === undefined) throw failure('ENOENT', from);
      this.#names.set(to, inode);
    });
  }

  remove(path: string): Promise<void> {
    return this.#operate(`remove ${path}`, () => {
      this.#names.delete(path);
    });
  }

  removeTree(path: string): Promise<void> {
    return this.#operate(`remove ${path}/`, () => {
      for (const name of this.#names.keys()) if (name.startsWith(`${path}/`)) this.#names.delete(name);
    });
  }

  async makeDirectory(path: string): Promise<void> {
    if (this.#directories.has(path)) return;
    await this.#operate(`make ${path}`, () => {
      for (let at = path; at.length > 1; at = dirname(at)) this.#directories.add(at);
    });
  }

  syncDirectory(path: string): Promise<void> {
    return this.#operate(`sync ${path}`, () => {
      const within = (name: string): boolean => dirname(name) === path;
      const others = [...this.#durableNames].filter(([name]) => !within(name));
      this.#durableNames = new Map([...others, ...[...this.#names].filter(([name]) => within(name))]);
    });
  }

  async list(path: string): Promise<string[]> {
    if (this.#dead) return forever();
    const prefix = `${path}/`.replace('//', '/');
    const below = (name: string): boolean => name.startsWith(prefix) && name.length > prefix.length;
    const first = (name: string): string => name.slice(prefix.length).split('/')[0] as string;
    const found = new Set<string>();
    for (const name of this.#directories) if (below(name)) found.add(`${first(name)}/`);
    for (const name of this.#names.keys()) if (below(name) && dirname(name) === path) found.add(first(name));
    return [...found].sort();
  }

  async size(path: string): Promise<number | undefined> {
    return this.#names.get(path)?.current.length;
  }

  async lock(path: string): Promise<DiskLock | undefined> {
    if (this.#locks.has(path)) return undefined;
    if (!this.#names.has(path)) this.#names.set(path, inodeOf(Buffer.alloc(0)));
    this.#locks.add(path);
    return { release: () => this.#locks.delete(path) };
  }
}

/** The process is dead: nothing answers it any more. */
function forever<T>(): Promise<T> {
  return new Promise<T>(() => undefined);
}

function inodeOf(content: Buffer): Inode {
  return { current: content, durable: Buffer.from(content), dirty: [] };
}

function change(inode: Inode, made: Change): void {
  inode.current = applied(inode.current, made);
  inode.dirty.push(made);
}

function applied(content: Buffer, made: Change): Buffer {
  if ('truncatedTo' in made) {
    const cut = Buffer.alloc(made.truncatedTo);
    content.copy(cut);
    return cut;
  }
  const grown = Buffer.alloc(Math.max(content.length, made.position + made.bytes.length));
  content.copy(grown);
  grown.set(made.bytes, made.position);
  return grown;
}

/** The synced bytes, and of the others all, none, some first ones, a torn one, or the length without the bytes. */
function contentAfterPowerFailure(inode: Inode, random: (below: number) => number): Buffer {
  let content = inode.durable;
  const count = random(inode.dirty.length + 1);
  for (const made of inode.dirty.slice(0, count)) content = applied(content, made);
  const next = inode.dirty[count];
  if (next === undefined || 'truncatedTo' in next) return Buffer.from(content);
  // A sector is written as a whole or not at all.
  const end = next.position + random(next.bytes.length + 1);
  const kept = next.bytes.subarray(0, Math.max(0, end - (end % sectorBytes) - next.position));
  switch (random(3)) {
    case 0:
      return Buffer.from(content);
    case 1:
      return applied(content, { position: next.position, bytes: kept });
    default:
      return applied(content, { position: next.position, bytes: new Uint8Array(next.bytes.length) });
  }
}

function failure(code: string, what: string): Error {
  return Object.assign(new Error(`${code}: ${what}`), { code });
}
