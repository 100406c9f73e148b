/**
 * What work is: a coroutine that asks for one FHIR request at a time and is told how it went. It knows nothing of
 * sockets, clocks or gateways, so the same work can be driven through a gateway in real time or by an evaluation in
 * simulated time.
 */

import { isRecord } from '../resource.ts';
import type { Roster, RosterPerson, Worklist } from '../roster.ts';
import type { Stream } from '../world/prng.ts';
import type { StaffRole } from '../world/staff.ts';

export interface Ask {
  readonly method: 'GET' | 'POST' | 'PUT';
  /** Below the FHIR base: `Patient/1`, `Observation?patient=…`. */
  readonly path: string;
  /** A resource, or a form for `_search`. */
  readonly body?: Readonly<Record<string, unknown>> | URLSearchParams;
  readonly ifMatch?: string;
  /** The answer's body is wanted. */
  readonly keep?: boolean;
  /** Whose record it is, where it is one patient's. */
  readonly patient?: string;
}

export interface Reply {
  readonly status: number;
  /** As the gateway calls the request. */
  readonly requestId: string | undefined;
  readonly etag: string | undefined;
  /** The resource, when it was wanted and came. */
  readonly body: Readonly<Record<string, unknown>> | undefined;
}

export type Work = Generator<Ask, void, Reply>;

/** Somebody at work. */
export interface Scene {
  readonly person: RosterPerson;
  readonly worklist: Worklist;
  readonly roster: Roster;
  readonly stream: Stream;
  /** Now, as FHIR writes an instant. */
  readonly now: () => string;
}

/** One kind of work that people of some role do. */
export interface Activity {
  readonly name: string;
  readonly role: StaffRole;
  /** How often, against the role's other activities. */
  readonly weight: number;
  /** Whether there is any of it to do. */
  possible(scene: Scene): boolean;
  work(scene: Scene): Work;
}

/** A search path with its values encoded. */
export function query(type: string, parameters: Readonly<Record<string, string | number>>): string {
  const search = new URLSearchParams(Object.entries(parameters).map(([name, value]) => [name, String(value)]));
  return `${type}?${search.toString()}`;
}

/** The resources in a searchset. */
export function entriesOf(reply: Reply): Record<string, unknown>[] {
  const entries = reply.body?.entry;
  if (!Array.isArray(entries)) return [];
  return entries.flatMap((entry) => (isRecord(entry) && isRecord(entry.resource) ? [entry.resource] : []));
}

export function find(patient: string, type: string, parameters: Readonly<Record<string, string | number>> = {}): Ask {
  return { method: 'GET', path: query(type, { patient, ...parameters }), patient };
}

export function read(type: string, id: string, patient: string): Ask {
  return { method: 'GET', path: `${type}/${id}`, patient };
}
