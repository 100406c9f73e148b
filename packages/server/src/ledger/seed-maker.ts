/**
 * Makes the seeds that writing needs: wrapped and durable before their first use (docs/format.md, "Keys"). Only a new class or epoch of a writer needs one, so
 * appends go on while the keeper of the keys is away.
 *
 * Seeds are made before a call joins the queue: a keeper that hangs holds up the calls that need it, and no other tenant's. One that failed is left alone for
 * some seconds, so that waiting calls fail at once rather than one after another.
 */
import { RecordError, type RetentionClass, retentionClasses } from '@watchglass/record';
import { isKeeperFault, type Keyrings, StepKeys, seedFileName, wrapSeed } from '@watchglass/record/reader';
import type { World } from '../world/world.ts';
import { epochOf } from './epoch.ts';
import { LedgerError } from './errors.ts';
import type { EncodedBatch } from './ledger.ts';
import type { StorageDriver } from './storage.ts';
import type { TenantLog } from './tenant-log.ts';

const leftAloneMs = 3_000;

export class SeedMaker {
  readonly #world: World;
  readonly #driver: StorageDriver;
  readonly #keyrings: Keyrings;
  readonly #making: Map<string, Promise<void>> = new Map();
  readonly #failed: Map<string, { readonly error: LedgerError; readonly atMs: number }> = new Map();

  /** Seeds in use: blocks were sealed under them, and their files must never be replaced by others. */
  readonly #made: Set<string> = new Set();
  readonly #putting: Set<Promise<void>> = new Set();
  #closed = false;

  constructor(parts: { readonly world: World; readonly driver: StorageDriver; readonly keyrings: Keyrings }) {
    this.#world = parts.world;
    this.#driver = parts.driver;
    this.#keyrings = parts.keyrings;
  }

  /** What a batch must wait for before it is queued; undefined, nearly always, when every seed is there. */
  needed(log: TenantLog, { classes, receivedMs }: EncodedBatch, writer: Uint8Array): Promise<void> | undefined {
    const epoch = Math.max(log.epoch, epochOf(receivedMs));
    const missing = retentionClasses.filter(
      (name, position) => classes.includes(position) && log.keysOf(name, epoch) === undefined,
    );
    if (missing.length === 0) return undefined;
    return (async () => {
      for (const retentionClass of missing) await this.make(log, retentionClass, epoch, writer);
    })();
  }

  /** @throws LedgerError `keys-unavailable` */
  make(log: TenantLog, retentionClass: RetentionClass, epoch: number, writer: Uint8Array): Promise<void> {
    if (log.keysOf(retentionClass, epoch) !== undefined) return Promise.resolve();
    const failed = this.#failed.get(log.tenant);
    if (failed !== undefined && this.#world.clock.monotonicMs() - failed.atMs < leftAloneMs)
      return Promise.reject(failed.error);
    const name = `${log.tenant} ${retentionClass} ${epoch}`;
    let making = this.#making.get(name);
    if (making === undefined) {
      making = this.#make(log, retentionClass, epoch, writer).finally(() => this.#making.delete(name));
      this.#making.set(name, making);
    }
    return making;
  }

  /** No more is written; resolves when what was being written is. A keeper that still thinks isn't waited for. */
  async close(): Promise<void> {
    this.#closed = true;
    await Promise.allSettled(this.#putting);
  }

  async #make(log: TenantLog, retentionClass: RetentionClass, epoch: number, writer: Uint8Array): Promise<void> {
    if (this.#made.has(`${log.tenant} ${retentionClass} ${epoch}`))
      throw new LedgerError(
        'corrupt',
        `the seed of ${retentionClass} in epoch ${epoch} of ${log.tenant} is in use, and was asked for again: another one would take its place; restart`,
      );
    const seed = this.#world.random.bytes(32);
    try {
      await this.#keyrings.of(log.tenant).hold(async (kek) => {
        const file = await wrapSeed(seed, { origin: log.origin, retentionClass, epoch, writer }, kek);
        if (this.#closed) throw new LedgerError('closed', 'the ledger was closed');
        const put = this.#driver.putSeed(log.tenant, seedFileName(retentionClass, epoch, writer), file);
        this.#putting.add(put);
        await put.finally(() => this.#putting.delete(put));
      });
    } catch (error) {
      if (!(error instanceof RecordError)) throw error;
      const refusal = asKeysUnavailable(error);
      this.#failed.set(log.tenant, { error: refusal, atMs: this.#world.clock.monotonicMs() });
      throw refusal;
    }
    this.#failed.delete(log.tenant);
    this.#made.add(`${log.tenant} ${retentionClass} ${epoch}`);
    log.keys.set(`${retentionClass} ${epoch}`, new StepKeys(seed));
  }
}

/** What a keeper of keys didn't do, as the ledger says it. */
export function asKeysUnavailable(error: RecordError): LedgerError {
  return new LedgerError(
    'keys-unavailable',
    `the key-encryption key is needed and can't be used (${error.code}: ${error.message})`,
    { keeper: error.code },
    error,
  );
}

/** A keeper that doesn't answer isn't a damaged record, nor is one that was shredded: readers are told which it was. */
export function asLedgerFault(error: unknown): unknown {
  if (error instanceof RecordError && error.code === 'record-shredded')
    return new LedgerError('shredded', error.message, {}, error);
  return error instanceof RecordError && isKeeperFault(error) && error.code !== 'unwrap-forbidden'
    ? asKeysUnavailable(error)
    : error;
}
