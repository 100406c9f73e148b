/**
 * Days and instants of the synthetic world. It runs on UTC and on the day it is given: nothing here reads a clock.
 * People are older or younger than *populationDay*, which never moves, so a patient keeps a birth date from one day's
 * demo to the next; visits and appointments are placed around *today*.
 */

/** Days since 1970-01-01, UTC. */
export type Day = number;

const dayMs = 86_400_000;

/** The day the population was counted on; the world's today may not lie before it. */
export const populationDay: Day = 19_723;

/** Reads `YYYY-MM-DD`; undefined when it isn't a day of the calendar. */
export function parseDay(text: string): Day | undefined {
  if (!/^\d{4}-\d{2}-\d{2}$/.test(text)) return undefined;
  const ms = Date.parse(`${text}T00:00:00Z`);
  if (Number.isNaN(ms)) return undefined;
  const day = Math.round(ms / dayMs);
  return formatDay(day) === text ? day : undefined;
}

/** `YYYY-MM-DD`. */
export function formatDay(day: Day): string {
  return new Date(day * dayMs).toISOString().slice(0, 10);
}

/** The instant a minute of a day begins, as FHIR writes it: `2026-03-04T09:15:00Z`. Minutes may run into later days. */
export function instantAt(day: Day, minute: number): string {
  return `${new Date(day * dayMs + minute * 60_000).toISOString().slice(0, 19)}Z`;
}

/** Whole years from a birth day to another day. */
export function ageOn(birthDay: Day, day: Day): number {
  const birth = new Date(birthDay * dayMs);
  const then = new Date(day * dayMs);
  const years = then.getUTCFullYear() - birth.getUTCFullYear();
  const before =
    then.getUTCMonth() < birth.getUTCMonth() ||
    (then.getUTCMonth() === birth.getUTCMonth() && then.getUTCDate() < birth.getUTCDate());
  return before ? years - 1 : years;
}
