/**
 * The public face of a log, as an emitter reads it to check its receipts: `/log/**`, without a key and without signing in. Bounded in bytes and time; what
 * isn't there is undefined, and what doesn't answer is `log-unreachable`, which says nothing about the log.
 */
import { request as httpRequest, type IncomingMessage } from 'node:http';
import { request as httpsRequest } from 'node:https';

import { SdkError } from './errors.ts';
import { isLoopback } from './post.ts';

const answerBytesMax = 4 * 1024 * 1024;
const timeoutMs = 15_000;

/** The bytes at a path such as `/log/clinic/checkpoint`; undefined for a 404. @throws SdkError `log-unreachable` */
export type ReadPublic = (path: string, signal: AbortSignal) => Promise<Uint8Array | undefined>;

/** @throws SdkError `insecure-url` */
export function publicReader(options: { readonly serverUrl: string; readonly ca?: string }): ReadPublic {
  const base = new URL(options.serverUrl);
  const secure = base.protocol === 'https:';
  if (!secure && !(base.protocol === 'http:' && isLoopback(base.hostname)))
    throw new SdkError('insecure-url', `expected an https URL (http to this machine only) for the server`);
  return async (path, signal) => {
    const { promise, resolve, reject } = Promise.withResolvers<IncomingMessage>();
    const request = (secure ? httpsRequest : httpRequest)(new URL(path, base), {
      signal: AbortSignal.any([signal, AbortSignal.timeout(timeoutMs)]),
      agent: false,
      ...(options.ca === undefined ? {} : { ca: options.ca }),
    });
    request.on('response', resolve);
    request.on('error', reject);
    request.end();
    try {
      return await readWhole(await promise, path);
    } catch (cause) {
      signal.throwIfAborted();
      if (cause instanceof SdkError) throw cause;
      throw unreachable(path, (cause as { code?: string }).code ?? 'no answer', cause);
    }
  };
}

async function readWhole(response: IncomingMessage, path: string): Promise<Uint8Array | undefined> {
  const status = response.statusCode ?? 0;
  if (status === 404) {
    response.resume();
    return undefined;
  }
  if (status !== 200) {
    response.destroy();
    throw unreachable(path, `status ${status}`);
  }
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of response as AsyncIterable<Buffer>) {
    bytes += chunk.length;
    if (bytes > answerBytesMax) {
      response.destroy();
      throw unreachable(path, `more than ${answerBytesMax} bytes`);
    }
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

function unreachable(path: string, got: string, cause?: unknown): SdkError {
  return new SdkError('log-unreachable', `expected ${path} of the server, got ${got}; its receipts stay unchecked`, {
    cause,
  });
}
