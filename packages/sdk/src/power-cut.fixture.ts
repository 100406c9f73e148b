/**
 * For tests only: a disk in memory that loses its power. Names change in the order in which they were changed, as on a journalling file system, but only what was synced is certain: of everything
 * after that some beginning survives, and of unsynced bytes some part.
 */
import type { SpoolDisk, SpoolFile } from './disk.ts';

interface Inode {
  live: Uint8Array;
  durable: Uint8Array;
}

/** Numbers between 0 and 1, the same for the same seed (mulberry32). */
export function seeded(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  };
}

export class PowerCutDisk {
  /** Operations until the power goes. */
  operationsLeft: number = Number.POSITIVE_INFINITY;
  readonly #random: () => number;
  #names = new Map<string, Inode>();
  /** Names as they were at the last sync, and after each change since then. */
  #history: Map<string, Inode>[] = [new Map()];

  constructor(random: () => number) {
    this.#random = random;
  }

  /** What is found when the power is back. */
  restart(): void {
    this.operationsLeft = Number.POSITIVE_INFINITY;
    const survivor = this.#history[Math.floor(this.#random() * this.#history.length)] as Map<string, Inode>;
    this.#names = new Map();
    for (const [name, { live, durable }] of survivor) {
      // Longer or shorter than what is certain: any part of the difference may have got through.
      const kept = durable.length + Math.floor((live.length - durable.length) * this.#random());
      const bytes = Uint8Array.from(live.length >= durable.length ? live.subarray(0, kept) : durable);
      if (live.length < durable.length && this.#random() < 0.5) this.#names.set(name, inodeOf(live));
      else this.#names.set(name, inodeOf(bytes));
    }
    this.#history = [new Map(this.#names)];
  }

  readonly disk: SpoolDisk = {
    makeDir: async () => undefined,
    list: async (path) => {
      const prefix = `${path}/`;
      return [...this.#names.keys()]
        .filter((name) => name.startsWith(prefix) && !name.slice(prefix.length).includes('/'))
        .map((name) => name.slice(prefix.length));
    },
    size: async (path) => this.#find(path).live.length,
    read: async (path) => Uint8Array.from(this.#find(path).live),
    readAt: async (path, position, length) => this.#find(path).live.slice(position, position + length),
    create: async (path) => {
      this.#step();
      if (this.#names.has(path)) throw Object.assign(new Error('EEXIST'), { code: 'EEXIST' });
      const inode = inodeOf(new Uint8Array());
      this.#change((names) => names.set(path, inode));
      return this.#open(inode);
    },
    edit: async (path) => this.#open(this.#find(path)),
    rename: async (from, to) => {
      this.#step();
      const inode = this.#find(from);
      this.#change((names) => {
        names.delete(from);
        names.set(to, inode);
      });
    },
    remove: async (path) => {
      this.#step();
      if (this.#names.has(path)) this.#change((names) => names.delete(path));
    },
    syncDir: async () => {
      this.#step();
      this.#history = [new Map(this.#names)];
    },
    freeBytes: () => Number.POSITIVE_INFINITY,
  };

  #open(inode: Inode): SpoolFile {
    return {
      write: async (bytes, position) => {
        // The power may go in the middle of it.
        const part = this.operationsLeft === 0 ? Math.floor(bytes.length * this.#random()) : bytes.length;
        const end = Math.max(inode.live.length, position + part);
        const next = new Uint8Array(end);
        next.set(inode.live);
        next.set(bytes.subarray(0, part), position);
        inode.live = next;
        this.#step();
      },
      datasync: async () => {
        this.#step();
        inode.durable = inode.live;
      },
      truncate: async (size) => {
        this.#step();
        inode.live = inode.live.slice(0, size);
      },
      linked: () => true,
      close: async () => undefined,
    };
  }

  #change(apply: (names: Map<string, Inode>) => void): void {
    apply(this.#names);
    this.#history.push(new Map(this.#names));
  }

  #find(path: string): Inode {
    const inode = this.#names.get(path);
    if (inode === undefined) throw Object.assign(new Error('ENOENT'), { code: 'ENOENT' });
    return inode;
  }

  #step(): void {
    if (this.operationsLeft === 0) throw Object.assign(new Error('the power went'), { code: 'EIO' });
    this.operationsLeft -= 1;
  }
}

function inodeOf(bytes: Uint8Array): Inode {
  return { live: bytes, durable: bytes };
}
