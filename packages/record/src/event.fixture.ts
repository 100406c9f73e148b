/** For tests: a whole event, and ways to vary it. */
import { readFileSync } from 'node:fs';
import type { Event, StoredRecord } from './event.ts';

/** Reads a file of `vectors/`. */
export function readVector(name: string): never {
  return JSON.parse(readFileSync(new URL(`../vectors/${name}.json`, import.meta.url), 'utf8')) as never;
}

const { record }: { readonly record: StoredRecord } = readVector('record');

export const sampleRecord: StoredRecord = record;
/** A physician reads a patient through the gateway. */
export const sampleEvent: Event = record.event;

/** The sample with some members replaced. */
export function eventWith(members: Partial<Event>): Event {
  return { ...sampleEvent, ...members };
}
