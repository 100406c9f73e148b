/**
 * What of a stored record goes into an index: a row of small numbers and names, and tokens for everything that identifies a patient. A plain identifier of a
 * patient or a resource never leaves this file.
 */
import {
  type EventAction,
  type EventKind,
  eventActions,
  eventKinds,
  type OutcomeStatus,
  outcomeStatuses,
  type StoredRecord,
  type Target,
} from '@watchglass/record';
import type { Tokens } from './tokens.ts';

export interface Row {
  readonly timeMs: number;
  /** Kind, action and outcome in one small number: `packCode`. */
  readonly code: number;
  readonly operation: string;
  readonly actor: string;
  readonly route: string;
  readonly client: string;
  readonly address: string;
  /** The types of the targets, sorted, each once: `,Observation,Patient,`. */
  readonly types: string;
  readonly tokens: readonly Uint8Array[];
}

/** Kind × action × outcome as one number below 160. */
export function packCode(kind: EventKind, action: EventAction, outcome: OutcomeStatus): number {
  return (
    (eventKinds.indexOf(kind) * eventActions.length + eventActions.indexOf(action)) * outcomeStatuses.length +
    outcomeStatuses.indexOf(outcome)
  );
}

export const codeCount: number = eventKinds.length * eventActions.length * outcomeStatuses.length;

export function unpackCode(code: number): { kind: EventKind; action: EventAction; outcome: OutcomeStatus } {
  const perKind = eventActions.length * outcomeStatuses.length;
  return {
    kind: eventKinds[Math.floor(code / perKind)] as EventKind,
    action: eventActions[Math.floor(code / outcomeStatuses.length) % eventActions.length] as EventAction,
    outcome: outcomeStatuses[code % outcomeStatuses.length] as OutcomeStatus,
  };
}

/** `m` comes from the ledger, which authenticated it; its shape was checked when it was stored. */
export function rowOf(m: string, tokens: Tokens): Row {
  const { event } = JSON.parse(m) as StoredRecord;
  const { actor, source } = event;
  const ofPatient = actor.type === 'patient';
  const found = new Set<Uint8Array>();
  const targets = event.targets ?? [];
  for (const target of targets) {
    if (target.patient !== undefined) found.add(tokens.patient(target.patient));
    if (target.id === undefined) continue;
    found.add(tokens.resource(target.type, target.id));
    if (target.type === 'Patient') found.add(tokens.patient(target.id));
  }
  for (const patient of event.exposure?.patients ?? []) found.add(tokens.patient(patient.id));
  if (ofPatient) found.add(tokens.patient(actor.id));
  return {
    timeMs: Date.parse(event.time),
    code: packCode(event.kind, event.action, event.outcome.status),
    operation: event.operation ?? '',
    actor: ofPatient ? tokens.pseudonyms.patient(actor.id) : actor.id,
    route: event.request?.route ?? '',
    client: actor.client ?? '',
    // The address of a patient identifies the patient (45 CFR 164.514(b)(2)(i)(O)).
    address: ofPatient ? '' : (source?.address ?? ''),
    types: typesOf(targets),
    tokens: [...found],
  };
}

function typesOf(targets: readonly Target[]): string {
  const [first] = targets;
  if (first === undefined) return '';
  if (targets.length === 1) return `,${first.type},`;
  return `,${[...new Set(targets.map(({ type }) => type))].sort().join(',')},`;
}
