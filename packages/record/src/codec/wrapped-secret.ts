/**
 * Small secrets beside the ledger (token keys, pseudonym keys), stored only wrapped: a line of JSON that names the key-encryption
 * key, as a seed's file does. One spelling only.
 */
import { decodeBase64, encodeBase64, encodeUtf8, tryDecodeUtf8 } from '../bytes.ts';
import { RecordError } from '../errors.ts';
import { findKek, type Kek, type KekFinder } from './kek.ts';

export interface WrappedSecret {
  /** Names the key it is wrapped under. */
  readonly kek: string;
  readonly wrapped: Uint8Array;
}

const bytesMax = 4096;

/** Wraps a secret; the bytes of its file. `aad` binds it to its place. */
export async function wrapSecret(secret: Uint8Array, aad: Uint8Array, kek: Kek): Promise<Uint8Array> {
  return encode({ kek: kek.id, wrapped: await kek.wrap(secret, aad) });
}

/** @throws {RecordError} `seed-malformed`, `seed-refused`, `kek-unknown`, and what the key's provider says */
export async function unwrapSecret(bytes: Uint8Array, aad: Uint8Array, keys: KekFinder): Promise<Uint8Array> {
  const { kek, wrapped } = parseWrappedSecret(bytes);
  return findKek(keys, kek).unwrap(wrapped, aad);
}

/** @throws {RecordError} `seed-malformed` */
export function parseWrappedSecret(bytes: Uint8Array): WrappedSecret {
  if (bytes.length > bytesMax) throw malformed(`expected at most ${bytesMax} bytes, got ${bytes.length}`);
  let value: unknown;
  try {
    value = JSON.parse(tryDecodeUtf8(bytes) ?? '');
  } catch (cause) {
    throw malformed('expected a line of JSON', cause);
  }
  const { kek, wrapped } = (typeof value === 'object' && value !== null ? value : {}) as Record<string, unknown>;
  if (typeof kek !== 'string' || typeof wrapped !== 'string')
    throw malformed('expected the name of a key and a wrapped secret');
  let decoded: Uint8Array;
  try {
    decoded = decodeBase64(wrapped);
  } catch (cause) {
    throw malformed('expected base64', cause);
  }
  const secret: WrappedSecret = { kek, wrapped: decoded };
  if (Buffer.compare(encode(secret), bytes) !== 0)
    throw malformed('expected `v`, `kek` and `wrapped` in this order, and one line');
  return secret;
}

function encode({ kek, wrapped }: WrappedSecret): Uint8Array {
  return encodeUtf8(`${JSON.stringify({ v: 1, kek, wrapped: encodeBase64(wrapped) })}\n`);
}

function malformed(message: string, cause?: unknown): RecordError {
  return new RecordError('seed-malformed', `the wrapped secret is not laid out as it should be: ${message}`, { cause });
}
