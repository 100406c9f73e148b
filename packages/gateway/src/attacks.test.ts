/** The table of attacks, rows 1 to 12: bytes that two parties could read differently, or that don't come to an end. */
import assert from 'node:assert/strict';
import { after, before } from 'node:test';

import { attack, noRoute, read, type Strike, violation } from './attack.fixture.ts';
import { type Road, startRoad, statusesOf } from './gateway.fixture.ts';

let road: Road;

before(async () => {
  road = await startRoad({ tls: true });
});
after(() => road.close());

function get(target: string, ...extra: string[]): string {
  return [`GET ${target} HTTP/1.1`, 'Host: localhost', `Authorization: Bearer ${road.token}`, ...extra, '', ''].join(
    '\r\n',
  );
}

function post(extra: readonly string[], body: string): string {
  const head = [
    'POST /fhir/Observation HTTP/1.1',
    'Host: localhost',
    `Authorization: Bearer ${road.token}`,
    'Content-Type: application/fhir+json',
  ];
  return [...head, ...extra, '', body].join('\r\n');
}

const close = 'Connection: close';
const chunked = 'Transfer-Encoding: chunked';
const patient = '/fhir/Patient/1';

/** The bytes get exactly this status and the connection ends. They are made late: the token is not there before. */
function refused(bytes: () => string, code: number, leaves: Strike['leaves']): Strike {
  const strike = async (of: Road): Promise<void> => {
    const answer = await of.raw(bytes());
    assert.deepEqual(statusesOf(answer), [code], JSON.stringify(answer.slice(0, 200)));
  };
  return { at: () => road, strike, leaves };
}

function violating(bytes: () => string, reason: string, code = 400): Strike {
  return refused(bytes, code, [violation(code, reason)]);
}

attack(1, 'ambiguous length', {
  'refuses Content-Length with Transfer-Encoding': violating(
    () => post(['Content-Length: 5', chunked], '0\r\n\r\nGET /'),
    'invalid-transfer-encoding',
  ),
  'refuses two Content-Lengths': violating(
    () => post(['Content-Length: 2', 'Content-Length: 3'], '{} '),
    'unexpected-content-length',
  ),
  'refuses a list of lengths': violating(() => post(['Content-Length: 2, 2'], '{}'), 'invalid-content-length'),
  'refuses a signed length': violating(() => post(['Content-Length: +2'], '{}'), 'invalid-content-length'),
  'refuses a hexadecimal length': violating(() => post(['Content-Length: 0x2'], '{}'), 'invalid-content-length'),
});

attack(2, 'odd transfer codings and folded headers', {
  'refuses xchunked': violating(() => post(['Transfer-Encoding: xchunked'], '0\r\n\r\n'), 'invalid-transfer-encoding'),
  'refuses chunked, identity': violating(
    () => post(['Transfer-Encoding: chunked, identity'], '0\r\n\r\n'),
    'invalid-transfer-encoding',
  ),
  'refuses identity, chunked': violating(
    () => post(['Transfer-Encoding: identity, chunked'], '0\r\n\r\n'),
    'transfer-encoding',
  ),
  'refuses two Transfer-Encodings': violating(() => post([chunked, chunked], '0\r\n\r\n'), 'invalid-transfer-encoding'),
  'refuses a folded header': violating(() => get(patient, 'X-A: 1', ' folded'), 'invalid-header-token'),
  'refuses a space before the colon': violating(() => get(patient, 'X-A : 1'), 'invalid-header-token'),
});

attack(3, 'Transfer-Encoding on HTTP/1.0', {
  'is refused': violating(
    () => post([chunked, close], '0\r\n\r\n').replace('HTTP/1.1', 'HTTP/1.0'),
    'transfer-encoding-http-1.0',
  ),
});

attack(4, 'bare line ends and NUL', {
  'refuses a bare LF': violating(() => get(patient, 'X-A: 1\nX-B: 2'), 'cr-expected'),
  'refuses a bare CR': violating(() => get(patient, 'X-A: 1\rX-B: 2'), 'lf-expected'),
  'refuses NUL in a header': violating(() => get(patient, 'X-A: 1\u00002'), 'invalid-header-token'),
  'refuses NUL in the target': violating(() => get(`${patient}\u0000`), 'invalid-url'),
  'refuses a chunk size that ends with LF': violating(() => post([chunked], '2\n{}\r\n0\r\n\r\n'), 'cr-expected'),
  'refuses a chunk size with 0x': violating(() => post([chunked], '0x2\r\n{}\r\n0\r\n\r\n'), 'invalid-chunk-size'),
});

attack(5, 'Host', {
  'refuses two': violating(() => get(patient, 'Host: other', close), 'two-values'),
  'refuses none': violating(() => get(patient, close).replace('Host: localhost\r\n', ''), 'host-missing'),
  'refuses one that is a URL': violating(
    () => get(patient, close).replace('Host: localhost', 'Host: localhost/fhir'),
    'host-malformed',
  ),
});

const otherForms: Readonly<Record<string, string>> = {
  'http://localhost/fhir/Patient/1': 'target-form',
  '//evil/fhir/Patient/1': 'target-form',
  '/\\evil': 'target-form',
  'fhir/Patient/1': 'invalid-url',
  '*': 'target-form',
};
attack(
  6,
  'other forms of target',
  each(Object.keys(otherForms), (target) => violating(() => get(target, close), otherForms[target] ?? '')),
);

const notCanonical: Readonly<Record<string, string>> = {
  '/fhir/Patient/1#x': 'target-fragment',
  '/fhir\\Patient\\1': 'target-backslash',
  '/fhir/..%2fadmin': 'target-encoding',
  '/fhir/%2e%2e/admin': 'target-encoding',
  '/fhir/%2E%2E/admin': 'target-encoding',
  '/fhir/../admin': 'target-dot-segment',
  '/fhir/./Patient/1': 'target-dot-segment',
  '/fhir/Patient;x/1': 'target-parameter',
  '/fhir/.;/Patient/1': 'target-parameter',
  '/fhir/Patient/%2531': 'target-encoding',
  '/fhir/Patient/%31': 'target-encoding',
  '/fhir/Patient/1%00': 'target-encoding',
  '/fhir/Patient%2F1': 'target-encoding',
  '/fhir/Patient/1%': 'target-encoding',
  '/fhir/Patient/%c0%ae': 'target-encoding',
  '/fhir/Patient/%C0%AE': 'target-encoding',
  '/fhir/Patient?name=%00': 'target-encoding',
  '/fhir/Patient?name=a;_id=1': 'target-parameter',
  '/fhir/Patient?name=%ff': 'target-encoding',
};
attack(
  7,
  'a target that is not canonical',
  each(Object.keys(notCanonical), (target) => violating(() => get(target, close), notCanonical[target] ?? '')),
);

const nowhere = [
  '/FHIR/patient',
  '/fhir/patient/1',
  '/fhir/Patient/1/',
  '/fhir/',
  '/fhir//Patient/1',
  '/fhir/Patient//1',
  '/fhirPatient',
  '/',
];
attack(
  8,
  'routes are exact',
  each(nowhere, (target) => refused(() => get(target, close), 404, [noRoute(404, 'not-found')])),
);

attack(9, 'methods and upgrades', {
  ...each(['TRACE', 'OPTIONS', 'PROPFIND'], (method) =>
    refused(() => get(patient, close).replace('GET', method), 405, [noRoute(405, 'method-not-allowed')]),
  ),
  'refuses CONNECT': violating(
    () => 'CONNECT localhost:443 HTTP/1.1\r\nHost: localhost:443\r\n\r\n',
    'connect-method',
    405,
  ),
  'does not pass an upgrade on': {
    at: () => road,
    asksCount: 1,
    leaves: [read()],
    async strike(of) {
      const upgrade = ['Upgrade: h2c', 'HTTP2-Settings: AAMAAABkAAQAAP__'];
      const answer = await of.raw(get(patient, 'Connection: Upgrade, HTTP2-Settings, close', ...upgrade));
      assert.deepEqual(statusesOf(answer), [200]);
      const headers = of.asked.at(-1)?.headers;
      assert.ok(headers !== undefined);
      assert.equal(headers.upgrade, undefined);
      assert.equal(headers['http2-settings'], undefined);
    },
  },
});

attack(10, 'GET with a body', {
  'is refused with a length': violating(() => `${get(patient, 'Content-Length: 2', close)}{}`, 'unexpected-body'),
  'is refused with chunks': violating(() => `${get(patient, chunked, close)}0\r\n\r\n`, 'unexpected-body'),
});

attack(11, 'too much', {
  'refuses a header of 20 KB': violating(() => get(patient, `X-A: ${'a'.repeat(20_000)}`), 'header-too-large', 431),
  'refuses a chunk extension of 20 KB': violating(
    () => post([chunked], `2;${'a'.repeat(20_000)}\r\n{}\r\n0\r\n\r\n`),
    'chunk-extension-too-large',
    413,
  ),
  'refuses a hundred headers': violating(
    () => get(patient, ...Array.from({ length: 100 }, (_, n) => `X-${n}: 1`), close),
    'too-many-headers',
    431,
  ),
  'refuses a target of 9 KB': violating(
    () => get(`/fhir/Patient?name=${'a'.repeat(9_000)}`, close),
    'target-too-long',
    414,
  ),
});

/** Of a gateway with little patience: any other needs it on a busy machine. */
function tooSlow(bytes: () => string): Strike {
  const limits = { headersTimeoutMs: 700, requestTimeoutMs: 1_200, checkIntervalMs: 100 };
  return {
    at: () => startRoad({ tls: true, config: { limits } }),
    leaves: [violation(408, 'request-timeout')],
    async strike(of) {
      assert.deepEqual(statusesOf(await of.raw(bytes().replace(road.token, of.token))), [408]);
    },
  };
}

attack(12, 'slowness', {
  'ends a header that never ends': tooSlow(() => 'GET /fhir/Patient/1 HTTP/1.1\r\nHost: localhost\r\nX-A:'),
  'ends a body that never ends': tooSlow(() => post(['Content-Length: 1000'], '{"resourceType":')),
});

function each(names: readonly string[], strike: (name: string) => Strike): Record<string, Strike> {
  return Object.fromEntries(names.map((name) => [`refuses ${name}`, strike(name)]));
}
