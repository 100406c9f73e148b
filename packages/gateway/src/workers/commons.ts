/**
 * What all processes of a gateway have in common, whoever serves a request: what was seen, counted, revoked, decided and broken open, and the policy in force. One
 * process owns it: the only one there is, or the primary. Workers have the same by asking (asking.ts, desk.ts), and hear of what changes.
 */
import type { IdentityMemory } from '../identity/memory.ts';
import type { Revocation, Revocations } from '../identity/revocations.ts';
import type { Concurrency, ConcurrencyLimits } from '../limits/concurrency.ts';
import type { Decisions, Snapshot } from '../limits/decisions.ts';
import type { Filters } from '../limits/filters.ts';
import type { Lockout, LockoutNews, Lockouts } from '../limits/lockout.ts';
import type { RateLimits, Rates } from '../limits/rates.ts';
import type { ConsentHook } from '../policy/consent.ts';
import type { GlassDesk } from '../policy/glass.ts';
import type { Policy } from '../policy/tables.ts';

export interface Commons {
  readonly memory: IdentityMemory;
  readonly rates: RateLimits;
  readonly lockout: Lockouts | undefined;
  readonly concurrency: ConcurrencyLimits;
  readonly decisions: Decisions;
  readonly filters: Filters;
  readonly glass: GlassDesk;
  readonly policies: { readonly current: Policy };
  /** A function of the program that started the gateway, which knows who agreed. */
  readonly consent: ConsentHook | undefined;
}

/** In the hands of their owner. */
export interface OwnedCommons extends Commons {
  readonly memory: IdentityMemory & { readonly revocations: Revocations };
  readonly rates: Rates;
  readonly lockout: Lockout | undefined;
  readonly concurrency: Concurrency;
  /** In force for all at once; resolves once it outlives them, and rejects where that can't be had. */
  readonly keepRevoked: (revocations: readonly Revocation[]) => Promise<void>;
  /** Counts a failure; resolves once a block that began with it is in force for all. */
  readonly failEverywhere: (key: string) => Promise<void>;
  /** From now on they hear of every change. */
  readonly spreadTo: (spread: Spread) => void;
}

/** What others have to hear of. */
export type CommonsChange =
  | { readonly kind: 'revoked'; readonly revocations: readonly Revocation[] }
  | { readonly kind: 'locked-out'; readonly news: LockoutNews }
  | { readonly kind: 'decisions'; readonly snapshot: Snapshot }
  | { readonly kind: 'policy'; readonly policy: Policy }
  /** An address list was exchanged: its file is to be read. */
  | { readonly kind: 'lists' };

/** Resolves once it is in force for all of them. Never rejects. */
export type Spread = (change: CommonsChange) => Promise<void>;
