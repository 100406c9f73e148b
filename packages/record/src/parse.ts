/**
 * From the unknown to an `Event`: the one way in. Whatever passes here follows the schema of `event-schema.ts`, has no
 * other member, and has its members in the schema's order.
 *
 * Whether the time is plausible now, and whether the tenant is the sender's, is for the door to say.
 */

import { type Checker, compileChecker, type Tally } from './check.ts';
import { RecordError } from './errors.ts';
import type { Emitter, Event } from './event.ts';
import { draftShape, eventShape } from './event-schema.ts';
import type { Shape } from './shape.ts';
import { eventJsonBounds, type JsonBounds, parseJson, refuseDuplicates } from './strict-json.ts';
import { compileValidator, startValidation, type Validation, type Validator } from './validate.ts';

/** An event whose `v`, `id`, `time`, `tenant` and `emitter` the door may still have to fill in. */
export type EventDraft = Omit<Event, 'v' | 'id' | 'time' | 'tenant' | 'emitter'> &
  Partial<Pick<Event, 'v' | 'id' | 'time' | 'tenant' | 'emitter'>>;

/** What the door fills in where the sender left it out. */
export interface EventFill {
  readonly id: string;
  readonly time: string;
  readonly tenant: string;
  readonly emitter: Emitter;
}

/**
 * Checks a value against event v1 and returns a copy of it.
 *
 * @throws {RecordError} `event-invalid`, with up to 20 `details.errors`
 * @example
 * const event = parseEvent(JSON.parse(line));
 */
export function parseEvent(input: unknown): Event {
  return check(eventValidation().validator, input).value as Event;
}

/** As `parseEvent`, but `v`, `id`, `time`, `tenant` and `emitter` may be absent. */
export function draftEvent(input: unknown): EventDraft {
  return check(draftValidation().validator, input).value as EventDraft;
}

/**
 * Parses an event from strict JSON: UTF-8, at most 65,536 bytes, no member twice.
 *
 * @throws {RecordError} `json-invalid`, `event-invalid`
 */
export function parseEventText(text: string | Uint8Array): Event {
  return parseText(eventValidation(), text).value as Event;
}

/** As `parseEventText`, but `v`, `id`, `time`, `tenant` and `emitter` may be absent. */
export function draftEventText(text: string | Uint8Array): EventDraft {
  return parseText(draftValidation(), text).value as EventDraft;
}

/** A draft, and the end of its text where that need not be written again. */
export interface DraftText {
  readonly draft: EventDraft;
  /** The text from the member `kind` on, without what goes before it and with the closing brace; undefined where `encode` would write another. */
  readonly tail: string | undefined;
}

/**
 * As `draftEventText`, and tells `encodeText` what it may take as it came.
 *
 * @throws {RecordError} `json-invalid`, `event-invalid`
 */
export function readDraftText(text: string | Uint8Array): DraftText {
  const { value, canonical } = parseText(draftValidation(), text);
  // Only what the door may fill in stands before `kind`, and no text in a canonical one holds a quotation mark.
  const tail = canonical?.slice(canonical.indexOf('"kind":'));
  return { draft: value as EventDraft, tail };
}

/** The event of a draft; what the sender gave stays. */
export function completeEvent(draft: EventDraft, fill: EventFill): Event {
  const { v: _v, id, time, tenant, emitter, ...rest } = draft;
  return {
    v: 1,
    id: id ?? fill.id,
    time: time ?? fill.time,
    tenant: tenant ?? fill.tenant,
    emitter: emitter ?? fill.emitter,
    ...rest,
  };
}

/** How texts of one shape are judged: at a glance first, and in words where that says no. */
export interface TextValidation {
  readonly checker: Checker;
  readonly validator: Validator;
}

export function compileTextValidation(shape: Shape): TextValidation {
  return { checker: compileChecker(shape), validator: compileValidator(shape) };
}

interface ParsedText {
  readonly value: unknown;
  /** The text itself, where encoding the value gives the same one. */
  readonly canonical: string | undefined;
}

/** Validates a text: shared with `decode`. */
export function parseText(
  { checker, validator }: TextValidation,
  text: string | Uint8Array,
  bounds: JsonBounds = eventJsonBounds,
): ParsedText {
  const json = parseJson(text, bounds);
  const tally: Tally = { members: 0 };
  if (checker(json.value, tally) && tally.members === json.members)
    return { value: json.value, canonical: json.plain ? json.text : undefined };
  const { value, members } = check(validator, json.value);
  refuseDuplicates(json.members, members);
  return { value, canonical: undefined };
}

function check(validator: Validator, input: unknown): { readonly value: unknown; readonly members: number } {
  const at: Validation = startValidation();
  const value = validator(input, at);
  const first = at.errors[0];
  if (first === undefined) return { value, members: at.members };
  const more = at.errors.length > 1 ? ` (and ${at.errors.length - 1} more)` : '';
  throw new RecordError(
    'event-invalid',
    `${first.at === '' ? 'the event' : first.at}: expected ${first.expected}, got ${first.got}${more}`,
    { details: { errors: at.errors } },
  );
}

// Compiled at first use: nothing happens on import.
let compiledEvent: TextValidation | undefined;
let compiledDraft: TextValidation | undefined;

function eventValidation(): TextValidation {
  compiledEvent ??= compileTextValidation(eventShape);
  return compiledEvent;
}

function draftValidation(): TextValidation {
  compiledDraft ??= compileTextValidation(draftShape);
  return compiledDraft;
}
