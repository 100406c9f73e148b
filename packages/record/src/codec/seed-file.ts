/**
 * Wrapped seeds as files (docs/format.md, "Keys"). A seed is durable in this form before its first use; only readers
 * unwrap. One spelling only: parse and encode again gives the same bytes.
 */
import { decodeBase64, encodeBase64, encodeHex, encodeUtf8, tryDecodeHex, tryDecodeUtf8 } from '../bytes.ts';
import { RecordError } from '../errors.ts';
import { type RetentionClass, retentionClasses } from '../retention.ts';
import { findKek, type Kek, type KekFinder } from './kek.ts';

export interface SeedScope {
  readonly origin: string;
  readonly retentionClass: RetentionClass;
  readonly epoch: number;
  /** 16 bytes. */
  readonly writer: Uint8Array;
}

export interface SeedFile extends SeedScope {
  /** Names the key it is wrapped under. */
  readonly kek: string;
  readonly wrapped: Uint8Array;
}

/** What binds a wrapped seed to its place. */
function additionalData(scope: SeedScope): Uint8Array {
  return encodeUtf8(
    `watchglass/v1/seed\n${scope.origin}\n${scope.retentionClass}\n${scope.epoch}\n${encodeHex(scope.writer)}\n`,
  );
}

/** Wraps a seed; the bytes of its file. */
export async function wrapSeed(seed: Uint8Array, scope: SeedScope, kek: Kek): Promise<Uint8Array> {
  return encodeSeedFile({ ...scope, kek: kek.id, wrapped: await kek.wrap(seed, additionalData(scope)) });
}

/** @throws {RecordError} `seed-refused`, `kek-unknown`, and what the key's provider says */
export async function unwrapSeed(file: SeedFile, keys: KekFinder): Promise<Uint8Array> {
  const seed = await findKek(keys, file.kek).unwrap(file.wrapped, additionalData(file));
  if (seed.length !== 32) throw new RecordError('seed-refused', `expected a seed of 32 bytes, got ${seed.length}`);
  return seed;
}

/** The same seed under another key; the bytes of its new file. */
export async function rewrapSeed(file: SeedFile, keys: KekFinder, under: Kek): Promise<Uint8Array> {
  const seed = await unwrapSeed(file, keys);
  try {
    return await wrapSeed(seed, file, under);
  } finally {
    seed.fill(0);
  }
}

export function encodeSeedFile(file: SeedFile): Uint8Array {
  const line = JSON.stringify({
    v: 1,
    origin: file.origin,
    class: file.retentionClass,
    epoch: file.epoch,
    writer: encodeHex(file.writer),
    kek: file.kek,
    wrapped: encodeBase64(file.wrapped),
  });
  return encodeUtf8(`${line}\n`);
}

/** @throws {RecordError} `seed-malformed` */
export function parseSeedFile(bytes: Uint8Array): SeedFile {
  if (bytes.length > 4096) throw malformed(`expected at most 4,096 bytes, got ${bytes.length}`);
  let value: unknown;
  try {
    value = JSON.parse(tryDecodeUtf8(bytes) ?? '');
  } catch (cause) {
    throw malformed('expected a line of JSON', cause);
  }
  if (typeof value !== 'object' || value === null) throw malformed('expected an object');
  const { origin, class: name, epoch, writer, kek, wrapped } = value as Record<string, unknown>;
  const retentionClass = retentionClasses.find((known) => known === name);
  if (typeof origin !== 'string' || retentionClass === undefined || typeof kek !== 'string')
    throw malformed('expected an origin, a class and a key name');
  if (typeof epoch !== 'number' || !Number.isInteger(epoch) || epoch < 0 || epoch > 0xffff_ffff)
    throw malformed('expected an epoch');
  const writerBytes = typeof writer === 'string' && writer.length === 32 ? tryDecodeHex(writer) : undefined;
  if (writerBytes === undefined || typeof wrapped !== 'string') throw malformed('expected a writer and a wrapped seed');
  let wrappedBytes: Uint8Array;
  try {
    wrappedBytes = decodeBase64(wrapped);
  } catch (cause) {
    throw malformed('expected base64', cause);
  }
  const file: SeedFile = { origin, retentionClass, epoch, writer: writerBytes, kek, wrapped: wrappedBytes };
  if (Buffer.compare(encodeSeedFile(file), bytes) !== 0)
    throw malformed('expected the members of the format in their order, and one line');
  return file;
}

function malformed(message: string, cause?: unknown): RecordError {
  return new RecordError('seed-malformed', `the seed file is not laid out as format v1 says: ${message}`, { cause });
}
