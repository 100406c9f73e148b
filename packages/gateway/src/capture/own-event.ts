/** Events of the gateway itself: what it noticed, what it did to itself, what it was told. */
import type { Change, countersOperation, OutcomeStatus, Target } from '@watchglass/record';

import type { EventDraftFacts } from './recorder.ts';

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

export function ownEvent(
  { emitter, site }: Own,
  facts: {
    readonly operation: OwnOperation;
    readonly status: OutcomeStatus;
    readonly reason?: string;
    /** What it was about. An id that can't stand in an event is left out. */
    readonly target?: { readonly type: string; readonly id: string };
    /** The policy it began with; what it counted. */
    readonly targets?: readonly Target[];
    readonly changes?: readonly Change[];
  },
): EventDraftFacts {
  const { operation, status, reason, target, changes } = facts;
  const fits = target !== undefined && /^[!-~]{1,256}$/.test(target.id);
  const named: readonly Target[] =
    target === undefined ? [] : [{ ...target, ...(fits ? {} : { id: '-' }), role: 'object' }];
  const targets = [...named, ...(facts.targets ?? [])];
  return {
    time: new Date().toISOString(),
    kind: operation === 'tokens-revoked' ? 'auth' : 'system',
    action: 'execute',
    operation,
    outcome: { status, ...(reason === undefined ? {} : { reason }) },
    actor: { id: `gateway:${emitter}`, type: 'service' },
    ...(targets.length === 0 ? {} : { targets }),
    ...(changes === undefined ? {} : { changes }),
    ...(site === undefined ? {} : { site }),
  };
}
