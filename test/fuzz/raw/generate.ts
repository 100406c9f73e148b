/**
 * Connections made of raw bytes, by seed: requests that are nearly sound, with one or several things about them that two parsers might read in two ways.
 * A connection is a list of pieces, so that a failing one can be cut down piece by piece; joined, they are what goes over the wire.
 */

/** What is said on one connection. Characters are bytes (Latin-1). */
export type Pieces = readonly string[];

export interface Random {
  /** Below `bound`. */
  below(bound: number): number;
  oneOf<T>(list: readonly T[]): T;
  chance(oneIn: number): boolean;
}

/** Mulberry32: the same everywhere for the same seed. */
export function randomOf(seed: number): Random {
  let state = seed >>> 0;
  const next = (): number => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)) ^ mixed;
    return (mixed ^ (mixed >>> 14)) >>> 0;
  };
  const below = (bound: number): number => next() % bound;
  return { below, oneOf: (list) => list[below(list.length)] as never, chance: (oneIn) => below(oneIn) === 0 };
}

const methods = ['GET', 'GET', 'GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE'];
const oddMethods = ['get', 'TRACE', 'OPTIONS', 'CONNECT', 'PRI', 'GET\t', 'M-SEARCH', 'POST,GET', 'QUERY', '\x00GET'];
const paths = [
  '/fhir/Patient/p-1',
  '/fhir/Patient/p.2',
  '/fhir/Patient',
  '/fhir/Observation',
  '/fhir/Observation/o-1/_history/2',
  '/fhir/Patient/p-1/_history',
  '/fhir/Patient/_search',
  '/fhir/Patient/p-1/Observation',
  '/fhir/Patient/p-1/*',
  '/fhir/Patient/p-1/Observation/_search',
  '/fhir/Patient/p-1/$everything',
  '/fhir/metadata',
  '/fhir',
];
const pathEdits = [
  '/',
  '//',
  '/.',
  '/..',
  '/../Patient/p-9',
  '/%2e%2e/Patient/p-9',
  '%2F',
  '%2f..%2fadmin',
  '%5c',
  '\\',
  ';x=1',
  '/;/',
  '%00',
  '\x00',
  '%0d%0aX-A:1',
  '%25',
  '%',
  '%4',
  '%C0%AE',
  '%c3%a9',
  '%C3%A9',
  '\xc3\xa9',
  '#x',
  '?',
  ' HTTP/1.1',
  '~',
  "'",
  ',',
  '+',
  '@evil.example',
  ':80',
  '*',
  '$graphql',
];
const pathStarts = [
  'http://evil.example',
  'HTTP://localhost',
  '//evil.example',
  '/\\evil',
  '*',
  'fhir',
  '/FHIR/..',
  ' ',
  '\t',
];
const queries = ['_id=p-1', 'name=a', '_format=json', '_count=2', 'code=1%7C2', '_summary=count', 'patient=p-1'];
const queryEdits = [
  '&',
  '&&',
  ';_id=p-9',
  '&_id=p-9',
  '&_ID=p-9',
  '&%5fid=p-9',
  '&_format=xml',
  '&_FORMAT=xml',
  '&_elements=id',
  '&_include=Patient:link',
  '&_method=DELETE',
  '&name:exact=b',
  '&name%3Aexact=b',
  '&name[]=b',
  '&=x',
  '&x',
  '?x=1',
  '&a=%00',
  '&a=%ff',
  '&a=+',
  '&a=b=c',
  '#f',
  ' ',
  '&a=%0d%0a',
  '&a="',
  '&a=\xe9',
];
const versions = ['HTTP/1.1', 'HTTP/1.1', 'HTTP/1.1', 'HTTP/1.1', 'HTTP/1.1', 'HTTP/1.1', 'HTTP/1.0'];
const oddVersions = [
  'HTTP/1.2',
  'HTTP/0.9',
  'HTTP/2.0',
  'http/1.1',
  'HTTP/1.1 ',
  'HTTP/11',
  '',
  'RTSP/1.0',
  'HTTP/1.1\t',
];
const oddHeaders = [
  'Host: evil.example',
  'X-HTTP-Method-Override: DELETE',
  'X_HTTP_METHOD_OVERRIDE: DELETE',
  'X-Method-Override: PUT',
  'X-Original-URL: /admin',
  'X-Rewrite-URL: /fhir/Patient/p-9',
  'X-Auth-Subject: admin',
  'X-Audit-Id: mine',
  'X-Request-Id: mine',
  'X-Request-Id : mine',
  'X-Forwarded-For: 6.6.6.6',
  'X-Forwarded-Host: evil.example',
  'X_Forwarded_For: 6.6.6.6',
  'Forwarded: for=6.6.6.6',
  'Connection: close',
  'Connection: keep-alive',
  'Connection: x-request-id, x-forwarded-for, content-length',
  'Connection: content-type',
  'Connection: transfer-encoding',
  'Connection: authorization',
  'Connection: Upgrade, HTTP2-Settings',
  'Upgrade: h2c',
  'Upgrade: websocket',
  'HTTP2-Settings: AAMAAABkAAQAAP__',
  'Transfer-Encoding: chunked',
  'Transfer-Encoding: Chunked',
  'Transfer-Encoding: xchunked',
  'Transfer-Encoding: chunked, chunked',
  'Transfer-Encoding: gzip, chunked',
  'Transfer-Encoding : chunked',
  'Transfer-Encoding:\x0bchunked',
  'Transfer-Encoding:\tchunked',
  'Transfer-Encoding: "chunked"',
  'Transfer_Encoding: chunked',
  'Content-Length: 0',
  'Content-Length: 00',
  'Content-Length: 5',
  'Content-Length: +5',
  'Content-Length: 5, 5',
  'Content-Length: 0x5',
  'Content-Length: 18446744073709551621',
  'Content-Length:',
  'Content_Length: 5',
  'Content-Encoding: gzip',
  'Content-Encoding: identity',
  'Content-Type: application/json; charset=utf-16',
  'Content-Type: application/x-www-form-urlencoded',
  'Content-Type: multipart/form-data; boundary=x',
  'Expect: 100-continue',
  'Expect: 200-ok',
  'Trailer: Authorization',
  'TE: trailers',
  'Range: bytes=0-1',
  'If-Range: "x"',
  'If-None-Exist: identifier=1',
  'If-None-Exist: Patient?identifier=1&_id=p-9',
  'If-Match: W/"1"',
  'Prefer: return=representation',
  'Accept: application/fhir+xml',
  'Accept: */*',
  'Accept-Encoding: gzip',
  'Cookie: a=b',
  'Referer: https://x/Patient/p-9',
  'Max-Forwards: 0',
  'Via: 1.1 x',
  'X-Provenance: {}',
  ' folded: 1',
  '\tfolded',
  'NoColon',
  ': empty',
  'X-A: a\rX-B: b',
  'X-A: a\nX-B: b',
  'X-A: \x00',
  'X-A: \xff',
  'X-A\x00: b',
  'X-\xe9: b',
  '',
];
const bodies: readonly (readonly [string, string])[] = [
  ['application/fhir+json', '{"resourceType":"Observation","subject":{"reference":"Patient/p-1"}}'],
  ['application/fhir+json', '{"resourceType":"Patient","id":"p-1"}'],
  ['application/json', '{"resourceType":"Patient","id":"p-1","id":"p-9"}'],
  ['application/x-www-form-urlencoded', '_id=p-1&name=a'],
  ['application/x-www-form-urlencoded', '_id=p-1;_id=p-9&%5fid=p-8'],
  ['application/x-www-form-urlencoded;charset=utf-16', 'name=a'],
  ['application/fhir+json', batch('GET', 'Patient/p-1')],
  ['application/fhir+json', batch('DELETE', 'Observation/o-1')],
  ['application/fhir+json', batch('GET', 'Patient/../Patient/p-9')],
  ['application/fhir+json', batch('GET', 'Patient?_id=p-1&name=a')],
  ['text/plain', 'hello'],
  ['application/fhir+json', ''],
];
const chunkEdits = ['0x', '+', '0', ' ', ';a=b', ';a="\r\n"', '\t', '_', '-', '\n'];
const trailers = [
  '',
  '',
  '',
  'X-Trailer: 1\r\n',
  'Authorization: Bearer x\r\n',
  'Content-Length: 4\r\n',
  'Host: x\r\n',
  'X-A : 1\r\n',
];

function batch(method: string, url: string): string {
  return JSON.stringify({ resourceType: 'Bundle', type: 'batch', entry: [{ request: { method, url } }] });
}

/** One to three requests on one connection. */
export function connectionOf(seed: number, token: string): Pieces {
  const random = randomOf(seed);
  const pieces: string[] = [];
  const count = random.chance(4) ? 1 + random.below(3) : 1;
  for (let n = 0; n < count; n++) pieces.push(...requestOf(random, token));
  return random.chance(12) ? mutated(pieces, random) : pieces;
}

function requestOf(random: Random, token: string): string[] {
  const method = random.chance(15) ? random.oneOf(oddMethods) : random.oneOf(methods);
  const version = random.chance(30) ? random.oneOf(oddVersions) : random.oneOf(versions);
  const lines = [`${method} ${targetOf(random)} ${version}`, 'Host: localhost'];
  if (!random.chance(12)) lines.push(`Authorization: Bearer ${token}`);
  const carries = /^(?:POST|PUT|PATCH)$/.test(method) ? !random.chance(8) : random.chance(20);
  let body = '';
  if (carries) {
    const [type, text] = random.oneOf(bodies);
    lines.push(`Content-Type: ${type}`);
    body = framed(random, text, lines);
  }
  if (random.chance(10)) lines.splice(0, 1, ...handshake(random));
  const odd = random.chance(2) ? 0 : 1 + random.below(3);
  for (let n = 0; n < odd; n++) lines.splice(1 + random.below(lines.length), 0, random.oneOf(oddHeaders));
  if (random.chance(40)) lines.splice(1 + random.below(lines.length), 1);
  const end = random.chance(60) ? random.oneOf(['\n', '\r', '\r\r\n']) : '\r\n';
  const pieces = lines.map((line, position) => line + (position === 0 || random.chance(10) ? end : '\r\n'));
  return [...pieces, '\r\n', ...(body === '' ? [] : [body])];
}

/** Of a WebSocket; whatever else the request was made of stays behind it. */
function handshake(random: Random): string[] {
  const field = (name: string, ...values: readonly string[]): string =>
    `${name}: ${random.chance(8) ? random.oneOf(values) : values[0]}`;
  return [
    `GET /fhir/websocket${random.chance(6) ? '?_id=p-1' : ''} HTTP/1.1`,
    field('Upgrade', 'websocket', 'WebSocket', 'websocket, h2c', 'h2c, websocket', ' websocket', 'x'),
    field('Connection', 'Upgrade', 'keep-alive, Upgrade', 'close', 'Upgrade, x-request-id, sec-websocket-key', ''),
    field('Sec-WebSocket-Version', '13', '8', '13, 8', '013', '1337', ''),
    field('Sec-WebSocket-Key', 'dGhlIHNhbXBsZSBub25jZQ==', 'short', 'dGhlIHNhbXBsZSBub25jZR==', '', 'a, b'),
    ...(random.chance(4)
      ? [field('Sec-WebSocket-Protocol', 'a, b', 'watchglass', 'watchglass.bearer.x', 'a, a', '(')]
      : []),
    ...(random.chance(4) ? [field('Sec-WebSocket-Extensions', 'permessage-deflate', '')] : []),
    ...(random.chance(8) ? ['Origin: https://evil.example'] : []),
  ];
}

function targetOf(random: Random): string {
  let path = random.oneOf(paths);
  if (random.chance(6)) {
    const at = random.below(path.length + 1);
    path = path.slice(0, at) + random.oneOf(pathEdits) + path.slice(at);
  }
  if (random.chance(40)) path = random.oneOf(pathStarts) + path;
  if (!random.chance(3)) return path;
  let query = random.oneOf(queries);
  if (random.chance(3)) query += random.oneOf(queryEdits);
  if (random.chance(4)) query += `&${random.oneOf(queries)}`;
  return `${path}?${query}`;
}

/** The body as it goes over the wire; its framing joins the head. */
function framed(random: Random, text: string, lines: string[]): string {
  if (!random.chance(3)) {
    const said = random.chance(12) ? text.length + random.oneOf([-1, 1, 7]) : text.length;
    lines.push(`Content-Length: ${said}`);
    if (random.chance(15)) lines.push('Transfer-Encoding: chunked');
    return text;
  }
  lines.push('Transfer-Encoding: chunked');
  const half = random.below(text.length + 1);
  const parts = [text.slice(0, half), text.slice(half)].filter((part) => part !== '');
  const size = (part: string): string => {
    const hex = part.length.toString(16);
    if (!random.chance(12)) return hex;
    const edit = random.oneOf(chunkEdits);
    return random.chance(2) ? hex + edit : edit + hex;
  };
  const chunks = parts.map((part) => `${size(part)}\r\n${part}\r\n`).join('');
  return `${chunks}0\r\n${random.oneOf(trailers)}\r\n`;
}

/** Some bytes changed, doubled or lost anywhere. */
function mutated(pieces: readonly string[], random: Random): string[] {
  return pieces.map((piece) => {
    if (!random.chance(6) || piece.startsWith('Authorization')) return piece;
    const at = random.below(piece.length);
    const byte = String.fromCharCode(random.below(256));
    const behind = random.chance(2) ? piece.slice(at + 1) : piece.slice(at);
    return piece.slice(0, at) + (random.chance(3) ? '' : byte) + behind;
  });
}
