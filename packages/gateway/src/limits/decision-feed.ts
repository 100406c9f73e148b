/**
 * Asks the server for its decisions, again and again: each question waits at the server until there is something new, so a decision is here within the time
 * of an answer. A server that is away, too old or wrong is asked more and more seldom; what was decided before stays in force meanwhile.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { Agent, request } from 'undici';

import { type Decisions, parseSnapshot } from './decisions.ts';

export type FeedProblem = 'unreachable' | 'refused' | 'unsupported' | 'invalid' | 'not-kept';

export interface FeedOptions {
  readonly decisions: Decisions;
  readonly serverUrl: string;
  readonly writeKey: string;
  readonly ca?: string | undefined;
  /** Told when it changes; undefined once all is well. */
  readonly onProblem: (problem: FeedProblem | undefined) => void;
}

/** The server lets go of a question after 20 s. */
const answerMsMax = 40_000;
const gapMs = 100;
const firstDelayMs = 500;
const delayMsMax = 30_000;
/** Of a server that has no such thing. */
const unsupportedDelayMs = 60_000;
const bytesMax = 16 * 1024 * 1024;

/** Disposing of it stops asking. */
export function startDecisionFeed(
  options: FeedOptions,
): AsyncDisposable & { readonly problem: () => FeedProblem | undefined } {
  const stopping = new AbortController();
  const agent = new Agent({ connections: 1, ...(options.ca === undefined ? {} : { connect: { ca: options.ca } }) });
  let problem: FeedProblem | undefined;
  const tell = (found: FeedProblem | undefined): void => {
    if (found === problem) return;
    problem = found;
    options.onProblem(found);
  };
  const run = async (): Promise<void> => {
    let delayMs = firstDelayMs;
    while (!stopping.signal.aborted) {
      const found = await ask(options, agent, stopping.signal);
      if (stopping.signal.aborted) return;
      tell(found);
      if (found === undefined) {
        delayMs = firstDelayMs;
        // The server answers when there is something new: one that always answers at once is not asked without a pause.
        await sleep(gapMs, undefined, { signal: stopping.signal, ref: false }).catch(() => undefined);
        continue;
      }
      const waitMs = found === 'unsupported' ? unsupportedDelayMs : delayMs;
      delayMs = Math.min(delayMsMax, delayMs * 2);
      await sleep(waitMs, undefined, { signal: stopping.signal, ref: false }).catch(() => undefined);
    }
  };
  const running = run();
  return {
    problem: () => problem,
    async [Symbol.asyncDispose]() {
      stopping.abort();
      await running;
      await agent.destroy();
    },
  };
}

async function ask(
  { decisions, serverUrl, writeKey }: FeedOptions,
  dispatcher: Agent,
  stopping: AbortSignal,
): Promise<FeedProblem | undefined> {
  const after = decisions.version === undefined ? '' : `?after=${encodeURIComponent(decisions.version)}`;
  let body: unknown;
  try {
    const answer = await request(`${serverUrl.replace(/\/+$/, '')}/v1/gateway/decisions${after}`, {
      dispatcher,
      headers: { authorization: `Bearer ${writeKey}`, accept: 'application/json' },
      signal: AbortSignal.any([stopping, AbortSignal.timeout(answerMsMax)]),
    });
    if (answer.statusCode !== 200 || Number(answer.headers['content-length'] ?? 0) > bytesMax) {
      await answer.body.dump();
      if (answer.statusCode === 204) return undefined;
      if (answer.statusCode === 404 || answer.statusCode === 405) return 'unsupported';
      return answer.statusCode < 500 ? 'refused' : 'unreachable';
    }
    const pieces: Buffer[] = [];
    let bytes = 0;
    for await (const piece of answer.body as AsyncIterable<Buffer>) {
      bytes += piece.length;
      if (bytes > bytesMax) return 'invalid';
      pieces.push(piece);
    }
    body = JSON.parse(Buffer.concat(pieces).toString('utf8'));
  } catch (error) {
    return error instanceof SyntaxError ? 'invalid' : 'unreachable';
  }
  const snapshot = parseSnapshot(body);
  if (snapshot === undefined) return 'invalid';
  try {
    await decisions.take(snapshot);
  } catch {
    return 'not-kept';
  }
  return undefined;
}
