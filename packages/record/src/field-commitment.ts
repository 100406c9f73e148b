/**
 * Leaf type 0x02 of docs/format.md: a commitment to the root over salted hashes of a record's fields, so that a field can be
 * withheld and the rest is still proven.
 *
 *     F(leaf)   = SHA-256( "watchglass/f/v1" 00 ‖ 00 ‖ salt₁₆ ‖ u32 |path| ‖ path ‖ value )
 *     F(object) = SHA-256( "watchglass/f/v1" 00 ‖ 01 ‖ u32 |path| ‖ path ‖ F of each member )         02 for an array
 *     C         = SHA-256( "watchglass/d/v1" 00 ‖ SHA-256(origin) ‖ u64 index ‖ F(m) )
 *     leaf data = 02 ‖ C
 *
 * Slower than type 0x01 by an order of magnitude, and off unless a log was created with it.
 */
import { hmacSha256, sha256 } from '#crypto';
import { concatBytes, encodeUtf8 } from './bytes.ts';
import { type Opening, openingBytes, recordBytesMax } from './commitment.ts';
import { RecordError } from './errors.ts';
import { type JsonBounds, parseJson } from './strict-json.ts';

/** Bytes of the salt of a field. */
export const saltBytes = 16;
/** More than a record of 65,536 bytes can have. */
const fieldsMax = 65_536;
/** A withheld digit is a `null`: what is shown of a record may be longer than the record. */
const shownJsonBounds: JsonBounds = { bytesMax: 2 * recordBytesMax, depthMax: 16 };

const fieldLabel: Uint8Array = encodeUtf8('watchglass/f/v1\0');
const commitmentLabel: Uint8Array = encodeUtf8('watchglass/d/v1\0');

/** A record as it is shown to somebody: some fields are withheld, and what is shown is proven. */
export interface Disclosure {
  /** The stored record with `null` in place of each withheld field; no stored record has a `null`. */
  readonly m: Uint8Array;
  /** 16 bytes for each field that is shown, in the order of m. */
  readonly salts: Uint8Array;
  /** 32 bytes for each that is withheld, in the order of m. */
  readonly holes: Uint8Array;
}

/**
 * The commitment *C* of a leaf of type 0x02, 32 bytes.
 *
 * @throws {RecordError} `argument-invalid`, or `record-invalid` where m is not JSON as `encode` writes it
 */
export function commitFields({ originHash, index, r, m }: Opening): Uint8Array {
  if (originHash.length !== 32 || r.length !== openingBytes)
    throw new RecordError('argument-invalid', 'expected an origin hash and an opening of 32 bytes');
  return commitFieldRoot({ originHash, index, root: fieldRootOf(r, m) });
}

/** The commitment *C* of a leaf of type 0x02 whose field root is known. */
export function commitFieldRoot(parts: {
  readonly originHash: Uint8Array;
  readonly index: number | bigint;
  readonly root: Uint8Array;
}): Uint8Array {
  const place = new Uint8Array(8);
  new DataView(place.buffer).setBigUint64(0, BigInt(parts.index));
  return sha256(concatBytes(commitmentLabel, parts.originHash, place, parts.root));
}

/** F(m) of a whole record. */
export function fieldRootOf(r: Uint8Array, m: Uint8Array): Uint8Array {
  const salts = saltsOf(r);
  return hashTree(parseCanonical(m), {
    salt: salts,
    hole: noHole,
  });
}

/** F(m) of a record of which fields are withheld. @throws {RecordError} `record-invalid` where salts and holes don't fit m */
export function fieldRootOfDisclosure({ m, salts, holes }: Disclosure): Uint8Array {
  let shown = 0;
  let withheld = 0;
  const root = hashTree(parseCanonical(m), {
    salt: () => take(salts, saltBytes, shown++),
    hole: () => take(holes, 32, withheld++),
  });
  if (shown * saltBytes !== salts.length || withheld * 32 !== holes.length)
    throw notCanonical('another number of salts or of withheld fields than it needs');
  return root;
}

/**
 * A record without the fields that `withheld` names: each a JSON Pointer into m (RFC 6901), where `*` stands for every
 * position of a list. Whole subtrees go as one hash, so that not even their length is shown.
 *
 * @returns the disclosure, and how many fields each pointer took
 */
export function withhold(
  r: Uint8Array,
  m: Uint8Array,
  withheld: readonly string[],
): { readonly disclosure: Disclosure; readonly taken: readonly number[] } {
  const patterns = withheld.map(parsePointer);
  const taken = withheld.map(() => 0);
  const salt = saltsOf(r);
  const salts: Uint8Array[] = [];
  const holes: Uint8Array[] = [];
  const visit = (value: unknown, path: readonly string[]): unknown => {
    const matching = patterns.flatMap((pattern, i) => (matches(pattern, path) ? [i] : []));
    if (matching.length > 0) {
      for (const i of matching) taken[i] = (taken[i] as number) + 1;
      holes.push(hashNode(value, pointerOf(path), { salt, hole: noHole }));
      return null;
    }
    if (isLeaf(value)) {
      salts.push(salt());
      return value;
    }
    if (Array.isArray(value)) return value.map((item, i) => visit(item, [...path, String(i)]));
    return Object.fromEntries(
      Object.entries(value as object).map(([name, one]) => [name, visit(one, [...path, name])]),
    );
  };
  const shown = visit(parseCanonical(m), []);
  const disclosure = {
    m: encodeUtf8(JSON.stringify(shown)),
    salts: concatBytes(...salts),
    holes: concatBytes(...holes),
  };
  return { disclosure, taken };
}

interface Secrets {
  /** The salt of the next field, in the order of m. */
  readonly salt: () => Uint8Array;
  /** The hash of the next withheld field. */
  readonly hole: () => Uint8Array;
}

function hashTree(value: unknown, secrets: Secrets): Uint8Array {
  if (isLeaf(value) || Array.isArray(value)) throw notCanonical('no object');
  return hashNode(value, '', secrets);
}

function hashNode(value: unknown, path: string, secrets: Secrets): Uint8Array {
  if (value === null) return secrets.hole();
  const place = encodeUtf8(path);
  const length = new Uint8Array(4);
  new DataView(length.buffer).setUint32(0, place.length);
  if (isLeaf(value)) {
    const bytes = encodeUtf8(JSON.stringify(value));
    return sha256(concatBytes(fieldLabel, Uint8Array.of(0), secrets.salt(), length, place, bytes));
  }
  const isList = Array.isArray(value);
  const children = Object.entries(value as object).map(([name, one]) =>
    hashNode(one, `${path}/${escapeSegment(name)}`, secrets),
  );
  return sha256(concatBytes(fieldLabel, Uint8Array.of(isList ? 2 : 1), length, place, ...children));
}

/** A text, number or boolean, or a list or object that is empty: it has no child whose salt could hide it. */
function isLeaf(value: unknown): boolean {
  return typeof value !== 'object' || (value !== null && Object.keys(value).length === 0);
}

/** The salts of a record in order: bytes 16k to 16k + 15 of HMAC-SHA-256(r, label ‖ u32 j), j = 0, 1, … one after another. */
function saltsOf(r: Uint8Array): () => Uint8Array {
  const input = concatBytes(fieldLabel, new Uint8Array(4));
  const view = new DataView(input.buffer);
  let number = 0;
  let pair: Uint8Array = new Uint8Array(0);
  return () => {
    if (number >= fieldsMax) throw notCanonical(`more than ${fieldsMax} fields`);
    if (number % 2 === 0) {
      view.setUint32(16, number / 2);
      pair = hmacSha256(r, input);
    }
    const at = (number++ % 2) * saltBytes;
    return pair.slice(at, at + saltBytes);
  };
}

/** m has one spelling, the engine's: so the value of a field is what `JSON.stringify` writes, and no member stands twice. */
function parseCanonical(m: Uint8Array): unknown {
  const { value, text } = parseJson(m, shownJsonBounds);
  if (JSON.stringify(value) !== text) throw notCanonical('another spelling');
  return value;
}

function take(bytes: Uint8Array, width: number, number: number): Uint8Array {
  const at = number * width;
  if (at + width > bytes.length) throw notCanonical('fewer salts or withheld fields than it needs');
  return bytes.subarray(at, at + width);
}

function noHole(): never {
  throw notCanonical('a null, which no stored record has');
}

function parsePointer(pointer: string): readonly string[] {
  if (!pointer.startsWith('/'))
    throw new RecordError('argument-invalid', 'expected a JSON Pointer such as /event/actor/id');
  return pointer
    .slice(1)
    .split('/')
    .map((segment) => segment.replaceAll('~1', '/').replaceAll('~0', '~'));
}

function pointerOf(path: readonly string[]): string {
  return path.map((segment) => `/${escapeSegment(segment)}`).join('');
}

function escapeSegment(segment: string): string {
  return segment.replaceAll('~', '~0').replaceAll('/', '~1');
}

function matches(pattern: readonly string[], path: readonly string[]): boolean {
  return pattern.length === path.length && pattern.every((segment, i) => segment === '*' || segment === path[i]);
}

function notCanonical(got: string): RecordError {
  return new RecordError('record-invalid', `expected a stored record as it was encoded, got ${got}`);
}
