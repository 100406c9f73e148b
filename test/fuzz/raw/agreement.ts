/**
 * Do the events agree with what the upstream saw? Read here once more, by a reader that is too plain to be clever: what the upstream parsed on one side, the record on the other.
 * Nothing is asked of what the gateway refused, except that the upstream didn't hear of it.
 */
import type { Event } from '@watchglass/record';

/** A request as the upstream's own parser understood it. */
export interface Seen {
  readonly method: string;
  readonly target: string;
  readonly rawHeaders: readonly string[];
  readonly body: Buffer;
  readonly complete: boolean;
  readonly trailers: readonly string[];
}

/** What one of them gets wrong; undefined where they agree. */
export function disagreement(seen: readonly Seen[], events: readonly Event[]): string | undefined {
  const byRequest = Map.groupBy(events, (event) => event.request?.id ?? '');
  const asked = new Set<string>();
  for (const request of seen) {
    const [id, ...more] = valuesOf(request, 'x-request-id');
    if (id === undefined || more.length > 0) return 'the upstream saw a request without exactly one X-Request-Id';
    const own = byRequest.get(id);
    if (own === undefined) return `the upstream saw ${request.method} that no event speaks of`;
    if (asked.has(id)) return `the upstream saw ${request.method} twice`;
    asked.add(id);
    const fault = headFault(request) ?? recordFault(request, own);
    if (fault !== undefined) return `${request.method} ${request.target}: ${fault}`;
  }
  for (const [id, own] of byRequest) {
    if (!asked.has(id) && own.some(isAnswered)) return 'an event says that the upstream answered, and it saw nothing';
  }
  return undefined;
}

function isAnswered({ kind, outcome }: Event): boolean {
  return kind === 'api' && outcome.status === 'success' && outcome.reason === undefined;
}

const spoken = ['host', 'x-forwarded-for', 'x-forwarded-host', 'x-forwarded-proto', 'traceparent', 'accept'];
const never =
  /^(?:authorization|cookie|forwarded|x[-_]forwarded[_].*|x_.*|x-original.*|x-rewrite.*|x-auth.*|x-audit.*|x-real-ip|.*method.*|referer|expect|te|trailer|upgrade|http2-settings|content_length|transfer_encoding|range|if-range|via|content-encoding)$/;

/** Fields that speak for the gateway are its own, once, and the framing has one reading. */
function headFault(request: Seen): string | undefined {
  for (const name of spoken) {
    const values = valuesOf(request, name);
    if (values.length !== 1) return `${name} ${values.length} times`;
    if (/6\.6\.6\.6|evil/.test(String(values[0]))) return `${name} of the client`;
  }
  for (const [name] of fieldsOf(request)) {
    if (
      never.test(name) &&
      !(name === 'upgrade' && isWebSocket(request)) &&
      !(name === 'content-encoding' && valuesOf(request, name).every((value) => value === 'identity'))
    )
      return `${name} was passed on`;
  }
  const framing = [...valuesOf(request, 'content-length'), ...valuesOf(request, 'transfer-encoding')];
  if (framing.length > 1) return 'its length is said twice';
  if (request.trailers.length > 0) return 'trailers were passed on';
  return undefined;
}

/** The gateway's own handshake, and no other. */
function isWebSocket(request: Seen): boolean {
  const [upgrade, ...more] = valuesOf(request, 'upgrade');
  const path = request.target.split('?', 1)[0];
  return upgrade === 'websocket' && more.length === 0 && path === '/fhir/websocket' && request.method === 'GET';
}

function recordFault(request: Seen, events: readonly Event[]): string | undefined {
  const main = events.find((event) => event.kind === 'api');
  if (main === undefined) return 'its events are not of an interaction';
  if (
    events.some(
      ({ outcome }) =>
        outcome.status === 'denied' && outcome.reason !== undefined && !/^(?:response|consent)/.test(outcome.reason),
    )
  )
    return 'it was denied, and passed on';
  const { path, names } = parametersOf(request);
  const said = main.request ?? {};
  if (said.method !== request.method) return `the event says ${said.method}`;
  const plain = readPath(path);
  if (said.route !== plain.route) return `the event says ${said.route}, not ${plain.route}`;
  const recorded = new Set(said.query ?? []);
  // What is no name of FHIR's may be anything, and is not repeated.
  const isSaid = (name: string): boolean => recorded.has(name) || (recorded.has('other') && !standard.has(name));
  const hidden = names.filter((name) => !isSaid(name));
  if (hidden.length > 0) return `parameters ${hidden.join()} are not in the event`;
  const invented = [...recorded].filter((name) => name !== 'other' && !names.includes(name));
  if (invented.length > 0) return `parameters ${invented.join()} are in the event only`;
  for (const { type, id } of plain.named) {
    if (main.targets?.some((target) => target.type === type && target.id === id) !== true)
      return `${type}/${id} is not in the event`;
  }
  const outcome = events.findLast(({ request: facts }) => facts?.requestBytes !== undefined);
  if (request.complete && outcome !== undefined && outcome.request?.requestBytes !== request.body.length)
    return `the event says ${outcome.request?.requestBytes} bytes, it had ${request.body.length}`;
  return plain.route === '/fhir/' && request.method === 'POST' ? batchFault(request, events) : undefined;
}

/** Those of FHIR that the generator knows. */
const standard: ReadonlySet<string> = new Set([
  '_id',
  'name',
  'name:exact',
  '_format',
  '_count',
  'code',
  '_summary',
  'patient',
  '_elements',
  '_include',
]);

/** Path, and the names of parameters of query, form and condition together, decoded as a form is. */
function parametersOf(request: Seen): { readonly path: string; readonly names: readonly string[] } {
  const mark = request.target.indexOf('?');
  const path = mark === -1 ? request.target : request.target.slice(0, mark);
  const texts = mark === -1 ? [] : [request.target.slice(mark + 1)];
  if (path.endsWith('/_search')) texts.push(request.body.toString('utf8'));
  if (request.method === 'POST')
    for (const condition of valuesOf(request, 'if-none-exist')) texts.push(condition.slice(condition.indexOf('?') + 1));
  return { path, names: [...new Set(texts.flatMap((text) => [...new URLSearchParams(text).keys()]))] };
}

interface Plain {
  readonly route: string;
  readonly named: readonly { readonly type: string; readonly id: string }[];
}

/** `/fhir/Patient/p-1` → `/fhir/Patient/{id}`, by position alone. */
function readPath(path: string): Plain {
  const segments = path.split('/').slice(2).map(decodeURIComponent);
  const [type, id, third, version] = segments;
  const special = (text: string | undefined): boolean => text === undefined || /^[_$]/.test(text);
  if (type === undefined) return { route: '/fhir/', named: [] };
  if (special(id)) return { route: path, named: [] };
  const named = [{ type, id: id as string }];
  const rest = third === '_history' && version !== undefined ? ['_history', '{version}'] : segments.slice(2);
  return { route: ['', 'fhir', type, '{id}', ...rest].join('/'), named };
}

/** Every entry that the upstream finds in a batch has events of its own. */
function batchFault({ body }: Seen, events: readonly Event[]): string | undefined {
  const { entry = [] } = JSON.parse(body.toString('utf8')) as {
    readonly entry?: readonly { readonly request: { readonly url: string } }[];
  };
  for (const { request } of entry) {
    const { route } = readPath(`/fhir/${request.url.split('?', 1)[0]}`);
    if (!events.some((event) => event.request?.route === route)) return `an entry ${route} is not on record`;
  }
  return undefined;
}

function* fieldsOf({ rawHeaders }: Seen): Generator<readonly [string, string]> {
  for (let i = 0; i < rawHeaders.length; i += 2)
    yield [(rawHeaders[i] as string).toLowerCase(), rawHeaders[i + 1] as string];
}

function valuesOf(request: Seen, wanted: string): string[] {
  return [...fieldsOf(request)].filter(([name]) => name === wanted).map(([, value]) => value);
}
