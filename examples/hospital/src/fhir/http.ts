/**
 * The FHIR handler behind node:http, at `/fhir`, with `/healthz` beside it. Bodies are bounded, slow clients are cut off,
 * and a request id that comes in goes out again. It has no authentication: it listens on loopback, behind the gateway.
 */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { bodyBytesMax } from './body.ts';
import type { FhirHandler } from './handler.ts';
import type { FhirResponse } from './message.ts';
import { FhirError, operationOutcome } from './outcome.ts';

const prefix = '/fhir';

export interface FhirServer extends AsyncDisposable {
  /** `http://127.0.0.1:N`, without a trailing slash. */
  readonly url: string;
}

export interface FhirServerOptions {
  readonly handler: FhirHandler;
  readonly host: string;
  readonly port: number;
  /** Where clients reach it, when that is elsewhere; links are made from it. Otherwise from X-Forwarded-* or Host. */
  readonly publicUrl?: string | undefined;
  /** Told of every request the hospital broke on, after it was answered with a 500. */
  readonly onFailure: (error: unknown) => void;
}

export async function serveFhir(options: FhirServerOptions): Promise<FhirServer> {
  const server = createServer((request, response) => {
    answer(options, request, response).catch((error: unknown) => {
      const known =
        error instanceof FhirError ? error : new FhirError(500, 'exception', 'the hospital failed on this request');
      // A client that went away half-way is no failure of ours.
      if (known !== error && request.complete) options.onFailure(error);
      if (!response.headersSent) {
        if (known.status === 413) response.setHeader('connection', 'close');
        send(response, {
          status: known.status,
          headers: known.headers,
          body: operationOutcome(known.code, known.message),
        });
      } else response.destroy();
    });
  });
  server.requestTimeout = 30_000;
  server.headersTimeout = 10_000;
  // Longer than the gateway keeps idle connections, so that it is the one to close them.
  server.keepAliveTimeout = 65_000;
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(options.port, options.host, () => {
      server.off('error', reject);
      resolve();
    });
  });
  const { port } = server.address() as AddressInfo;
  return { url: `http://${options.host}:${port}`, [Symbol.asyncDispose]: () => close(server) };
}

async function close(server: Server): Promise<void> {
  const closed = new Promise<void>((resolve) => server.close(() => resolve()));
  server.closeAllConnections();
  await closed;
}

async function answer(options: FhirServerOptions, request: IncomingMessage, response: ServerResponse): Promise<void> {
  const target = request.url ?? '/';
  const mark = target.indexOf('?');
  const path = mark < 0 ? target : target.slice(0, mark);
  const requestId = request.headers['x-request-id'];
  if (typeof requestId === 'string') response.setHeader('x-request-id', requestId);
  if (path === '/healthz') {
    response.writeHead(200, { 'content-type': 'text/plain' }).end('ok\n');
    return;
  }
  if (path !== prefix && !path.startsWith(`${prefix}/`))
    throw new FhirError(404, 'not-found', `the API is at ${prefix}`);
  const body = await readBody(request);
  const headers = Object.fromEntries(
    Object.entries(request.headers).map(([name, value]) => [name, Array.isArray(value) ? value.join(', ') : value]),
  );
  const answered = options.handler.handle({
    method: request.method ?? 'GET',
    path: path.slice(prefix.length),
    query: new URLSearchParams(mark < 0 ? '' : target.slice(mark + 1)),
    headers,
    body,
    base: `${originOf(options, headers)}${prefix}`,
  });
  send(response, answered, request.method === 'HEAD');
}

function originOf(options: FhirServerOptions, headers: Readonly<Record<string, string | undefined>>): string {
  if (options.publicUrl !== undefined) return options.publicUrl;
  const host = headers['x-forwarded-host'] ?? headers.host ?? 'localhost';
  const scheme = headers['x-forwarded-proto'] === 'https' ? 'https' : 'http';
  return /^[A-Za-z0-9.:[\]-]{1,255}$/.test(host) ? `${scheme}://${host}` : `${scheme}://localhost`;
}

async function readBody(request: IncomingMessage): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  for await (const chunk of request as AsyncIterable<Uint8Array>) {
    bytes += chunk.length;
    if (bytes > bodyBytesMax) throw new FhirError(413, 'too-long', `expected at most ${bodyBytesMax} bytes`);
    chunks.push(chunk);
  }
  return chunks.length === 1 && chunks[0] !== undefined ? chunks[0] : Buffer.concat(chunks);
}

function send(response: ServerResponse, answered: FhirResponse, headOnly = false): void {
  const { lines } = answered;
  const text =
    lines === undefined
      ? answered.body === undefined
        ? ''
        : JSON.stringify(answered.body)
      : lines.map((line) => `${JSON.stringify(line)}\n`).join('');
  const headers: Record<string, string | number> = { ...answered.headers };
  if (answered.status !== 204 && answered.status !== 304) {
    headers['content-length'] = Buffer.byteLength(text);
    if (lines !== undefined) headers['content-type'] = 'application/fhir+ndjson';
    else if (text !== '') headers['content-type'] ??= 'application/fhir+json; charset=utf-8';
  }
  response.writeHead(answered.status, headers);
  response.end(headOnly ? undefined : text);
}
