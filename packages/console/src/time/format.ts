/** Instants as people read them: always with their zone, relative words only beside the exact time. */
import { isAbsolute, presetDefault, presetLabels, type RangeChoice, type Zone } from './range.ts';

const formats = new Map<string, Intl.DateTimeFormat>();

function format(zone: Zone, name: string, options: Intl.DateTimeFormatOptions): Intl.DateTimeFormat {
  const key = `${zone} ${name}`;
  let found = formats.get(key);
  if (!found) {
    found = new Intl.DateTimeFormat('en-GB', { ...options, ...(zone === 'utc' && { timeZone: 'UTC' }) });
    formats.set(key, found);
  }
  return found;
}

const clock: Intl.DateTimeFormatOptions = { hour: '2-digit', minute: '2-digit', second: '2-digit', hourCycle: 'h23' };

/** `12 Mar 14:03:12`: one width in a table whose header names the zone. */
export function formatRowTime(iso: string, zone: Zone): string {
  const parts = format(zone, 'row', { day: '2-digit', month: 'short', ...clock }).formatToParts(new Date(iso));
  const part = (type: Intl.DateTimeFormatPartTypes): string => parts.find((p) => p.type === type)?.value ?? '';
  return `${part('day')} ${part('month').slice(0, 3)} ${part('hour')}:${part('minute')}:${part('second')}`;
}

/** `Thu 12 March 2026, 14:03:12.345 UTC` */
export function formatFullTime(iso: string, zone: Zone): string {
  const date = new Date(iso);
  const day = format(zone, 'day', { weekday: 'short', day: 'numeric', month: 'long', year: 'numeric' }).format(date);
  const time = format(zone, 'ms', { ...clock, fractionalSecondDigits: 3 }).format(date);
  return `${day.replace(',', '')}, ${time} ${zoneName(zone, date)}`;
}

/** `14:03:12 UTC`, for sentences. */
export function formatClock(iso: string, zone: Zone): string {
  const date = new Date(iso);
  return `${format(zone, 'clock', clock).format(date)} ${zoneName(zone, date)}`;
}

const minute: Intl.DateTimeFormatOptions = { hour: '2-digit', minute: '2-digit', hourCycle: 'h23' };

/** `12 Mar 14:03`. */
export function formatMinute(ms: number, zone: Zone): string {
  const options: Intl.DateTimeFormatOptions = { day: 'numeric', month: 'short', ...minute };
  return format(zone, 'minute', options).format(new Date(ms)).replace(',', '');
}

/** `12 Mar 2026 14:03`, for the ends of a range. */
function formatEdge(ms: number, zone: Zone): string {
  const options: Intl.DateTimeFormatOptions = { day: 'numeric', month: 'short', year: 'numeric', ...minute };
  return format(zone, 'edge', options).format(new Date(ms)).replace(',', '');
}

/** `UTC`, or `UTC+02:00` as it was at that instant. */
export function zoneName(zone: Zone, at: Date): string {
  if (zone === 'utc') return 'UTC';
  const minutes = -at.getTimezoneOffset();
  if (minutes === 0) return 'UTC';
  const sign = minutes < 0 ? '−' : '+';
  const pad = (n: number): string => String(n).padStart(2, '0');
  return `UTC${sign}${pad(Math.floor(Math.abs(minutes) / 60))}:${pad(Math.abs(minutes) % 60)}`;
}

/** `12 min ago`, `in 3 s`; coarse on purpose, it stands beside the exact time. */
export function formatAgo(iso: string, nowMs: number): string {
  const deltaMs = nowMs - Date.parse(iso);
  const span = formatSpan(Math.abs(deltaMs));
  if (Math.abs(deltaMs) < 1000) return 'just now';
  return deltaMs >= 0 ? `${span} ago` : `in ${span}`;
}

/** `340 ms`, `12 s`, `5 min`, `3 h`, `2 days`. */
export function formatSpan(ms: number): string {
  if (ms < 1000) return `${Math.round(ms)} ms`;
  if (ms < 60_000) return `${Math.floor(ms / 1000)} s`;
  if (ms < 3_600_000) return `${Math.floor(ms / 60_000)} min`;
  if (ms < 2 * 86_400_000) return `${Math.floor(ms / 3_600_000)} h`;
  return `${Math.floor(ms / 86_400_000)} days`;
}

/** The range as a phrase that follows "events": `in the last 24 hours`, `from … to …`, `over all time`. */
export function describeRange(choice: RangeChoice, zone: Zone): string {
  if (!isAbsolute(choice)) {
    const preset = choice.range ?? presetDefault;
    if (preset === 'all') return 'over all time';
    return `in the ${presetLabels[preset].toLowerCase()}`;
  }
  const zoneText = zoneName(zone, new Date(choice.to ?? choice.from ?? 0));
  const from = choice.from && formatEdge(Date.parse(choice.from), zone);
  const to = choice.to && formatEdge(Date.parse(choice.to), zone);
  const clockChars = 5;
  const sameDay = from?.slice(0, -clockChars) === to?.slice(0, -clockChars);
  if (from && to) return `from ${from} to ${sameDay ? to.slice(-clockChars) : to} ${zoneText}`;
  return from ? `since ${from} ${zoneText}` : `until ${to} ${zoneText}`;
}
