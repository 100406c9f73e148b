/**
 * Requests on the wire: each person has connections of their own, from their own address in 127.1.0.0/16, kept alive,
 * through the gateway with the CA it was given. An answer is read up to a bound and thrown away unless wanted.
 */
import { Pool } from 'undici';
import { isRecord } from '../resource.ts';
import type { RosterPerson } from '../roster.ts';
import type { Ask, Reply } from './work.ts';

export const answerBytesMax: number = 16 * 1024 * 1024;
export const answerTimeoutMs = 30_000;

/** `unreachable`: there was no answer; the gateway is away, or cut the connection. */
export type Answer =
  | { readonly kind: 'answered'; readonly reply: Reply; readonly retryAfterMs: number }
  | { readonly kind: 'unreachable' };

export interface WireOptions {
  readonly gateway: string;
  /** PEM. */
  readonly ca: string | undefined;
  readonly connectionsPerPerson: number;
  readonly signal: AbortSignal;
  /** Told once when the machine has no 127.1.x.y addresses to send from (macOS, by default). */
  readonly onNoAddress: () => void;
}

export class Wire implements AsyncDisposable {
  readonly #options: WireOptions;
  readonly #pools = new Map<string, Pool>();
  #ownAddresses = true;

  constructor(options: WireOptions) {
    this.#options = options;
  }

  async send(person: RosterPerson, token: string, ask: Ask): Promise<Answer> {
    // A kept-alive connection can close under a request; one that changes nothing is asked once more.
    const attempts = ask.method === 'GET' ? 2 : 1;
    for (let attempt = 0; attempt < attempts; attempt++) {
      try {
        return await this.#sendOnce(person, token, ask);
      } catch (error) {
        if (this.#options.signal.aborted) break;
        if (this.#ownAddresses && codeOf(error) === 'EADDRNOTAVAIL') {
          await this.#dropAddresses();
          return this.send(person, token, ask);
        }
        if (codeOf(error) !== 'UND_ERR_SOCKET' && codeOf(error) !== 'ECONNRESET') break;
      }
    }
    return { kind: 'unreachable' };
  }

  async #sendOnce(person: RosterPerson, token: string, ask: Ask): Promise<Answer> {
    const form = ask.body instanceof URLSearchParams;
    const { statusCode, headers, body } = await this.#poolOf(person).request({
      method: ask.method,
      path: `/fhir/${ask.path}`,
      headers: {
        authorization: `Bearer ${token}`,
        accept: 'application/fhir+json',
        'user-agent': `Larkhaven-${person.role}-workstation/1.0`,
        ...(ask.body === undefined
          ? {}
          : { 'content-type': form ? 'application/x-www-form-urlencoded' : 'application/fhir+json' }),
        ...(ask.ifMatch === undefined ? {} : { 'if-match': ask.ifMatch }),
      },
      body: ask.body === undefined ? null : form ? ask.body.toString() : JSON.stringify(ask.body),
      signal: this.#options.signal,
    });
    let parsed: Reply['body'];
    if (ask.keep === true && statusCode < 300) parsed = await readJson(body);
    else await body.dump({ limit: answerBytesMax });
    const retryAfter = Number(first(headers['retry-after']) ?? '');
    return {
      kind: 'answered',
      reply: { status: statusCode, requestId: first(headers['x-request-id']), etag: first(headers.etag), body: parsed },
      retryAfterMs: Number.isFinite(retryAfter) ? Math.min(60, Math.max(0, retryAfter)) * 1000 : 0,
    };
  }

  #poolOf(person: RosterPerson): Pool {
    const known = this.#pools.get(person.id);
    if (known !== undefined) return known;
    const { ca, gateway, connectionsPerPerson } = this.#options;
    const pool = new Pool(gateway, {
      connections: connectionsPerPerson,
      pipelining: 1,
      allowH2: false,
      headersTimeout: answerTimeoutMs,
      bodyTimeout: answerTimeoutMs,
      keepAliveTimeout: 10_000,
      // The addresses are IPv4, so a name like localhost has to be looked up as that.
      connect: { family: 4, timeout: 5000, ...(ca === undefined ? {} : { ca }) },
      autoSelectFamily: false,
      ...(this.#ownAddresses ? { localAddress: person.address } : {}),
    });
    this.#pools.set(person.id, pool);
    return pool;
  }

  async #dropAddresses(): Promise<void> {
    if (!this.#ownAddresses) return;
    this.#ownAddresses = false;
    this.#options.onNoAddress();
    await this.#closeAll();
  }

  async #closeAll(): Promise<void> {
    const pools = [...this.#pools.values()];
    this.#pools.clear();
    await Promise.all(pools.map((pool) => pool.destroy()));
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#closeAll();
  }
}

async function readJson(body: AsyncIterable<Uint8Array>): Promise<Reply['body']> {
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  for await (const chunk of body) {
    bytes += chunk.length;
    // Leaving the loop destroys the stream; more than this no honest page holds.
    if (bytes > answerBytesMax) return undefined;
    chunks.push(chunk);
  }
  try {
    const value: unknown = JSON.parse(Buffer.concat(chunks).toString('utf8'));
    return isRecord(value) ? value : undefined;
  } catch {
    return undefined;
  }
}

function first(header: string | string[] | undefined): string | undefined {
  return Array.isArray(header) ? header[0] : header;
}

function codeOf(error: unknown): string {
  return isRecord(error) || error instanceof Error ? String((error as { code?: unknown }).code ?? '') : '';
}
