/**
 * One `POST /v1/events`: sends a batch, and says what the answer means for them. It never throws for what the network or the server
 * does, only for options that cannot work.
 */
import { Agent as HttpAgent, request as httpRequest, type IncomingMessage } from 'node:http';
import { Agent as HttpsAgent, request as httpsRequest } from 'node:https';
import { urlToHttpOptions } from 'node:url';

import type { Batch } from './batch.ts';
import { SdkError } from './errors.ts';

const answerBytesMax = 8 * 1024 * 1024;
const timeoutMs = 30_000;
const retryAfterMaxMs = 300_000;

export type Answer =
  /** With what the server receipted, not looked at yet. */
  | { readonly kind: 'accepted'; readonly receipts: readonly unknown[]; readonly checkpoint: unknown }
  /** These events will never be taken as they are. `positions` are places in the batch, empty where the server named none. */
  | {
      readonly kind: 'refused';
      readonly status: number;
      readonly reason: string;
      readonly positions: readonly number[];
    }
  /** The batch is too large; a smaller one may pass. */
  | { readonly kind: 'too-large' }
  /** Nothing is wrong with the events: try again later. `problem` is a short code for people. */
  | { readonly kind: 'later'; readonly problem: string; readonly retryAfterMs?: number };

export interface PostOptions {
  /** `https://…`, or `http://` to this machine only. */
  readonly serverUrl: string;
  /** `wgk_…` */
  readonly writeKey: string;
  /** PEM certificates to trust instead of the system's. */
  readonly ca?: string;
  /** Begins the span of a batch that is about to be sent; may not throw. Without one, nothing is told. */
  readonly trace?: ((batch: Batch) => PostTrace | undefined) | undefined;
}

/** A request as a trace has it: what the server is told of it, and how it ended. */
export interface PostTrace {
  /** W3C Trace Context §3.2. */
  readonly traceparent: string;
  end(facts: { readonly status?: number; readonly problem?: string }): void;
}

export type Post = (batch: Batch, signal: AbortSignal) => Promise<Answer>;

/** A function that posts over one kept-alive connection. `close` ends it. */
export function makePost(options: PostOptions): { readonly post: Post; close(): void } {
  const url = new URL('/v1/events', options.serverUrl);
  const secure = url.protocol === 'https:';
  if (!secure && !(url.protocol === 'http:' && isLoopback(url.hostname))) {
    throw new SdkError(
      'insecure-url',
      `expected an https URL (http to this machine only) for the server, got ${url.protocol}//${url.host}; events name patients`,
    );
  }
  const target = urlToHttpOptions(url);
  const agent = secure
    ? new HttpsAgent({ keepAlive: true, maxSockets: 1, ...(options.ca === undefined ? {} : { ca: options.ca }) })
    : new HttpAgent({ keepAlive: true, maxSockets: 1 });

  async function post(batch: Batch, signal: AbortSignal): Promise<Answer> {
    const trace = options.trace?.(batch);
    const answer = await send(batch, signal, trace?.traceparent);
    trace?.end(saidOf(answer));
    return answer;
  }

  async function send({ bytes, count }: Batch, signal: AbortSignal, traceparent?: string): Promise<Answer> {
    const { promise, resolve } = Promise.withResolvers<Answer>();
    const request = (secure ? httpsRequest : httpRequest)({
      ...target,
      method: 'POST',
      agent,
      signal,
      timeout: timeoutMs,
      headers: {
        authorization: `Bearer ${options.writeKey}`,
        'content-type': 'application/x-ndjson',
        'content-length': bytes.length,
        ...(traceparent === undefined ? {} : { traceparent }),
      },
    });
    request.on('timeout', () => request.destroy(new Error('timeout')));
    request.on('error', (error: NodeJS.ErrnoException) =>
      resolve({ kind: 'later', problem: error.message === 'timeout' ? 'timeout' : (error.code ?? 'connection-lost') }),
    );
    request.on('response', (response) => {
      readAnswer(response, count).then(resolve, () => resolve({ kind: 'later', problem: 'answer-cut-off' }));
    });
    request.end(bytes);
    return promise;
  }

  return { post, close: () => agent.destroy() };
}

function saidOf(answer: Answer): Parameters<PostTrace['end']>[0] {
  switch (answer.kind) {
    case 'accepted':
      return { status: 201 };
    case 'refused':
      return { status: answer.status, problem: String(answer.status) };
    case 'too-large':
      return { status: 413, problem: '413' };
    case 'later':
      return { problem: answer.problem };
  }
}

async function readAnswer(response: IncomingMessage, sentCount: number): Promise<Answer> {
  const body = await readJson(response);
  const status = response.statusCode ?? 0;
  switch (status) {
    case 201: {
      const { receipts, checkpoint } = (body ?? {}) as { receipts?: unknown; checkpoint?: unknown };
      if (Array.isArray(receipts) && receipts.length === sentCount) return { kind: 'accepted', receipts, checkpoint };
      return { kind: 'later', problem: 'answer-without-receipts' };
    }
    case 409:
    case 422:
      return { kind: 'refused', status, ...readRefusal(body) };
    case 413:
      return { kind: 'too-large' };
    default: {
      const retryAfterMs = parseRetryAfter(response.headers['retry-after']);
      return { kind: 'later', problem: `status-${status}`, ...(retryAfterMs === undefined ? {} : { retryAfterMs }) };
    }
  }
}

async function readJson(response: IncomingMessage): Promise<unknown> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of response as AsyncIterable<Buffer>) {
    bytes += chunk.length;
    if (bytes > answerBytesMax) {
      response.destroy();
      return undefined;
    }
    chunks.push(chunk);
  }
  try {
    return JSON.parse(Buffer.concat(chunks).toString('utf8'));
  } catch {
    return undefined;
  }
}

/** Problem details with `errors: [{at: 3, path: "/actor/id", expected, got}]`. */
function readRefusal(body: unknown): { readonly reason: string; readonly positions: readonly number[] } {
  const { code, errors } = (body ?? {}) as { code?: unknown; errors?: unknown };
  const positions = new Set<number>();
  const places: string[] = [];
  for (const error of Array.isArray(errors) ? errors.slice(0, 10_000) : []) {
    const { at, path } = (error ?? {}) as { at?: unknown; path?: unknown };
    if (typeof at !== 'number' || !Number.isSafeInteger(at) || at < 0) continue;
    positions.add(at);
    if (places.length < 5) places.push(`/${at}${typeof path === 'string' ? path.slice(0, 100) : ''}`);
  }
  const reason = [typeof code === 'string' ? code.slice(0, 60) : 'refused', ...places].join(' ');
  return { reason, positions: [...positions].sort((a, b) => a - b) };
}

/** Seconds or an HTTP date (RFC 9110 §10.2.3), bounded. */
function parseRetryAfter(value: string | undefined): number | undefined {
  if (value === undefined) return undefined;
  const ms = /^\d{1,6}$/.test(value) ? Number(value) * 1_000 : Date.parse(value) - Date.now();
  return Number.isFinite(ms) ? Math.min(Math.max(ms, 0), retryAfterMaxMs) : undefined;
}

export function isLoopback(hostname: string): boolean {
  return (
    hostname === 'localhost' || hostname === '[::1]' || hostname === '::1' || /^127\.\d+\.\d+\.\d+$/.test(hostname)
  );
}
