/**
 * A bounded sample of receipts, kept durably: each receipt that was offered is in it with the same chance, however many there were, so that a log is held to what it said last
 * year and last minute. With it, for each log, the keys believed and the newest checkpoint verified; and the failures seen, so that a restart doesn't silence them.
 */
import { join } from 'node:path';

import type { SpoolDisk } from './disk.ts';
import type { SdkErrorCode } from './errors.ts';
import type { KeptReceipt, LogMemory } from './receipt-check.ts';

export const receiptsMax = 64;
const failuresMax = 16;
const logsMax = 4;
const fileBytesMax = 4 * 1024 * 1024;

export interface ReceiptFailure {
  readonly code: SdkErrorCode;
  readonly message: string;
  /** RFC 3339. */
  readonly at: string;
  /** Where it is about one receipt. */
  readonly index?: number;
  readonly id?: string;
  /** The signed note that contradicts what is remembered: worth keeping. */
  readonly checkpoint?: string;
}

interface State {
  /** Receipts offered so far. */
  offered: number;
  receipts: KeptReceipt[];
  /** By origin. */
  logs: Record<string, LogMemory>;
  failures: ReceiptFailure[];
}

export class ReceiptSample {
  readonly #disk: SpoolDisk;
  readonly #path: string;
  readonly #dir: string;
  #state: State = { offered: 0, receipts: [], logs: {}, failures: [] };
  #writing: Promise<void> = Promise.resolve();

  private constructor(disk: SpoolDisk, dir: string) {
    this.#disk = disk;
    this.#dir = dir;
    this.#path = join(dir, 'receipts.json');
  }

  /** A file that can't be read, or makes no sense, is begun anew: it is a memory, and losing it must not stop recording. */
  static async open(disk: SpoolDisk, dir: string): Promise<ReceiptSample> {
    const sample = new ReceiptSample(disk, dir);
    try {
      await disk.makeDir(dir);
      const bytes = await disk.read(sample.#path);
      const state = bytes.length > fileBytesMax ? undefined : stateOf(JSON.parse(Buffer.from(bytes).toString('utf8')));
      if (state !== undefined) sample.#state = state;
    } catch {
      // None yet, or one that can't be read: whether a new one can be kept shows when it is.
    }
    return sample;
  }

  get receipts(): readonly KeptReceipt[] {
    return this.#state.receipts;
  }

  get failures(): readonly ReceiptFailure[] {
    return this.#state.failures;
  }

  memoryOf(origin: string): LogMemory | undefined {
    return Object.hasOwn(this.#state.logs, origin) ? this.#state.logs[origin] : undefined;
  }

  /** Reservoir sampling (Vitter's algorithm R). @param random from 0 to below 1 */
  offer(receipt: KeptReceipt, random: number): Promise<void> {
    const state = this.#state;
    state.offered += 1;
    const place = state.receipts.length < receiptsMax ? state.receipts.length : Math.floor(random * state.offered);
    if (place >= receiptsMax) return Promise.resolve();
    state.receipts[place] = receipt;
    return this.#save();
  }

  remember(origin: string, memory: LogMemory): Promise<void> {
    const others = Object.entries(this.#state.logs).filter(([name]) => name !== origin);
    this.#state.logs = Object.fromEntries([...others.slice(-(logsMax - 1)), [origin, memory]]);
    return this.#save();
  }

  /** False where it is known already. */
  async fail(failure: ReceiptFailure): Promise<boolean> {
    const { failures } = this.#state;
    if (failures.some(({ code, index }) => code === failure.code && index === failure.index)) return false;
    failures.push(failure);
    failures.splice(0, failures.length - failuresMax);
    await this.#save();
    return true;
  }

  /** Everything asked for is on the disk, or failed. */
  settled(): Promise<void> {
    return this.#writing.catch(() => undefined);
  }

  #save(): Promise<void> {
    this.#writing = this.#writing.catch(() => undefined).then(() => this.#write());
    return this.#writing;
  }

  async #write(): Promise<void> {
    const temporary = `${this.#path}.new`;
    await this.#disk.remove(temporary);
    const file = await this.#disk.create(temporary);
    try {
      await file.write(Buffer.from(`${JSON.stringify({ v: 1, ...this.#state })}\n`), 0);
      await file.datasync();
    } finally {
      await file.close();
    }
    await this.#disk.rename(temporary, this.#path);
    await this.#disk.syncDir(this.#dir);
  }
}

/** Undefined where it is no sample of ours. */
function stateOf(value: unknown): State | undefined {
  const state = value as State & { readonly v?: unknown };
  const isText = (one: unknown): boolean => typeof one === 'string';
  const whole = (one: unknown): boolean => Number.isSafeInteger(one) && (one as number) >= 0;
  const fine =
    typeof value === 'object' &&
    value !== null &&
    state.v === 1 &&
    whole(state.offered) &&
    Array.isArray(state.receipts) &&
    state.receipts.length <= receiptsMax &&
    state.receipts.every(isReceipt) &&
    Array.isArray(state.failures) &&
    state.failures.every((one) => isText(one?.code) && isText(one?.message) && isText(one?.at)) &&
    typeof state.logs === 'object' &&
    state.logs !== null &&
    Object.values(state.logs).every(
      (log) => Array.isArray(log?.keys) && log.keys.every(isText) && (log.head === undefined || isText(log.head)),
    );
  if (!fine) return undefined;
  const { offered, receipts, logs, failures } = state;
  return { offered, receipts, logs, failures };
}

export function isReceipt(value: unknown): value is KeptReceipt {
  const { id, index, leaf, checkpoint } = (value ?? {}) as Partial<Record<keyof KeptReceipt, unknown>>;
  return (
    typeof id === 'string' &&
    id.length <= 64 &&
    Number.isSafeInteger(index) &&
    (index as number) >= 0 &&
    typeof leaf === 'string' &&
    /^[A-Za-z0-9+/]{43}=$/.test(leaf) &&
    typeof checkpoint === 'string' &&
    checkpoint.length <= 16_384
  );
}
