/**
 * When: weekdays and times of day in a time zone, with its summer time. A window whose end is before its beginning goes over midnight, and belongs to the day it began.
 * The clock of a zone is read once a minute at most, so a request costs a comparison.
 */
import { type Weekday, type WindowDocument, weekdays } from './policy-schema.ts';

const dayMinutes = 24 * 60;

interface LocalMinute {
  /** 0 is Monday. */
  readonly weekday: number;
  readonly minute: number;
}

export class Hours {
  readonly #windows: readonly {
    readonly clock: ZoneClock;
    readonly days: ReadonlySet<number>;
    readonly from: number;
    readonly to: number;
  }[];

  constructor(windows: readonly WindowDocument[]) {
    this.#windows = windows.map(({ zone, days, from, to }) => ({
      clock: new ZoneClock(zone),
      days: new Set(days.map((day) => weekdays.indexOf(day))),
      from: minuteOf(from),
      to: minuteOf(to),
    }));
  }

  /** From its first minute on, up to but without the last one. */
  includes(timeMs: number): boolean {
    return this.#windows.some(({ clock, days, from, to }) => {
      const { weekday, minute } = clock.at(timeMs);
      if (from < to) return minute >= from && minute < to && days.has(weekday);
      if (minute >= from) return days.has(weekday);
      return minute < to && days.has((weekday + 6) % 7);
    });
  }
}

class ZoneClock {
  readonly #format: Intl.DateTimeFormat;
  #minuteOfTime = Number.NaN;
  #local: LocalMinute = { weekday: 0, minute: 0 };

  constructor(zone: string) {
    this.#format = new Intl.DateTimeFormat('en-GB', {
      timeZone: zone,
      weekday: 'short',
      hour: '2-digit',
      minute: '2-digit',
      hourCycle: 'h23',
    });
  }

  at(timeMs: number): LocalMinute {
    // No zone is off by parts of a minute today.
    const minuteOfTime = Math.floor(timeMs / 60_000);
    if (minuteOfTime !== this.#minuteOfTime) {
      const parts = new Map(this.#format.formatToParts(timeMs).map(({ type, value }) => [type, value]));
      const day = parts.get('weekday')?.slice(0, 3).toLowerCase();
      const weekday = weekdays.indexOf(day as Weekday);
      this.#local = { weekday, minute: Number(parts.get('hour')) * 60 + Number(parts.get('minute')) };
      this.#minuteOfTime = minuteOfTime;
    }
    return this.#local;
  }
}

function minuteOf(time: string): number {
  return time === '24:00' ? dayMinutes : Number(time.slice(0, 2)) * 60 + Number(time.slice(3));
}
