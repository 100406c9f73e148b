/**
 * One conversation with one witness (c2sp.org/tlog-witness): submit a checkpoint, from the size the witness cosigned last; where it names another size, from
 * that. Nothing it says is believed without a signature: a cosignature verifies or is refused, and that it is ahead or has another tree is asked to be shown.
 */

import { createHash } from 'node:crypto';
import {
  formatAddCheckpoint,
  openCosignatures,
  openNote,
  type PolicyWitness,
  parseCheckpoint,
  parseWitnessSize,
  RecordError,
  witnessBytesMax,
} from '@watchglass/record';
import { type Http, type HttpAnswer, HttpFailure } from '../../world/http.ts';
import type { WitnessFault, WitnessFaultCode } from './faults.ts';

/** Times that lie further ahead are refused. */
const aheadSecondsMax = 600n;
/** Sizes a witness may name in one conversation: one it had, and one that a late answer of ours made. */
const attemptsMax = 3;

export interface Submission {
  readonly http: Http;
  readonly witness: PolicyWitness;
  /** Without a slash at its end. */
  readonly url: string;
  readonly origin: string;
  /** Of the log. */
  readonly vkey: string;
  readonly head: { readonly size: number; readonly checkpoint: string };
  /** What the witness is thought to have cosigned last; 0 when not known. */
  readonly oldSize: number;
  readonly consistency: (size1: number, size2: number) => Promise<readonly Uint8Array[]>;
  readonly rootAt: (size: number) => Promise<Uint8Array>;
  readonly nowMs: () => number;
  /** For the whole conversation. */
  readonly deadlineMs: number;
  readonly monotonicMs: () => number;
  readonly signal: AbortSignal;
}

export type Outcome =
  | { readonly kind: 'cosigned'; readonly line: string; readonly timeSeconds: bigint }
  /** `note` is a checkpoint of this log, signed by its key, that the files don't have: a proof. Without it, it is a claim. */
  | { readonly kind: 'ahead'; readonly size: bigint; readonly note: string | undefined }
  | { readonly kind: 'forked'; readonly size: bigint; readonly note: string }
  | ({ readonly kind: 'failed' } & WitnessFault);

export async function askWitness(submission: Submission): Promise<Outcome> {
  try {
    return await converse(submission);
  } catch (error) {
    if (error instanceof HttpFailure) return failed(failureCodes[error.kind], error.message);
    throw error;
  }
}

const failureCodes = {
  unreachable: 'witness-unreachable',
  deadline: 'witness-deadline',
  'too-large': 'witness-too-large',
  aborted: 'witness-deadline',
} as const;

async function converse(submission: Submission): Promise<Outcome> {
  const { head, consistency } = submission;
  const endMs = submission.monotonicMs() + submission.deadlineMs;
  let old = submission.oldSize;
  for (let attempt = 0; attempt < attemptsMax; attempt++) {
    const proof = await consistency(old, head.size);
    const body = formatAddCheckpoint({ oldSize: BigInt(old), proof, checkpoint: head.checkpoint });
    const answer = await post(submission, body, endMs);
    if (answer.status === 200) return cosigned(submission, answer);
    if (answer.status === 422 || answer.status === 400)
      return (await contradiction(submission, endMs)) ?? failed('witness-refused', saying(answer));
    if (answer.status !== 409) return refusal(answer);
    const size = sizeIn(answer);
    if (size === undefined || size === BigInt(old))
      return failed('witness-answer-invalid', 'expected the size it cosigned last in a 409, got something else');
    if (size > BigInt(head.size))
      return (await contradiction(submission, endMs)) ?? { kind: 'ahead', size, note: undefined };
    old = Number(size);
  }
  return failed('witness-answer-invalid', `expected one size, got another with each of ${attemptsMax} answers`);
}

function post({ http, url, monotonicMs, signal }: Submission, body: string, endMs: number): Promise<HttpAnswer> {
  return http.ask({
    method: 'POST',
    url: `${url}/add-checkpoint`,
    contentType: 'text/plain; charset=utf-8',
    body,
    bytesMax: witnessBytesMax,
    deadlineMs: Math.max(1, endMs - monotonicMs()),
    signal,
  });
}

function cosigned({ witness, head, nowMs }: Submission, { body }: HttpAnswer): Outcome {
  try {
    const { lines, signatures } = openCosignatures(body, head.checkpoint, [witness.verifier]);
    const timeSeconds = signatures[0]?.timeSeconds ?? 0n;
    if (timeSeconds > BigInt(Math.floor(nowMs() / 1000)) + aheadSecondsMax)
      return failed('witness-clock', `its time is ${timeSeconds}, more than ${aheadSecondsMax} s ahead of ours`);
    return { kind: 'cosigned', line: lines[0] ?? '', timeSeconds };
  } catch (error) {
    if (!(error instanceof RecordError)) throw error;
    return failed(
      error.code === 'witness-response-malformed' ? 'witness-answer-invalid' : 'witness-signature-invalid',
      error.message,
    );
  }
}

function refusal(answer: HttpAnswer): Outcome {
  const code: WitnessFaultCode =
    answer.status === 404
      ? 'witness-unknown-log'
      : answer.status === 403
        ? 'witness-untrusted-key'
        : answer.status === 429
          ? 'witness-busy'
          : 'witness-failing';
  return failed(code, saying(answer));
}

/**
 * What the witness shows of this log, where the log's own key signed it and the files don't have it. The key is ours alone, so no witness can make this up.
 */
async function contradiction(submission: Submission, endMs: number): Promise<Outcome | undefined> {
  const { http, url, origin, vkey, head, rootAt, monotonicMs, signal } = submission;
  const hash = createHash('sha256').update(origin).digest('hex');
  let answer: HttpAnswer;
  try {
    answer = await http.ask({
      method: 'GET',
      url: `${url}/${hash}/checkpoint`,
      bytesMax: witnessBytesMax,
      deadlineMs: Math.max(1, endMs - monotonicMs()),
      signal,
    });
  } catch (error) {
    if (error instanceof HttpFailure) return undefined;
    throw error;
  }
  if (answer.status !== 200) return undefined;
  const note = Buffer.from(answer.body).toString('utf8');
  const shown = openOwn(note, origin, vkey);
  if (shown === undefined) return undefined;
  if (shown.size > BigInt(head.size)) return { kind: 'ahead', size: shown.size, note };
  const root = await rootAt(Number(shown.size));
  return Buffer.compare(root, shown.root) === 0 ? undefined : { kind: 'forked', size: shown.size, note };
}

/** A checkpoint that this log's key signed; undefined for anything else. */
export function openOwn(
  note: string,
  origin: string,
  vkey: string,
): { readonly size: bigint; readonly root: Uint8Array } | undefined {
  try {
    const checkpoint = parseCheckpoint(openNote(note, [vkey]).text);
    return checkpoint.origin === origin ? checkpoint : undefined;
  } catch (error) {
    if (error instanceof RecordError) return undefined;
    throw error;
  }
}

function sizeIn({ body }: HttpAnswer): bigint | undefined {
  try {
    return parseWitnessSize(body);
  } catch (error) {
    if (error instanceof RecordError) return undefined;
    throw error;
  }
}

function failed(code: WitnessFaultCode, message: string): Outcome {
  return { kind: 'failed', code, message };
}

/** Its own words are left out: they may be anything, and end up in logs. */
function saying({ status }: HttpAnswer): string {
  return `it answered ${status}`;
}
