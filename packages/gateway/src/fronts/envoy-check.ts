/**
 * Envoy's question in gRPC (`envoy.service.auth.v3`): what of a check request reaches the decision, and how a verdict is said. Envoy sends the client's fields as they came, so
 * those are judged here, and the answer names every one that is not to reach the API: what passes is what the gateway's own proxy passes on, whatever else Envoy is configured to do.
 */
import { isMethodOverride, isPassedOn } from '../http/headers.ts';
import type { Asked } from './asked.ts';
import type { Verdict, Yes } from './decision.ts';
import { type ReadQuestion, thumbprintOf } from './dialects.ts';

/** As decoded: what isn't said isn't there. */
export interface CheckRequest {
  readonly attributes?: {
    readonly source?: {
      readonly address?: { readonly socket_address?: { readonly address?: string } };
      readonly certificate?: string;
    };
    readonly request?: { readonly http?: HttpRequest };
  };
}

interface HttpRequest {
  readonly method?: string;
  readonly path?: string;
  readonly host?: string;
  readonly scheme?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly header_map?: {
    readonly headers?: readonly { readonly key?: string; readonly value?: string; readonly raw_value?: Uint8Array }[];
  };
}

export interface CheckResponse {
  readonly status: { readonly code: number };
  readonly ok_response?: {
    readonly headers: readonly HeaderOption[];
    readonly headers_to_remove: readonly string[];
    readonly response_headers_to_add: readonly HeaderOption[];
  };
  readonly denied_response?: {
    readonly status: { readonly code: number };
    readonly headers: readonly HeaderOption[];
    readonly body: string;
  };
  readonly dynamic_metadata: { readonly fields: Readonly<Record<string, { readonly string_value: string }>> };
}

interface HeaderOption {
  readonly header: { readonly key: string; readonly value: string };
  readonly append_action: 'OVERWRITE_IF_EXISTS_OR_ADD';
}

/** Of google.rpc.Code. */
const codes = { ok: 0, permissionDenied: 7, unauthenticated: 16 } as const;

/** Envoy's own, which it has made or checked by the time it asks. */
const ofEnvoy = /^(?::.*|host|content-length|transfer-encoding|te|x-forwarded-(?:for|proto)|x-envoy-.*)$/;

export interface ReadCheck extends ReadQuestion {
  /** The client's fields by their lower-case names. */
  readonly names: ReadonlySet<string>;
}

export function readCheck(request: CheckRequest, fields: readonly string[]): ReadCheck {
  const { source, request: { http = {} } = {} } = request.attributes ?? {};
  const { method = '', path = '', host, scheme } = http;
  const values = new Map<string, string>();
  const singles = new Set([...fields, 'authorization', 'dpop', 'x-request-id', 'host']);
  let fault: ReadQuestion['fault'];
  for (const [name, value] of pairsOf(http)) {
    if (isMethodOverride(name.replaceAll('_', '-'))) fault ??= 'method-override';
    if (values.has(name) && (singles.has(name) || name.startsWith(':'))) fault ??= 'front-field-twice';
    values.set(name, value);
  }
  // Two places for one thing are two readings of it.
  for (const [name, said] of [
    [':method', method],
    [':path', path],
    [':authority', host],
    ['host', host],
  ] as const)
    if (values.has(name) && values.get(name) !== said) fault ??= 'front-field-twice';
  if (method === '' || path === '') fault ??= 'front-field-missing';
  const text = (name: string): string | undefined => values.get(name) || undefined;
  const said: Record<string, string> = {};
  for (const name of fields) {
    const value = text(name);
    if (value !== undefined) said[name] = value;
  }
  const asked: Asked = {
    front: 'grpc',
    method,
    rawTarget: path,
    host,
    scheme: scheme === 'http' || scheme === 'https' ? scheme : undefined,
    peerIp: source?.address?.socket_address?.address,
    authorization: text('authorization'),
    dpop: text('dpop'),
    clientCert: thumbprintOf(source?.certificate),
    requestId: text('x-request-id'),
    fields: said,
  };
  return { asked, fault, names: new Set(values.keys()) };
}

/** Each field by itself where Envoy sends them so, else those of a name joined by it. */
function* pairsOf({ header_map, headers = {} }: HttpRequest): Generator<readonly [string, string]> {
  if (header_map === undefined) for (const [name, value] of Object.entries(headers)) yield [name.toLowerCase(), value];
  for (const { key = '', value = '', raw_value } of header_map?.headers ?? [])
    yield [key.toLowerCase(), raw_value === undefined ? value : Buffer.from(raw_value).toString('latin1')];
}

export function answerCheck(
  verdict: Verdict,
  { names }: Pick<ReadCheck, 'names'>,
  forwardHeaders: readonly string[],
): CheckResponse {
  if (verdict.kind === 'yes') return allowing(verdict, names, forwardHeaders);
  const { status, headers, body, requestId, code } = verdict;
  // Envoy writes the length of the body itself, and ends connections by itself.
  const { connection: _connection, 'content-length': _length, ...rest } = headers;
  return {
    status: { code: status === 401 ? codes.unauthenticated : codes.permissionDenied },
    denied_response: {
      status: { code: status },
      headers: overwriting({ ...rest, 'x-request-id': requestId }),
      body: body.toString('utf8'),
    },
    dynamic_metadata: metadata({ request_id: requestId, code }),
  };
}

function allowing(verdict: Yes, names: ReadonlySet<string>, forwardHeaders: readonly string[]): CheckResponse {
  const { auditId, requestId, subject, tenant, accept } = verdict;
  const ours: Record<string, string> = {
    'x-audit-id': auditId,
    'x-auth-subject': subject,
    'x-request-id': requestId,
    accept,
    ...(tenant === '' ? {} : { 'x-auth-tenant': tenant }),
  };
  return {
    status: { code: codes.ok },
    ok_response: {
      headers: overwriting(ours),
      // Envoy removes after it has set: ours must not be among them.
      headers_to_remove: [...names].filter(
        (name) => ours[name] === undefined && !ofEnvoy.test(name) && !isPassedOn(name, forwardHeaders),
      ),
      response_headers_to_add: overwriting({
        'x-audit-id': auditId,
        'x-request-id': requestId,
        'cache-control': 'no-store',
      }),
    },
    dynamic_metadata: metadata({ audit_id: auditId, request_id: requestId, subject, tenant }),
  };
}

function overwriting(headers: Readonly<Record<string, string>>): readonly HeaderOption[] {
  return Object.entries(headers).map(([key, value]) => ({
    header: { key, value },
    append_action: 'OVERWRITE_IF_EXISTS_OR_ADD',
  }));
}

function metadata(said: Readonly<Record<string, string>>): CheckResponse['dynamic_metadata'] {
  return { fields: Object.fromEntries(Object.entries(said).map(([key, value]) => [key, { string_value: value }])) };
}
