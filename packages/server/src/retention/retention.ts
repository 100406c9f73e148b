/**
 * Retention: how long each class is kept, what is over, and how it ends: a dry run, two people, and then the ledger's shred (ledger/shred.ts). Legal holds go
 * the same way out.
 *
 * Promises: nothing goes before its time, or without two people whose sign-ins are strong and recent, or other than as they saw it; each step is an event in the
 * tenant's log before it is answered. Whoever has all keys and the disk can of course do as they like: what they do without this can't be hidden (docs/threats.md).
 *
 * `openRetention(deps: RetentionDeps): Promise<Retention>` is in open-retention.ts.
 */
import type { TenantId } from '@watchglass/record';
import type { Unit } from '@watchglass/record/reader';
import type { Principal } from '../access/access.ts';
import type { RecordPlaced } from '../access/own-event.ts';
import type { Ledger } from '../ledger/ledger.ts';
import type { Hold, HoldCriteria, PlannedUnit, ShredOutcome } from '../ledger/shred.ts';
import type { World } from '../world/world.ts';
import type { Policy, RetentionSettings } from './policy.ts';
import type { Proposal } from './retention-state.ts';

export interface RetentionDeps {
  /** Of `retention.json`. */
  readonly path: string;
  readonly settings: RetentionSettings;
  readonly ledger: Pick<Ledger, 'tenants' | 'ending' | 'open' | 'state'>;
  readonly record: RecordPlaced;
  readonly world: World;
  readonly report?: (line: { readonly level: 'info' | 'warn' | 'error'; readonly message: string }) => void;
}

/** What would go at a moment. */
export interface Plan {
  readonly at: string;
  /** Over all that is said here: what is approved. */
  readonly hash: string;
  readonly units: readonly PlannedUnit[];
  /** Over, but a hold is about every event of them: they stay. */
  readonly heldWhole: readonly PlannedUnit[];
}

export interface Retention extends AsyncDisposable {
  policies(tenant: TenantId): readonly Policy[];
  /** Fewer than six years, as configured, come into force. @throws ServerError `input-invalid`, and those of `strongPerson` */
  confirm(
    tenant: TenantId,
    of: { readonly retentionClass: string; readonly days: number },
    by: Principal,
  ): Promise<Policy>;
  /** Nothing is changed by it. @param atMs now unless given */
  plan(tenant: TenantId, atMs?: number, signal?: AbortSignal): Promise<Plan>;
  /**
   * @param asked `units` by name (all that are over unless given); `plan` is the hash that was seen
   * @throws ServerError `nothing-to-shred`, `retention-floor`, `retention-not-over`, `held-whole`, `plan-changed`, `hold-missing`, and those of `strongPerson`
   */
  propose(
    tenant: TenantId,
    asked: { readonly units?: readonly string[]; readonly plan?: string },
    by: Principal,
  ): Promise<Proposal>;
  /** @throws ServerError `not-found`, `hold-missing`, and those of `strongPerson` */
  proposeRelease(tenant: TenantId, hold: string, by: Principal): Promise<Proposal>;
  /** @param plan the hash that was seen. @throws ServerError `not-found`, `same-person`, `proposal-expired`, `proposal-state`, `plan-changed`, and those of `strongPerson` */
  approve(tenant: TenantId, id: string, plan: string, by: Principal): Promise<Proposal>;
  /** @throws as `approve`, and what a shred throws */
  execute(
    tenant: TenantId,
    id: string,
    by: Principal,
  ): Promise<{ readonly proposal: Proposal; readonly outcomes: readonly ShredOutcome[] }>;
  proposals(tenant: TenantId): readonly Proposal[];
  shredded(tenant: TenantId): readonly (Unit & { readonly events: number; readonly evidence: number | undefined })[];
  /** @throws ServerError `hold-missing` */
  holds(tenant: TenantId): Promise<readonly Hold[]>;
  addHold(
    tenant: TenantId,
    asked: { readonly criteria: HoldCriteria; readonly matter: string; readonly reason: string },
    by: Principal,
  ): Promise<Hold>;
  /** Goes on with shreds that have begun; called at the start, and again and again while one isn't over. */
  resume(): Promise<void>;
}
