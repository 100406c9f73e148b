/**
 * JSON of an issuer: asked for without following redirects, within a deadline, and no more than a bound of it. What comes back is `unknown`, whoever sent it.
 */
import { type Dispatcher, request } from 'undici';

import { parseJson } from '../http/one-reading.ts';

export interface Asked {
  readonly status: number;
  /** Undefined where the body is no JSON. */
  readonly json: unknown;
}

/** Rejects when there is no whole answer in time, or one above the bound. */
export async function askJson(
  url: string,
  options: {
    readonly dispatcher: Dispatcher;
    readonly timeoutMs: number;
    readonly answerBytesMax: number;
    readonly method?: 'GET' | 'POST';
    readonly headers?: Readonly<Record<string, string>>;
    readonly body?: string;
  },
): Promise<Asked> {
  const { answerBytesMax } = options;
  const { statusCode, body } = await request(url, {
    dispatcher: options.dispatcher,
    signal: AbortSignal.timeout(options.timeoutMs),
    method: options.method ?? 'GET',
    headers: { accept: 'application/json', ...options.headers },
    ...(options.body === undefined ? {} : { body: options.body }),
  });
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of body as AsyncIterable<Buffer>) {
    bytes += chunk.length;
    if (bytes > answerBytesMax) throw new Error(`expected at most ${answerBytesMax} bytes`);
    chunks.push(chunk);
  }
  return { status: statusCode, json: parseJson(Buffer.concat(chunks).toString('utf8')) };
}
