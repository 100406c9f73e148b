/**
 * The ledger: the only truth. Per tenant one append-only Merkle log of sealed records; docs/format.md has the bytes.
 *
 * Promises: what `append` answered is on stable storage and covered by the checkpoint it answered with; a call is stored as a
 * whole or not at all; the ledger never signs a smaller size, or another root at the size, than it signed before; an error in its own
 * files makes it read-only, never silent. Everything above pulls (`read`, `grown`) and the ledger knows none of its readers.
 *
 * `openLedger` (open-ledger.ts) makes one.
 */
import type {
  Envelope,
  LeafType,
  MinimisedEvent,
  RetentionClass,
  Rotation,
  Signer,
  TenantId,
} from '@watchglass/record';
import type { Keyrings, ShredRecord, Unit } from '@watchglass/record/reader';
import type { World } from '../world/world.ts';
import type { WrappedFiles } from './kek/wrapped-file.ts';
import type { Ending, KeyEnding } from './shred.ts';

export type LedgerState =
  | { readonly kind: 'writable' }
  /** Corruption, rollback or a failed fsync: reads go on, appends reject with `read-only`. */
  | { readonly kind: 'read-only'; readonly reason: string };

export interface Ledger extends AsyncDisposable {
  readonly state: LedgerState;
  /** The key-encryption keys, for what others keep wrapped beside the ledger (token keys, pseudonym keys). */
  readonly keyrings: Keyrings;
  /** The wrapped seeds of a tenant, for a rotation of the key they are wrapped under. */
  readonly wrappedSeeds: WrappedFiles;
  /** Shreds and legal holds. */
  readonly ending: Ending;
  /** Tenants that have a log, sorted. */
  tenants(): readonly TenantId[];
  /**
   * Idempotent: makes the signing key, the directories and the checkpoint of the empty tree. The leaf type (1 unless said) is that of all its leaves, for good:
   * a log that is there already keeps its own, which is reported.
   */
  addTenant(tenant: TenantId, leafType?: LeafType): Promise<void>;
  /**
   * Resolves once durable; all or nothing per call. The same id again gives the same receipt with `duplicate: true`.
   * @throws LedgerError `unknown-tenant`, `read-only`, `storage-full`, `overloaded`, `id-conflict` (with `details.position` in the call), `record-too-large`, `batch-too-large`, `closed`.
   */
  append(tenant: TenantId, items: readonly AppendItem[]): Promise<Appended>;
  /** The same for records that are encoded already; one promise a batch, receipts by position. */
  appendEncoded(tenant: TenantId, batch: EncodedBatch): Promise<AppendedBatch>;
  /** The newest durable, signed head; `checkpoint` is the signed note's text. */
  head(tenant: TenantId): { readonly size: number; readonly root: Uint8Array; readonly checkpoint: string };
  /** The name of the tenant's log. */
  origin(tenant: TenantId): string;
  /** The text of the verifier key of the tenant's checkpoints: of the newest, where there are more. */
  vkey(tenant: TenantId): string;
  /** What the leaves of the tenant's log commit to; one for all of them. */
  leafType(tenant: TenantId): LeafType;
  /** The verifier keys of all that sign the tenant's checkpoints, the newest first. */
  vkeys(tenant: TenantId): readonly string[];
  /**
   * Changes the keys that sign the tenant's checkpoints; resolves when that is durable, and an event of the log.
   * @returns the statement on the key that came, if one did
   * @throws LedgerError `key-change-refused`, `unknown-tenant`, `read-only`, `storage-full`
   */
  changeCheckpointKey(tenant: TenantId, change: KeyChange): Promise<Rotation | undefined>;
  /** Opened records from index `from` in order, at most `max` (and at most 4 MiB of m, but at least one); empty at the head. Recent ones come from memory. Shredded ones are passed over, but for those that a hold keeps. */
  read(tenant: TenantId, from: number, max: number): Promise<readonly StoredEntry[]>;
  /** The first index from `from` on whose record is left to read; the size of the log where there is none. */
  nextReadable(tenant: TenantId, from: number): Promise<number>;
  /** The leaf data of one record, which outlives its content. @throws LedgerError `not-found` */
  leafAt(tenant: TenantId, index: number): Promise<Uint8Array>;
  /** The shreds of a log that have begun, with the bytes of their ranges. */
  shreds(tenant: TenantId): Promise<readonly { readonly record: ShredRecord; readonly ranges: Uint8Array }[]>;
  /** The opening of one record: r (32 bytes), m, and the leaf data (33 bytes). @throws LedgerError `not-found`, `shredded`. */
  open(
    tenant: TenantId,
    index: number,
  ): Promise<{ readonly r: Uint8Array; readonly m: Uint8Array; readonly leaf: Uint8Array }>;
  /** The inclusion proof of one leaf, hashes from leaf to root: in the newest cosigned checkpoint where that covers it, else in the newest. @throws LedgerError `not-found`. */
  prove(
    tenant: TenantId,
    index: number,
  ): Promise<{ readonly index: number; readonly hashes: Uint8Array[]; readonly checkpoint: string }>;
  /**
   * One proof for the leaves at `indexes` (ascending) in the newest checkpoint, as `rootOfMultiproof` of record takes it; with `since`, also that the tree of so
   * many leaves is the beginning of it. @throws LedgerError `not-found`.
   */
  proveAll(
    tenant: TenantId,
    indexes: readonly number[],
    since?: number,
  ): Promise<{ readonly hashes: Uint8Array[]; readonly growth: Uint8Array[]; readonly checkpoint: string }>;
  /** That the tree of `size2` begins with that of `size1` (RFC 6962 §2.1.2); both at most the head's. */
  consistency(tenant: TenantId, size1: number, size2: number): Promise<Uint8Array[]>;
  /** The root of the tree as it was at `size`, at most the head's. */
  rootAt(tenant: TenantId, size: number): Promise<Uint8Array>;
  /** The newest checkpoint with the cosignatures of a quorum of witnesses; undefined where there is none. */
  cosigned(tenant: TenantId): CosignedHead | undefined;
  /** Stores a checkpoint that witnesses cosigned, by rename. It must be one of this log, and not smaller than the one before. */
  keepCosigned(tenant: TenantId, text: string): Promise<void>;
  /** The answer of an authority (RFC 3161) over the newest checkpoint that was stamped; undefined where there is none. */
  newestTimestamp(tenant: TenantId): Promise<{ readonly size: number; readonly response: Uint8Array } | undefined>;
  /** Stores an authority's answer for the checkpoint of this size, which was verified. */
  keepTimestamp(tenant: TenantId, size: number, response: Uint8Array): Promise<void>;
  /** Takes no more appends: somebody outside proved that the log was longer, or another. */
  suspend(reason: string): void;
  /** C2SP tlog-tiles resources: `checkpoint`, `cosigned`, `vkey`, `tile/<L>/<N>[.p/<W>]`, `tile/entries/<N>[.p/<W>]`; and `seals/<epoch>`, `rotations/<number>`; undefined when there is none. */
  resource(tenant: TenantId, path: string): Promise<Uint8Array | undefined>;
  /** The numbers of the tenant's seals (their epochs) or of the statements on its keys, ascending. */
  statements(tenant: TenantId, folder: 'seals' | 'rotations'): Promise<readonly number[]>;
  /** Resolves when `head(tenant).size > size`; rejects with the signal's reason when it aborts first, or `closed`. */
  grown(tenant: TenantId, size: number, signal: AbortSignal): Promise<void>;
  /** What intake refused, for the heartbeat's counters. */
  countRefused(tenant: TenantId, count: number): void;
  /** Emitters seen, with the holes in their sequences. */
  emitters(tenant: TenantId): readonly EmitterStatus[];
  /** Figures for `/metrics` and status. */
  statistics(): LedgerStatistics;
}

export interface CosignedHead {
  readonly size: number;
  /** The signed note with the cosignatures. */
  readonly text: string;
  /** How many witnesses cosigned it. */
  readonly witnesses: number;
}

export interface AppendItem {
  readonly event: MinimisedEvent;
  readonly envelope: Envelope;
  /** The stored record as `encode` would write it, where the caller has it already. */
  readonly text?: string;
}

/** Sequence numbers from `firstSeq` on for the next `count` events of the batch. */
export interface BatchRun {
  readonly emitter: string;
  readonly firstSeq: number;
  readonly count: number;
}

/** A call's events, encoded already: one promise and a handful of arrays a batch, nothing an event. */
export interface EncodedBatch {
  readonly count: number;
  /** The stored records m (docs/format.md), one after another. */
  readonly records: Uint8Array;
  /** Bytes of each m. */
  readonly lengths: Uint32Array;
  /** 16 bytes each: the UUID of each event. */
  readonly ids: Uint8Array;
  /** 8 bytes each: the first of the envelope's digest. The same id with another digest is a conflict. */
  readonly digests: Uint8Array;
  /** Position of each event's class in `retentionClasses`. */
  readonly classes: Uint8Array;
  /** Together they name every event, in order. */
  readonly runs: readonly BatchRun[];
  /** The newest received time, ms since 1970. */
  readonly receivedMs: number;
}

export interface Receipt {
  readonly id: string;
  readonly index: number;
  /** Leaf hash, 32 bytes. */
  readonly leaf: Uint8Array;
  readonly duplicate: boolean;
}

export interface Appended {
  readonly receipts: readonly Receipt[];
  readonly checkpoint: string;
}

export interface AppendedBatch {
  /** Log index of each item, by position. */
  readonly indexes: Float64Array;
  /** 1 where the id was in the ledger already. */
  readonly duplicates: Uint8Array;
  /** Leaf hashes of the events that weren't duplicates, 32 bytes each, in order. */
  readonly leafHashes: Uint8Array;
  readonly checkpoint: string;
}

export interface StoredEntry {
  readonly index: number;
  /** The stored record's bytes; `decode` of record reads them. */
  readonly m: Uint8Array;
  readonly retentionClass: RetentionClass;
  readonly epoch: number;
}

export interface EmitterStatus {
  readonly id: string;
  readonly lastSeq: number;
  readonly received: number;
  /** Missing sequence numbers, first and last inclusive; the oldest 64 at most. */
  readonly gaps: readonly { readonly first: number; readonly last: number; readonly sinceMs: number }[];
}

export interface LedgerStatistics {
  readonly groups: number;
  readonly events: number;
  readonly duplicates: number;
  readonly queuedEvents: number;
  readonly queuedBytes: number;
  /** Of the newest group, ms. */
  readonly lastSyncMs: number;
  readonly journalBytes: number;
}

/**
 * What is to become of a log's checkpoint keys. `planned`: a new key comes, and both sign until `end-overlap`. `compromised`: a new key comes, the old one goes
 * at once, and is believed up to `trusted` leaves only. `add-ml-dsa-44`: a second key signs beside, or another one in its place.
 */
export type KeyChange =
  | { readonly kind: 'planned' }
  | { readonly kind: 'compromised'; readonly trusted?: number }
  | { readonly kind: 'add-ml-dsa-44' }
  | { readonly kind: 'end-overlap' };

/** A log that goes on from another one. */
export interface Successor {
  readonly origin: string;
  /** What its first record says, made of the key it begins with. */
  readonly statement: (signer: Signer) => Uint8Array;
}

export interface OpenLedgerOptions {
  /** `DIR/ledger`. */
  readonly dir: string;
  /** `DIR/keys`: `kek` (unless `keyrings` is given), `<tenant>.checkpoint-key` and `<tenant>.epoch-key-<epoch>`, made 0600 when missing. */
  readonly keysDir: string;
  /**
   * Opens the key-encryption keys, once the ledger's lock is held; the local ones in `keysDir` unless given. `mayMake` is false where a ledger is there already. The disk of
   * `world` is the ledger's: one that is not written to after it failed.
   */
  readonly keyrings?: (mayMake: boolean, world: World) => Promise<Keyrings>;
  /** How key-encryption keys end; without it nothing can be shredded. */
  readonly keyEnding?: KeyEnding;
  /** Removes the index files and token keys of a class and epoch that is being shredded. */
  readonly forgetIndex?: (tenant: TenantId, unit: Unit) => Promise<void>;
  /** Log origins are `<originBase>/<tenant>`. */
  readonly originBase: string;
  /** Origins of logs that aren't there yet and go on from others, by tenant, with what they say of those. */
  readonly successors?: ReadonlyMap<string, Successor>;
  /** Only of `succeed`: opens though a succession isn't finished. */
  readonly isSuccession?: boolean;
  /** False where witnesses are asked first: months that are over are sealed with the first record then, since the files may be an older copy. */
  readonly sealAtStart?: boolean;
  readonly world: World;
  /** An idle log gets a heartbeat record after this long; 5 minutes unless said, 0 never. */
  readonly heartbeatMs?: number;
  /** Whether each seal of an epoch and each statement on a checkpoint key becomes an event of its log; yes unless said. */
  readonly recordStatements?: boolean;
  /** A hole in an emitter's sequence becomes an event after this long; 30 s unless said. */
  readonly gapMs?: number;
  /** A journal segment longer than this is archived at the end of the step; 32 MiB unless said. */
  readonly segmentBytesMax?: number;
  /** How many event ids are remembered, so that repeats are seen; a power of two, 1,048,576 unless said (45 MB). */
  readonly idEntriesMax?: number;
  /** Emitter id of the ledger's own events; `ledger` unless said. */
  readonly emitterId?: string;
  /** Told of things an operator should know: recovery, quarantine, archiving that failed and will be tried again. No PHI. */
  readonly report?: (line: LedgerReport) => void;
}

export interface LedgerReport {
  readonly level: 'info' | 'warn' | 'error';
  readonly message: string;
  readonly details?: Readonly<Record<string, string | number>>;
}
