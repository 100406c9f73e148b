/** Whether a hold is about an event. Everything it says must be true; an identifier is compared as it stands in the sealed record. */

import type { RetentionClass } from '@watchglass/record';
import { decode, type StoredRecord } from '@watchglass/record';
import type { HoldCriteria } from './shred.ts';

export interface HeldCandidate {
  readonly index: number;
  readonly m: Uint8Array;
  readonly retentionClass: RetentionClass;
}

export function isHeld(criteria: HoldCriteria, { index, m, retentionClass }: HeldCandidate): boolean {
  const { indexes } = criteria;
  if (indexes !== undefined && (index < indexes.first || index > indexes.last)) return false;
  if (criteria.retentionClass !== undefined && criteria.retentionClass !== retentionClass) return false;
  const { patient, actor, operation, from, to } = criteria;
  if (patient === undefined && actor === undefined && operation === undefined && from === undefined && to === undefined)
    return true;
  const record = decode(m);
  const receivedMs = Date.parse(record.received);
  if (from !== undefined && receivedMs < Date.parse(from)) return false;
  if (to !== undefined && receivedMs >= Date.parse(to)) return false;
  if (operation !== undefined && record.event.operation !== operation) return false;
  if (actor !== undefined && !isBy(record, actor)) return false;
  return patient === undefined || isAbout(record, patient);
}

function isBy({ event: { actor } }: StoredRecord, id: string): boolean {
  return actor.id === id || (actor.onBehalfOf?.some((one) => one.id === id) ?? false);
}

/** An event that says of itself that it names not all patients is about each: what a hold is for can't be ruled out, and what isn't kept is gone. */
function isAbout({ event }: StoredRecord, id: string): boolean {
  const { actor, targets = [], exposure } = event;
  return (
    exposure?.truncated === true ||
    targets.some((target) => target.patient === id || (target.type === 'Patient' && target.id === id)) ||
    (exposure?.patients?.some((patient) => patient.id === id) ?? false) ||
    [actor, ...(actor.onBehalfOf ?? [])].some((one) => one.type === 'patient' && one.id === id)
  );
}
