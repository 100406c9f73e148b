/**
 * Which fields cross the gateway, and in which direction.
 *
 * Inbound fields that speak for the gateway (who the caller is, where it came from, what was audited) are dropped always, and first: what `Connection`
 * names is removed before our own fields are added, so that nobody can have them removed.
 */
import type { IncomingHttpHeaders, IncomingMessage } from 'node:http';

import type { Parameter } from './canonical.ts';
import { remembering } from './remembering.ts';

/** RFC 9110 §7.6.1, and the older ones. */
const hopByHop: ReadonlySet<string> = new Set([
  'connection',
  'keep-alive',
  'proxy-authenticate',
  'proxy-authorization',
  'proxy-connection',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
  'http2-settings',
]);

/**
 * What a FHIR client has to say to a FHIR server. An allow-list, since any other field could be one that this upstream takes for proof of who is calling: every
 * identity proxy has a name of its own for that.
 */
const inboundKept: ReadonlySet<string> = new Set([
  'accept-language',
  'cache-control',
  'content-language',
  'content-type',
  'if-match',
  'if-modified-since',
  'if-none-exist',
  'if-none-match',
  'prefer',
  'user-agent',
  'x-provenance',
]);

/** The gateway's own to say, to judge or to leave out; no configuration lets them through. */
const reserved: ReadonlySet<string> = new Set([
  ...hopByHop,
  'accept',
  'accept-encoding',
  'authorization',
  'content-encoding',
  'content-length',
  'cookie',
  'dpop',
  'expect',
  'forwarded',
  'host',
  'if-range',
  'range',
  'referer',
  'sec-websocket-accept',
  'sec-websocket-extensions',
  'sec-websocket-key',
  'sec-websocket-protocol',
  'sec-websocket-version',
  'traceparent',
  'tracestate',
  'via',
  'x-real-ip',
  'x-request-id',
]);

/** May `upstream.forwardHeaders` name it? In lower case. */
export function isForwardable(name: string): boolean {
  return !reserved.has(name) && !/^x-(?:forwarded|original|auth|audit)(?:-|$)/.test(name) && !isMethodOverride(name);
}

/** Does a field of the client get to the API? `forwardHeaders` is what the configuration adds, in lower case. */
export function isPassedOn(name: string, forwardHeaders: readonly string[]): boolean {
  return inboundKept.has(name) || forwardHeaders.includes(name);
}

/** Fields that some servers take for the method. */
export function isMethodOverride(name: string): boolean {
  return /^(?:x-)?(?:http-)?(?:method|verb)(?:-override|-tunnel(?:ing)?)?$/.test(name) || name === 'x-tunneled-method';
}

const outboundDropped: ReadonlySet<string> = new Set([
  'alt-svc',
  'content-length',
  'server',
  'set-cookie',
  'strict-transport-security',
  'surrogate-control',
  'via',
  'x-accel-expires',
  'x-break-glass',
  'x-powered-by',
  'x-request-id',
  'traceparent',
]);

/** What the upstream gets: raw pairs, ready for undici. */
export function upstreamHeaders(
  request: Pick<IncomingMessage, 'rawHeaders' | 'headers'>,
  ours: {
    readonly accept: string;
    readonly requestId: string;
    readonly traceparent: string;
    readonly clientAddress: string | undefined;
    /** The gateway's own public URL: never the client's `Host`. */
    readonly publicUrl: URL;
    /** Passes the caller's token on. */
    readonly forwardAuthorization: boolean;
    /** What the configuration adds to the allow-list, in lower case. */
    readonly forwardHeaders: readonly string[];
    /** Without the conditions to which it could answer 304. */
    readonly unconditional?: boolean;
    /** Of a body with a known length. */
    readonly contentLength?: number;
  },
): string[] {
  const { rawHeaders, headers } = request;
  const named = namedByConnection(headers.connection);
  const out: string[] = [];
  for (let i = 0; i < rawHeaders.length; i += 2) {
    const raw = rawHeaders[i] as string;
    const name = raw.toLowerCase();
    if (named.has(name) || !isPassedOn(name, ours.forwardHeaders)) continue;
    if (ours.unconditional === true && (name === 'if-none-match' || name === 'if-modified-since')) continue;
    out.push(raw, rawHeaders[i + 1] as string);
  }
  out.push('Accept', ours.accept, 'Accept-Encoding', 'identity');
  out.push('X-Request-Id', ours.requestId, 'Traceparent', ours.traceparent);
  out.push('X-Forwarded-Proto', ours.publicUrl.protocol.slice(0, -1), 'X-Forwarded-Host', ours.publicUrl.host);
  if (ours.clientAddress !== undefined) out.push('X-Forwarded-For', ours.clientAddress);
  if (ours.forwardAuthorization && headers.authorization !== undefined)
    out.push('Authorization', headers.authorization);
  if (ours.contentLength !== undefined) out.push('Content-Length', String(ours.contentLength));
  return out;
}

/** What the client gets. `Location` and the like are moved from the upstream's origin to ours. */
export function clientHeaders(
  upstream: IncomingHttpHeaders,
  ours: {
    readonly requestId: string;
    readonly auditId: string;
    /** Those of the API: it may call itself by any of them. */
    readonly upstreamOrigins: readonly string[];
    readonly publicOrigin: string;
  },
): Record<string, string | string[]> {
  const named = namedByConnection(upstream.connection);
  const out: Record<string, string | string[]> = {};
  for (const name in upstream) {
    const value = upstream[name];
    if (value === undefined || hopByHop.has(name) || named.has(name) || isDropped(name)) continue;
    // undici reads values as UTF-8, and Node writes Latin-1 only: one that doesn't fit is left out, rather than the whole answer.
    if (isWritable(value)) out[name] = value;
  }
  for (const name of ['location', 'content-location']) {
    const value = out[name];
    if (typeof value !== 'string') continue;
    // A host may be written in capitals (RFC 3986 §6.2.2.1).
    const origin = ours.upstreamOrigins.find((one) => value.slice(0, one.length + 1).toLowerCase() === `${one}/`);
    if (origin !== undefined) out[name] = ours.publicOrigin + value.slice(origin.length);
  }
  out['cache-control'] = cachingOf(upstream['cache-control']);
  out['x-content-type-options'] = 'nosniff';
  out['x-request-id'] = ours.requestId;
  out['x-audit-id'] = ours.auditId;
  return out;
}

/** Which pages' scripts may read an answer is for the gateway to say (cors.ts), and no cache but the client's own may keep it, whatever such caches are told apart (RFC 9213). */
function isDropped(name: string): boolean {
  return outboundDropped.has(name) || name.startsWith('access-control-') || /^.+-cache-control$/.test(name);
}

/** Who asks a shared cache that kept an answer shows no token, and leaves no event (RFC 9111 §3.5). */
const cachingOf = (caching: string | readonly string[] | undefined): string =>
  caching === undefined ? 'no-store' : ownCacheOnly(String(caching));

const ownCacheOnly: (caching: string) => string = remembering((caching) => {
  const directives = caching.split(',').map((directive) => directive.trim());
  const kept = directives.filter((directive) => !/^(?:public|private|s-maxage|proxy-revalidate)\b|^$/i.test(directive));
  return kept.some((directive) => /^no-store$/i.test(directive)) ? 'no-store' : ['private', ...kept].join(', ');
});

/** Of an upstream that sends two `Connection` fields undici makes a list. */
function namedByConnection(connection: string | readonly string[] | undefined): ReadonlySet<string> {
  return connection === undefined ? none : namesIn(String(connection));
}

const namesIn: (connection: string) => ReadonlySet<string> = remembering(
  (connection) => new Set(connection.split(',').map((name) => name.trim().toLowerCase())),
);

function isWritable(value: string | readonly string[]): boolean {
  return !/[^\t\x20-\x7e\x80-\xff]/.test(String(value));
}

const none: ReadonlySet<string> = new Set();

/** Of several `_format` nobody knows which one counts: all have to be JSON. */
export function wantsJson({ name, rawValue }: Parameter): boolean {
  return (
    name.toLowerCase() !== '_format' || /^(?:application(?:\/|%2f)(?:fhir(?:\+|%2b|%20| ))?)?json$/i.test(rawValue)
  );
}

export type AcceptChoice =
  | { readonly kind: 'json'; readonly accept: string }
  /** A file's own bytes were asked for, as `Binary` offers them. */
  | { readonly kind: 'other'; readonly accept: string }
  /** Only a format whose content can't be learnt, such as XML. */
  | { readonly kind: 'unreadable' };

/**
 * JSON is what exposure can be learnt from, so JSON is what the upstream is asked for, whenever the client takes it.
 */
export function chooseAccept(
  accept: string | undefined,
  parameters: readonly Parameter[],
  json = 'application/fhir+json',
): AcceptChoice {
  if (!parameters.every(wantsJson)) return { kind: 'unreadable' };
  if (accept === undefined || accept.trim() === '') return { kind: 'json', accept: json };
  const { wants, rest } = readAccept(accept);
  switch (wants) {
    case 'json':
      return { kind: 'json', accept: json };
    case 'ndjson':
      return { kind: 'json', accept: rest };
    case 'unreadable':
      return { kind: 'unreadable' };
    case 'other':
      return { kind: 'other', accept: rest };
    default:
      return wants satisfies never;
  }
}

interface ReadAccept {
  readonly wants: 'json' | 'ndjson' | 'unreadable' | 'other';
  /** What can't be read is not asked for, beside what can. */
  readonly rest: string;
}

const readAccept: (accept: string) => ReadAccept = remembering((accept) => {
  const ranges = accept.split(',').map((range) => (range.split(';', 1)[0] as string).trim().toLowerCase());
  const rest = accept
    .split(',')
    .filter((_, position) => !isUnreadable(ranges[position] as string))
    .map((range) => range.trim())
    .join(', ');
  if (ranges.some((range) => range === 'application/fhir+ndjson' || range === 'application/ndjson'))
    return { wants: 'ndjson', rest };
  if (ranges.some((range) => range === '*/*' || range === 'application/*' || range.endsWith('json')))
    return { wants: 'json', rest };
  return { wants: ranges.every(isUnreadable) ? 'unreadable' : 'other', rest };
});

function isUnreadable(range: string): boolean {
  return range.includes('xml') || range.includes('turtle') || range === 'text/html';
}
