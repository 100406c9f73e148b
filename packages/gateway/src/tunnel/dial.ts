/**
 * Asks an API for a WebSocket, as a client of its own: with a key of its own, without extensions, and believing nothing but exactly what RFC 6455 §4.1 has it answer. Anything else is a
 * refusal, and its connection ends with it: an answer that only looked like consent must not become a way to speak to the API past the gateway.
 */
import { timingSafeEqual } from 'node:crypto';
import type { IncomingHttpHeaders } from 'node:http';
import type { Duplex } from 'node:stream';

import type { Dispatcher, Pool } from 'undici';

import { acceptOf } from '../http/websocket.ts';

export type DialFault = 'upstream-unreachable' | 'upstream-timeout' | 'upstream-invalid';

export type Dialled =
  | { readonly kind: 'open'; readonly socket: Duplex; readonly protocol: string | undefined }
  | { readonly kind: 'fault'; readonly fault: DialFault };

export interface DialRequest {
  /** Path and query. */
  readonly path: string;
  /** Raw pairs, without those of the handshake. */
  readonly headers: readonly string[];
  /** Sixteen random bytes in base64. */
  readonly key: string;
  /** What it may choose from. */
  readonly protocols: readonly string[];
  readonly timeoutMs: number;
}

/** Never rejects. */
export function dial(pool: Pool, request: DialRequest): Promise<Dialled> {
  const { path, key, protocols } = request;
  const dialling = new Dialling(request);
  pool.dispatch(
    {
      method: 'GET',
      path,
      headers: [
        ...request.headers,
        'Sec-WebSocket-Version',
        '13',
        'Sec-WebSocket-Key',
        key,
        ...(protocols.length === 0 ? [] : ['Sec-WebSocket-Protocol', protocols.join(', ')]),
      ],
      upgrade: 'websocket',
    },
    dialling,
  );
  return dialling.done;
}

class Dialling implements Dispatcher.DispatchHandler {
  readonly done: Promise<Dialled>;
  readonly #resolve: (dialled: Dialled) => void;
  readonly #request: DialRequest;
  readonly #timer: NodeJS.Timeout;
  #controller: Dispatcher.DispatchController | undefined;
  #fault: DialFault | undefined;

  constructor(request: DialRequest) {
    const { promise, resolve } = Promise.withResolvers<Dialled>();
    this.done = promise;
    this.#resolve = resolve;
    this.#request = request;
    this.#timer = setTimeout(() => this.#refuse('upstream-timeout'), request.timeoutMs);
  }

  onRequestStart(controller: Dispatcher.DispatchController): void {
    this.#controller = controller;
    if (this.#fault !== undefined) controller.abort(new Error(this.#fault));
  }

  onRequestUpgrade(
    _controller: Dispatcher.DispatchController,
    status: number,
    headers: IncomingHttpHeaders,
    socket: Duplex,
  ): void {
    socket.on('error', () => socket.destroy());
    const protocol = this.#agreed(status, headers);
    if (this.#fault !== undefined || protocol === undefined) {
      socket.destroy();
      this.#settle({ kind: 'fault', fault: this.#fault ?? 'upstream-invalid' });
    } else this.#settle({ kind: 'open', socket, protocol: protocol === '' ? undefined : protocol });
  }

  /** It answered, and did not agree: what it said instead is not for the client, and nothing more is heard of it. */
  onResponseStart(_controller: Dispatcher.DispatchController, status: number): void {
    if (status >= 200) this.#refuse('upstream-invalid');
  }

  onResponseError(_controller: Dispatcher.DispatchController, error: Error): void {
    const { code } = error as NodeJS.ErrnoException;
    const late = code === 'UND_ERR_CONNECT_TIMEOUT' || code === 'UND_ERR_HEADERS_TIMEOUT' || code === 'ETIMEDOUT';
    const invalid = code?.startsWith('HPE_') === true;
    this.#fault ??= late ? 'upstream-timeout' : invalid ? 'upstream-invalid' : 'upstream-unreachable';
    this.#settle({ kind: 'fault', fault: this.#fault });
  }

  /** The subprotocol it chose, empty for none; undefined where it agreed to something else. */
  #agreed(status: number, headers: IncomingHttpHeaders): string | undefined {
    const { key, protocols } = this.#request;
    const accept = Buffer.from(String(headers['sec-websocket-accept'] ?? ''));
    const expected = Buffer.from(acceptOf(key));
    const protocol = headers['sec-websocket-protocol'] ?? '';
    const sound =
      status === 101 &&
      String(headers.upgrade).toLowerCase() === 'websocket' &&
      accept.length === expected.length &&
      timingSafeEqual(accept, expected) &&
      headers['sec-websocket-extensions'] === undefined &&
      typeof protocol === 'string' &&
      (protocol === '' || protocols.includes(protocol));
    return sound ? protocol : undefined;
  }

  #refuse(fault: DialFault): void {
    this.#fault ??= fault;
    if (this.#controller?.aborted === false) this.#controller.abort(new Error(fault));
    this.#settle({ kind: 'fault', fault: this.#fault });
  }

  #settle(dialled: Dialled): void {
    clearTimeout(this.#timer);
    this.#resolve(dialled);
  }
}
