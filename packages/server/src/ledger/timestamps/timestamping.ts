/**
 * Has checkpoints stamped by a timestamp authority (RFC 3161), at most one a tenant and period, and keeps the answers beside the log. Nothing waits for it: an authority that fails is
 * told and asked again with the next round, and what it answered is verified before it is kept.
 */
import { X509Certificate } from 'node:crypto';
import { formatCheckpoint, type TenantId } from '@watchglass/record';
import { type Http, HttpFailure } from '../../world/http.ts';
import type { World } from '../../world/world.ts';
import { LedgerError } from '../errors.ts';
import type { Ledger, LedgerReport } from '../ledger.ts';
import { openTimestamp, statedTime, timestampRequest } from './timestamp.ts';

export interface TimestampingOptions {
  readonly ledger: Pick<Ledger, 'state' | 'head' | 'vkey' | 'tenants' | 'newestTimestamp' | 'keepTimestamp'>;
  readonly world: World;
  readonly http: Http;
  /** Of the authority. */
  readonly url: string;
  readonly periodMs: number;
  /** The authority must lead to one of these, where there are any. */
  readonly roots: readonly X509Certificate[];
  readonly report: (line: LedgerReport) => void;
}

export interface TimestampStatus {
  readonly tenant: TenantId;
  readonly size: number;
  readonly timeMs: number;
}

const answerBytesMax = 65_536;
const deadlineMs = 15_000;
/** How often it is looked whether one is due. */
const lookMs = 60_000;
/** After a failure, where the period isn't shorter. */
const againMs = 10 * 60_000;
/** The clock of an authority may differ from ours by this much before its stamp is refused. */
const skewMsMax = 10 * 60_000;

export class Timestamping implements AsyncDisposable {
  readonly #options: TimestampingOptions;
  readonly #stopping: AbortController = new AbortController();
  readonly #newest: Map<TenantId, TimestampStatus> = new Map();
  /** By the monotonic clock, when the next may be asked for. */
  readonly #nextMs: Map<TenantId, number> = new Map();
  #failing = false;
  #running: Promise<void> = Promise.resolve();

  constructor(options: TimestampingOptions) {
    this.#options = options;
  }

  start(): void {
    this.#running = this.#run().catch((error: unknown) => {
      if (!this.#stopping.signal.aborted)
        this.#tell('error', `no checkpoint is stamped until a restart: ${messageOf(error)}`);
    });
  }

  /** The newest of each tenant, of this process. */
  status(): readonly TimestampStatus[] {
    return [...this.#newest.values()];
  }

  async #run(): Promise<void> {
    const { ledger, world } = this.#options;
    const { signal } = this.#stopping;
    while (!signal.aborted && ledger.state.kind === 'writable') {
      for (const tenant of ledger.tenants()) if (await this.#isDue(tenant)) await this.#stamp(tenant, signal);
      await world.clock.sleep(lookMs, signal);
    }
  }

  /** Due after a period without one, where the log has grown since. A restart doesn't begin the period anew. */
  async #isDue(tenant: TenantId): Promise<boolean> {
    const { ledger, world, periodMs } = this.#options;
    if (!this.#nextMs.has(tenant)) await this.#recall(tenant);
    if (world.clock.monotonicMs() < (this.#nextMs.get(tenant) ?? 0)) return false;
    const grown = ledger.head(tenant).size > (this.#newest.get(tenant)?.size ?? 0);
    if (grown) this.#nextMs.set(tenant, world.clock.monotonicMs() + Math.min(periodMs, againMs));
    return grown;
  }

  async #recall(tenant: TenantId): Promise<void> {
    const { ledger, world, periodMs } = this.#options;
    this.#nextMs.set(tenant, 0);
    const stored = await ledger.newestTimestamp(tenant);
    if (stored === undefined) return;
    try {
      const timeMs = statedTime(stored.response);
      this.#newest.set(tenant, { tenant, size: stored.size, timeMs });
      this.#nextMs.set(tenant, world.clock.monotonicMs() + Math.max(0, timeMs + periodMs - world.clock.now()));
    } catch (error) {
      if (!(error instanceof LedgerError)) throw error;
      this.#tell('warn', `timestamps/${stored.size}.tsr of ${tenant} cannot be read: ${error.message}`);
    }
  }

  async #stamp(tenant: TenantId, signal: AbortSignal): Promise<void> {
    const { ledger, world, http, url, roots, periodMs } = this.#options;
    const { size, root } = ledger.head(tenant);
    const vkey = ledger.vkey(tenant);
    const origin = vkey.slice(0, vkey.indexOf('+'));
    const message = Buffer.from(formatCheckpoint({ origin, size: BigInt(size), root }));
    const nonce = world.random.bytes(8);
    try {
      const { status, body } = await http.ask({
        method: 'POST',
        url,
        contentType: 'application/timestamp-query',
        body: timestampRequest(message, nonce),
        bytesMax: answerBytesMax,
        deadlineMs,
        signal,
      });
      if (status !== 200) throw new LedgerError('timestamp-refused', `the authority answered ${status}`);
      const { timeMs } = openTimestamp(body, { message, nonce, roots });
      if (Math.abs(timeMs - world.clock.now()) > skewMsMax)
        throw new LedgerError('timestamp-invalid', 'its time is more than ten minutes from ours; correct the clocks');
      await ledger.keepTimestamp(tenant, size, body);
      this.#newest.set(tenant, { tenant, size, timeMs });
      this.#nextMs.set(tenant, world.clock.monotonicMs() + periodMs);
      if (this.#failing) this.#tell('info', 'the timestamp authority stamps again');
      this.#failing = false;
    } catch (error) {
      if (signal.aborted) return;
      if (!(error instanceof HttpFailure) && !(error instanceof LedgerError)) throw error;
      if (!this.#failing) this.#tell('warn', `a checkpoint was not stamped: ${messageOf(error)}; it is tried again`);
      this.#failing = true;
    }
  }

  #tell(level: LedgerReport['level'], message: string): void {
    this.#options.report({ level, message });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stopping.abort(new Error('the server is stopping'));
    await this.#running;
  }
}

/** Certificates of a PEM file, in order. @throws LedgerError `timestamp-invalid` */
export function readRoots(pem: string): readonly X509Certificate[] {
  const found = pem.match(/-----BEGIN CERTIFICATE-----[\s\S]*?-----END CERTIFICATE-----/g) ?? [];
  try {
    if (found.length === 0) throw new Error('there is none');
    return found.map((one) => new X509Certificate(one));
  } catch (cause) {
    throw new LedgerError('timestamp-invalid', `expected certificates in PEM: ${messageOf(cause)}`, {}, cause);
  }
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
