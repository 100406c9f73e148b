/**
 * The HTTP face of a witness: `POST <prefix>/add-checkpoint`, `GET <prefix>/<hex SHA-256(origin)>/checkpoint`, and for machines `/healthz`, `/readyz`,
 * `/metrics`. Everything a client can be slow or large with has a bound; no request is worth more than a few signatures.
 */
import { createServer, type IncomingMessage, type RequestListener, type Server, type ServerResponse } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { witnessBytesMax } from '@watchglass/record';
import { Counter, Gauge, Registry } from 'prom-client';
import { ServerError } from '../errors.ts';
import type { World } from '../world/world.ts';
import { RateLimit, type RateLimitSettings } from './rate-limit.ts';
import type { Witness } from './witness.ts';
import type { WitnessStore } from './witness-store.ts';

const connectionsMax = 1_024;
const headersMsMax = 5_000;
const requestMsMax = 15_000;
const keepAliveMs = 65_000;

export interface WitnessListenerParts {
  readonly world: World;
  readonly witness: Witness;
  readonly store: WitnessStore;
  /** Begins with a slash and has none at its end; empty for none. */
  readonly prefix: string;
  readonly limits: RateLimitSettings;
  readonly logCount: () => number;
  readonly tls?: { readonly cert: Uint8Array; readonly key: Uint8Array };
  /** No PHI comes here; origins are public. */
  readonly report: (message: string, error?: unknown) => void;
}

interface Answer {
  readonly status: number;
  readonly type: string;
  readonly body: string;
  readonly headers?: Readonly<Record<string, string>>;
}

export class WitnessListener implements AsyncDisposable {
  readonly #parts: WitnessListenerParts;
  readonly #server: Server;
  readonly #limit: RateLimit;
  readonly #registry: Registry = new Registry();
  readonly #answers: Counter<'status'>;

  constructor(parts: WitnessListenerParts) {
    this.#parts = parts;
    this.#limit = new RateLimit(parts.world.clock, parts.limits);
    this.#answers = this.#makeMetrics();
    const listener: RequestListener = (request, response) => void this.#serve(request, response);
    const options = { headersTimeout: headersMsMax, requestTimeout: requestMsMax, keepAliveTimeout: keepAliveMs };
    this.#server =
      parts.tls === undefined
        ? createServer(options, listener)
        : createTlsServer(
            {
              ...options,
              cert: Buffer.from(parts.tls.cert),
              key: Buffer.from(parts.tls.key),
              minVersion: 'TLSv1.2',
            },
            listener,
          );
    this.#server.maxConnections = connectionsMax;
  }

  /** The port it listens at: port 0 takes a free one. */
  listen(at: { readonly host: string; readonly port: number }): Promise<number> {
    return new Promise((resolve, reject) => {
      this.#server.once('error', reject);
      this.#server.listen(at.port, at.host, () => {
        this.#server.off('error', reject);
        resolve((this.#server.address() as AddressInfo).port);
      });
    });
  }

  /** Requests that are being answered are; idle connections end at once. */
  async [Symbol.asyncDispose](): Promise<void> {
    const closed = new Promise<void>((resolve) => this.#server.close(() => resolve()));
    this.#server.closeIdleConnections();
    const forced = this.#parts.world.clock.after(requestMsMax, () => this.#server.closeAllConnections());
    await closed;
    forced.cancel();
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    let answer: Answer;
    try {
      answer = await this.#answer(request);
    } catch (error) {
      if (!(error instanceof ServerError) || error.cause !== undefined)
        this.#parts.report('a request could not be answered', error);
      const status = error instanceof ServerError ? error.status : 500;
      const why = error instanceof ServerError ? error.message : 'something went wrong here';
      answer = { status, type: plain, body: `${why}\n` };
    }
    this.#answers.inc({ status: String(answer.status) });
    if (response.destroyed) return;
    const body = Buffer.from(answer.body);
    // What was not read of a body that is too large isn't waited for.
    const unread = !request.complete ? { connection: 'close' } : {};
    response.writeHead(answer.status, {
      'content-type': answer.type,
      'content-length': body.length,
      'x-content-type-options': 'nosniff',
      'cache-control': 'no-store',
      ...unread,
      ...answer.headers,
    });
    response.end(request.method === 'HEAD' ? undefined : body);
  }

  async #answer(request: IncomingMessage): Promise<Answer> {
    const [path = ''] = (request.url ?? '').split('?', 1);
    const { prefix } = this.#parts;
    if (path === '/healthz' || path === '/readyz' || path === '/metrics') return this.#machine(path, request);
    if (!this.#limit.take(request.socket.remoteAddress ?? ''))
      return {
        status: 429,
        type: plain,
        body: 'too many requests; send again later\n',
        headers: { 'retry-after': '1' },
      };
    if (path === `${prefix}/add-checkpoint`) {
      if (request.method !== 'POST')
        return { status: 405, type: plain, body: 'expected a POST\n', headers: { allow: 'POST' } };
      const body = await readBody(request);
      return body === undefined
        ? { status: 413, type: plain, body: `expected at most ${witnessBytesMax} bytes\n` }
        : await this.#parts.witness.addCheckpoint(body);
    }
    const hash = path.startsWith(`${prefix}/`)
      ? /^([0-9a-f]{64})\/checkpoint$/.exec(path.slice(prefix.length + 1))
      : null;
    const note = hash?.[1] === undefined ? undefined : this.#parts.witness.latest(hash[1]);
    if (note === undefined) return { status: 404, type: plain, body: 'nothing is here\n' };
    if (request.method !== 'GET' && request.method !== 'HEAD')
      return { status: 405, type: plain, body: 'expected a GET\n', headers: { allow: 'GET' } };
    return { status: 200, type: plain, body: note, headers: { 'access-control-allow-origin': '*' } };
  }

  async #machine(path: string, { method }: IncomingMessage): Promise<Answer> {
    if (method !== 'GET' && method !== 'HEAD')
      return { status: 405, type: plain, body: 'expected a GET\n', headers: { allow: 'GET' } };
    if (path === '/metrics')
      return { status: 200, type: this.#registry.contentType, body: await this.#registry.metrics() };
    if (path === '/healthz') return { status: 200, type: json, body: '{"status":"alive"}\n' };
    const damaged = this.#parts.store.broken.size;
    const body = { status: damaged === 0 ? 'ready' : 'not-ready', logs: this.#parts.logCount(), damaged };
    return { status: damaged === 0 ? 200 : 503, type: json, body: `${JSON.stringify(body)}\n` };
  }

  #makeMetrics(): Counter<'status'> {
    const { store, logCount } = this.#parts;
    const registers = [this.#registry];
    new Gauge({
      name: 'watchglass_witness_logs',
      help: 'Logs this witness knows.',
      registers,
      collect() {
        this.set(logCount());
      },
    });
    new Gauge({
      name: 'watchglass_witness_damaged_logs',
      help: 'Logs whose last cosignature cannot be read back: the witness does not sign for them.',
      registers,
      collect() {
        this.set(store.broken.size);
      },
    });
    new Gauge({
      name: 'watchglass_witness_size',
      help: 'Size of the newest checkpoint cosigned.',
      labelNames: ['origin'],
      registers,
      collect() {
        for (const { checkpoint } of store.all()) this.set({ origin: checkpoint.origin }, Number(checkpoint.size));
      },
    });
    new Gauge({
      name: 'watchglass_witness_time_seconds',
      help: 'When the newest checkpoint was cosigned, seconds since 1970.',
      labelNames: ['origin'],
      registers,
      collect() {
        for (const { checkpoint, timeSeconds } of store.all())
          this.set({ origin: checkpoint.origin }, Number(timeSeconds));
      },
    });
    return new Counter({
      name: 'watchglass_witness_answers_total',
      help: 'Requests answered, by status.',
      labelNames: ['status'],
      registers,
    });
  }
}

const plain = 'text/plain; charset=utf-8';
const json = 'application/json';

/** The body, or undefined where it is too large. */
async function readBody(request: IncomingMessage): Promise<Uint8Array | undefined> {
  if (Number(request.headers['content-length'] ?? 0) > witnessBytesMax) return undefined;
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    bytes += chunk.length;
    if (bytes > witnessBytesMax) return undefined;
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}
