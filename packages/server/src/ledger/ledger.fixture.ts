/** The one door for tests to ledgers of their own: a temporary directory, a clock that is told the time, events without PHI. */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { cp, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, relative } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { type Event, encodeEvent, minimise, parseTenantId, type TenantId, uuidv7 } from '@watchglass/record';
import type { LedgerFiles, VerifyReport } from '@watchglass/record/reader';
import { verifyLedger } from '@watchglass/record/reader';
import type { Disk, DiskFile } from '../world/disk.ts';
import { realDisk } from '../world/real-disk.ts';
import { realRandom } from '../world/real-world.ts';
import type { Clock, World } from '../world/world.ts';
import type { AppendItem, Ledger, LedgerReport, OpenLedgerOptions } from './ledger.ts';
import { openLedger } from './open-ledger.ts';

export const clinic: TenantId = parseTenantId('clinic');
export const startMs: number = Date.UTC(2026, 2, 14, 9, 26, 53);

/** A clock that goes only when it is told to. */
export class ToldClock implements Clock {
  #nowMs: number;
  #steppedMs = 0;
  #timers: { atMs: number; readonly periodMs: number | undefined; readonly run: () => void }[] = [];

  constructor(nowMs: number = startMs) {
    this.#nowMs = nowMs;
  }

  now(): number {
    return this.#nowMs + this.#steppedMs;
  }

  monotonicMs(): number {
    return this.#nowMs;
  }

  after(delayMs: number, run: () => void): { cancel(): void } {
    return this.#add(delayMs, undefined, run);
  }

  every(periodMs: number, run: () => void): { cancel(): void } {
    return this.#add(periodMs, periodMs, run);
  }

  sleep(delayMs: number, signal?: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      if (signal?.aborted === true) return reject(signal.reason);
      const timer = this.after(delayMs, resolve);
      signal?.addEventListener('abort', () => {
        timer.cancel();
        reject(signal.reason);
      });
    });
  }

  /** Lets time pass, a second at a time with room for what it set going, until something has come about. */
  async passUntil(done: () => boolean): Promise<void> {
    for (let seconds = 0; !done(); seconds++) {
      assert.ok(seconds < 10_000, 'it does not come about');
      this.advance(1_000);
      await wait(2);
    }
  }

  /** Somebody sets the wall clock. */
  step(ms: number): void {
    this.#steppedMs += ms;
  }

  /** Moves the clock and calls what is due. */
  advance(ms: number): void {
    this.#nowMs += ms;
    for (const timer of [...this.#timers]) {
      if (timer.atMs > this.#nowMs) continue;
      if (timer.periodMs === undefined) this.#timers = this.#timers.filter((other) => other !== timer);
      else timer.atMs = this.#nowMs + timer.periodMs;
      timer.run();
    }
  }

  #add(delayMs: number, periodMs: number | undefined, run: () => void): { cancel(): void } {
    const timer = { atMs: this.#nowMs + delayMs, periodMs, run };
    this.#timers.push(timer);
    const cancel = (): void => {
      this.#timers = this.#timers.filter((other) => other !== timer);
    };
    return { cancel };
  }
}

/** What a disk can be told to do wrong; everything else is the real one. */
export interface Faults {
  /** Bytes that still fit into journal segments. */
  journalRoomBytes: number;
  /** Message of the error that the next fdatasync of a journal segment gives. */
  failSync: string | undefined;
}

export function faultyDisk(faults: Faults): Disk {
  return {
    ...realDisk,
    async open(path, how, mode) {
      const file = await realDisk.open(path, how, mode);
      return path.endsWith('.wgj') ? faultyFile(file, faults) : file;
    },
  };
}

function faultyFile(file: DiskFile, faults: Faults): DiskFile {
  return {
    async write(bytes, position) {
      const room = Math.min(bytes.length, faults.journalRoomBytes);
      if (room === 0) throw Object.assign(new Error('no space left on device'), { code: 'ENOSPC' });
      faults.journalRoomBytes -= room;
      return file.write(bytes.subarray(0, room), position);
    },
    read: (into, position) => file.read(into, position),
    async datasync() {
      if (faults.failSync !== undefined) throw Object.assign(new Error(faults.failSync), { code: 'EIO' });
      await file.datasync();
    },
    truncate: (sizeBytes) => file.truncate(sizeBytes),
    size: () => file.size(),
    close: () => file.close(),
  };
}

export interface TestPlace {
  readonly dir: string;
  readonly ledgerDir: string;
  readonly keysDir: string;
  readonly clock: ToldClock;
  readonly reports: LedgerReport[];
  /** Emitter sequence numbers given out. */
  readonly seqs: Map<string, number>;
  world(disk?: Disk): World;
  open(options?: Partial<OpenLedgerOptions>): Promise<Ledger>;
  verify(options?: {
    readonly checkpoint?: string;
    readonly vkey?: string;
    readonly withoutKeys?: boolean;
    readonly full?: boolean;
  }): Promise<VerifyReport>;
  /** All of it, somewhere else. */
  copy(): Promise<TestPlace>;
  remove(): Promise<void>;
}

export async function testPlace(): Promise<TestPlace> {
  return placeAt(await mkdtemp(join(tmpdir(), 'watchglass-ledger-')));
}

/** As `testPlace`, removed when `run` is done. */
export async function withPlace(run: (place: TestPlace) => Promise<void>): Promise<void> {
  const place = await testPlace();
  try {
    await run(place);
  } finally {
    await place.remove();
  }
}

export function placeAt(dir: string): TestPlace {
  const ledgerDir = join(dir, 'ledger');
  const keysDir = join(dir, 'keys');
  const clock = new ToldClock();
  const reports: LedgerReport[] = [];
  const world = (disk: Disk = realDisk): World => ({ clock, random: realRandom, disk });
  return {
    dir,
    ledgerDir,
    keysDir,
    clock,
    reports,
    seqs: new Map(),
    world,
    open: (options = {}) =>
      openLedger({
        dir: ledgerDir,
        keysDir,
        originBase: 'watchglass.example',
        world: world(),
        heartbeatMs: 0,
        recordStatements: false,
        report: (line) => reports.push(line),
        ...options,
      }),
    verify: ({ withoutKeys = false, ...options } = {}) =>
      verifyLedger({ ledgerDir, ...(withoutKeys ? {} : { keysDir }), ...options }),
    async copy() {
      const to = await mkdtemp(join(tmpdir(), 'watchglass-ledger-'));
      await cp(dir, to, { recursive: true });
      return placeAt(to);
    },
    remove: () => rm(dir, { recursive: true, force: true }),
  };
}

/** `count` events of one emitter, with the next sequence numbers. */
export function items(place: TestPlace, count: number, facts: Partial<Event> = {}): AppendItem[] {
  return Array.from({ length: count }, () => item(place, facts));
}

export function item(place: TestPlace, facts: Partial<Event> = {}): AppendItem {
  const emitter = facts.emitter?.id ?? 'gateway-1';
  const seq = facts.emitter?.seq ?? (place.seqs.get(emitter) ?? 0) + 1;
  place.seqs.set(emitter, seq);
  const received = new Date(place.clock.now()).toISOString();
  const event = minimise({
    v: 1,
    id: uuidv7(place.clock.now(), realRandom.bytes(10)),
    time: received,
    tenant: clinic,
    kind: 'api',
    action: 'read',
    operation: 'read',
    outcome: { status: 'success', code: 200 },
    actor: { id: `person-${seq % 7}`, type: 'human' },
    ...facts,
    emitter: { id: emitter, seq },
  });
  return { event, envelope: { received, submitter: 'key:test', intake: 'http', digest: digestOf(event) } };
}

export function digestOf(event: Event): string {
  return createHash('sha256').update(encodeEvent(event)).digest('hex');
}

/** Every file below a directory, by relative path, sorted. */
export async function filesBelow(dir: string): Promise<string[]> {
  const entries = await readdir(dir, { recursive: true, withFileTypes: true });
  return entries
    .filter((entry) => entry.isFile())
    .map((entry) => relative(dir, join(entry.parentPath, entry.name)))
    .sort();
}

/** Changes one byte of a file. */
export async function flip(path: string, at: number): Promise<void> {
  const bytes = await readFile(path);
  bytes[at] = (bytes[at] as number) ^ 0x01;
  await writeFile(path, bytes);
}

/** A copy of the files below a directory in memory, to change and to verify thousands of times. Directories that hold nothing aren't kept. */
export async function filesInMemory(
  dir: string,
): Promise<{ readonly contents: Map<string, Uint8Array>; readonly files: LedgerFiles }> {
  const contents = new Map<string, Uint8Array>();
  for (const name of await filesBelow(dir))
    contents.set(join(dir, name), Uint8Array.from(await readFile(join(dir, name))));
  return { contents, files: memoryFiles(contents) };
}

/** Reads what the map holds at the moment. */
export function memoryFiles(contents: ReadonlyMap<string, Uint8Array>): LedgerFiles {
  return {
    async open(path) {
      const bytes = contents.get(path);
      if (bytes === undefined) throw Object.assign(new Error(`no such file: ${path}`), { code: 'ENOENT' });
      return {
        async read(into, position) {
          const part = bytes.subarray(position, position + into.length);
          into.set(part);
          return part.length;
        },
        close: async () => undefined,
      };
    },
    readFile: async (path) => contents.get(path),
    async list(path) {
      const prefix = path.endsWith('/') ? path : `${path}/`;
      const names = new Set<string>();
      for (const name of contents.keys()) {
        if (!name.startsWith(prefix)) continue;
        const rest = name.slice(prefix.length);
        names.add(rest.includes('/') ? rest.slice(0, rest.indexOf('/') + 1) : rest);
      }
      return [...names].sort();
    },
    size: async (path) => contents.get(path)?.length,
  };
}
