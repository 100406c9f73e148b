/** What the log says of shreds and holds: hashes, counts, names of keys and seeds, and who; never whom a hold is about (that stands in its sealed terms). */
import { createHash } from 'node:crypto';
import { type Change, type Target, uuidv7 } from '@watchglass/record';
import { hashShredTerms, type OpenedEvent, type ShredTerms, unitName } from '@watchglass/record/reader';
import type { OwnFacts, OwnIdentity } from './own-events.ts';
import type { EndedKey, HoldCriteria, HoldTerms } from './shred.ts';
import type { TenantLog } from './tenant-log.ts';

/** Appends an event of the ledger's own and gives its opening; the same one again where it is stored already. */
export type RecordShred = (log: TenantLog, facts: OwnFacts, about: string) => Promise<OpenedEvent>;

/** More are in the record, which the event names by its hash. */
const seedsListedMax = 128;

export function begunFacts(terms: ShredTerms): OwnFacts {
  return {
    operation: 'shred-begun',
    outcome: { status: 'success' },
    targets: [shredTarget(terms), ...peopleTargets(terms.people)],
    changes: [...scopeOf(terms), ...terms.keks.map((kek) => said('/kek', kek))],
  };
}

/** The evidence. */
export function completedFacts(terms: ShredTerms, keys: readonly EndedKey[]): OwnFacts {
  return {
    operation: 'shred-completed',
    outcome: { status: 'success' },
    targets: [shredTarget(terms), ...peopleTargets(terms.people)],
    changes: [
      ...scopeOf(terms),
      ...keys.map(keyChange),
      ...terms.seeds.slice(0, seedsListedMax).map(([name, sha256]) => said('/seed', `${name} sha256:${sha256}`)),
    ],
  };
}

export function holdAddedFacts(hold: string, terms: HoldTerms): OwnFacts {
  return {
    operation: 'hold-added',
    outcome: { status: 'success' },
    targets: [
      { type: 'Hold', id: hold, role: 'object' },
      ...aboutTargets(terms.criteria),
      ...peopleTargets([terms.by]),
    ],
    changes: [
      said('/matter', terms.matter),
      said('/reason', terms.reason),
      said('/by', Object.keys(terms.criteria).sort().join(' ')),
    ],
  };
}

export function holdReleasedFacts(hold: string, keks: readonly string[], people: readonly string[]): OwnFacts {
  return {
    operation: 'hold-released',
    outcome: { status: 'success' },
    targets: [{ type: 'Hold', id: hold, role: 'object' }, ...peopleTargets(people)],
    changes: keks.map((kek) => said('/kek', kek)),
  };
}

export function holdEndedFacts(hold: string, keys: readonly EndedKey[]): OwnFacts {
  return {
    operation: 'hold-keys-ended',
    outcome: { status: 'success' },
    targets: [{ type: 'Hold', id: hold, role: 'object' }],
    changes: keys.map(keyChange),
  };
}

/** Makes an event the same one when it is made again after a crash: its id is made of what it is about. */
export function repeatable(facts: OwnFacts, about: string): OwnIdentity {
  const digest = createHash('sha256').update(`${facts.operation}\n${about}`).digest();
  // A fixed time, so that the id is the same at the next start; when it happened is in the event.
  return { id: uuidv7(0, digest.subarray(0, 10)), digest: digest.toString('hex') };
}

function scopeOf(terms: ShredTerms): Change[] {
  return [
    said('/terms', hashShredTerms(terms)),
    said('/events', String(terms.events)),
    said('/first', String(terms.first)),
    said('/last', String(terms.last)),
    said('/ranges', terms.ranges),
    said('/days', String(terms.days)),
    said('/plan', terms.plan),
    said('/seeds', String(terms.seeds.length)),
    ...terms.held.map(([hold, events]) => said('/held', `${hold} ${events}`)),
  ];
}

function keyChange({ kek, destruction }: EndedKey): Change {
  return said('/kek', `${kek} ${destruction.kind === 'destroyed' ? 'destroyed' : `pendingUntil ${destruction.at}`}`);
}

function said(path: string, after: string): Change {
  return { path, op: 'replace', after };
}

function shredTarget(terms: ShredTerms): Target {
  return { type: 'Shred', id: unitName(terms), role: 'object' };
}

function peopleTargets(people: readonly string[]): Target[] {
  return people.map((id) => ({ type: 'Person', id, role: 'approver' }));
}

/** The event is as sealed as any: whoever looks for a patient finds the hold, too. */
function aboutTargets({ patient, actor }: HoldCriteria): Target[] {
  return [
    ...(patient === undefined ? [] : [{ type: 'Patient', id: patient, role: 'query' }]),
    ...(actor === undefined ? [] : [{ type: 'Actor', id: actor, role: 'query' }]),
  ];
}
