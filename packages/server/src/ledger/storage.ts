/**
 * Where a ledger's bytes live. The core (sequencer, keys, tree, signatures) stands on this interface and knows no
 * driver; `files-driver.ts` is the first one, and test/contract/storage.ts holds every driver to what is said here.
 *
 * Durability: `commit`, `putSeed`, `putDocument`, `dropUnit`, the removals and `addTenant` resolve after the bytes are on stable storage, never before.
 * `putCheckpoint` resolves when every reader sees the new text; it needn't survive a power failure, since what it says can be derived again.
 * Ordering: the core calls `commit` for one group at a time, and `putCheckpoint` for its tenants before the next.
 * Atomicity: a group is stored as a whole or not at all. `commit` is a compare-and-append: each tenant's `sizeBefore` must be the size stored.
 * A commit that rejects with `storage-full` left nothing behind, and the driver works on; any other rejection leaves it
 * unknown what is stored, and the core commits nothing more.
 * Fencing: while a driver is open no other process can commit to the same place; opening rejects with `locked`.
 */
import type { LeafType, RetentionClass } from '@watchglass/record';
import type { BlockIndex, EncodedGroup, Group, LedgerFiles, ParsedGroup, Unit } from '@watchglass/record/reader';

export interface StorageDriver extends AsyncDisposable {
  /** What opening found wrong; the core goes read-only and says so. */
  readonly fault: string | undefined;
  /** Number the next group must have. */
  readonly nextGroup: number;
  /** Bytes of groups not archived yet. */
  readonly journalBytes: number;
  /** Logs in this place. */
  tenants(): ReadonlyMap<string, StoredLog>;
  /** Idempotent. */
  addTenant(
    tenant: string,
    log: {
      readonly origin: string;
      readonly vkey: string;
      readonly checkpoint: string;
      /** Put before the log is named. */
      readonly documents?: readonly { readonly name: string; readonly bytes: Uint8Array }[];
      /** 1 unless said. */
      readonly leafType?: LeafType;
    },
  ): Promise<void>;
  /** The bytes of both are the driver's until it settles, and are written over then: what it needs longer it copies. */
  commit(group: Group, encoded: EncodedGroup): Promise<void>;
  /** The newest epoch of an archived block; 0 when there is none. */
  newestEpoch(tenant: string): number;
  /** The text last put; undefined when there is none or it was lost in a power failure. */
  checkpoint(tenant: string): Promise<string | undefined>;
  putCheckpoint(tenant: string, text: string): Promise<void>;
  /** The text last put; undefined when there is none. */
  cosigned(tenant: string): Promise<string | undefined>;
  /** Durable when it resolves: what witnesses vouched for is what a restored older copy is told by. */
  putCosigned(tenant: string, text: string): Promise<void>;
  /** Names of timestamps, `<size>.tsr`. */
  timestamps(tenant: string): Promise<readonly string[]>;
  timestamp(tenant: string, name: string): Promise<Uint8Array | undefined>;
  /** Durable when it resolves. */
  putTimestamp(tenant: string, name: string, bytes: Uint8Array): Promise<void>;
  vkey(tenant: string): Promise<string | undefined>;
  /** Replaces one of the same name at once: a reader sees the one or the other. */
  putSeed(tenant: string, name: string, bytes: Uint8Array): Promise<void>;
  /** Names of the stored seeds. */
  seeds(tenant: string): Promise<readonly string[]>;
  seed(tenant: string, name: string): Promise<Uint8Array | undefined>;
  /** Fine when it is missing. */
  removeSeed(tenant: string, name: string): Promise<void>;
  /** Small files of a log that are put as a whole, named relative to it: `seals/674`, `shreds/access-674`. Durable when it resolves. */
  putDocument(tenant: string, name: string, bytes: Uint8Array): Promise<void>;
  document(tenant: string, name: string): Promise<Uint8Array | undefined>;
  /** Names in a folder of documents, without the folder; empty when there is none. */
  documents(tenant: string, folder: string): Promise<string[]>;
  /** Fine when it is missing. */
  removeDocument(tenant: string, name: string): Promise<void>;
  /** Classes and epochs that have blocks in the archive. */
  units(tenant: string): readonly StoredUnit[];
  /** Removes the archived blocks of a class and epoch: first nothing counts them, then they are gone. Fine when there are none. */
  dropUnit(tenant: string, unit: Unit): Promise<void>;
  /** Groups that aren't archived, in order; only before the first commit. The bytes are views valid during the visit. */
  replay(visit: (group: ParsedGroup) => void): Promise<void>;
  /** `count` commitments from index `from` on, 32 bytes each. */
  commitments(tenant: string, from: number, count: number): Promise<Uint8Array>;
  /** Node `n` of tile level `level` ≥ 1 of a complete subtree, if the driver was given it or holds it. */
  tileNode(tenant: string, level: number, n: number): Promise<Uint8Array>;
  /** The nodes that a committed or replayed group completed. */
  addTileNodes(tenant: string, nodes: readonly TileNode[]): void;
  /** Where sealed blocks lie, and the files they lie in. */
  blocks(tenant: string): BlockIndex;
  readonly files: LedgerFiles;
  /** Says that no group of the step will come any more, and hands over larger blocks for some of its blocks; not during a commit. */
  endStep(step: FinishedStep): Promise<void>;
  /** Resolves when no archiving is under way. */
  archived(): Promise<void>;
  /** Archives what can be archived; for an orderly end and for tests. */
  archive(): Promise<void>;
}

export interface StoredLog {
  readonly origin: string;
  /** 1 unless said. */
  readonly leafType?: LeafType;
  /** Leaves in the archive: `replay` brings the rest. */
  readonly archivedSize: number;
}

export interface StoredUnit extends Unit {
  readonly bytes: number;
  readonly files: readonly { readonly path: string; readonly bytes: number }[];
}

export interface TileNode {
  readonly level: number;
  readonly n: number;
  readonly hash: Uint8Array;
}

/** Blocks of one tenant, class and step merged into one. */
export interface MergedBlock {
  readonly tenant: string;
  readonly retentionClass: RetentionClass;
  readonly block: Uint8Array;
  readonly first: number;
  /** First indexes of the blocks it replaces, ascending; its own first is among them. */
  readonly replaces: readonly number[];
}

export interface FinishedStep {
  /** A promise where they are still being made: commits go on meanwhile, and archiving waits for it. */
  readonly merged: readonly MergedBlock[] | Promise<readonly MergedBlock[]>;
}

/** What is about to leave the journal: the core keeps what it needs of it before it goes. */
export interface ArchivingSegment {
  readonly firstGroup: number;
  readonly lastGroup: number;
  readonly receivedMs: number;
  /** Event ids in the clear, by tenant, in order: `ids` has 16 bytes for each index from `firstIndex` on. */
  readonly ids: readonly { readonly tenant: string; readonly firstIndex: number; readonly ids: Uint8Array }[];
}

/** Names under `ledger/` that are no log's (docs/format.md, "Archive"). */
export function isReservedName(tenant: string): boolean {
  return tenant === 'journal' || tenant === 'manifest' || tenant === 'lock';
}
