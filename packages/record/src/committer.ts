/**
 * Commitments, made by the hundred thousand: what `commit` gives, for the writer and the verifier (docs/format.md, "The leaf").
 *
 * Keeps the input of the hash laid out from one record to the next, so that an event costs two copies and the hash. It leaves the last
 * record in memory, as the garbage of any other way would.
 */
import { sha256Into } from '#crypto';
import { encodeUtf8 } from './bytes.ts';
import { recordBytesMax } from './commitment.ts';
import { RecordError } from './errors.ts';

const label: Uint8Array = encodeUtf8('watchglass/c/v1\0');
const indexAt = 48;
const openingAt = 56;
const lengthAt = 88;
const headBytes = 92;
/** Views are kept for records up to here, which all but a few are. */
const viewBytesMax = 4096;

/** A record and where its opening lies in a longer keystream. */
export interface CommitInput {
  /** 32 bytes, which don't change. */
  readonly originHash: Uint8Array;
  /** A safe integer from 0 on. */
  readonly index: number;
  readonly openings: Uint8Array;
  readonly openingAt: number;
  /** At most 65,536 bytes. */
  readonly m: Uint8Array;
}

export class Committer {
  #input: Uint8Array = new Uint8Array(headBytes + viewBytesMax);
  #view: DataView = new DataView(this.#input.buffer);
  /** Beginnings of `#input`, by the length of the record. */
  readonly #views: (Uint8Array | undefined)[] = new Array(viewBytesMax + 1);
  #originHash: Uint8Array | undefined;

  constructor() {
    this.#input.set(label);
  }

  /** Writes the 32 bytes of the commitment into `out` at `at`. */
  commitInto(record: CommitInput, out: Uint8Array, at: number): void {
    const { originHash, index, openings, m } = record;
    const from = record.openingAt;
    if (!Number.isSafeInteger(index) || index < 0 || from < 0 || from + 32 > openings.length) {
      throw new RecordError('argument-invalid', 'expected an index from 0 to 2^53 - 1 and an opening of 32 bytes');
    }
    if (m.length > recordBytesMax) {
      throw new RecordError('event-too-large', `expected a record of at most ${recordBytesMax} bytes, got ${m.length}`);
    }
    if (originHash !== this.#originHash) this.#setOrigin(originHash);
    if (m.length > viewBytesMax && this.#input.length < headBytes + recordBytesMax) this.#grow();
    const input = this.#input;
    this.#view.setUint32(indexAt, Math.floor(index / 2 ** 32));
    this.#view.setUint32(indexAt + 4, index % 2 ** 32);
    for (let k = 0; k < 32; k++) input[openingAt + k] = openings[from + k] as number;
    this.#view.setUint32(lengthAt, m.length);
    input.set(m, headBytes);
    sha256Into(this.#inputOf(m.length), out, at);
  }

  #setOrigin(originHash: Uint8Array): void {
    if (originHash.length !== 32) {
      throw new RecordError('argument-invalid', `expected an origin hash of 32 bytes, got ${originHash.length}`);
    }
    this.#input.set(originHash, label.length);
    this.#originHash = originHash;
  }

  #inputOf(recordBytes: number): Uint8Array {
    if (recordBytes > viewBytesMax) return this.#input.subarray(0, headBytes + recordBytes);
    let view = this.#views[recordBytes];
    if (view === undefined) {
      view = this.#input.subarray(0, headBytes + recordBytes);
      this.#views[recordBytes] = view;
    }
    return view;
  }

  #grow(): void {
    const longer = new Uint8Array(headBytes + recordBytesMax);
    longer.set(this.#input.subarray(0, headBytes));
    this.#input = longer;
    this.#view = new DataView(longer.buffer);
    this.#views.fill(undefined);
  }
}
