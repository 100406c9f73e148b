/**
 * How the fronts that speak HTTP put their question, and how each wants to be answered: nginx `auth_request`, forward auth as Caddy and Traefik know it,
 * Envoy's `ext_authz`. Each dialect reads its own fields only, so nothing of another one that a client sends along is heard.
 */
import { createHash, X509Certificate } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import { clientAddress, type TrustedProxies } from '@watchglass/record/source';
import { isMethodOverride } from '../http/headers.ts';
import type { Asked } from './asked.ts';
import type { Verdict } from './decision.ts';

export type HttpDialect = 'nginx' | 'forward' | 'envoy';

/** Under which path which dialect is spoken. Envoy puts the client's target behind it. */
export const authzPaths = {
  nginx: '/v1/authz/nginx',
  forward: '/v1/authz/forward',
  envoy: '/v1/authz/envoy',
} as const;

export interface ReadQuestion {
  readonly asked: Asked;
  /** Why it is no question; undefined for one that is. */
  readonly fault: 'front-field-missing' | 'front-field-twice' | 'method-override' | undefined;
}

/** Where each dialect says what. */
const places = {
  nginx: {
    method: 'x-original-method',
    target: 'x-original-uri',
    host: 'x-original-host',
    scheme: 'x-original-proto',
    peer: 'x-real-ip',
    certificate: 'x-original-client-cert',
  },
  forward: {
    method: 'x-forwarded-method',
    target: 'x-forwarded-uri',
    host: 'x-forwarded-host',
    scheme: 'x-forwarded-proto',
    peer: 'x-forwarded-for',
    certificate: 'x-forwarded-tls-client-cert',
  },
  envoy: {
    method: undefined,
    target: undefined,
    host: 'host',
    scheme: 'x-forwarded-proto',
    peer: 'x-forwarded-for',
    certificate: 'x-forwarded-client-cert',
  },
} as const;

/** These describe the question itself; those of the client's request stand in fields of their own. */
const ofTheQuestion: ReadonlySet<string> = new Set(['content-length', 'transfer-encoding', 'content-encoding']);

function fieldOf(name: string, dialect: HttpDialect): string {
  if (!ofTheQuestion.has(name)) return name;
  return dialect === 'forward' ? `x-forwarded-${name}` : `x-original-${name}`;
}

export function readQuestion(
  request: IncomingMessage,
  dialect: HttpDialect,
  options: { readonly fields: readonly string[]; readonly proxies: TrustedProxies },
): ReadQuestion {
  const place = places[dialect];
  const singles = new Set<string>([
    ...Object.values(place).filter((name) => name !== undefined),
    ...options.fields.map((name) => fieldOf(name, dialect)),
    'authorization',
    'dpop',
    'x-request-id',
  ]);
  const values = new Map<string, string>();
  let fault: ReadQuestion['fault'];
  const { rawHeaders } = request;
  for (let i = 0; i < rawHeaders.length; i += 2) {
    const name = (rawHeaders[i] as string).toLowerCase();
    // To many servers `X_HTTP_Method` is `X-HTTP-Method`.
    if (isMethodOverride(name.replaceAll('_', '-'))) fault ??= 'method-override';
    if (!singles.has(name)) continue;
    // Only lists of addresses may come in several fields.
    if (values.has(name) && name !== 'x-forwarded-for') fault ??= 'front-field-twice';
    values.set(name, values.has(name) ? `${values.get(name)},${rawHeaders[i + 1]}` : (rawHeaders[i + 1] as string));
  }
  const said = (name: string): string | undefined => {
    const value = values.get(name);
    return value === '' ? undefined : value;
  };
  const method = place.method === undefined ? request.method : said(place.method);
  const target = place.target === undefined ? (request.url ?? '').slice(authzPaths.envoy.length) : said(place.target);
  if (method === undefined || target === undefined || target === '') fault ??= 'front-field-missing';
  const scheme = said(place.scheme);
  const asked: Asked = {
    front: dialect,
    method: method ?? '',
    rawTarget: target ?? '',
    host: said(place.host),
    scheme: scheme === 'http' || scheme === 'https' ? scheme : undefined,
    peerIp: peerOf(said(place.peer), dialect, options.proxies),
    authorization: said('authorization'),
    dpop: said('dpop'),
    clientCert: thumbprintOf(said(place.certificate)),
    requestId: said('x-request-id'),
    fields: Object.fromEntries(
      options.fields.flatMap((name) => {
        const value = said(fieldOf(name, dialect));
        return value === undefined ? [] : [[name, value]];
      }),
    ),
  };
  return { asked, fault };
}

export interface HttpAnswer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Buffer | undefined;
}

/** nginx passes on nothing but 401 and 403 (anything else becomes 500), so the status stands in a field besides. */
export function answerQuestion(verdict: Verdict, dialect: HttpDialect): HttpAnswer {
  if (verdict.kind === 'yes') {
    return {
      status: 200,
      headers: {
        'x-audit-id': verdict.auditId,
        'x-auth-subject': verdict.subject,
        'x-auth-tenant': verdict.tenant,
        'x-request-id': verdict.requestId,
        'cache-control': 'no-store',
        'content-length': '0',
      },
      body: undefined,
    };
  }
  const { connection: _connection, ...headers } = verdict.headers;
  const { status, body } = verdict;
  if (dialect !== 'nginx') return { status, headers, body };
  return { status: status === 401 ? 401 : 403, headers: { ...headers, 'x-auth-status': String(status) }, body };
}

/** The last of a list is whom the front itself saw; before it comes what proxies of ours say. */
function peerOf(said: string | undefined, dialect: HttpDialect, proxies: TrustedProxies): string | undefined {
  if (said === undefined || dialect === 'nginx') return said;
  const hops = said.split(',').map((hop) => hop.trim());
  const remoteAddress = hops.pop();
  const request = { headers: { 'x-forwarded-for': hops.join(',') }, socket: { remoteAddress } };
  return clientAddress(request as unknown as Parameters<typeof clientAddress>[0], proxies);
}

/** A certificate in PEM (percent-encoded, or bare base64 as Traefik sends it), or Envoy's list with its SHA-256. */
export function thumbprintOf(said: string | undefined): string | undefined {
  if (said === undefined || said.length > 16_384) return undefined;
  const hash = /^(?:[^,]*;)?Hash=([0-9a-f]{64})(?:;[^,]*)?$/i.exec(said)?.[1];
  if (hash !== undefined) return Buffer.from(hash, 'hex').toString('base64url');
  try {
    const text = said.includes('%') ? decodeURIComponent(said) : said;
    const pem = text.includes('BEGIN') ? text : Buffer.from(text, 'base64');
    return createHash('sha256').update(new X509Certificate(pem).raw).digest('base64url');
  } catch {
    return undefined;
  }
}
