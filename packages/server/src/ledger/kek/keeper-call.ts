/**
 * Calls to a keeper of keys over HTTP: each attempt has a deadline, the whole call another, answers are bounded, and what passes by itself
 * (throttling, no answer, 5xx) is tried again with growing, jittered pauses. What is left then is a RecordError whose code says what to do.
 */
import { type ErrorCode, RecordError } from '@watchglass/record';
import { type HttpAnswer, type HttpRequest, httpCall } from '../../world/http-call.ts';
import type { World } from '../../world/world.ts';

const attemptMs = 5_000;
const callMs = 15_000;
const attemptsMax = 4;
const firstPauseMs = 200;
const answerBytesMax = 64 * 1024;

/** What is wrong with an answer, if something is: a code of the `Kek` contract and a safe word of the service's own. */
export interface KeeperProblem {
  readonly code: Extract<
    ErrorCode,
    'kek-refused' | 'kek-throttled' | 'kek-lost' | 'kek-unreachable' | 'kek-malformed' | 'seed-refused'
  >;
  /** The service's name of the error: made of letters, digits and `_` only. */
  readonly said: string;
}

export interface KeeperCall {
  /** The key or service, for messages. */
  readonly who: string;
  /** Made for each attempt: a signature has a time in it. */
  readonly request: () => HttpRequest | Promise<HttpRequest>;
  /** Undefined for an answer that is one. */
  readonly problemOf: (answer: HttpAnswer, body: unknown) => KeeperProblem | undefined;
}

/** The JSON of the answer. @throws RecordError */
export async function callKeeper(world: World, call: KeeperCall): Promise<unknown> {
  const { clock } = world;
  const startedMs = clock.monotonicMs();
  let last: RecordError | undefined;
  for (let attempt = 0; attempt < attemptsMax; attempt++) {
    let askedPauseMs = 0;
    try {
      const answer = await attemptOnce(world, call);
      const body = parsed(answer.text);
      const problem = call.problemOf(answer, body);
      if (problem === undefined) return body;
      last = errorOf(call.who, problem, answer.status);
      askedPauseMs = 1_000 * Number(answer.headers['retry-after'] ?? 0) || 0;
    } catch (error) {
      if (error instanceof RecordError) throw error;
      last = unreachable(call.who, error);
    }
    if (last.code !== 'kek-throttled' && last.code !== 'kek-unreachable') throw last;
    const pauseMs = Math.max(askedPauseMs, firstPauseMs * 2 ** attempt * (0.5 + jitter(world)));
    // No use in waiting past the deadline of the whole call.
    if (clock.monotonicMs() - startedMs + pauseMs > callMs) break;
    if (attempt + 1 < attemptsMax) await clock.sleep(pauseMs);
  }
  throw last;
}

async function attemptOnce(world: World, { who, request }: KeeperCall): Promise<HttpAnswer> {
  const asked = await request();
  const stop = new AbortController();
  const timer = world.clock.after(attemptMs, () =>
    stop.abort(new RecordError('kek-unreachable', `${who} did not answer within ${attemptMs / 1_000} s`)),
  );
  try {
    return await httpCall(asked, { signal: stop.signal, bytesMax: answerBytesMax });
  } catch (error) {
    if (error instanceof RangeError)
      throw new RecordError('kek-malformed', `${who} answered too much: ${error.message}`);
    // A deadline passes like a broken connection does: it is tried again.
    throw stop.signal.aborted ? new Error(`no answer within ${attemptMs / 1_000} s`) : error;
  } finally {
    timer.cancel();
  }
}

function parsed(text: string): unknown {
  if (text === '') return {};
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

const remedies: Readonly<Record<KeeperProblem['code'], string>> = {
  'kek-refused': 'check the credentials, and the rights they have on the key',
  'kek-throttled': 'raise the quota of the service, or try again later',
  'kek-lost': 'enable or restore the key there; what was wrapped under it stays closed until then',
  'kek-unreachable': 'check the service and the network between',
  'kek-malformed': 'check that the address is that of the service',
  'seed-refused': 'it was wrapped under another key or for another place, or its bytes were changed',
};

function errorOf(who: string, { code, said }: KeeperProblem, status: number): RecordError {
  const word = /^[A-Za-z0-9_]{1,64}$/.test(said) ? said : 'an unknown error';
  return new RecordError(code, `${who} answered ${status} ${word}: ${remedies[code]}`, {
    details: { status, said: word },
  });
}

function unreachable(who: string, cause: unknown): RecordError {
  const code = cause instanceof Error && 'code' in cause && typeof cause.code === 'string' ? cause.code : undefined;
  const why = code ?? (cause instanceof Error ? cause.message : 'no connection');
  return new RecordError('kek-unreachable', `${who} cannot be reached (${why}): ${remedies['kek-unreachable']}`, {
    cause,
  });
}

/** From 0 up to 1, of the world's randomness. */
function jitter({ random }: World): number {
  return (random.bytes(1)[0] ?? 0) / 256;
}

/** A text member of an answer. @throws RecordError `kek-malformed` */
export function memberOf(body: unknown, name: string, who: string): string {
  const value = typeof body === 'object' && body !== null ? (body as Record<string, unknown>)[name] : undefined;
  if (typeof value === 'string' && value !== '') return value;
  throw new RecordError('kek-malformed', `${who} gave an answer without \`${name}\`: ${remedies['kek-malformed']}`);
}

/** A moment that is told in seconds since 1970, as RFC 3339; undefined for what is none. */
export function momentOf(seconds: unknown): string | undefined {
  if (typeof seconds !== 'number' || !(seconds > 0)) return undefined;
  const at = new Date(seconds * 1_000);
  return Number.isNaN(at.getTime()) ? undefined : at.toISOString();
}

/** Bytes of a base64 member of an answer. @throws RecordError `kek-malformed` */
export function bytesOf(
  body: unknown,
  name: string,
  who: string,
  encoding: 'base64' | 'base64url' = 'base64',
): Uint8Array {
  const text = memberOf(body, name, who);
  const bytes = Buffer.from(text, encoding);
  if (bytes.length > 0 && bytes.toString(encoding).replace(/=+$/, '') === text.replace(/=+$/, ''))
    return new Uint8Array(bytes);
  throw new RecordError(
    'kek-malformed',
    `${who} gave a \`${name}\` that is not ${encoding}: ${remedies['kek-malformed']}`,
  );
}

/** The problem that a status alone tells of, for services whose body doesn't say more. */
export function problemOfStatus(status: number, said: string): KeeperProblem | undefined {
  if (status >= 200 && status < 300) return undefined;
  if (status === 401 || status === 403) return { code: 'kek-refused', said };
  if (status === 404 || status === 410) return { code: 'kek-lost', said };
  if (status === 429) return { code: 'kek-throttled', said };
  if (status >= 500 || status === 408) return { code: 'kek-unreachable', said };
  return { code: 'kek-malformed', said };
}
