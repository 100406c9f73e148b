/**
 * Asks the upstream and holds its answer back.
 *
 * `hold` resolves with the whole response, as long as it stays within the byte bound; of a longer one with its beginning, paused: nobody reads the rest from
 * the upstream until `streamTo` lets it go. So a response can be learnt from, and recorded, before a byte of it is released.
 */
import type { IncomingHttpHeaders, ServerResponse } from 'node:http';

import type { Dispatcher, Pool } from 'undici';

import type { Deadlines, Wait } from '../http/deadlines.ts';
import { isEventStream } from '../http/media-type.ts';

export interface UpstreamRequest {
  readonly method: string;
  /** Path and query, exactly as they came. */
  readonly path: string;
  readonly headers: string[];
  readonly body: Buffer | AsyncIterable<Uint8Array> | null;
  /** Set where a stream of events is asked for, which nobody waits for the end of: how long it may be silent. */
  readonly events?: { readonly silentMsMax: number } | undefined;
}

export interface HeldWhole {
  readonly kind: 'whole';
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: Buffer;
  /** Before addresses in it were moved: whom it is about is learnt from this, where each of them is the one that the others refer to. */
  readonly asItCame?: Buffer;
}

export interface HeldBeginning {
  readonly kind: 'beginning';
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly beginning: Buffer;
  /** Writes the beginning and then the rest, at the client's pace; resolves with the bytes that came. */
  streamTo(
    response: ServerResponse,
    tap?: Tap,
    change?: Change,
  ): Promise<{ readonly bytes: number; readonly complete: boolean }>;
  /** Drops the rest. */
  abandon(): void;
}

/** Sees what passes behind the beginning; a promise is waited for before more is taken from the upstream. */
export type Tap = (chunk: Buffer) => Promise<void> | undefined;

/** What leaves instead of a chunk; undefined where nothing more may. */
export type Change = (chunk: Buffer) => Buffer | undefined;

export type UpstreamFault =
  | 'upstream-unreachable'
  | 'upstream-timeout'
  | 'upstream-invalid'
  | 'client-closed'
  | 'request-body';

export interface Faulted {
  readonly kind: 'fault';
  readonly fault: UpstreamFault;
}

export type Held = HeldWhole | HeldBeginning | Faulted;

export interface HoldOptions {
  readonly holdBytesMax: number;
  /** From asking to having the whole of what is held. */
  readonly deadlines: Deadlines;
  /** Whose going away ends it; undefined where it is seen to its end. */
  readonly client: ServerResponse | undefined;
  /** Set for what changes nothing: where the connection broke it may be asked for a second time, there. */
  readonly again: (() => Pool) | undefined;
}

/** Never rejects: what goes wrong is a `fault`. */
export function hold(pool: Pool, request: UpstreamRequest, options: HoldOptions): Promise<Held> {
  return new Promise((resolve) => {
    // A kept-alive connection that the upstream closed meanwhile, or a replica that is gone: asking again is safe for what only reads.
    const mayAskAgain = request.method === 'GET' || request.method === 'HEAD';
    new Exchange(options, (held) => {
      const again =
        mayAskAgain && held.kind === 'fault' && held.fault === 'upstream-unreachable' && !hasLeft(options.client)
          ? options.again?.()
          : undefined;
      if (again === undefined) resolve(held);
      else new Exchange(options, resolve).begin(again, request);
    }).begin(pool, request);
  });
}

function hasLeft(client: ServerResponse | undefined): boolean {
  return client !== undefined && (client.destroyed || client.req.socket.destroyed);
}

class Exchange implements Dispatcher.DispatchHandler {
  readonly #resolve: (held: Held) => void;
  readonly #holdBytesMax: number;
  readonly #deadlines: Deadlines;
  readonly #wait: Wait;
  readonly #client: ServerResponse | undefined;
  readonly #onClose = (): void => this.#stop('client-closed');
  #controller: Dispatcher.DispatchController | undefined;
  #fault: UpstreamFault | undefined;
  #eventsAsked = false;
  #status = 0;
  #headers: IncomingHttpHeaders = {};
  #chunks: Buffer[] = [];
  #bytes = 0;
  #streaming = false;
  /** Chunks that the beginning is made of. */
  #beginningCount = 0;
  #ended = false;
  #sink:
    | {
        readonly response: ServerResponse;
        readonly done: (complete: boolean) => void;
        readonly tap: Tap | undefined;
        readonly change: Change | undefined;
      }
    | undefined;
  /** Who looks on is not ready for more. */
  #tapWaits = false;

  constructor(options: HoldOptions, resolve: (held: Held) => void) {
    this.#resolve = resolve;
    this.#holdBytesMax = options.holdBytesMax;
    this.#deadlines = options.deadlines;
    this.#client = options.client;
    this.#wait = options.deadlines.begin(() => this.#stop('upstream-timeout'));
    options.client?.on('close', this.#onClose);
  }

  begin(pool: Pool, request: UpstreamRequest): void {
    if (hasLeft(this.#client)) {
      this.#stop('client-closed');
      return;
    }
    this.#eventsAsked = request.events !== undefined;
    pool.dispatch(
      {
        method: request.method as Dispatcher.HttpMethod,
        path: request.path,
        headers: request.headers,
        // undici takes any async iterable; its types name only some.
        body: request.body as Buffer | null,
        ...(request.events === undefined ? {} : { bodyTimeout: request.events.silentMsMax }),
      },
      this,
    );
  }

  onRequestStart(controller: Dispatcher.DispatchController): void {
    this.#controller = controller;
    if (this.#fault !== undefined) controller.abort(new Error(this.#fault));
  }

  onResponseStart(controller: Dispatcher.DispatchController, status: number, headers: IncomingHttpHeaders): void {
    // Informational responses end here; the final one follows.
    if (status < 200) return;
    // With two content types everybody may read it as another thing (RFC 9110 §5.3).
    if (status > 599 || typeof (headers['content-type'] ?? '') !== 'string') {
      this.#stop('upstream-invalid');
      return;
    }
    this.#status = status;
    this.#headers = headers;
    // Nobody waits for the last event to hear of the first.
    if (this.#eventsAsked && isEventStream(headers['content-type'])) this.#begin(controller);
  }

  onResponseData(controller: Dispatcher.DispatchController, chunk: Buffer): void {
    this.#bytes += chunk.length;
    if (this.#sink !== undefined) {
      const wait = this.#sink.tap?.(chunk);
      const { response, change } = this.#sink;
      if (!this.#write(response, chunk, change) || wait !== undefined) controller.pause();
      if (wait !== undefined) this.#waitForTap(wait);
      return;
    }
    this.#chunks.push(chunk);
    if (this.#streaming || this.#bytes <= this.#holdBytesMax) return;
    this.#begin(controller);
  }

  onResponseEnd(): void {
    this.#ended = true;
    if (this.#streaming) {
      this.#finish(true);
      return;
    }
    // A final response that calls itself informational.
    if (this.#status === 0) {
      this.#settle({ kind: 'fault', fault: 'upstream-invalid' });
      return;
    }
    const [only] = this.#chunks;
    const body = this.#chunks.length === 1 && only !== undefined ? only : Buffer.concat(this.#chunks);
    this.#settle({ kind: 'whole', status: this.#status, headers: this.#headers, body });
  }

  onResponseError(_controller: Dispatcher.DispatchController, error: Error): void {
    this.#fault ??= faultOf(error);
    if (this.#streaming) this.#finish(false);
    else this.#settle({ kind: 'fault', fault: this.#fault });
  }

  /** What there is is held, and the rest waits at the upstream. */
  #begin(controller: Dispatcher.DispatchController): void {
    this.#streaming = true;
    this.#beginningCount = this.#chunks.length;
    controller.pause();
    this.#settle({
      kind: 'beginning',
      status: this.#status,
      headers: this.#headers,
      beginning: Buffer.concat(this.#chunks),
      streamTo: (response, tap, change) => this.#streamTo(response, tap, change),
      abandon: () => this.#stop('client-closed'),
    });
  }

  #waitForTap(wait: Promise<void>): void {
    this.#tapWaits = true;
    void wait.then(() => {
      this.#tapWaits = false;
      if (this.#sink?.response.writableNeedDrain === false) this.#controller?.resume();
    });
  }

  /** As `ServerResponse.write` answers: is it ready for more? */
  #write(response: ServerResponse, chunk: Buffer, change: Change | undefined): boolean {
    const out = change === undefined ? chunk : change(chunk);
    if (out === undefined) this.#stop('upstream-invalid');
    return out === undefined || response.write(out);
  }

  async #streamTo(
    response: ServerResponse,
    tap: Tap | undefined,
    change: Change | undefined,
  ): Promise<{ readonly bytes: number; readonly complete: boolean }> {
    const { promise, resolve } = Promise.withResolvers<boolean>();
    const onDrain = (): void => {
      if (!this.#tapWaits) this.#controller?.resume();
    };
    const onClose = (): void => this.#stop('client-closed');
    response.on('drain', onDrain);
    response.on('close', onClose);
    const before = this.#fault;
    for (const [position, chunk] of this.#chunks.entries()) {
      // Behind what may not leave nothing leaves.
      if (this.#fault !== before) break;
      // What came since it was held has not been seen by anybody.
      if (position >= this.#beginningCount) void tap?.(chunk);
      this.#write(response, chunk, change);
    }
    this.#chunks = [];
    this.#sink = { response, done: resolve, tap, change };
    if (response.destroyed) this.#stop('client-closed');
    else if (this.#fault !== undefined) resolve(false);
    else if (this.#ended) resolve(true);
    else if (!response.writableNeedDrain) this.#controller?.resume();
    const complete = await promise;
    response.off('drain', onDrain);
    response.off('close', onClose);
    if (complete) response.end();
    else response.destroy();
    return { bytes: this.#bytes, complete };
  }

  #finish(complete: boolean): void {
    this.#sink?.done(complete);
  }

  #settle(held: Held): void {
    this.#deadlines.end(this.#wait);
    this.#client?.off('close', this.#onClose);
    this.#resolve(held);
  }

  #stop(fault: UpstreamFault): void {
    this.#fault ??= fault;
    if (this.#controller === undefined) this.#settle({ kind: 'fault', fault: this.#fault });
    else if (!this.#controller.aborted) this.#controller.abort(new Error(fault));
    if (this.#streaming) this.#finish(false);
    else this.#settle({ kind: 'fault', fault: this.#fault });
  }
}

function faultOf(error: Error): UpstreamFault {
  const { code } = error as NodeJS.ErrnoException;
  switch (code) {
    case 'UND_ERR_CONNECT_TIMEOUT':
    case 'UND_ERR_HEADERS_TIMEOUT':
    case 'UND_ERR_BODY_TIMEOUT':
    case 'ETIMEDOUT':
      return 'upstream-timeout';
    case 'UND_ERR_REQ_CONTENT_LENGTH_MISMATCH':
    case 'ERR_STREAM_PREMATURE_CLOSE':
    case 'WATCHGLASS_REQUEST_BODY':
      return 'request-body';
    case 'UND_ERR_HEADERS_OVERFLOW':
    case 'UND_ERR_RES_CONTENT_LENGTH_MISMATCH':
      return 'upstream-invalid';
    default:
      return code?.startsWith('HPE_') === true ? 'upstream-invalid' : 'upstream-unreachable';
  }
}
