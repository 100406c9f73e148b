/**
 * The indexes that a shred names (docs/format.md, "Shreds"), read without anything of a platform: a bundle of evidence carries them, and its page reads them in a
 * browser.
 */
import { RecordError } from '../errors.ts';

/** Firsts and ends (the index after the last), one after another: ascending, disjoint, not adjacent. @throws {RecordError} `shred-malformed` */
export function parseRanges(bytes: Uint8Array): Float64Array {
  if (bytes.length === 0 || bytes.length % 12 !== 0) throw malformed('expected ranges of 12 bytes each');
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const bounds = new Float64Array(bytes.length / 6);
  let end = -1;
  for (let at = 0; at < bytes.length / 12; at++) {
    const first = Number(view.getBigUint64(12 * at));
    const count = view.getUint32(12 * at + 8);
    if (!Number.isSafeInteger(first + count) || count === 0 || first <= end)
      throw malformed('expected ranges that ascend and do not touch');
    end = first + count;
    bounds[2 * at] = first;
    bounds[2 * at + 1] = end;
  }
  return bounds;
}

/** Whether an index lies in these bounds. */
export function isInRanges(index: number, bounds: Float64Array): boolean {
  let low = 0;
  let high = bounds.length / 2;
  while (low < high) {
    const middle = Math.floor((low + high) / 2);
    if (index < (bounds[2 * middle] as number)) high = middle;
    else if (index >= (bounds[2 * middle + 1] as number)) low = middle + 1;
    else return true;
  }
  return false;
}

function malformed(message: string): RecordError {
  return new RecordError('shred-malformed', `the ranges of a shred are not laid out as format v1 says: ${message}`);
}
