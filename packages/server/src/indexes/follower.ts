/**
 * Follows one tenant's log: pulls what is durable, hands it to the writing worker in batches, and knows how far the index is. Driven by the ledger's `grown`,
 * never by polling. A file that was deleted or is damaged is built again. When a batch fails (a full disk, say) it begins again from what the files say, after a pause that grows.
 */
import { basename, join } from 'node:path';
import type { RetentionClass, TenantId } from '@watchglass/record';
import { retentionClasses } from '@watchglass/record';
import { type Unit, unitName } from '@watchglass/record/reader';
import type { StoredEntry } from '../ledger/ledger.ts';
import { Coverage, type CoveredFile } from './coverage.ts';
import { removeIndex } from './forget-index.ts';
import { entryDigest, type FileState } from './index-file.ts';
import { tokenKey } from './index-keys.ts';
import type { IndexesDeps, IndexStatus } from './indexes.ts';
import type { Batch, FileAccess, OpenAnswer, ReadableFile, WriteRequest } from './messages.ts';
import { isDamage, type WorkerClient } from './worker-client.ts';

/** Entries asked of the ledger at once; it gives at most 4 MiB. */
const batchEntriesMax = 2_000;
/** Batches handed to the worker and not yet answered. */
const batchesUnderWayMax = 2;
/** After a batch, groups of the ledger may gather for this long: longer where much arrives, since a large transaction costs less an entry. */
const gatherMs = 20;
const gatherBusyMs = 100;
const busyBatchEntries = 20;
const retryFirstMs = 500;
const retryMaxMs = 30_000;
/** How often it is looked whether all files are still there. */
const lookMs = 2_000;

interface FollowerOptions extends IndexesDeps {
  readonly tenant: TenantId;
  readonly pseudonymKey: Uint8Array;
  readonly writer: WorkerClient<WriteRequest>;
}

/** What is to be closed and removed before the files are opened again. */
interface Forgetting {
  readonly unit: Unit;
  readonly closeReaders: (paths: readonly string[]) => Promise<void>;
  readonly done: PromiseWithResolvers<void>;
}

interface Waiter {
  readonly size: number;
  readonly resolve: () => void;
}

export class Follower implements AsyncDisposable {
  readonly #options: FollowerOptions;
  readonly #dir: string;
  readonly #stop: AbortController = new AbortController();
  readonly #access: Map<string, FileAccess> = new Map();
  readonly #waiters: Set<Waiter> = new Set();
  #coverage: Map<RetentionClass, Coverage> = new Map();
  /** Entries below are in the index. */
  #indexed = 0;
  /** Monotonic ms since which something waits to be indexed. */
  #behindSinceMs: number | undefined;
  #failure: string | undefined;
  #running: Promise<void> = Promise.resolve();
  /** Counts how often the files were opened: what was opened before may be another file. */
  #opening = 0;
  /** Read the files through when they are opened next. */
  #check = false;
  readonly #forgetting: Forgetting[] = [];
  /** Ends a pause. */
  #wake: AbortController = new AbortController();
  /** Ends following as long as the files stay what they are. */
  #round: AbortController | undefined;

  constructor(options: FollowerOptions) {
    this.#options = options;
    this.#dir = join(options.dir, options.tenant);
  }

  /** Resolves when what is on disk has been looked at; following goes on by itself. */
  async start(): Promise<void> {
    let from: number | undefined;
    try {
      from = await this.#open();
    } catch (error) {
      this.#fail(error);
    }
    this.#running = this.#run(from);
  }

  get files(): readonly ReadableFile[] {
    return [...this.#coverage.values()].flatMap(({ retentionClass, files }) =>
      files.map(({ path, start, next }) => ({
        ...(this.#access.get(path) as FileAccess),
        retentionClass,
        opening: this.#opening,
        start,
        next,
      })),
    );
  }

  get status(): IndexStatus {
    const { tenant, ledger, world } = this.#options;
    const size = ledger.head(tenant).size;
    const since = this.#behindSinceMs;
    const lagMs = this.#indexed >= size || since === undefined ? 0 : world.clock.monotonicMs() - since;
    return { tenant, indexed: this.#indexed, size, lagMs, failure: this.#failure };
  }

  async reached(size: number, signal?: AbortSignal): Promise<void> {
    if (this.#indexed >= size) return;
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const waiter: Waiter = { size, resolve };
    const stopped = signal === undefined ? this.#stop.signal : AbortSignal.any([signal, this.#stop.signal]);
    const onAbort = (): void => reject(stopped.reason);
    stopped.throwIfAborted();
    stopped.addEventListener('abort', onAbort, { once: true });
    this.#waiters.add(waiter);
    try {
      await promise;
    } finally {
      this.#waiters.delete(waiter);
      stopped.removeEventListener('abort', onAbort);
    }
  }

  /** A file was found damaged or gone: all are opened again, read through, and what is not whole is built afresh. */
  doubt(): void {
    this.#check = true;
    this.#round?.abort(new Error('an index file is damaged'));
  }

  /** Closes and removes the file of a class and epoch, and its token key; then follows on. */
  async forget(unit: Unit, closeReaders: Forgetting['closeReaders']): Promise<void> {
    this.#stop.signal.throwIfAborted();
    const done = Promise.withResolvers<void>();
    this.#forgetting.push({ unit, closeReaders, done });
    this.#round?.abort(new Error('a class and epoch are being shredded'));
    this.#wake.abort(new Error('a class and epoch are being shredded'));
    await done.promise;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort(new Error('the indexes were closed'));
    await this.#running;
    for (const { done } of this.#forgetting.splice(0)) done.reject(new Error('the indexes were closed'));
    // Closed files have no write-ahead log left; a worker that is gone has closed them in its own way.
    await this.#closeFiles().catch(() => undefined);
  }

  async #run(first: number | undefined): Promise<void> {
    const { signal } = this.#stop;
    let from = first;
    let pauseMs = retryFirstMs;
    while (!signal.aborted) {
      const round = new AbortController();
      const looking = this.#options.world.clock.every(lookMs, () => void this.#look(round));
      try {
        from ??= await this.#open();
        this.#failure = undefined;
        this.#round = round;
        if (this.#forgetting.length > 0) {
          from = undefined;
          continue;
        }
        await this.#follow(from, AbortSignal.any([signal, round.signal]), () => {
          pauseMs = retryFirstMs;
        });
      } catch (error) {
        if (signal.aborted) return;
        this.#check ||= isDamage(error);
        from = undefined;
        // Files that are to go are no failure.
        if (this.#forgetting.length > 0) continue;
        this.#fail(error);
        if (round.signal.aborted) continue;
        this.#wake = new AbortController();
        const over = AbortSignal.any([signal, this.#wake.signal]);
        await this.#options.world.clock.sleep(pauseMs, over).catch(() => undefined);
        pauseMs = Math.min(pauseMs * 2, retryMaxMs);
      } finally {
        this.#round = undefined;
        looking.cancel();
      }
    }
  }

  /** A deleted file stays readable for who has it open, so nobody would miss it before the next start. */
  async #look(round: AbortController): Promise<void> {
    const files = this.files.map(({ path }) => basename(path));
    try {
      const there = new Set(await this.#options.world.disk.list(this.#dir));
      const gone = files.find((name) => !there.has(name));
      if (gone !== undefined && this.#round === round) round.abort(new Error(`the index file ${gone} is gone`));
    } catch (error) {
      if (this.#round === round) round.abort(error);
    }
  }

  /** Opens every file there is, throws away what doesn't belong to this log, and answers where to go on. */
  async #open(): Promise<number> {
    const { world } = this.#options;
    await world.disk.makeDirectory(this.#dir);
    await this.#closeFiles();
    const forgotten = await this.#forgetFiles();
    try {
      return await this.#openWhole();
    } finally {
      // Whoever waits may ask at once: not before it shows how far the rest is.
      for (const { done } of forgotten) done.resolve();
    }
  }

  async #openWhole(): Promise<number> {
    const { writer } = this.#options;
    let opened = await this.#openFiles();
    if (!(await this.#belong(opened))) {
      this.#report('warn', 'the index belongs to another log and is built afresh');
      const paths = opened.map(({ file }) => file.path);
      await writer.request<undefined>({ kind: 'close', paths });
      for (const path of paths) await this.#remove(path);
      opened = [];
    }
    const coverage = new Map(retentionClasses.map((one) => [one, new Coverage(one)]));
    for (const { retentionClass, file } of opened) coverage.get(retentionClass)?.put(file);
    this.#coverage = coverage;
    this.#opening += 1;
    this.#check = false;
    const from = Math.min(...[...coverage.values()].map(({ firstHole }) => firstHole));
    this.#advance(from);
    return from;
  }

  async #forgetFiles(): Promise<readonly Forgetting[]> {
    const { world, dir, tenant } = this.#options;
    const forgotten: Forgetting[] = [];
    for (let next = this.#forgetting[0]; next !== undefined; next = this.#forgetting[0]) {
      const path = join(this.#dir, `${unitName(next.unit)}.sqlite`);
      this.#coverage.get(next.unit.retentionClass)?.drop(next.unit.epoch);
      this.#access.delete(path);
      await next.closeReaders([path]);
      await removeIndex(world, dir, tenant, next.unit);
      this.#forgetting.shift();
      forgotten.push(next);
    }
    return forgotten;
  }

  async #openFiles(): Promise<{ retentionClass: RetentionClass; file: CoveredFile; state: FileState }[]> {
    const opened: { retentionClass: RetentionClass; file: CoveredFile; state: FileState }[] = [];
    for (const name of await this.#options.world.disk.list(this.#dir)) {
      const match = /^([a-z]+)-(\d+)\.sqlite$/.exec(name);
      const retentionClass = retentionClasses.find((one) => one === match?.[1]);
      if (match === null || retentionClass === undefined) continue;
      const epoch = Number(match[2]);
      const path = join(this.#dir, name);
      const answer = await this.#openFile(retentionClass, epoch, 0);
      if (answer.kind === 'unusable') {
        this.#report('warn', 'an index file is not usable and is built afresh', { file: name, reason: answer.reason });
        await this.#remove(path);
      } else {
        const { start, next } = answer.state;
        opened.push({ retentionClass, file: { epoch, path, start, next }, state: answer.state });
      }
    }
    return opened;
  }

  /** Whether every file's newest entry is that of the log: a restored ledger is another log. */
  async #belong(opened: readonly { readonly file: CoveredFile; readonly state: FileState }[]): Promise<boolean> {
    const { ledger, tenant } = this.#options;
    const { size } = ledger.head(tenant);
    for (const { file, state } of opened) {
      if (file.next > size) return false;
      if (state.last === undefined) continue;
      const [entry] = await ledger.read(tenant, state.last.index, 1);
      // One that was shredded tells nothing any more.
      if (entry?.index === state.last.index && entryDigest(entry.m) !== state.last.digest) return false;
    }
    return true;
  }

  async #openFile(retentionClass: RetentionClass, epoch: number, start: number): Promise<OpenAnswer> {
    const { tenant, pseudonymKey, world, writer } = this.#options;
    const path = join(this.#dir, `${retentionClass}-${epoch}.sqlite`);
    const key = await tokenKey(this.#options, { dir: this.#dir, tenant, retentionClass, epoch });
    const file: FileAccess = { path, tokenKey: key, pseudonymKey };
    this.#access.set(path, file);
    if ((await world.disk.size(path)) === undefined) await this.#remove(path);
    return await writer.request<OpenAnswer>({ kind: 'open', file, start, check: this.#check });
  }

  async #closeFiles(): Promise<void> {
    await this.#options.writer.request<undefined>({ kind: 'close', paths: [...this.#access.keys()] });
  }

  async #follow(from: number, signal: AbortSignal, onProgress: () => void): Promise<void> {
    const { ledger, tenant, world, writer } = this.#options;
    const underWay: Promise<void>[] = [];
    let position = from;
    /** Below it is nothing to read from `position` on. */
    let looked = from;
    try {
      for (;;) {
        if (ledger.head(tenant).size <= looked) {
          // Nothing to read: see what is under way through, then wait for the log to grow.
          while (underWay.length > 0) await underWay.shift();
          await ledger.grown(tenant, looked, signal);
        }
        const { size } = ledger.head(tenant);
        const readAtMs = world.clock.monotonicMs();
        this.#behindSinceMs ??= readAtMs;
        const entries = await ledger.read(tenant, position, batchEntriesMax);
        signal.throwIfAborted();
        const newest = entries.at(-1);
        if (newest === undefined) {
          // All that is left was shredded.
          looked = size;
          while (underWay.length > 0) await underWay.shift();
          this.#behindSinceMs = undefined;
          this.#advance(size);
          continue;
        }
        const batch = await this.#batchOf(position, entries);
        const next = newest.index + 1;
        underWay.push(
          writer.request<undefined>({ kind: 'add', batch }, [batch.bytes.buffer as ArrayBuffer]).then(() => {
            this.#behindSinceMs = ledger.head(tenant).size > next ? readAtMs : undefined;
            this.#advance(next);
            onProgress();
          }),
        );
        position = next;
        looked = next;
        if (underWay.length >= batchesUnderWayMax) await underWay.shift();
        if (ledger.head(tenant).size - position < batchEntriesMax) {
          await world.clock.sleep(entries.length < busyBatchEntries ? gatherMs : gatherBusyMs, signal);
        }
      }
    } finally {
      await Promise.allSettled(underWay);
    }
  }

  /** Gives each entry its file; opens the files of a new epoch. */
  async #batchOf(from: number, entries: readonly StoredEntry[]): Promise<Batch> {
    const files: { path: string; next: number }[] = [];
    const numbers = new Map<string, number>();
    const cover = (file: CoveredFile, next: number): number => {
      let number = numbers.get(file.path);
      if (number === undefined) {
        number = files.push({ path: file.path, next }) - 1;
        numbers.set(file.path, number);
      }
      file.next = Math.max(file.next, next);
      const known = files[number];
      if (known !== undefined) known.next = Math.max(known.next, next);
      return number;
    };
    const live = new Map<RetentionClass, CoveredFile | undefined>();
    for (const [retentionClass, coverage] of this.#coverage) live.set(retentionClass, coverage.at(from));

    const indexes = new Float64Array(entries.length);
    const lengths = new Uint32Array(entries.length);
    const fileOf = new Uint16Array(entries.length);
    let bytesTotal = 0;
    for (const [position, entry] of entries.entries()) {
      let file = live.get(entry.retentionClass);
      if (file?.epoch !== entry.epoch) {
        // The epoch before ends where this one begins.
        if (file !== undefined) cover(file, entry.index);
        file = await this.#fileFor(entry.retentionClass, entry.epoch, entry.index);
        live.set(entry.retentionClass, file);
      }
      fileOf[position] = cover(file, entry.index + 1);
      indexes[position] = entry.index;
      lengths[position] = entry.m.length;
      bytesTotal += entry.m.length;
    }
    const next = (entries.at(-1)?.index ?? from - 1) + 1;
    for (const [retentionClass, file] of live) {
      // A class without entries gets a file all the same: it holds how far the class is.
      cover(file ?? (await this.#fileFor(retentionClass, entries[0]?.epoch ?? 0, from)), next);
    }
    const bytes = new Uint8Array(bytesTotal);
    let at = 0;
    for (const { m } of entries) {
      bytes.set(m, at);
      at += m.length;
    }
    return { indexes, bytes, lengths, fileOf, files };
  }

  async #fileFor(retentionClass: RetentionClass, epoch: number, start: number): Promise<CoveredFile> {
    const coverage = this.#coverage.get(retentionClass);
    if (coverage === undefined) throw new Error(`expected one of the retention classes, got ${retentionClass}`);
    const known = coverage.of(epoch);
    if (known !== undefined) return known;
    const answer = await this.#openFile(retentionClass, epoch, start);
    if (answer.kind === 'unusable') throw new Error(`a new index file can't be made: ${answer.reason}`);
    const file: CoveredFile = {
      epoch,
      path: join(this.#dir, `${retentionClass}-${epoch}.sqlite`),
      start: answer.state.start,
      next: answer.state.next,
    };
    coverage.put(file);
    return file;
  }

  #advance(indexed: number): void {
    this.#indexed = indexed;
    for (const waiter of this.#waiters) if (waiter.size <= indexed) waiter.resolve();
  }

  /** With what SQLite keeps beside it: a write-ahead log without its file says nothing. */
  async #remove(path: string): Promise<void> {
    for (const ending of ['', '-wal', '-shm']) await this.#options.world.disk.remove(path + ending);
  }

  #fail(error: unknown): void {
    this.#failure = error instanceof Error ? error.message : String(error);
    this.#report('error', 'indexing stopped and will be tried again', { reason: this.#failure });
  }

  #report(
    level: 'info' | 'warn' | 'error',
    message: string,
    details: Readonly<Record<string, string | number>> = {},
  ): void {
    this.#options.report?.({ level, message, details: { tenant: this.#options.tenant, ...details } });
  }
}
