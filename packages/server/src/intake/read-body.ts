/**
 * Reads a request's body whole, within bounds: its own size, sent and decoded, and that of all bodies under way together.
 */
import { Readable } from 'node:stream';
import { createGunzip, createZstdDecompress, type Gunzip, type ZstdDecompress } from 'node:zlib';
import { ServerError } from '../errors.ts';

/** Of one body, as sent and as decoded. */
export const bodyBytesMax: number = 8 * 1024 * 1024;
/** Of all bodies under way; past it senders are asked to come again. */
export const inFlightBytesMax: number = 64 * 1024 * 1024;
const retryAfterMs = 1_000;

/** Bytes of all bodies that are being read or stored. */
export class BytesInFlight {
  #bytes = 0;

  get bytes(): number {
    return this.#bytes;
  }

  /** @throws ServerError `over-capacity` */
  take(bytes: number): void {
    if (this.#bytes + bytes > inFlightBytesMax) {
      throw new ServerError(
        'over-capacity',
        'more bytes are under way than can be taken now; send it again after Retry-After',
        { retryAfterMs },
      );
    }
    this.#bytes += bytes;
  }

  give(bytes: number): void {
    this.#bytes -= bytes;
  }
}

export interface Body {
  readonly bytes: Uint8Array;
  /** What was taken of `BytesInFlight`: the caller gives it back. */
  readonly takenBytes: number;
}

export interface BodySource {
  readonly body: AsyncIterable<Uint8Array>;
  readonly contentLength: number | undefined;
  readonly contentEncoding: string | undefined;
}

/** @throws ServerError `body-too-large`, `over-capacity`, `media-type` (encoding), `bad-request` (cut off, not decodable) */
export async function readBody(
  { body, contentLength, contentEncoding }: BodySource,
  inFlight: BytesInFlight,
): Promise<Body> {
  if (contentLength !== undefined && contentLength > bodyBytesMax) throw tooLarge();
  const decoder = decoderOf(contentEncoding);
  const chunks: Uint8Array[] = [];
  let takenBytes = 0;
  let sentBytes = 0;
  let bytesTotal = 0;
  const keep = (chunk: Uint8Array): void => {
    bytesTotal += chunk.length;
    if (bytesTotal > bodyBytesMax) throw tooLarge();
    if (bytesTotal > takenBytes) {
      inFlight.take(bytesTotal - takenBytes);
      takenBytes = bytesTotal;
    }
    chunks.push(chunk);
  };
  try {
    if (contentLength !== undefined && decoder === undefined) {
      // Room for all of it first, so that what is begun can be finished.
      inFlight.take(contentLength);
      takenBytes = contentLength;
    }
    if (decoder === undefined && body instanceof Readable) await collect(body, keep);
    else for await (const chunk of decoder === undefined ? body : decoded(body, decoder)) keep(chunk);
    sentBytes = bytesTotal;
  } catch (error) {
    inFlight.give(takenBytes);
    if (error instanceof ServerError) throw error;
    throw new ServerError(
      'bad-request',
      'expected the whole body, got a part of it or broken compression; nothing of it was stored',
      { cause: error },
    );
  }
  if (decoder === undefined && contentLength !== undefined && sentBytes !== contentLength) {
    inFlight.give(takenBytes);
    throw new ServerError('bad-request', 'expected as many bytes as Content-Length says; nothing of it was stored');
  }
  return { bytes: chunks.length === 1 ? (chunks[0] as Uint8Array) : Buffer.concat(chunks, bytesTotal), takenBytes };
}

/** As `for await` over a request, without a promise and an iterator for each. What is left of a body that isn't wanted stays unread. */
function collect(body: Readable, keep: (chunk: Uint8Array) => void): Promise<void> {
  return new Promise((resolve, reject) => {
    const end = (error?: unknown): void => {
      body.off('data', take).off('end', end).off('close', cutOff);
      if (error === undefined) resolve();
      else {
        body.pause();
        reject(error);
      }
    };
    const take = (chunk: Uint8Array): void => {
      try {
        keep(chunk);
      } catch (error) {
        end(error);
      }
    };
    const cutOff = (): void => end(new Error('the connection was cut'));
    // Stays: an error after the end is nobody's.
    body.on('error', end);
    if (body.destroyed) return cutOff();
    body.on('data', take).on('end', end).on('close', cutOff);
  });
}

function decoderOf(contentEncoding: string | undefined): Gunzip | ZstdDecompress | undefined {
  switch (contentEncoding?.trim().toLowerCase()) {
    case undefined:
    case '':
    case 'identity':
      return undefined;
    case 'gzip':
      return createGunzip();
    case 'zstd':
      return createZstdDecompress();
    default:
      throw new ServerError('media-type', 'expected Content-Encoding gzip, zstd or none');
  }
}

async function* decoded(body: AsyncIterable<Uint8Array>, decoder: Gunzip | ZstdDecompress): AsyncGenerator<Uint8Array> {
  const feeding = feed(body, decoder);
  feeding.catch((error: unknown) => decoder.destroy(error instanceof Error ? error : new Error(String(error))));
  try {
    for await (const chunk of decoder) yield chunk as Uint8Array;
    await feeding;
  } finally {
    decoder.destroy();
  }
}

async function feed(body: AsyncIterable<Uint8Array>, decoder: Gunzip | ZstdDecompress): Promise<void> {
  let sentBytes = 0;
  for await (const chunk of body) {
    sentBytes += chunk.length;
    if (sentBytes > bodyBytesMax) throw tooLarge();
    if (decoder.destroyed) return;
    if (!decoder.write(chunk)) await drained(decoder);
  }
  decoder.end();
}

function drained(decoder: Gunzip | ZstdDecompress): Promise<void> {
  return new Promise((resolve) => {
    decoder.once('drain', resolve);
    decoder.once('close', resolve);
  });
}

function tooLarge(): ServerError {
  return new ServerError(
    'body-too-large',
    `expected a body of at most ${bodyBytesMax / 1_048_576} MiB, got a larger one; send it in parts, nothing of it was stored`,
  );
}
