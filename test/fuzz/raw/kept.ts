/**
 * Connections that are tried each time, before any seed: what was once found, cut down, and the classics of request smuggling, which have to stay without effect. `{token}` stands for
 * a good one.
 */
import type { Pieces } from './generate.ts';

const head = ['Host: localhost\r\n', 'Authorization: Bearer {token}\r\n'];
const json = 'Content-Type: application/fhir+json\r\n';
const hidden = ['DELETE /fhir/Patient/p-9 HTTP/1.1\r\n', ...head, '\r\n'];

const webSocket = [
  'GET /fhir/websocket HTTP/1.1\r\n',
  ...head,
  'Upgrade: websocket\r\n',
  'Connection: Upgrade\r\n',
  'Sec-WebSocket-Version: 13\r\n',
  'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n',
  '\r\n',
];

export const kept: Readonly<Record<string, Pieces>> = {
  'CL.TE': [
    'POST /fhir/Observation HTTP/1.1\r\n',
    ...head,
    json,
    'Content-Length: 6\r\n',
    'Transfer-Encoding: chunked\r\n',
    '\r\n',
    '0\r\n\r\n',
    ...hidden,
  ],
  'TE.CL': [
    'POST /fhir/Observation HTTP/1.1\r\n',
    ...head,
    json,
    'Transfer-Encoding: chunked\r\n',
    'Content-Length: 4\r\n',
    '\r\n',
    '5c\r\n',
    ...hidden,
    '\r\n0\r\n\r\n',
  ],
  'TE.TE with a vertical tab': [
    'POST /fhir/Observation HTTP/1.1\r\n',
    ...head,
    json,
    'Transfer-Encoding:\x0bchunked\r\n',
    'Content-Length: 5\r\n',
    '\r\n',
    '0\r\n\r\n',
    ...hidden,
  ],
  'a body behind GET': [
    'GET /fhir/Patient/p-1 HTTP/1.1\r\n',
    ...head,
    'Content-Length: 2\r\n',
    '\r\n',
    '{}',
    ...hidden,
  ],
  'a length that Connection takes away': [
    'POST /fhir/Observation HTTP/1.1\r\n',
    ...head,
    json,
    'Connection: content-length\r\n',
    'Content-Length: 24\r\n',
    '\r\n',
    '{"resourceType":"Basic"}',
  ],
  'a chunk extension with a line end': [
    'POST /fhir/Observation HTTP/1.1\r\n',
    ...head,
    json,
    'Transfer-Encoding: chunked\r\n',
    '\r\n',
    '2;a="\r\n{}\r\n0\r\n\r\n',
    ...hidden,
  ],
  'a trailer that says a length': [
    'POST /fhir/Observation HTTP/1.1\r\n',
    ...head,
    json,
    'Trailer: Content-Length\r\n',
    'Transfer-Encoding: chunked\r\n',
    '\r\n',
    '18\r\n{"resourceType":"Basic"}\r\n0\r\nContent-Length: 1\r\n\r\n',
  ],
  'a condition on what is no create': [
    'POST /fhir/Patient/p-1/$everything HTTP/1.1\r\n',
    ...head,
    'If-None-Exist: Patient?identifier=1&_id=p-9\r\n',
    json,
    'Content-Length: 2\r\n',
    '\r\n',
    '{}',
  ],
  // The client says no more, and has to be let go of all the same.
  'a WebSocket whose client had said its last': webSocket,
  'a request behind a WebSocket': [...webSocket, ...hidden],
  'a WebSocket behind a request': [...hidden, ...webSocket],
  'a WebSocket behind an expectation that is refused': [
    'GET /fhir/Patient/p-1 HTTP/1.1\r\n',
    ...head,
    'Expect: 200-ok\r\n',
    '\r\n',
    ...webSocket,
  ],
  'a form with an encoded name': [
    'POST /fhir/Patient/_search?name=a HTTP/1.1\r\n',
    ...head,
    'Content-Type: application/x-www-form-urlencoded\r\n',
    'Content-Length: 10\r\n',
    '\r\n',
    '%5Fid=p-1&',
  ],
};
