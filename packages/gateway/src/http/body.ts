/**
 * Request bodies: read whole within a bound where something in them decides, streamed within a bound otherwise. And the end of an answer with its
 * body.
 */
import type { IncomingMessage, ServerResponse } from 'node:http';

/** With its head it stays within what Node writes from its stack, 16 KiB. */
const textBytesMax = 8_192;

/** The body went past its bound, or broke off. */
export class RequestBodyError extends Error {
  readonly code = 'WATCHGLASS_REQUEST_BODY';
  readonly fault: 'too-large' | 'cut-off';

  constructor(fault: 'too-large' | 'cut-off') {
    super(`expected a whole request body within its bound, got one that is ${fault}`);
    this.fault = fault;
  }
}

/** The declared length; undefined for chunks. */
export function declaredLength(request: Pick<IncomingMessage, 'headers'>): number | undefined {
  const length = request.headers['content-length'];
  return length === undefined ? undefined : Number(length);
}

export async function readBody(request: IncomingMessage, bytesMax: number): Promise<Buffer> {
  const chunks: Uint8Array[] = [];
  const counter = new BodyCounter(request, bytesMax);
  for await (const chunk of counter) chunks.push(chunk);
  return Buffer.concat(chunks);
}

/** Passes the body on while counting it; throws a `RequestBodyError` past the bound, and when the client leaves in the middle. */
export class BodyCounter implements AsyncIterable<Uint8Array> {
  readonly #request: IncomingMessage;
  readonly #bytesMax: number;
  bytes = 0;
  /** All of it came, and was passed on. */
  whole = false;
  fault: RequestBodyError | undefined;

  constructor(request: IncomingMessage, bytesMax: number) {
    this.#request = request;
    this.#bytesMax = bytesMax;
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Uint8Array> {
    try {
      // The socket has to outlive a refused body: the answer still goes through it.
      for await (const chunk of this.#request.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>) {
        this.bytes += chunk.length;
        if (this.bytes > this.#bytesMax) throw new RequestBodyError('too-large');
        yield chunk;
      }
      if (!this.#request.complete) throw new RequestBodyError('cut-off');
      this.whole = true;
    } catch (error) {
      this.fault = error instanceof RequestBodyError ? error : new RequestBodyError('cut-off');
      throw this.fault;
    }
  }
}

/**
 * Ends an answer, its head unwritten yet. A small body goes as text, byte for byte: Node then writes it and the head as one string, where a Buffer would
 * have it make a vector of two, at a tenth of what a request costs.
 */
export function endWithBody(response: ServerResponse, body: Buffer): void {
  if (body.length <= textBytesMax) response.end(body.toString('latin1'), 'latin1');
  else response.end(body);
}
