/**
 * The door: node:http or node:https with every limit set, and an answer of our own wherever Node would answer, or hang up, by itself; so
 * nothing a client does goes by unrecorded.
 */
import {
  createServer as createHttpServer,
  type IncomingMessage,
  type Server,
  type ServerOptions,
  ServerResponse,
} from 'node:http';
import { createServer as createHttpsServer } from 'node:https';
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import type { TLSSocket } from 'node:tls';

import { certificateThumbprint } from '../identity/client-certificate.ts';
import { type CertificateMaterial, tlsRules } from '../identity/own-certificate.ts';
import type { Pipeline } from './pipeline.ts';
import type { Upgrading } from './upgrade.ts';

export interface ListenerLimits {
  readonly headersTimeoutMs: number;
  readonly requestTimeoutMs: number;
  readonly keepAliveTimeoutMs: number;
  /** A connection on which nothing moves for so long, in either direction, is hung up on. */
  readonly stallTimeoutMs: number;
  /** How often timeouts are looked at. */
  readonly checkIntervalMs: number;
  readonly connectionsMax: number;
}

export interface TlsFiles extends CertificateMaterial {
  /** Whether clients are asked for a certificate, and hung up on without a good one. */
  readonly clientAuth?: 'off' | 'request' | 'require';
}

const headerBytesMax = 16 * 1024;
/** Requests that may wait on one connection behind the one that is being served. */
const pipelinedMax = 16;

/** An HTTP server that isn't listening yet. */
export function createListener(parts: {
  readonly pipeline: Pipeline;
  readonly tls: TlsFiles | undefined;
  readonly limits: ListenerLimits;
  /** Set on the answers that are given here, below the pipeline. */
  readonly securityHeaders: Readonly<Record<string, string>>;
  /** A fault of the program itself: the request is answered with 500 and this is told. */
  readonly onFault: (error: unknown) => void;
}): Server {
  const { pipeline, tls, limits, securityHeaders, onFault } = parts;
  const extra = Object.entries(securityHeaders)
    .map(([name, value]) => `${name}: ${value}\r\n`)
    .join('');
  const options: ServerOptions = {
    maxHeaderSize: headerBytesMax,
    headersTimeout: limits.headersTimeoutMs,
    requestTimeout: limits.requestTimeoutMs,
    keepAliveTimeout: limits.keepAliveTimeoutMs,
    connectionsCheckingInterval: limits.checkIntervalMs,
    insecureHTTPParser: false,
    rejectNonStandardBodyWrites: true,
    // Judged in message.ts, where it becomes an event.
    requireHostHeader: false,
    // Any other Upgrade is ignored and not passed on: h2c ends here, and so does a WebSocket where no route has it. One at a time on each connection.
    shouldUpgradeCallback: (request) =>
      connections.get(request.socket)?.serving === undefined &&
      !ending.has(request.socket) &&
      pipeline.mayUpgrade(request),
    noDelay: true,
  };
  const connections = new WeakMap<Duplex, Line>();
  /** Refused at their head, and closed with the answer. */
  const ending = new WeakSet<Duplex>();
  const server =
    tls === undefined
      ? createHttpServer(options)
      : createHttpsServer({
          ...options,
          ...tlsRules,
          cert: tls.cert,
          key: tls.key,
          ...(tls.ca === undefined ? {} : { ca: tls.ca }),
          requestCert: tls.clientAuth === 'request' || tls.clientAuth === 'require',
          rejectUnauthorized: tls.clientAuth === 'require',
          ALPNProtocols: ['http/1.1'],
        });
  // Node takes a resumed TLS 1.3 session without a certificate for a verified one. None should come to be; who has none is hung up on all the same.
  if (tls?.clientAuth === 'require') {
    server.prependListener('secureConnection', (socket: TLSSocket) => {
      if (certificateThumbprint(socket) !== undefined) return;
      pipeline.countConnectionFault('tls-handshake');
      socket.destroy();
    });
  }
  server.maxConnections = limits.connectionsMax;
  server.timeout = limits.stallTimeoutMs;

  const serveNow = (request: IncomingMessage, response: ServerResponse, upgrading?: Upgrading): void => {
    pipeline
      .handle(request, response, upgrading)
      .catch((error: unknown) => {
        onFault(error);
        if (!response.headersSent)
          response.writeHead(500, { ...securityHeaders, connection: 'close', 'content-length': '0' });
        response.end();
      })
      .catch(onFault);
  };
  /**
   * One at a time on each connection, however many a client sends at once: what follows a request that ends its connection is never served, so nothing
   * can be smuggled in behind a refused one.
   */
  const serve = (request: IncomingMessage, response: ServerResponse): void => {
    const { socket } = request;
    let line = connections.get(socket);
    if (line === undefined) {
      line = { serving: undefined, waiting: [] };
      connections.set(socket, line);
    }
    if (line.serving !== undefined) {
      line.waiting.push({ request, response });
      if (line.waiting.length > pipelinedMax) {
        line.waiting.length = 0;
        hangUp(socket, { status: 400, reason: 'pipelined-too-many' }, () => socket.destroy());
      }
      return;
    }
    line.serving = { request, response };
    response.once('close', () => {
      line.serving = undefined;
      const next = line.waiting.shift();
      // Node ended the socket already where this was its last response.
      if (next !== undefined && socket.writable) serve(next.request, next.response);
    });
    serveNow(request, response);
  };
  const hangUp = (socket: Duplex, fault: ConnectionFault, then: () => void): void => {
    pipeline
      .recordConnectionFault(socket as Socket, fault)
      .then(then)
      .catch((error: unknown) => {
        onFault(error);
        socket.destroy();
      });
  };
  server.on('request', serve);
  server.on('checkContinue', serve);
  server.on('checkExpectation', (request: IncomingMessage, response: ServerResponse) => {
    ending.add(request.socket);
    pipeline.refuseUnserved(request, response, 'expectation-failed').catch((error: unknown) => {
      onFault(error);
      response.destroy();
    });
  });
  server.on('connect', (request: IncomingMessage, socket: Duplex) => {
    socket.on('error', () => undefined);
    const fault = { status: 405, reason: 'connect-method' };
    hangUp(request.socket, fault, () => endWith(socket, fault.status, extra));
  });
  serveUpgrades(server, limits, serveNow);
  server.on('clientError', (error: NodeJS.ErrnoException, socket: Duplex) => {
    const fault = connectionFault(error);
    if (fault === undefined || socket.destroyed || !socket.writable) {
      socket.destroy();
      return;
    }
    hangUp(socket, fault, () => answerFault(socket as Socket, fault));
  });
  // Neither has an event: nobody said anything yet, and anybody can do it without end.
  server.on('tlsClientError', () => pipeline.countConnectionFault('tls-handshake'));
  server.on('drop', () => pipeline.countConnectionFault('connections-max'));
  const answerFault = (socket: Socket, fault: ConnectionFault): void => {
    const line = connections.get(socket);
    const { request, response } = line?.serving ?? {};
    if (line !== undefined) line.waiting.length = 0;
    // Once its response is finished, Node no longer tells a request that the rest of its body will never come.
    if (request !== undefined) socket.once('close', () => request.destroy());
    if (response === undefined || response.writableFinished) endWith(socket, fault.status, extra);
    // It asked to close and went on talking: it gets its answer, and nothing behind it is heard.
    else if (fault.reason === 'closed-connection') return;
    // A fault behind a head that is already being served: its answer is this one. With an answer under way, only hanging up is left.
    else if (response.headersSent) socket.destroy();
    else
      response
        .writeHead(fault.status, { ...securityHeaders, connection: 'close', 'content-length': '0' })
        .end(() => socket.destroySoon());
  };
  return server;
}

/**
 * From here on the connection is no longer one of HTTP, and Node neither watches nor ends it. Whatever becomes of the request, nothing behind it is ever read as
 * another one.
 */
function serveUpgrades(
  server: Server,
  { stallTimeoutMs }: ListenerLimits,
  serve: (request: IncomingMessage, response: ServerResponse, upgrading: Upgrading) => void,
): void {
  const upgraded = new Set<Duplex>();
  server.on('upgrade', (request: IncomingMessage, stream: Duplex, head: Buffer) => {
    const socket = stream as Socket;
    upgraded.add(socket);
    socket.on('close', () => upgraded.delete(socket));
    socket.on('error', () => socket.destroy());
    socket.setTimeout(stallTimeoutMs, () => socket.destroy());
    const response = new ServerResponse(request);
    response.shouldKeepAlive = false;
    try {
      response.assignSocket(socket);
    } catch {
      // An answer is still under way on it: Node has seen an end to it that never came.
      socket.destroy();
      return;
    }
    response.on('finish', () => socket.destroySoon());
    serve(request, response, { socket, head });
  });
  const closeRest = server.closeAllConnections.bind(server);
  server.closeAllConnections = () => {
    closeRest();
    for (const socket of upgraded) socket.destroy();
  };
}

/** What is going on on one connection. */
interface Line {
  serving: Exchange | undefined;
  readonly waiting: Exchange[];
}

interface Exchange {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
}

interface ConnectionFault {
  readonly status: number;
  readonly reason: string;
}

const reasonPhrases: Readonly<Record<number, string>> = {
  400: 'Bad Request',
  405: 'Method Not Allowed',
  408: 'Request Timeout',
  413: 'Content Too Large',
  431: 'Request Header Fields Too Large',
};

/** `extra` are whole header lines. */
function endWith(socket: Duplex, status: number, extra: string): void {
  const head = `HTTP/1.1 ${status} ${reasonPhrases[status] ?? 'Error'}\r\n${extra}connection: close\r\ncontent-length: 0\r\n\r\n`;
  socket.end(head, () => socket.destroy());
}

/** What the client did wrong; undefined where the connection merely ended. */
function connectionFault(error: NodeJS.ErrnoException): ConnectionFault | undefined {
  const { code } = error;
  switch (code) {
    case 'HPE_HEADER_OVERFLOW':
      return { status: 431, reason: 'header-too-large' };
    case 'HPE_CHUNK_EXTENSIONS_OVERFLOW':
      return { status: 413, reason: 'chunk-extension-too-large' };
    case 'ERR_HTTP_REQUEST_TIMEOUT':
      return { status: 408, reason: 'request-timeout' };
    case 'HPE_INVALID_EOF_STATE':
      return undefined;
    default:
      return code?.startsWith('HPE_') === true ? { status: 400, reason: reasonOf(code) } : undefined;
  }
}

/** `HPE_INVALID_TRANSFER_ENCODING` → `invalid-transfer-encoding`. */
function reasonOf(code: string): string {
  return code.slice('HPE_'.length).toLowerCase().replaceAll('_', '-').slice(0, 60);
}
