/** A moment as people type it: RFC 3339, a date, or how long ago (`15m`, `2h`, `7d`). */
import { CliError } from './errors.ts';

const unitMs: Readonly<Record<string, number>> = { s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000, w: 604_800_000 };

/** RFC 3339 in UTC. A date without a time means its first moment in UTC. */
export function parseMoment(text: string, nowMs: number): string {
  const ago = /^(\d{1,6})([smhdw])$/.exec(text);
  if (ago !== null) return new Date(nowMs - Number(ago[1]) * (unitMs[ago[2] ?? ''] ?? 0)).toISOString();
  const shape = /^\d{4}-\d{2}-\d{2}(T\d{2}:\d{2}(:\d{2}(\.\d{1,9})?)?(Z|[+-]\d{2}:\d{2}))?$/;
  const at = shape.test(text) ? Date.parse(text) : Number.NaN;
  if (Number.isNaN(at)) {
    throw new CliError('usage', `expected a moment such as 2026-03-12, 2026-03-12T08:00:00Z or 2h, got ${text}`);
  }
  return new Date(at).toISOString();
}

/** A span such as `90s`, `15m` or `2h`, in milliseconds. */
export function parseSpan(text: string, option: string): number {
  const span = /^(\d{1,6})(ms|[smhdw])$/.exec(text);
  const ms = span === null ? 0 : Number(span[1]) * (span[2] === 'ms' ? 1 : (unitMs[span[2] ?? ''] ?? 0));
  // Timers of the platform end at 2^31 ms, about 24 days.
  if (ms < 1 || ms > 2_000_000_000) {
    throw new CliError('usage', `expected ${option} as a span such as 90s, 15m or 2h, got ${text}`);
  }
  return ms;
}
