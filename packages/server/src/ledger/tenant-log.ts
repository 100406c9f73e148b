/**
 * One tenant's log as the writer holds it: the tree as built, the head as committed and signed, and the keys in use.
 *
 * `frontier` runs ahead of `head` by the groups that aren't durable yet. Only the sequencer touches either.
 */
import {
  type Frontier,
  formatCheckpoint,
  originHashOf,
  type RetentionClass,
  type Signer,
  signNote,
  type TenantId,
} from '@watchglass/record';
import type { RecordReader, StepKeys } from '@watchglass/record/reader';
import type { EmitterCoverage } from './emitter-coverage.ts';
import { LedgerError } from './errors.ts';
import type { CosignedHead } from './ledger.ts';

export interface Head {
  readonly size: number;
  readonly root: Uint8Array;
  /** The signed note. */
  readonly checkpoint: string;
}

export class TenantLog {
  readonly tenant: TenantId;
  /** Small and stable while the process runs: names the tenant where four bytes are too many. */
  readonly number: number;
  readonly origin: string;
  readonly originHash: Uint8Array;
  readonly vkey: string;
  readonly records: RecordReader;
  readonly coverage: EmitterCoverage;
  readonly #signer: Signer;
  frontier: Frontier;
  head: Head;
  /** The newest checkpoint that a quorum of witnesses cosigned. */
  cosigned: CosignedHead | undefined;
  /** Months since January 1970 of the newest received time; never falls (docs/format.md, "Names"). */
  epoch: number;
  /** By class and epoch: seeds that are durable. */
  readonly keys: Map<string, StepKeys> = new Map();
  /** By the monotonic clock. */
  lastEventMs: number;
  /** Since the last heartbeat. */
  received = 0;
  refused = 0;
  /** Those who wait for the log to grow. */
  readonly waiting: Set<{ readonly size: number; readonly wake: () => void; readonly closed: () => void }> = new Set();

  constructor(parts: {
    tenant: TenantId;
    number: number;
    origin: string;
    signer: Signer;
    vkey: string;
    records: RecordReader;
    coverage: EmitterCoverage;
    frontier: Frontier;
    head: Head;
    epoch: number;
    lastEventMs: number;
  }) {
    this.tenant = parts.tenant;
    this.number = parts.number;
    this.origin = parts.origin;
    this.originHash = originHashOf(parts.origin);
    this.vkey = parts.vkey;
    this.records = parts.records;
    this.coverage = parts.coverage;
    this.#signer = parts.signer;
    this.frontier = parts.frontier;
    this.head = parts.head;
    this.epoch = parts.epoch;
    this.lastEventMs = parts.lastEventMs;
  }

  /** Signs a committed head. A smaller tree than the last one signed, or another one of its size, is never signed. */
  sign(size: number, root: Uint8Array): Head {
    if (size < this.head.size || (size === this.head.size && Buffer.compare(root, this.head.root) !== 0)) {
      throw new LedgerError(
        'corrupt',
        `expected a tree that extends the signed one of ${this.head.size} leaves, got ${size}; run watchglass verify`,
      );
    }
    return { size, root, checkpoint: signHead(this.#signer, this.origin, size, root) };
  }

  /** Makes a signed head the one everybody sees. */
  publish(head: Head): void {
    this.head = head;
    for (const waiter of [...this.waiting]) if (head.size > waiter.size) waiter.wake();
  }

  keysOf(retentionClass: RetentionClass, epoch: number): StepKeys | undefined {
    return this.keys.get(`${retentionClass} ${epoch}`);
  }
}

export function signHead(signer: Signer, origin: string, size: number, root: Uint8Array): string {
  return signNote(formatCheckpoint({ origin, size: BigInt(size), root }), [signer]);
}

/** Months since January 1970, UTC: the calendar of a given moment, not of the machine's clock. */
export function epochOf(ms: number): number {
  const date = new Date(ms);
  return Math.max(0, (date.getUTCFullYear() - 1970) * 12 + date.getUTCMonth());
}
