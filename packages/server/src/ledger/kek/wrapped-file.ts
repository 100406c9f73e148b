/** A small secret on disk, wrapped under a key-encryption key: a seed of the ledger or of a hold, a token key of an index, a pseudonym key. */
import type { RetentionClass, TenantId } from '@watchglass/record';
import type { Kek, KekFinder } from '@watchglass/record/reader';

export interface WrappedFile {
  readonly tenant: TenantId;
  readonly kind: 'seed' | 'hold-seed' | 'token-key' | 'pseudonym-key';
  /** Path below the data directory, for people. */
  readonly place: string;
  /** What it opens, where that is one class and epoch. */
  readonly scope?: { readonly retentionClass: RetentionClass; readonly epoch: number };
  /** Id of the key it is wrapped under. */
  readonly kek: string;
  /** Replaces the file durably by one that holds the same secret under another key. */
  rewrap(keys: KekFinder, under: Kek): Promise<void>;
}

/** All that a room keeps wrapped for a tenant, read anew. */
export type WrappedFiles = (tenant: TenantId) => Promise<readonly WrappedFile[]>;
