/**
 * Rules for the head of a request that go beyond what Node's parser holds up: fields that must stand once, bodies where none belong, and
 * framing that another party may read differently. Judged on the raw fields, since the parsed ones hide repetitions.
 */
import type { IncomingMessage } from 'node:http';

import { isMethodOverride } from './headers.ts';

export const headersMax = 100;

/** Fields with one value: a second one is read by some parties and not by others. */
const singular: ReadonlySet<string> = new Set([
  'authorization',
  'content-encoding',
  'content-length',
  'content-type',
  'dpop',
  'expect',
  'host',
  'if-match',
  'if-none-exist',
  'transfer-encoding',
]);

export type MessageFault =
  | 'two-values'
  | 'host-missing'
  | 'host-malformed'
  | 'http-version'
  | 'transfer-encoding-http-1.0'
  | 'transfer-encoding'
  | 'length-and-chunks'
  | 'unexpected-body'
  | 'too-many-headers'
  | 'method-override'
  | 'content-encoding';

const hostPattern = /^(?:[A-Za-z0-9\-._~]+|\[[0-9A-Fa-f:.]+\])(?::\d{1,5})?$/;

/** The first fault of the message's head; undefined for a sound one. */
export function messageFault(
  request: Pick<IncomingMessage, 'rawHeaders' | 'headers' | 'httpVersion' | 'method'>,
): MessageFault | undefined {
  const { rawHeaders, headers, httpVersion } = request;
  if (rawHeaders.length / 2 >= headersMax) return 'too-many-headers';
  const seen = new Set<string>();
  for (let i = 0; i < rawHeaders.length; i += 2) {
    const name = (rawHeaders[i] as string).toLowerCase();
    if (isMethodOverride(name)) return 'method-override';
    if (!singular.has(name)) continue;
    if (seen.has(name)) return 'two-values';
    seen.add(name);
  }
  if (httpVersion !== '1.1' && httpVersion !== '1.0') return 'http-version';
  const { host } = headers;
  if (host === undefined) return 'host-missing';
  if (!hostPattern.test(host)) return 'host-malformed';
  const transferEncoding = headers['transfer-encoding'];
  if (transferEncoding !== undefined) {
    // HTTP/1.0 doesn't know it: the next party would take the chunks for the next request (RFC 9112 §6.1).
    if (httpVersion === '1.0') return 'transfer-encoding-http-1.0';
    if (transferEncoding.toLowerCase() !== 'chunked') return 'transfer-encoding';
    if (headers['content-length'] !== undefined) return 'length-and-chunks';
  }
  const encoding = headers['content-encoding'];
  if (encoding !== undefined && encoding.toLowerCase() !== 'identity') return 'content-encoding';
  const bodyless =
    request.method === 'GET' || request.method === 'HEAD' || request.method === 'OPTIONS' || request.method === 'TRACE';
  return bodyless && hasBody(request) ? 'unexpected-body' : undefined;
}

export function hasBody({ headers }: Pick<IncomingMessage, 'headers'>): boolean {
  const length = headers['content-length'];
  return headers['transfer-encoding'] !== undefined || (length !== undefined && !/^0+$/.test(length));
}
