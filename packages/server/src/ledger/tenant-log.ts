/**
 * One tenant's log as the writer holds it: the tree as built, the head as committed and signed, and the keys in use.
 *
 * `frontier` runs ahead of `head` by the groups that aren't durable yet. Only the sequencer touches either.
 */
import {
  type Frontier,
  formatCheckpoint,
  type LeafType,
  originHashOf,
  type RetentionClass,
  type Signer,
  signNote,
  type TenantId,
  type Verifier,
} from '@watchglass/record';
import type { RecordReader, Remains, StepKeys } from '@watchglass/record/reader';
import { type StoredRotation, verifiersOf, vkeysOf } from './checkpoint-keys.ts';
import type { EmitterCoverage } from './emitter-coverage.ts';
import { LedgerError } from './errors.ts';
import type { CosignedHead } from './ledger.ts';
import type { LogSeals } from './sealing.ts';

export interface Head {
  readonly size: number;
  readonly root: Uint8Array;
  /** The signed note. */
  readonly checkpoint: string;
}

/** Up to where a log has events of its own about its seals and the statements on its keys; undefined when that isn't known. */
export interface RecordedStatements {
  readonly epoch: number | undefined;
  readonly rotation: number;
}

export class TenantLog {
  readonly tenant: TenantId;
  /** Small and stable while the process runs: names the tenant where four bytes are too many. */
  readonly number: number;
  readonly origin: string;
  readonly originHash: Uint8Array;
  readonly leafType: LeafType;
  readonly records: RecordReader;
  /** What shreds took, and what holds kept of it. */
  readonly remains: Remains;
  readonly coverage: EmitterCoverage;
  #signers: readonly Signer[];
  #lastRotation: StoredRotation | undefined;
  frontier: Frontier;
  head: Head;
  readonly seals: LogSeals;
  /** What the log itself says of its seals and keys. */
  recorded: RecordedStatements;
  /** The newest checkpoint that a quorum of witnesses cosigned. */
  cosigned: CosignedHead | undefined;
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
    signers: readonly Signer[];
    lastRotation: StoredRotation | undefined;
    records: RecordReader;
    remains: Remains;
    coverage: EmitterCoverage;
    frontier: Frontier;
    head: Head;
    seals: LogSeals;
    recorded: RecordedStatements;
    leafType: LeafType;
    lastEventMs: number;
  }) {
    this.tenant = parts.tenant;
    this.number = parts.number;
    this.origin = parts.origin;
    this.originHash = originHashOf(parts.origin);
    this.records = parts.records;
    this.remains = parts.remains;
    this.coverage = parts.coverage;
    this.#signers = parts.signers;
    this.#lastRotation = parts.lastRotation;
    this.frontier = parts.frontier;
    this.head = parts.head;
    this.seals = parts.seals;
    this.recorded = parts.recorded;
    this.leafType = parts.leafType;
    this.lastEventMs = parts.lastEventMs;
  }

  /** Months since January 1970 of the newest received time; never falls (docs/format.md, "Names"). */
  get epoch(): number {
    return this.seals.epoch;
  }

  /** Whether an epoch has to be sealed before something received at this moment may be appended. */
  mustSeal(receivedMs: number): boolean {
    return receivedMs >= this.seals.epochEndMs || this.seals.isSealing;
  }

  /** Seals every epoch that is over at this moment, at the head; nothing may be under way past it. Idempotent, and may be tried again. */
  async sealUntil(nowMs: number): Promise<void> {
    while (this.mustSeal(nowMs)) await this.seals.seal(this.head);
    this.#eraseOldKeys();
  }

  /** Of epochs before the last one: only a step that is still under way needs that one's. Never by an epoch that isn't open yet, whose seeds are made ahead. */
  #eraseOldKeys(): void {
    for (const [name, keys] of this.keys) {
      if (Number(name.split(' ')[1]) >= this.epoch - 1) continue;
      keys.erase();
      this.keys.delete(name);
    }
  }

  /** The keys that sign its checkpoints, the newest first. */
  get signers(): readonly Signer[] {
    return this.#signers;
  }

  /** Their verifier keys. */
  get vkeys(): readonly string[] {
    return vkeysOf(this.#signers);
  }

  /** Keys under which a stored checkpoint may stand: those that sign, and the one that was replaced last. */
  get verifiers(): readonly Verifier[] {
    return verifiersOf(this.#signers, this.#lastRotation);
  }

  /** The newest statement on them. */
  get lastRotation(): StoredRotation | undefined {
    return this.#lastRotation;
  }

  /** Others sign from now on, and the head at once. Nothing of the log may be under way. */
  signWith(signers: readonly Signer[], lastRotation: StoredRotation | undefined): void {
    this.#signers = signers;
    this.#lastRotation = lastRotation;
    this.publish(this.sign(this.head.size, this.head.root));
  }

  /** Signs a committed head. A smaller tree than the last one signed, or another one of its size, is never signed. */
  sign(size: number, root: Uint8Array): Head {
    if (size < this.head.size || (size === this.head.size && Buffer.compare(root, this.head.root) !== 0)) {
      throw new LedgerError(
        'corrupt',
        `expected a tree that extends the signed one of ${this.head.size} leaves, got ${size}; run watchglass verify`,
      );
    }
    return { size, root, checkpoint: signHead(this.#signers, this.origin, size, root) };
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

export function signHead(signers: readonly Signer[], origin: string, size: number, root: Uint8Array): string {
  return signNote(formatCheckpoint({ origin, size: BigInt(size), root }), signers);
}
