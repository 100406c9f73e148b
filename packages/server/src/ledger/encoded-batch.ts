/**
 * A call's events, encoded: what the sequencer takes. One promise and a handful of arrays a batch, nothing an event.
 */
import { encodeText, type RetentionClass, retentionClasses, retentionClassOf, type TenantId } from '@watchglass/record';
import { LedgerError } from './errors.ts';
import type { AppendItem, EncodedBatch } from './ledger.ts';

export const recordBytesMax = 65_536;
export const batchEventsMax = 16_384;
export const batchBytesMax: number = 16 * 1024 * 1024;

/** @throws LedgerError `record-too-large`, `batch-too-large` */
export function encodeBatch(tenant: TenantId, items: readonly AppendItem[]): EncodedBatch {
  const count = items.length;
  assertCount(count);
  const texts: string[] = new Array(count);
  const ids = Buffer.alloc(count * 16);
  const digests = Buffer.alloc(count * 8);
  const classes = new Uint8Array(count);
  const runs: { emitter: string; firstSeq: number; count: number }[] = [];
  let receivedMs = 0;
  let receivedLast = '';
  for (let i = 0; i < count; i++) {
    const { event, envelope, text } = items[i] as AppendItem;
    const { received, submitter, intake, digest } = envelope;
    if (event.tenant !== tenant) throw new TypeError(`the event at position ${i} is of another tenant than the log`);
    texts[i] = text ?? encodeText({ received, submitter, intake, digest, event });
    if (
      ids.write(event.id.replaceAll('-', ''), i * 16, 16, 'hex') !== 16 ||
      digests.write(digest, i * 8, 8, 'hex') !== 8
    ) {
      throw new TypeError(`expected a UUID and a digest in hex in the event at position ${i}`);
    }
    classes[i] = retentionClasses.indexOf(retentionClassOf(event.kind));
    if (!Number.isSafeInteger(event.emitter.seq))
      throw new TypeError(`expected a sequence number below 2^53 in the event at position ${i}`);
    extendRuns(runs, event.emitter.id, event.emitter.seq);
    // Those of one request came at the same time.
    if (received !== receivedLast) receivedMs = Math.max(receivedMs, Date.parse(received));
    receivedLast = received;
  }
  return { count, ...bytesOf(texts), ids, digests, classes, runs, receivedMs };
}

/** All texts in one go: a call of the engine an event costs more than the writing. */
function bytesOf(texts: readonly string[]): { readonly records: Buffer; readonly lengths: Uint32Array } {
  const joined = texts.join('');
  // Bytes are at least as many as UTF-16 units.
  if (joined.length > batchBytesMax) throw tooLarge(`more than ${batchBytesMax} bytes`);
  const records = Buffer.from(joined);
  if (records.length > batchBytesMax) throw tooLarge(`${records.length} bytes`);
  const isAscii = records.length === joined.length;
  const lengths = new Uint32Array(texts.length);
  for (const [position, text] of texts.entries()) {
    const length = isAscii ? text.length : Buffer.byteLength(text);
    if (length > recordBytesMax) throw recordTooLarge(length, position);
    lengths[position] = length;
  }
  return { records, lengths };
}

function recordTooLarge(got: number, position: number): LedgerError {
  return new LedgerError(
    'record-too-large',
    `expected a stored record of at most ${recordBytesMax} bytes, got ${got}; send less in the event at position ${position}`,
    { position },
  );
}

/** For batches that come encoded: the sums must fit before anything is taken. */
export function assertBatch(batch: EncodedBatch): void {
  const { count, records, lengths, ids, digests, classes, runs } = batch;
  assertCount(count);
  let bytes = 0;
  for (const length of lengths) {
    if (length > recordBytesMax)
      throw new LedgerError(
        'record-too-large',
        `expected a stored record of at most ${recordBytesMax} bytes, got ${length}`,
      );
    bytes += length;
  }
  if (bytes > batchBytesMax) throw tooLarge(`${bytes} bytes`);
  let named = 0;
  for (const { firstSeq, count: runCount } of runs) {
    // A number that readers refuse must never be made durable.
    if (!Number.isSafeInteger(firstSeq) || firstSeq < 0 || !Number.isSafeInteger(firstSeq + runCount))
      throw new TypeError('expected sequence numbers below 2^53');
    named += runCount;
  }
  const fits =
    lengths.length === count &&
    records.length === bytes &&
    ids.length === 16 * count &&
    digests.length === 8 * count &&
    classes.length === count;
  if (!fits || named !== count || classes.some((position) => position >= retentionClasses.length)) {
    throw new TypeError('the arrays of the batch do not fit its count');
  }
}

export function classAt(position: number): RetentionClass {
  return retentionClasses[position] as RetentionClass;
}

function extendRuns(runs: { emitter: string; firstSeq: number; count: number }[], emitter: string, seq: number): void {
  const last = runs[runs.length - 1];
  if (last !== undefined && last.emitter === emitter && last.firstSeq + last.count === seq) last.count++;
  else runs.push({ emitter, firstSeq: seq, count: 1 });
}

function assertCount(count: number): void {
  if (count > batchEventsMax) throw tooLarge(`${count} events`);
}

function tooLarge(got: string): LedgerError {
  return new LedgerError(
    'batch-too-large',
    `expected at most ${batchEventsMax} events and ${batchBytesMax} bytes in a call, got ${got}; send smaller batches`,
  );
}
