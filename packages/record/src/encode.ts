/**
 * The bytes of a stored record, *m* (docs/format.md): JSON without white space, members in the order of the schema,
 * written once at the door and never again. What isn't in the schema isn't written.
 */
import { encodeUtf8 } from './bytes.ts';
import { recordBytesMax } from './commitment.ts';
import { RecordError } from './errors.ts';
import type { Event, StoredRecord } from './event.ts';
import { eventShape, recordShape } from './event-schema.ts';
import { compileTextValidation, parseText, type TextValidation } from './parse.ts';
import type { ObjectShape, Shape } from './shape.ts';

/**
 * Encodes a stored record. The event must have come from `parseEvent` or be built by code that follows its type.
 *
 * @throws {RecordError} `event-too-large` above 65,536 bytes
 */
export function encode(record: StoredRecord): Uint8Array {
  return bounded(encodeText(record));
}

/**
 * As `encode`, before it becomes bytes; without the bound.
 *
 * @param tail from `readDraftText`, if the record holds that very event, completed and otherwise unchanged: the sender's
 * text from `kind` on is then taken as it is, which spares writing it anew
 */
export function encodeText(record: StoredRecord, tail?: string): string {
  if (tail === undefined) {
    compiledRecord ??= compileArranger(recordShape);
    return JSON.stringify(compiledRecord(record));
  }
  const { received, submitter, intake, digest, event } = record;
  const { v, id, time, tenant, emitter } = event;
  const head = `{"received":"${received}","submitter":${JSON.stringify(submitter)},"intake":${JSON.stringify(intake)},"digest":"${digest}"`;
  const filled = `"v":${v},"id":"${id}","time":"${time}","tenant":"${tenant}"`;
  return `${head},"event":{${filled},"emitter":{"id":${JSON.stringify(emitter.id)},"seq":${emitter.seq}},${tail}}`;
}

/**
 * Encodes an event alone, as it stands within *m*.
 *
 * @throws {RecordError} `event-too-large` above 65,536 bytes
 */
export function encodeEvent(event: Event): Uint8Array {
  return bounded(encodeEventText(event));
}

/** As `encodeEvent`, before it becomes bytes; without the bound. Members that are still to come, such as the emitter's number, are left out. */
export function encodeEventText(event: Partial<Event>): string {
  return JSON.stringify(arrangeEvent(event));
}

/** The event with its members in the order in which they are stored, and no others: itself where it is so already. */
export function arrangeEvent<T extends Partial<Event>>(event: T): T {
  compiledEvent ??= compileArranger(eventShape);
  return compiledEvent(event) as T;
}

/**
 * Decodes and checks a stored record.
 *
 * @throws {RecordError} `record-invalid`
 */
export function decode(m: Uint8Array): StoredRecord {
  compiledValidation ??= compileTextValidation(recordShape);
  try {
    return parseText(compiledValidation, m).value as StoredRecord;
  } catch (cause) {
    const reason = cause instanceof RecordError ? cause.message : 'unreadable';
    throw new RecordError('record-invalid', `expected a stored record of version 1; ${reason}`, { cause });
  }
}

// Compiled at first use: nothing happens on import.
let compiledRecord: Arranger | undefined;
let compiledEvent: Arranger | undefined;
let compiledValidation: TextValidation | undefined;

/**
 * Returns the value with its members in the order of the schema and no others: the value itself where it is so already,
 * as everything is that `parseEvent` returned, otherwise a copy. The engine then writes it, three times as fast as we could.
 */
type Arranger = (value: unknown) => unknown;

function compileArranger(shape: Shape): Arranger {
  switch (shape.type) {
    case 'constant':
    case 'number':
      return (value) => (Number.isFinite(value) ? value : unwritable('a finite number', value));
    case 'boolean':
      return (value) => (typeof value === 'boolean' ? value : unwritable('a boolean', value));
    case 'choice':
    case 'text':
      return arrangeText;
    case 'either':
      return (value) => (Number.isFinite(value) ? value : arrangeText(value));
    case 'list':
      return compileList(compileArranger(shape.of));
    case 'object':
      return compileObject(shape);
    default:
      return shape satisfies never;
  }
}

function arrangeText(value: unknown): unknown {
  return typeof value === 'string' ? value : unwritable('a text', value);
}

function compileList(item: Arranger): Arranger {
  return (value) => {
    if (!Array.isArray(value)) return unwritable('an array', value);
    let copy: unknown[] | undefined;
    for (let i = 0; i < value.length; i++) {
      const arranged = item(value[i]);
      if (arranged === value[i]) continue;
      copy ??= value.slice();
      copy[i] = arranged;
    }
    return copy ?? value;
  };
}

function compileObject(shape: ObjectShape): Arranger {
  const members = shape.members.map(({ name, shape: of }) => ({ name, arrange: compileArranger(of) }));
  return (value) => {
    if (typeof value !== 'object' || value === null) return unwritable('an object', value);
    const from = value as Record<string, unknown>;
    let next = 0;
    for (const name in from) {
      while (next < members.length && members[next]?.name !== name) next++;
      const member = members[next];
      const given = from[name];
      // Until something is out of order, unknown, undefined or rearranged, nothing is copied.
      if (member === undefined || given === undefined || member.arrange(given) !== given) return copyOf(from, members);
      next++;
    }
    return from;
  };
}

/** The members of the schema, in its order. */
function copyOf(
  from: Record<string, unknown>,
  members: readonly { readonly name: string; readonly arrange: Arranger }[],
): Record<string, unknown> {
  const copy: Record<string, unknown> = {};
  for (const { name, arrange } of members) if (from[name] !== undefined) copy[name] = arrange(from[name]);
  return copy;
}

function bounded(text: string): Uint8Array {
  const bytes = encodeUtf8(text);
  if (bytes.length <= recordBytesMax) return bytes;
  throw new RecordError(
    'event-too-large',
    `expected a record of at most ${recordBytesMax} bytes, got ${bytes.length}; list fewer targets or changes in one event`,
  );
}

function unwritable(expected: string, value: unknown): never {
  throw new RecordError(
    'argument-invalid',
    `expected ${expected} where the schema has one, got ${typeof value}; parse the event first`,
  );
}
