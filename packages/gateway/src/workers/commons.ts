/**
 * What all processes of a gateway have in common, whoever serves a request: what was seen, counted, revoked, decided and broken open, and the policy in force. One
 * process owns it: the only one there is, or the primary. Workers have the same by asking (asking.ts), and hear of what changes.
 */
import type { IdentityMemory } from '../identity/memory.ts';
import type { ConcurrencyLimits } from '../limits/concurrency.ts';
import type { Decisions } from '../limits/decisions.ts';
import type { Filters } from '../limits/filters.ts';
import type { Lockouts } from '../limits/lockout.ts';
import type { RateLimits } from '../limits/rates.ts';
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
