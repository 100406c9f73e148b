/** The files of working state beside a ledger, read as facts and held against what its logs say. */
import { join } from 'node:path';
import type { MeaningFinding } from '@watchglass/record/reader';
import { readAccessFacts, readStanding, shownName } from './access/access-facts.ts';
import { compareFacts, type HeldFacts, type Listener } from './access/facts.ts';
import { isUpTo, readStateMark, stateMarkName } from './access/state-mark.ts';
import { readDecisionFacts } from './respond/decision-facts.ts';
import { isFull, readRetentionFacts } from './retention/retention-facts.ts';
import { readKeyFacts, readWitnessFacts } from './review/key-facts.ts';
import type { World } from './world/world.ts';

export interface HeardLogs {
  /** Only of this one. */
  readonly tenant: string | undefined;
  /** What all share is in the log of each, so in this one. */
  readonly first: string;
  readonly isWhole: (tenant: string) => boolean;
  readonly isHeard: (tenant: string) => boolean;
}

/** One a file. */
export interface StateListeners {
  readonly access: Listener;
  readonly retention: Listener;
  readonly keys: Listener;
  readonly witnesses: Listener;
  readonly decisions: Listener;
}

export interface StateComparison {
  readonly findings: readonly MeaningFinding[];
  readonly compared: number;
  readonly unknown: number;
}

/** A file that can't be read says why, and nothing else about it. */
type Read<T = HeldFacts> = { readonly facts: T | undefined } | { readonly fault: string };

/** @param readOn hears what the logs say meanwhile: whatever the state holds is on record before it is applied, so the logs are read after it */
export async function compareState(
  world: World,
  dataDir: string,
  logs: HeardLogs,
  listeners: StateListeners,
  readOn: () => Promise<void>,
): Promise<StateComparison> {
  const statePath = join(dataDir, 'state.sqlite');
  const retentionPath = join(dataDir, 'retention.json');
  const access = await readAs(async () =>
    (await world.disk.size(statePath)) === undefined ? undefined : readAccessFacts(statePath, world.clock.now()),
  );
  const retention = await readAs(() => readRetentionFacts(world, retentionPath));
  const { said } = listeners.keys;
  const keys = await readAs(() => readKeyFacts(world, join(dataDir, 'keys'), { said, tenant: logs.first }));
  const witnesses = await readAs(() => readWitnessFacts(world, join(dataDir, 'witnesses')));
  const decisions = await readAs(() => readDecisionFacts(world, join(dataDir, 'decisions.json')));
  await readOn();
  const isPatient = (person: string): boolean => {
    const name = `people/${person}/roles/patient`;
    return listeners.access.said.has(name) || ('facts' in access && access.facts?.has(name) === true);
  };
  const parts = [
    compareFile('state.sqlite', access, listeners.access, logs, (name) => shownName(name, isPatient)),
    compareFile('retention.json', retention, listeners.retention, logs),
    compareFile('keys/keyring.json', keys, listeners.keys, logs),
    compareFile('witnesses', witnesses, listeners.witnesses, logs),
    compareFile('decisions.json', decisions, listeners.decisions, logs),
    await compareMark(world, dataDir),
  ];
  return {
    findings: parts.flatMap(({ findings }) => findings),
    compared: parts.reduce((sum, { compared }) => sum + compared, 0),
    unknown: parts.reduce((sum, { unknown }) => sum + unknown, 0),
  };
}

/** An older copy of the state, found before a server refuses it. */
async function compareMark(world: World, dataDir: string): Promise<StateComparison> {
  const path = join(dataDir, 'state.sqlite');
  const none = { findings: [], compared: 0, unknown: 0 };
  if ((await world.disk.size(path)) === undefined) return none;
  const place = stateMarkName;
  // First, since it is written last: a server that runs meanwhile is ahead of it.
  const remembered = await readAs(() => readStateMark(world, join(dataDir, stateMarkName)));
  if ('fault' in remembered) {
    const expected = 'a line with a name and a count';
    return { ...none, findings: [{ code: 'state-unreadable', place, expected, got: remembered.fault }] };
  }
  if (remembered.facts === undefined) return none;
  const held = await readAs(async () => readStanding(path));
  // That it can't be read is said of the file itself.
  if ('fault' in held) return none;
  const { lineage, endings } = remembered.facts;
  if (isUpTo(held.facts, remembered.facts)) return { ...none, compared: 1 };
  const expected = `state.sqlite with ${endings} endings or more`;
  const got =
    held.facts === undefined
      ? 'none counted'
      : `${held.facts.endings} of ${held.facts.lineage === lineage ? 'the same' : 'another'} file`;
  return { findings: [{ code: 'state-differs', place, expected, got }], compared: 1, unknown: 0 };
}

async function readAs<T>(read: () => Promise<T | undefined>): Promise<Read<T>> {
  try {
    return { facts: await read() };
  } catch (error) {
    return { fault: error instanceof Error ? error.name : 'unreadable' };
  }
}

function compareFile(
  file: string,
  read: Read,
  { said }: Listener,
  logs: HeardLogs,
  nameOf = (name: string): string => name,
): StateComparison {
  const none = { findings: [], compared: 0, unknown: 0 };
  if ('fault' in read) {
    const expected = 'a file of this version that can be read';
    return { ...none, findings: [{ code: 'state-unreadable', place: file, expected, got: read.fault }] };
  }
  const needed = [...said.values()].filter(
    ({ value, mayLack }) => typeof value === 'string' && mayLack !== true,
  ).length;
  if (read.facts === undefined && needed === 0) return none;
  if (read.facts === undefined) {
    const expected = `a file with the ${needed} values that the log says`;
    return { ...none, findings: [{ code: 'state-absent', place: file, expected, got: 'no file' }] };
  }
  const held = new Map([...read.facts].filter(([, { tenant }]) => logs.tenant === undefined || tenant === logs.tenant));
  const mayForget = file === 'retention.json' && isFull(read.facts);
  const { differences, compared, unknown } = compareFacts(said, held, logs);
  return {
    findings: differences
      .filter(({ code, name }) => !(mayForget && code === 'state-lacking' && name.startsWith('proposals/')))
      .map(({ name, ...rest }) => ({ ...rest, place: `${file}: ${nameOf(name)}` })),
    compared,
    unknown,
  };
}
