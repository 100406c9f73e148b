/**
 * The packed form of a block's plaintext (docs/format.md, "Packed records"): what chance fills is written as bytes, apart from the text, and a digest
 * that follows from the event isn't written at all. A compressor finds neither by itself.
 *
 * Unpacking gives the plaintext, byte for byte. It never makes more than the block's header states, whatever the bytes say.
 */
import { isUtf8 } from 'node:buffer';
import { RecordError } from '../errors.ts';
import { type SentForm, sentDigest, sentForms } from './sent-digest.ts';

/** No UTF-8 text has these bytes. */
const tokenMin = 0xf8;
const hexToken = 0xfd;
const uuidToken = 0xfe;
const digestToken = 0xff;
const hexDigitsMin = 16;
const octetsMax = 255;
const uuidDigits = 36;
const digestDigits = 64;
const recordBytesMax = 65_536;
/** Between a record's digest and its event, and behind the event. */
const beforeEvent = '","event":';
/** The packed form is no longer than the plaintext and this. */
export const packedOverheadBytes = 4;

/** Packs the records of a block, as many at a time as the caller has time for. */
export class RecordPacker {
  readonly #text: Buffer;
  readonly #octets: Buffer;
  #textBytes = 0;
  #octetBytes = 0;
  /** What the record before had: most of a block come from one sender. */
  #form: SentForm = 1;

  /** @param plaintextBytes of all that will be added */
  constructor(plaintextBytes: number) {
    this.#text = Buffer.allocUnsafe(plaintextBytes);
    this.#octets = Buffer.allocUnsafe(plaintextBytes >>> 1);
  }

  /** Adds records, each u32 |m| ‖ m. False where one isn't text: then there is no packed form. */
  add(plaintext: Buffer): boolean {
    for (let at = 0; at < plaintext.length; ) {
      const end = at + 4 + plaintext.readUInt32BE(at);
      if (!isUtf8(plaintext.subarray(at + 4, end))) return false;
      this.#copy(plaintext, at, at + 4);
      this.#pack(plaintext, at + 4, end);
      at = end;
    }
    return true;
  }

  /** The packed form of what was added. */
  finish(): Buffer {
    const length = Buffer.allocUnsafe(4);
    length.writeUInt32BE(this.#textBytes);
    return Buffer.concat([length, this.#text.subarray(0, this.#textBytes), this.#octets.subarray(0, this.#octetBytes)]);
  }

  #pack(bytes: Buffer, from: number, end: number): void {
    let digestIsWritten = false;
    let copied = from;
    // A run of hex digits that counts has one in every place where another eight can't be skipped.
    for (let at = from + 7; at < end; at += 8) {
      if (!isHex(bytes[at] as number)) continue;
      let start = at;
      while (start > copied && isHex(bytes[start - 1] as number)) start--;
      let stop = at + 1;
      while (stop < end && isHex(bytes[stop] as number)) stop++;
      at = stop - 1;
      if (stop - start === 8 && isUuid(bytes, start, end)) {
        this.#copy(bytes, copied, start);
        this.#token(uuidToken);
        for (let digit = start; digit < start + uuidDigits; digit += 2) {
          if (bytes[digit] === dash) digit++;
          this.#octet(bytes, digit);
        }
        copied = start + uuidDigits;
        at = copied - 1;
        continue;
      }
      if (stop - start < hexDigitsMin) continue;
      const form = digestIsWritten || stop - start !== digestDigits ? undefined : this.#formOf(bytes, start, end);
      this.#copy(bytes, copied, start);
      if (form !== undefined) {
        digestIsWritten = true;
        this.#token(digestToken, form);
        copied = stop;
        continue;
      }
      const octets = Math.min(octetsMax, (stop - start) >>> 1);
      this.#token(hexToken, octets);
      for (let i = 0; i < octets; i++) this.#octet(bytes, start + 2 * i);
      copied = start + 2 * octets;
      at = copied - 1;
    }
    this.#copy(bytes, copied, end);
  }

  /** How the 64 digits at `start` follow from the event behind them. */
  #formOf(bytes: Buffer, start: number, end: number): SentForm | undefined {
    const event = eventBehind(bytes, start + digestDigits, end);
    if (event === undefined) return undefined;
    const digest = bytes.toString('latin1', start, start + digestDigits);
    for (const form of [this.#form, ...sentForms.filter((other) => other !== this.#form)]) {
      if (sentDigest(event, form) !== digest) continue;
      this.#form = form;
      return form;
    }
    return undefined;
  }

  #copy(bytes: Buffer, from: number, end: number): void {
    bytes.copy(this.#text, this.#textBytes, from, end);
    this.#textBytes += end - from;
  }

  #token(token: number, detail?: number): void {
    this.#text[this.#textBytes++] = token;
    if (detail !== undefined) this.#text[this.#textBytes++] = detail;
  }

  #octet(bytes: Buffer, at: number): void {
    this.#octets[this.#octetBytes++] = (digitValue(bytes[at] as number) << 4) | digitValue(bytes[at + 1] as number);
  }
}

/**
 * The plaintext of a packed form.
 *
 * @param plaintextBytes what the header states: no more is made
 * @throws {RecordError} `block-malformed`
 */
export function unpackRecords(packed: Buffer, plaintextBytes: number): Buffer {
  const unpacking = new Unpacking(packed, plaintextBytes);
  while (unpacking.record());
  return unpacking.finish();
}

class Unpacking {
  readonly #packed: Buffer;
  readonly #out: Buffer;
  /** In the text, which ends where the octets begin. */
  #at = 4;
  readonly #textEnd: number;
  #octetAt: number;
  #made = 0;

  constructor(packed: Buffer, plaintextBytes: number) {
    this.#packed = packed;
    if (packed.length < 4 || packed.readUInt32BE(0) > packed.length - 4) throw malformed('its text is cut short');
    this.#textEnd = 4 + packed.readUInt32BE(0);
    this.#octetAt = this.#textEnd;
    this.#out = Buffer.allocUnsafe(plaintextBytes);
  }

  /** Makes one record; false where the text has ended. */
  record(): boolean {
    if (this.#at === this.#textEnd) return false;
    if (this.#textEnd - this.#at < 4 || this.#out.length - this.#made < 4) throw malformed('a length is cut short');
    const length = this.#packed.readUInt32BE(this.#at);
    if (length > recordBytesMax || length > this.#out.length - this.#made - 4)
      throw malformed('a record is longer than what the block states');
    this.#packed.copy(this.#out, this.#made, this.#at, this.#at + 4);
    this.#at += 4;
    this.#made += 4;
    const end = this.#made + length;
    let digest: { readonly at: number; readonly form: number } | undefined;
    while (this.#made < end) {
      this.#literals(end);
      if (this.#made === end) break;
      const token = this.#textByte();
      if (token === digestToken && digest === undefined) {
        digest = { at: this.#room(digestDigits, end), form: this.#textByte() };
      } else if (token === uuidToken) {
        this.#uuid(end);
      } else if (token === hexToken) {
        const octets = this.#textByte();
        if (2 * octets < hexDigitsMin) throw malformed('a run of digits is too short');
        this.#digits(octets, this.#room(2 * octets, end));
      } else throw malformed(`it has an unknown byte ${token}`);
    }
    if (digest !== undefined) this.#fill(digest.at, digest.form, end);
    return true;
  }

  finish(): Buffer {
    if (this.#octetAt !== this.#packed.length) throw malformed('octets are left over');
    if (this.#made !== this.#out.length) throw malformed(`it makes ${this.#made} bytes`);
    return this.#out;
  }

  /** Copies what stands for itself. */
  #literals(end: number): void {
    const limit = Math.min(this.#textEnd, this.#at + end - this.#made);
    let stop = this.#at;
    while (stop < limit && (this.#packed[stop] as number) < tokenMin) stop++;
    this.#packed.copy(this.#out, this.#made, this.#at, stop);
    this.#made += stop - this.#at;
    this.#at = stop;
  }

  #textByte(): number {
    if (this.#at >= this.#textEnd) throw malformed('its text is cut short');
    return this.#packed[this.#at++] as number;
  }

  /** Where the next `count` bytes of the record go. */
  #room(count: number, end: number): number {
    const at = this.#made;
    if (count > end - at) throw malformed('a record is longer than it states');
    this.#made += count;
    return at;
  }

  #uuid(end: number): void {
    const at = this.#room(uuidDigits, end);
    let to = at;
    for (const octets of [4, 2, 2, 2, 6]) {
      if (to > at) this.#out[to++] = dash;
      this.#digits(octets, to);
      to += 2 * octets;
    }
  }

  #digits(octets: number, to: number): void {
    if (octets > this.#packed.length - this.#octetAt) throw malformed('its octets are cut short');
    for (let i = 0; i < octets; i++) {
      const octet = this.#packed[this.#octetAt++] as number;
      this.#out[to + 2 * i] = digits[octet >>> 4] as number;
      this.#out[to + 2 * i + 1] = digits[octet & 15] as number;
    }
  }

  #fill(at: number, form: number, end: number): void {
    const event = eventBehind(this.#out, at + digestDigits, end);
    const known = sentForms.find((one) => one === form);
    const digest = event === undefined || known === undefined ? undefined : sentDigest(event, known);
    if (digest === undefined) throw malformed('a digest does not follow from its event');
    this.#out.write(digest, at, 'latin1');
  }
}

/** The event of a record whose digest ends at `at`. */
function eventBehind(bytes: Buffer, at: number, end: number): Buffer | undefined {
  const from = at + beforeEvent.length;
  if (from >= end || bytes[end - 1] !== closingBrace) return undefined;
  return bytes.toString('latin1', at, from) === beforeEvent ? bytes.subarray(from, end - 1) : undefined;
}

const dash = 0x2d;
const closingBrace = 0x7d;
const digits: Uint8Array = Buffer.from('0123456789abcdef');

function isHex(byte: number): boolean {
  return (byte >= 0x30 && byte <= 0x39) || (byte >= 0x61 && byte <= 0x66);
}

function digitValue(digit: number): number {
  return digit <= 0x39 ? digit - 0x30 : digit - 0x57;
}

/** Whether a UUID in lower-case hex digits begins at `start`. */
function isUuid(bytes: Uint8Array, start: number, end: number): boolean {
  if (end - start < uuidDigits) return false;
  for (let i = 8; i < uuidDigits; i++) {
    const isDash = i === 8 || i === 13 || i === 18 || i === 23;
    const byte = bytes[start + i] as number;
    if (isDash ? byte !== dash : !isHex(byte)) return false;
  }
  return true;
}

function malformed(reason: string): RecordError {
  return new RecordError(
    'block-malformed',
    `the packed records of the block are not laid out as format v1 says: ${reason}`,
  );
}
