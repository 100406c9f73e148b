/**
 * A stored record as people see it: flattened, and with a pseudonym in place of every identifier of a patient or of a clinical resource. Route templates, staff
 * and systems stay as they are.
 */
import type { Event, EventKind, StoredRecord, Target } from '@watchglass/record';
import type { Pseudonyms } from '../indexes/tokens.ts';
import type { ReviewEvent } from './review.ts';

/** Exposed patients listed per event on a page; `patientCount` says how many there are. */
export const patientsListedMax = 50;

type Names = Pick<Pseudonyms, 'patient' | 'resource'>;

export interface RenderOptions {
  readonly names: Names;
  /** List every exposed patient, not only the first. */
  readonly whole: boolean;
}

/** `m` comes from the ledger, which authenticated it; its shape was checked when it was stored. */
export function renderRecord(index: number, m: Uint8Array, { names, whole }: RenderOptions): ReviewEvent {
  const { event, received, submitter, intake } = JSON.parse(Buffer.from(m).toString('utf8')) as StoredRecord;
  return { index, received, submitter, intake, ...renderEvent(event, names, whole) };
}

function renderEvent(event: Event, names: Names, whole: boolean): Record<string, unknown> {
  const { actor, targets, exposure, changes, ...rest } = event;
  return {
    ...rest,
    actor: {
      ...actor,
      id: actor.type === 'patient' ? names.patient(actor.id) : actor.id,
      ...(actor.onBehalfOf === undefined
        ? {}
        : {
            onBehalfOf: actor.onBehalfOf.map((one) =>
              one.type === 'patient' ? { ...one, id: names.patient(one.id) } : one,
            ),
          }),
    },
    ...(targets === undefined ? {} : { targets: targets.map((target) => renderTarget(target, event.kind, names)) }),
    ...(exposure === undefined ? {} : { exposure: renderExposure(exposure, names, whole) }),
    // Values before and after may be anything a patient's record holds: only where and how they changed is shown.
    ...(changes === undefined ? {} : { changes: changes.map(({ path, op }) => ({ path, op })) }),
  };
}

function renderTarget(target: Target, kind: EventKind, names: Names): Target {
  const clinical = kind === 'api' || kind === 'data' || kind === 'file' || target.type === 'Patient';
  return {
    ...target,
    ...(target.id === undefined || !clinical ? {} : { id: names.resource(target.type, target.id) }),
    ...(target.patient === undefined ? {} : { patient: names.patient(target.patient) }),
  };
}

function renderExposure(
  exposure: NonNullable<Event['exposure']>,
  names: Names,
  whole: boolean,
): Record<string, unknown> {
  const { patients, ...rest } = exposure;
  if (patients === undefined) return rest;
  const listed = whole ? patients : patients.slice(0, patientsListedMax);
  return {
    ...rest,
    patients: listed.map((patient) => ({ ...patient, id: names.patient(patient.id) })),
    patientCount: patients.length,
  };
}
