/** For tests only: an API with WebSockets of the package `ws`, behind a gateway that lets them through. */

import { createServer, type IncomingMessage } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Duplex } from 'node:stream';

import type { Event } from '@watchglass/record';
import { type ClientOptions, WebSocket, WebSocketServer } from 'ws';

import { isFirstUse, type Road, type RoadOptions, startRoad } from './gateway.fixture.ts';

const subscribePolicy = `
version: 1
roles:
  physician: {allow: [{interactions: [subscribe, read, search], types: ['*']}]}
  nurse: {allow: [{interactions: [read], types: ['*']}]}
`;

export interface WebSocketRoad extends Road {
  /** Handshakes that reached the API. */
  readonly handshakes: IncomingMessage[];
  /** The API's ends, in order. */
  readonly sockets: WebSocket[];
  /** `ws://…/fhir/websocket` unless said. */
  open(options?: {
    readonly path?: string;
    readonly token?: string | null;
    readonly protocols?: readonly string[];
    readonly client?: ClientOptions;
  }): WebSocket;
}

export interface WebSocketRoadOptions extends RoadOptions {
  /** The API's side of a new connection; echoes unless said. */
  readonly onSocket?: (socket: WebSocket, request: IncomingMessage) => void;
  /** Answers handshakes by itself. */
  readonly onUpgrade?: (request: IncomingMessage, socket: Duplex) => void;
  readonly websockets?: Record<string, unknown>;
  readonly protocols?: (offered: Set<string>) => string | false;
}

export async function startWebSocketRoad(options: WebSocketRoadOptions = {}): Promise<WebSocketRoad> {
  const handshakes: IncomingMessage[] = [];
  const sockets: WebSocket[] = [];
  const upgraded = new Set<Duplex>();
  const api = createServer((_request, response) => response.writeHead(404).end());
  const webSockets = new WebSocketServer({
    noServer: true,
    perMessageDeflate: true,
    ...(options.protocols === undefined ? {} : { handleProtocols: options.protocols }),
  });
  api.on('upgrade', (request: IncomingMessage, socket: Duplex, head: Buffer) => {
    handshakes.push(request);
    upgraded.add(socket);
    socket.on('error', () => undefined);
    socket.on('close', () => upgraded.delete(socket));
    if (options.onUpgrade !== undefined) {
      options.onUpgrade(request, socket);
      return;
    }
    webSockets.handleUpgrade(request, socket, head, (made) => {
      sockets.push(made);
      made.on('error', () => undefined);
      if (options.onSocket === undefined) made.on('message', (data, isBinary) => made.send(data, { binary: isBinary }));
      else options.onSocket(made, request);
    });
  });
  await new Promise<void>((resolve) => api.listen(0, '127.0.0.1', resolve));
  const { config, ...rest } = options;
  const road = await startRoad({
    policy: subscribePolicy,
    ...rest,
    config: {
      routes: [{ prefix: '/fhir', kind: 'fhir', websocket: true }],
      upstream: { url: `http://127.0.0.1:${(api.address() as AddressInfo).port}`, timeoutMs: 2_000 },
      ...(options.websockets === undefined ? {} : { websockets: options.websockets }),
      ...config,
    },
  });
  const opened: WebSocket[] = [];
  const close = async (): Promise<void> => {
    for (const socket of opened) socket.terminate();
    await road.close();
    for (const socket of upgraded) socket.destroy();
    await new Promise<void>((resolve) => {
      api.close(() => resolve());
      api.closeAllConnections();
    });
  };
  return {
    ...road,
    handshakes,
    sockets,
    open({ path = '/fhir/websocket', token = road.token, protocols = [], client = {} } = {}) {
      const url = `ws://127.0.0.1:${road.gateway.port}${path}`;
      const authorization = token === null ? {} : { authorization: `Bearer ${token}` };
      const made = new WebSocket(url, [...protocols], { ...client, headers: { ...authorization, ...client.headers } });
      made.on('error', () => undefined);
      opened.push(made);
      return made;
    },
    close,
    [Symbol.asyncDispose]: close,
  };
}

/** What came of a handshake: `open`, or the status that refused it. */
export function openedOr(socket: WebSocket): Promise<'open' | number> {
  const { promise, resolve, reject } = Promise.withResolvers<'open' | number>();
  socket.on('open', () => resolve('open'));
  socket.on('unexpected-response', (request, response) => {
    resolve(response.statusCode ?? 0);
    request.destroy();
  });
  socket.on('error', reject);
  return promise;
}

/** The code it was closed with. */
export function closedWith(socket: WebSocket): Promise<number> {
  return new Promise((resolve) => socket.once('close', resolve));
}

export function nextMessage(socket: WebSocket): Promise<string> {
  return new Promise((resolve) => socket.once('message', (data) => resolve(String(data))));
}

/** Its events once there are so many: the end comes a moment after the connection's. */
export async function eventsOf(of: WebSocketRoad, count: number): Promise<Event[]> {
  for (;;) {
    const events = (await of.settled()).filter((event) => event.kind !== 'system' && !isFirstUse(event));
    if (events.length >= count) return events;
    await new Promise((tick) => setImmediate(tick));
  }
}

/** What an event says of how it went. */
export const summary = ({ operation, outcome: { status, code, reason } }: Event): unknown[] => [
  operation,
  status,
  code,
  reason,
];

/** The head of a handshake, as bytes. */
export function handshake(
  of: WebSocketRoad,
  change: Record<string, string | undefined> = {},
  path = '/fhir/websocket',
): string {
  const fields: Record<string, string | undefined> = {
    Host: 'gw.example',
    Authorization: `Bearer ${of.token}`,
    Connection: 'Upgrade',
    Upgrade: 'websocket',
    'Sec-WebSocket-Version': '13',
    'Sec-WebSocket-Key': 'dGhlIHNhbXBsZSBub25jZQ==',
    ...change,
  };
  const lines = Object.entries(fields).flatMap(([name, value]) =>
    value === undefined ? [] : [`${name}: ${value}\r\n`],
  );
  return `GET ${path} HTTP/1.1\r\n${lines.join('')}\r\n`;
}
