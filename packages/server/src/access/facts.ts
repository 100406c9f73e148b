/**
 * What a log says of the working state, and what the state holds, in one form so that they can be compared: facts, a name each (`people/p-1/disabled`) with a value.
 * There are as many as the state has lines, not as the log has events.
 */
import type { StoredRecord } from '@watchglass/record';
import type { MeaningCode, TellMeaning } from '@watchglass/record/reader';

/** The newest event about a fact. */
export interface Said {
  /** Undefined where it ended; null where the event is of a version that didn't carry the value yet. */
  readonly value: string | null | undefined;
  readonly tenant: string;
  readonly index: number;
  /** The state need not have it any more. */
  readonly mayLack?: boolean;
}

export interface Held {
  readonly value: string;
  readonly tenant: string;
}

export type SaidFacts = Map<string, Said>;
export type HeldFacts = Map<string, Held>;

/** A record of a log, as who listens to it gets it. */
export interface HeardRecord {
  readonly tenant: string;
  readonly index: number;
  readonly record: StoredRecord;
  /** Records before it are gone: what it refers to may be. */
  readonly partial: boolean;
  readonly tell: TellMeaning;
}

/** Listens to the records of logs, and keeps what they say. */
export interface Listener {
  hear(heard: HeardRecord): void;
  readonly said: SaidFacts;
}

export interface FactDifference {
  readonly code: MeaningCode;
  readonly tenant: string;
  readonly name: string;
  readonly index?: number;
  readonly expected: string;
  readonly got: string;
}

export interface FactComparison {
  readonly differences: readonly FactDifference[];
  readonly compared: number;
  /** Held, and nothing of the logs that are left or were opened can say whether rightly. */
  readonly unknown: number;
}

/**
 * @param isWhole whether all that a log ever said of these things was heard
 * @param isHeard whether a log was heard at all
 */
export function compareFacts(
  said: SaidFacts,
  held: HeldFacts,
  logs: { readonly isWhole: (tenant: string) => boolean; readonly isHeard: (tenant: string) => boolean },
): FactComparison {
  const differences: FactDifference[] = [];
  let compared = 0;
  let unknown = 0;
  for (const [name, { value, tenant }] of held) {
    const one = said.get(name);
    if (!logs.isHeard(one?.tenant ?? tenant) || one?.value === null || (one === undefined && !logs.isWhole(tenant))) {
      unknown++;
      continue;
    }
    compared++;
    if (one?.value === value) continue;
    const at = one === undefined ? {} : { index: one.index };
    const got = shown(value);
    if (one === undefined)
      differences.push({ code: 'state-unsaid', tenant, name, expected: 'an event of the log that says so', got });
    else if (one.value === undefined)
      differences.push({
        code: 'state-unsaid',
        tenant,
        name,
        ...at,
        expected: 'nothing: the log says that it ended',
        got,
      });
    else differences.push({ code: 'state-differs', tenant: one.tenant, name, ...at, expected: shown(one.value), got });
  }
  for (const [name, { value, tenant, index, mayLack }] of said) {
    if (held.has(name) || value === undefined || value === null || mayLack === true || !logs.isHeard(tenant)) continue;
    compared++;
    differences.push({ code: 'state-lacking', tenant, name, index, expected: shown(value), got: 'nothing' });
  }
  return { differences, compared, unknown };
}

/** Of a digest so much as tells two apart. */
function shown(value: string): string {
  return value.replace(/^(sha256:[0-9a-f]{12})[0-9a-f]+$/, '$1…');
}

/** The one value an event says at a path; undefined where it says none, or several. */
export function saidAt({ event }: StoredRecord, path: string): string | undefined {
  const values = (event.changes ?? []).filter((change) => change.path === path);
  return values.length === 1 ? values[0]?.after : undefined;
}
