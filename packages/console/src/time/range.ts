/**
 * Time ranges of the Explorer: a preset that moves with the clock, or two fixed instants. Everything a query sends is an
 * absolute RFC 3339 instant in UTC; the zone only decides how instants are shown and typed.
 */

export const presets = ['15m', '1h', '6h', '24h', '7d', '30d', 'all'] as const;
export type Preset = (typeof presets)[number];
export const presetDefault: Preset = '24h';

export const zones = ['local', 'utc'] as const;
export type Zone = (typeof zones)[number];

const minuteMs = 60_000;
const hourMs = 60 * minuteMs;
const dayMs = 24 * hourMs;

const presetSpansMs: Readonly<Record<Exclude<Preset, 'all'>, number>> = {
  '15m': 15 * minuteMs,
  '1h': hourMs,
  '6h': 6 * hourMs,
  '24h': dayMs,
  '7d': 7 * dayMs,
  '30d': 30 * dayMs,
};

export const presetLabels: Readonly<Record<Preset, string>> = {
  '15m': 'Last 15 minutes',
  '1h': 'Last hour',
  '6h': 'Last 6 hours',
  '24h': 'Last 24 hours',
  '7d': 'Last 7 days',
  '30d': 'Last 30 days',
  all: 'All time',
};

export interface RangeChoice {
  readonly range?: Preset;
  /** RFC 3339, UTC. */
  readonly from?: string;
  readonly to?: string;
}

export interface AbsoluteRange {
  readonly from?: string;
  readonly to?: string;
}

/** Fixed instants win over a preset; a preset ends open, so that what arrives meanwhile belongs to it. */
export function resolveRange(choice: RangeChoice, nowMs: number): AbsoluteRange {
  if (choice.from !== undefined || choice.to !== undefined) {
    return { ...(choice.from && { from: choice.from }), ...(choice.to && { to: choice.to }) };
  }
  const preset = choice.range ?? presetDefault;
  if (preset === 'all') return {};
  return { from: new Date(nowMs - presetSpansMs[preset]).toISOString() };
}

export function isAbsolute(choice: RangeChoice): boolean {
  return choice.from !== undefined || choice.to !== undefined;
}

/** The range before (−1) or after (+1) the shown one, of the same length; `undefined` where there is none. */
export function shiftRange(choice: RangeChoice, nowMs: number, direction: -1 | 1): RangeChoice | undefined {
  const { from, to } = resolveRange(choice, nowMs);
  if (from === undefined) return undefined;
  const fromMs = Date.parse(from);
  const toMs = to === undefined ? nowMs : Date.parse(to);
  const spanMs = toMs - fromMs;
  if (direction === 1 && to === undefined) return undefined;
  const start = fromMs + direction * spanMs;
  if (start >= nowMs) return undefined;
  return { from: new Date(start).toISOString(), to: new Date(start + spanMs).toISOString() };
}

/** A brushed stretch of the chart, put in order and widened to whole buckets. */
export function brushRange(edges: { aMs: number; bMs: number; stepMs: number; originMs: number }): AbsoluteRange {
  const { stepMs, originMs } = edges;
  const low = Math.min(edges.aMs, edges.bMs);
  const high = Math.max(edges.aMs, edges.bMs);
  const fromMs = originMs + Math.floor((low - originMs) / stepMs) * stepMs;
  const toMs = Math.max(originMs + Math.ceil((high - originMs) / stepMs) * stepMs, fromMs + stepMs);
  return { from: new Date(fromMs).toISOString(), to: new Date(toMs).toISOString() };
}

/** What `<input type="datetime-local" step="1">` holds for an instant. */
export function toInput(iso: string, zone: Zone): string {
  const date = new Date(iso);
  if (zone === 'utc') return date.toISOString().slice(0, 19);
  const pad = (n: number): string => String(n).padStart(2, '0');
  return (
    `${date.getFullYear()}-${pad(date.getMonth() + 1)}-${pad(date.getDate())}` +
    `T${pad(date.getHours())}:${pad(date.getMinutes())}:${pad(date.getSeconds())}`
  );
}

/** The instant typed into such a field, or `undefined` where it isn't one. */
export function fromInput(value: string, zone: Zone): string | undefined {
  if (!/^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}(:\d{2}(\.\d{1,3})?)?$/.test(value)) return undefined;
  const ms = Date.parse(zone === 'utc' ? `${value}Z` : value);
  return Number.isNaN(ms) ? undefined : new Date(ms).toISOString();
}
