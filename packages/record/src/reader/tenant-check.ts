/** What the parts of a log's verification share: where it lies, what is trusted, and where findings go. */
import type { Checkpoint } from '../checkpoint.ts';
import type { KekFinder } from '../codec/kek.ts';
import type { ManifestTenant } from '../codec/manifest.ts';
import type { Policy } from '../policy.ts';
import type { Findings } from './findings.ts';
import type { LedgerFiles } from './ledger-files.ts';
import type { Snapshot } from './snapshot.ts';

/** Verifies one timestamp (RFC 3161) over these bytes; throws with a message where it doesn't hold. */
export type OpenTimestamp = (response: Uint8Array, message: Uint8Array) => { readonly timeMs: number };

export interface TenantCheck {
  readonly files: LedgerFiles;
  readonly ledgerDir: string;
  readonly snapshot: Snapshot;
  readonly tenant: string;
  readonly log: ManifestTenant;
  readonly keys: KekFinder | undefined;
  /** A verifier key given by the caller. */
  readonly pinnedKey: string | undefined;
  /** A checkpoint remembered by the caller. */
  readonly remembered: Checkpoint | undefined;
  readonly rememberedText: string | undefined;
  /** Bytes of a seal remembered by the caller. */
  readonly rememberedSeal: Uint8Array | undefined;
  /** Now, ms since 1970: only to say how old the newest seal is. */
  readonly nowMs: number;
  /** Who must have cosigned; undefined where nobody asks, or the policy is of other logs. */
  readonly policy: Policy | undefined;
  readonly openTimestamp: OpenTimestamp | undefined;
  readonly full: boolean;
  /** The files are those of this machine, and other threads may read them too. */
  readonly threads: boolean;
  readonly findings: Findings;
  /** What is there and counts for nothing. */
  readonly notes: string[];
  readonly signal: AbortSignal | undefined;
  readonly progress: (events: number) => void;
}

/** What the checks of seals and of statements on keys need of it: so much there is of a log behind a URL, too. */
export type StatementCheck = Pick<
  TenantCheck,
  'files' | 'ledgerDir' | 'tenant' | 'findings' | 'notes' | 'pinnedKey' | 'rememberedSeal' | 'nowMs'
> & { readonly log: Pick<ManifestTenant, 'origin'> };
