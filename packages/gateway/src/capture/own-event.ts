/** Events of the gateway itself: what it noticed, what it did to itself, what it was told. */
import type { Change, countersOperation, OutcomeStatus, Target } from '@watchglass/record';

import type { EventDraftFacts, Lapse } from './recorder.ts';

/** Whose events these are. */
export interface Own {
  readonly emitter: string;
  readonly site: string | undefined;
}

export type OwnOperation =
  | 'start'
  | 'stop'
  | 'spool-cut'
  | 'receipt-failed'
  | 'record-failed'
  | 'record-resumed'
  | 'policy-loaded'
  | 'policy-refused'
  | typeof countersOperation
  | 'issuer-keys-stale'
  | 'issuer-keys-gone'
  | 'issuer-keys-fresh'
  | 'certificate-replaced'
  | 'certificate-refused'
  | 'tokens-revoked'
  | 'filter-replaced'
  | 'filter-refused'
  | 'lockout-begun'
  | 'lockout-ended'
  | 'lockouts-damaged'
  | 'front-outcome'
  | 'front-unasked'
  | 'decision-applied'
  | 'decision-lifted'
  | 'decision-expired'
  | 'upstream-spared'
  | 'upstream-back'
  | 'upstream-down'
  | 'upstream-up'
  | 'rates-shared'
  | 'rates-alone';

/** A policy is exchanged; everything else just happens. */
const updates: ReadonlySet<OwnOperation> = new Set(['policy-loaded', 'policy-refused']);

export function ownEvent(
  { emitter, site }: Own,
  facts: {
    readonly operation: OwnOperation;
    readonly status: OutcomeStatus;
    readonly reason?: string;
    /** When it was; now without it. */
    readonly timeMs?: number;
    /** What it was about. An id that can't stand in an event is left out. */
    readonly target?: { readonly type: string; readonly id: string };
    /** The policy it began with; what it counted. */
    readonly targets?: readonly Target[];
    readonly changes?: readonly Change[];
  },
): EventDraftFacts {
  const { operation, status, reason, timeMs = Date.now(), target, changes } = facts;
  const fits = target !== undefined && /^[!-~]{1,256}$/.test(target.id);
  const named: readonly Target[] =
    target === undefined ? [] : [{ ...target, ...(fits ? {} : { id: '-' }), role: 'object' }];
  const targets = [...named, ...(facts.targets ?? [])];
  return {
    time: new Date(timeMs).toISOString(),
    kind: operation === 'tokens-revoked' ? 'auth' : 'system',
    action: updates.has(operation) ? 'update' : 'execute',
    operation,
    outcome: { status, ...(reason === undefined ? {} : { reason }) },
    actor: { id: `gateway:${emitter}`, type: 'service' },
    ...(targets.length === 0 ? {} : { targets }),
    ...(changes === undefined ? {} : { changes }),
    ...(site === undefined ? {} : { site }),
  };
}

/** When the record began to fail and when it worked again: both said afterwards, each with its own time. */
export function lapseEvents(own: Own, { fromMs, toMs, reason }: Lapse): readonly EventDraftFacts[] {
  return [
    ownEvent(own, { operation: 'record-failed', status: 'error', reason, timeMs: fromMs }),
    ownEvent(own, { operation: 'record-resumed', status: 'success', timeMs: toMs }),
  ];
}
