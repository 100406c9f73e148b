/**
 * From the bytes of events to items for the ledger: parsed strictly, completed, held against the clock and the key's tenant, minimised. Every event of a batch is
 * looked at before anything is stored; the first errors are named.
 */
import { hash } from 'node:crypto';
import { setImmediate } from 'node:timers/promises';
import {
  completeEvent,
  type DraftText,
  type Envelope,
  encodeText,
  minimise,
  RecordError,
  readDraftText,
  uuidv7,
} from '@watchglass/record';
import type { WriteKey } from '../access/access.ts';
import { type ErrorPlace, ServerError, type ServerErrorCode, serverErrors } from '../errors.ts';
import type { AppendItem } from '../ledger/ledger.ts';
import type { World } from '../world/world.ts';
import type { DoorSequence, Numbered } from './door-sequence.ts';
import type { SplitBody } from './split-body.ts';

/** Errors named in one answer. */
export const errorsMax = 50;
/** A sender's clock may be ahead by this much. */
export const futureMaxMs: number = 5 * 60_000;
/** Events handled before others get a turn. */
const eventsPerTurn = 250;

export interface PrepareOptions {
  readonly world: World;
  readonly sequence: DoorSequence;
  readonly ageMaxMs: number;
}

/** Events ready to be appended, and the numbers given to them (undefined where the sender had its own). */
export interface PreparedBatch {
  readonly items: readonly AppendItem[];
  readonly numbers: readonly (Numbered | undefined)[];
}

interface Parsed {
  readonly read: DraftText;
  readonly digest: string;
}

/** @throws ServerError `bad-request`, `event-invalid`, `wrong-tenant`, `event-in-future`, `event-too-old` */
export async function prepareEvents(body: SplitBody, key: WriteKey, options: PrepareOptions): Promise<PreparedBatch> {
  const parsed = await parseAll(body, key, options);
  return await complete(parsed, key, options);
}

async function parseAll(body: SplitBody, key: WriteKey, { world, ageMaxMs }: PrepareOptions): Promise<Parsed[]> {
  const nowMs = world.clock.now();
  const parsed: Parsed[] = [];
  const errors: ErrorPlace[] = [];
  let firstCode: ServerErrorCode | undefined;
  for (const [at, bytes] of body.items.entries()) {
    if (at % eventsPerTurn === eventsPerTurn - 1) await setImmediate();
    const checked = parseOne(bytes, { at, key, nowMs, ageMaxMs });
    if ('read' in checked) parsed.push(checked);
    else {
      firstCode ??=
        body.single && checked.code === 'bad-request'
          ? 'bad-request'
          : checked.code === 'bad-request'
            ? 'event-invalid'
            : checked.code;
      errors.push(...checked.errors.slice(0, errorsMax - errors.length));
      if (errors.length >= errorsMax) break;
    }
  }
  const [first] = errors;
  if (first !== undefined && firstCode !== undefined) {
    const event = body.single ? 'the event' : `event ${first.at} (counted from 0)`;
    const place = first.path === '' ? event : `${event}, ${first.path}`;
    const { remedy } = serverErrors[firstCode];
    throw new ServerError(firstCode, `${place}: expected ${first.expected}, got ${first.got}. ${remedy}`, { errors });
  }
  return parsed;
}

interface CheckOptions {
  readonly at: number;
  readonly key: WriteKey;
  readonly nowMs: number;
  readonly ageMaxMs: number;
}

type Checked = Parsed | { readonly code: ServerErrorCode; readonly errors: readonly ErrorPlace[] };

function parseOne(bytes: Uint8Array, { at, key, nowMs, ageMaxMs }: CheckOptions): Checked {
  let read: DraftText;
  try {
    read = readDraftText(bytes);
  } catch (error) {
    if (!(error instanceof RecordError)) throw error;
    if (error.code === 'event-invalid') {
      const places = error.details.errors ?? [];
      return { code: 'event-invalid', errors: places.map(({ at: path, ...place }) => ({ at, path, ...place })) };
    }
    return { code: 'bad-request', errors: [{ at, path: '', ...wordsOf(error) }] };
  }
  const { draft } = read;
  if (draft.tenant !== undefined && draft.tenant !== key.tenant) {
    return {
      code: 'wrong-tenant',
      errors: [{ at, path: '/tenant', expected: 'the tenant of the write key', got: 'another tenant' }],
    };
  }
  if (draft.time !== undefined) {
    const timeMs = Date.parse(draft.time);
    if (timeMs > nowMs + futureMaxMs) {
      const expected = `a time at most ${futureMaxMs / 60_000} minutes ahead of the server's`;
      return {
        code: 'event-in-future',
        errors: [{ at, path: '/time', expected, got: `one ${spanOf(timeMs - nowMs)} ahead` }],
      };
    }
    if (timeMs < nowMs - ageMaxMs) {
      const days = (ms: number): number => Math.floor(ms / 86_400_000);
      const expected = `a time at most ${days(ageMaxMs)} days ago, which is the retention`;
      return {
        code: 'event-too-old',
        errors: [{ at, path: '/time', expected, got: `one ${days(nowMs - timeMs)} days ago` }],
      };
    }
  }
  return { read, digest: hash('sha256', bytes, 'hex') };
}

/** `expected …, got …` of a message about strict JSON, apart. */
function wordsOf({ message }: RecordError): Pick<ErrorPlace, 'expected' | 'got'> {
  const [, expected, got] = /^expected (.+?)(?:, got (.+))?$/.exec(message) ?? [];
  return { expected: expected ?? 'strict JSON', got: got ?? 'something else, or a part of it' };
}

function spanOf(ms: number): string {
  const minutes = Math.ceil(ms / 60_000);
  return minutes < 120
    ? `${minutes} minutes`
    : minutes < 2_880
      ? `${Math.floor(minutes / 60)} hours`
      : `${Math.floor(minutes / 1_440)} days`;
}

async function complete(
  parsed: readonly Parsed[],
  key: WriteKey,
  { world, sequence }: PrepareOptions,
): Promise<PreparedBatch> {
  const items: AppendItem[] = [];
  const numbers: (Numbered | undefined)[] = [];
  const nowMs = world.clock.now();
  const received = new Date(nowMs).toISOString();
  const submitter = `key:${key.id}`;
  try {
    for (const [position, { read, digest }] of parsed.entries()) {
      if (position % eventsPerTurn === eventsPerTurn - 1) await setImmediate();
      const { draft, tail } = read;
      const id = draft.id ?? uuidv7(nowMs, world.random.bytes(10));
      const number = draft.emitter === undefined ? sequence.number(key.tenant, key.emitter, id) : undefined;
      numbers.push(number);
      const emitter = draft.emitter ?? { id: key.emitter, seq: number?.seq ?? 0 };
      const completed = completeEvent(draft, { id, time: received, tenant: key.tenant, emitter });
      const event = minimise(completed);
      const envelope: Envelope = { received, submitter, intake: 'http', digest };
      // Where nothing was taken out and the sender's text is the one that would be written, it isn't written again.
      const same = event === completed && tail !== undefined;
      items.push(same ? { event, envelope, text: encodeText({ ...envelope, event }, tail) } : { event, envelope });
    }
    return { items, numbers };
  } catch (error) {
    for (const number of numbers) if (number !== undefined) sequence.giveBack(key.tenant, number);
    if (error instanceof RecordError && error.code === 'event-too-large') {
      const place = {
        at: numbers.length - 1,
        path: '',
        expected: 'an event of at most 64,000 bytes',
        got: 'a larger one',
      };
      throw new ServerError('event-invalid', undefined, { cause: error, errors: [place] });
    }
    throw error;
  }
}
