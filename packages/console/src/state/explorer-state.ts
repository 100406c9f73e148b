/**
 * The state of the Explorer as it stands in the URL, and the query it makes. `readExplorerState` takes anything a URL can
 * hold and keeps what is valid; defaults are left out, so equal states have equal URLs.
 */
import { eventActions, eventKinds, outcomeStatuses } from '@watchglass/record';
import { type Preset, presetDefault, presets, resolveRange, type Zone } from '../time/range.ts';

/** Members that narrow what is listed; each is one value. */
export const filterNames = ['kind', 'action', 'operation', 'outcome', 'actor', 'patient', 'resource', 'q'] as const;
export type FilterName = (typeof filterNames)[number];

export type Filters = { readonly [K in FilterName]?: string };

export interface ExplorerState extends Filters {
  readonly tenant?: string;
  readonly range?: Preset;
  readonly from?: string;
  readonly to?: string;
  readonly zone?: Zone;
  /** Index of the event whose panel is open. */
  readonly event?: number;
}

/** What the server is asked: filters and absolute times. */
export interface EventQuery extends Filters {
  readonly tenant?: string;
  readonly from?: string;
  readonly to?: string;
}

const valueLengthMax = 256;
const enumerated: Readonly<Partial<Record<FilterName, readonly string[]>>> = {
  kind: eventKinds,
  action: eventActions,
  outcome: outcomeStatuses,
};

export function readExplorerState(search: Readonly<Record<string, unknown>>): ExplorerState {
  const state: { -readonly [K in keyof ExplorerState]: ExplorerState[K] } = {};
  for (const name of filterNames) {
    const value = readText(search[name]);
    if (value !== undefined && (enumerated[name]?.includes(value) ?? true)) state[name] = value;
  }
  const tenant = readText(search.tenant);
  if (tenant !== undefined) state.tenant = tenant;
  const from = readInstant(search.from);
  const to = readInstant(search.to);
  if (from !== undefined) state.from = from;
  if (to !== undefined && (from === undefined || to > from)) state.to = to;
  const range = presets.find((preset) => preset === search.range);
  if (range !== undefined && range !== presetDefault && from === undefined && state.to === undefined)
    state.range = range;
  if (search.zone === 'utc') state.zone = 'utc';
  const event = typeof search.event === 'string' && search.event !== '' ? Number(search.event) : search.event;
  if (typeof event === 'number' && Number.isSafeInteger(event) && event >= 0) state.event = event;
  return state;
}

export function queryOf(state: ExplorerState, nowMs: number): EventQuery {
  const query: { -readonly [K in keyof EventQuery]: EventQuery[K] } = { ...resolveRange(state, nowMs) };
  if (state.tenant !== undefined) query.tenant = state.tenant;
  for (const name of filterNames) {
    const value = state[name];
    if (value !== undefined) query[name] = value;
  }
  return query;
}

/** The same state with members set, or removed where the value is `undefined`; the open event stays unless named. */
export function changeState(
  state: ExplorerState,
  change: { readonly [K in keyof ExplorerState]?: ExplorerState[K] | undefined },
): ExplorerState {
  return readExplorerState({ ...state, ...change });
}

export function activeFilters(state: ExplorerState): readonly { name: FilterName; value: string }[] {
  return filterNames.flatMap((name) => {
    const value = state[name];
    return value === undefined ? [] : [{ name, value }];
  });
}

export function clearFilters(state: ExplorerState): ExplorerState {
  const { tenant, range, from, to, zone, event } = state;
  return readExplorerState({ tenant, range, from, to, zone, event });
}

/** The search of a URL: everything as text. */
export function parseSearch(search: string): Record<string, string> {
  return Object.fromEntries(new URLSearchParams(search));
}

export function writeSearch(members: Readonly<Record<string, unknown>>): string {
  const written = new URLSearchParams();
  for (const [name, value] of Object.entries(members)) {
    if (typeof value === 'string' || typeof value === 'number') written.set(name, String(value));
  }
  const text = written.toString();
  return text === '' ? '' : `?${text}`;
}

function readText(value: unknown): string | undefined {
  const text = typeof value === 'number' ? String(value) : value;
  if (typeof text !== 'string') return undefined;
  const trimmed = text.trim();
  return trimmed === '' || trimmed.length > valueLengthMax ? undefined : trimmed;
}

function readInstant(value: unknown): string | undefined {
  if (typeof value !== 'string') return undefined;
  const ms = Date.parse(value);
  return Number.isNaN(ms) ? undefined : new Date(ms).toISOString();
}
