/**
 * What all processes of a gateway have in common, whoever serves a request: what was seen, counted, revoked, decided and broken open, how the APIs are, and the policy in force. One
 * process owns it: the only one there is, or the primary. Workers have the same by asking (asking.ts, desk.ts), and hear of what changes.
 */
import type { FloodGate, Floods } from '../capture/flood.ts';
import type { EventDraftFacts } from '../capture/recorder.ts';
import type { IdentityMemory, OwnIdentityMemory } from '../identity/memory.ts';
import type { Revocation } from '../identity/revocations.ts';
import type { Concurrency, ConcurrencyLimits } from '../limits/concurrency.ts';
import type { Decisions, Snapshot } from '../limits/decisions.ts';
import type { Filters } from '../limits/filters.ts';
import type { Lockout, LockoutNews, Lockouts } from '../limits/lockout.ts';
import type { RateLimits, Rates } from '../limits/rates.ts';
import type { ConsentHook } from '../policy/consent.ts';
import type { GlassDesk } from '../policy/glass.ts';
import type { Policy } from '../policy/tables.ts';
import type { OwnPlaces, Places } from '../tunnel/places.ts';
import type { ConditionState, Conditions, OwnCondition } from '../upstream/condition.ts';

export interface Commons {
  readonly memory: IdentityMemory;
  readonly rates: RateLimits;
  readonly lockout: Lockouts | undefined;
  readonly concurrency: ConcurrencyLimits;
  /** Of what lasts. */
  readonly places: Places;
  readonly conditions: Conditions;
  readonly floods: Floods;
  readonly decisions: Decisions;
  readonly filters: Filters;
  readonly glass: GlassDesk;
  readonly policies: { readonly current: Policy };
  /** A function of the program that started the gateway, which knows who agreed. */
  readonly consent: ConsentHook | undefined;
}

/** In the hands of their owner. */
export interface OwnedCommons extends Commons {
  readonly memory: OwnIdentityMemory;
  readonly rates: Rates;
  readonly lockout: Lockout | undefined;
  readonly concurrency: Concurrency;
  readonly places: OwnPlaces;
  readonly conditions: OwnConditions;
  readonly floods: FloodGate<EventDraftFacts>;
  /** In force for all at once; resolves once it outlives them, and rejects where that can't be had. */
  readonly keepRevoked: (revocations: readonly Revocation[]) => Promise<void>;
  /** Counts a failure; resolves once a block that began with it is in force for all. */
  readonly failEverywhere: (key: string) => Promise<void>;
  /** From now on they hear of every change. */
  readonly spreadTo: (spread: Spread) => void;
}

export interface OwnConditions extends Conditions {
  of(upstream: string, origin: string): OwnCondition;
  /** Undefined where there is no such origin. */
  find(upstream: string, origin: string): OwnCondition | undefined;
  /** Of all of them, now. */
  readonly states: readonly ConditionState[];
}

/** What others have to hear of. */
export type CommonsChange =
  | { readonly kind: 'revoked'; readonly revocations: readonly Revocation[] }
  | { readonly kind: 'locked-out'; readonly news: LockoutNews }
  | { readonly kind: 'condition'; readonly state: ConditionState }
  | { readonly kind: 'decisions'; readonly snapshot: Snapshot }
  | { readonly kind: 'policy'; readonly policy: Policy }
  /** An address list was exchanged: its file is to be read. */
  | { readonly kind: 'lists' };

/** Resolves once it is in force for all of them. Never rejects. */
export type Spread = (change: CommonsChange) => Promise<void>;
