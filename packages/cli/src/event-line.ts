/**
 * An event as the search answers it, and how people read it: one line in a tail, one row in a table. Patients are
 * pseudonyms already; nothing here knows a plain identifier.
 */
import type { Event } from '@watchglass/record';
import { CliError } from './errors.ts';
import { type Column, plain } from './table.ts';

/** The stored event, flattened, with its place in the log. */
export type FoundEvent = Event & { readonly index: number; readonly received?: string; readonly submitter?: string };

/** Checks what the lines below rely on; everything else passes through as it came. */
export function parseFound(value: unknown): FoundEvent {
  if (
    typeof value !== 'object' ||
    value === null ||
    !('index' in value) ||
    typeof value.index !== 'number' ||
    !('time' in value) ||
    typeof value.time !== 'string' ||
    !('actor' in value) ||
    !('outcome' in value)
  ) {
    throw new CliError('answer-invalid', 'expected an event with index, time, actor and outcome, got something else', {
      remedy: 'Check that the server and this command are of the same version.',
    });
  }
  return value as FoundEvent;
}

export const eventColumns: readonly Column[] = [
  { title: 'INDEX', align: 'right' },
  { title: 'TIME (UTC)' },
  { title: 'ACTOR', widthMax: 28 },
  { title: 'DID', widthMax: 30 },
  { title: 'WHAT', widthMax: 40 },
  { title: 'PATIENTS', widthMax: 30 },
  { title: 'OUTCOME', widthMax: 40 },
];

export function eventRow(event: FoundEvent): string[] {
  return [
    String(event.index),
    event.time.replace('T', ' ').replace(/Z$/, ''),
    actorOf(event),
    event.operation ?? event.action,
    whatOf(event),
    patientsOf(event),
    outcomeOf(event),
  ];
}

/** With the reason where it came to nothing: what refused it, by its code. */
function outcomeOf({ outcome: { status, code, reason } }: FoundEvent): string {
  return [status, code, status === 'success' ? undefined : reason].filter((part) => part !== undefined).join(' ');
}

/** Widths for a stream, where nobody knows yet what is to come; a longer cell pushes the rest of its line. */
const streamWidths = [8, 23, 26, 14, 32, 30];

export function eventLine(event: FoundEvent): string {
  const cells = eventRow(event).map((cell, at) =>
    at === 0 ? cell.padStart(streamWidths[at] ?? 0) : cell.padEnd(streamWidths[at] ?? 0),
  );
  return plain(cells.join('  ')).trimEnd();
}

function actorOf({ actor }: FoundEvent): string {
  const role = actor.roles?.[0];
  return role === undefined ? actor.id : `${actor.id} (${role})`;
}

function whatOf({ targets, request, kind }: FoundEvent): string {
  const target = targets?.find(({ role }) => role === 'query') ?? targets?.[0];
  if (target !== undefined) return target.id === undefined ? target.type : `${target.type}/${target.id}`;
  return request?.route ?? kind;
}

function patientsOf({ exposure, targets }: FoundEvent): string {
  const left = exposure?.patients?.map(({ id }) => id) ?? [];
  const all = [...new Set([...left, ...(targets ?? []).flatMap(({ patient }) => patient ?? [])])];
  const more = all.length - 2;
  return `${all.slice(0, 2).join(' ')}${more > 0 ? ` +${more}` : ''}${exposure?.truncated === true ? ' (truncated)' : ''}`;
}
