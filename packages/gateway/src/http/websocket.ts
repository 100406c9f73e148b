/**
 * The opening handshake of RFC 6455, and where a browser puts its token: it can set no header field on a WebSocket, and a URL is no place for a secret, so it is
 * offered as one subprotocol, which the gateway takes out before anybody else sees it.
 */
import { createHash } from 'node:crypto';
import type { IncomingMessage } from 'node:http';

/** `new WebSocket(url, ['watchglass', 'watchglass.bearer.' + token, …])`. The first is what is chosen where the API chooses none. */
export const ownProtocol = 'watchglass';
const tokenPrefix = 'watchglass.bearer.';
const protocolsMax = 32;
/** RFC 6455 §1.3. */
const acceptSuffix = '258EAFA5-E914-47DA-95CA-C5AB0DC85B11';

export type HandshakeFault =
  | 'http-version'
  | 'upgrade-connection'
  | 'websocket-version'
  | 'websocket-key'
  | 'websocket-protocol'
  | 'websocket-two-tokens'
  | 'websocket-early-data';

export interface Handshake {
  readonly key: string;
  /** What the API may choose from. */
  readonly protocols: readonly string[];
  /** `watchglass` was offered: it may be chosen. */
  readonly ownOffered: boolean;
  /** Of a subprotocol, where it came that way. */
  readonly token: string | undefined;
}

/** Does it ask for a WebSocket at all? Any other `Upgrade` is left out of account, and so is one of a request with a body. */
export function asksForWebSocket({ headers, method }: Pick<IncomingMessage, 'headers' | 'method'>): boolean {
  const bodyless = headers['transfer-encoding'] === undefined && headers['content-length'] === undefined;
  return method === 'GET' && bodyless && headers.upgrade?.toLowerCase() === 'websocket';
}

/** RFC 6455 §4.2.1. `head`: what was sent behind the request, before anybody answered it. */
export function readHandshake(
  request: Pick<IncomingMessage, 'headers' | 'httpVersion' | 'rawHeaders'>,
  head: Uint8Array,
): Handshake | HandshakeFault {
  const { headers } = request;
  if (request.httpVersion !== '1.1') return 'http-version';
  if (!listOf(headers.connection).some((name) => name.toLowerCase() === 'upgrade')) return 'upgrade-connection';
  if (headers['sec-websocket-version'] !== '13') return 'websocket-version';
  const key = headers['sec-websocket-key'];
  if (key === undefined || countOf(request.rawHeaders, 'sec-websocket-key') !== 1) return 'websocket-key';
  if (!/^[A-Za-z0-9+/]{22}==$/.test(key) || Buffer.from(key, 'base64').toString('base64') !== key)
    return 'websocket-key';
  // Nothing may follow before the answer (§4.1): it would be read as frames by one party and as a request by another.
  if (head.length > 0) return 'websocket-early-data';
  const offered = listOf(headers['sec-websocket-protocol']);
  if (offered.length > protocolsMax || new Set(offered).size !== offered.length || !offered.every(isToken))
    return 'websocket-protocol';
  const tokens = offered.filter((name) => name.startsWith(tokenPrefix));
  if (tokens.length + (headers.authorization === undefined ? 0 : 1) > 1) return 'websocket-two-tokens';
  return {
    key,
    protocols: offered.filter((name) => name !== ownProtocol && !name.startsWith(tokenPrefix)),
    ownOffered: offered.includes(ownProtocol),
    token: tokens[0]?.slice(tokenPrefix.length),
  };
}

/** What has to be answered to a key (§4.2.2). */
export function acceptOf(key: string): string {
  return createHash('sha1')
    .update(key + acceptSuffix)
    .digest('base64');
}

function listOf(field: string | readonly string[] | undefined): readonly string[] {
  if (field === undefined) return [];
  return String(field)
    .split(',')
    .map((item) => item.trim())
    .filter((item) => item !== '');
}

function isToken(name: string): boolean {
  return /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/.test(name);
}

function countOf(rawHeaders: readonly string[], wanted: string): number {
  return rawHeaders.filter((name, position) => position % 2 === 0 && name.toLowerCase() === wanted).length;
}
