/**
 * Keys of signed notes (c2sp.org/signed-note): Ed25519 (type 0x01), and the timestamped cosignatures of c2sp.org/tlog-cosignature,
 * by Ed25519 (type 0x04) and by ML-DSA-44 (type 0x06).
 *
 * A key's text is taken only if its id is the one that its name, type and public key give, and its base64 is canonical.
 */
import { ed25519PublicKey, mlDsa44PublicKey, sha256 } from '#crypto';
import { concatBytes, encodeBase64, encodeUtf8, equalBytes, tryDecodeBase64 } from './bytes.ts';
import { RecordError } from './errors.ts';

/** 0x01 Ed25519 over the note's text; 0x04 Ed25519 cosignature over time and text; 0x06 ML-DSA-44 cosignature over time and checkpoint. */
export type KeyType = 1 | 4 | 6;

export interface Verifier {
  readonly name: string;
  /** First 32 bits of SHA-256(name ‖ 0x0A ‖ type ‖ public key). */
  readonly keyId: number;
  readonly type: KeyType;
  /** 32 bytes; of ML-DSA-44 1,312. */
  readonly publicKey: Uint8Array;
}

export interface Signer extends Verifier {
  /** The seed of Ed25519 (RFC 8032) or ML-DSA-44 (FIPS 204 §6.1), 32 bytes: secret. */
  readonly seed: Uint8Array;
}

const nameCharsMax = 255;
const keyCharsMax = 4096;

/**
 * Parses `name+hex(key id)+base64(type ‖ public key)`.
 *
 * @throws {RecordError} `key-invalid`
 */
export function parseVerifierKey(vkey: string): Verifier {
  const parts = splitKey(vkey, 'a verifier key', publicKeyBytes);
  const publicKey = parts.material.subarray(1);
  const verifier: Verifier = { name: parts.name, keyId: parts.keyId, type: parts.type, publicKey };
  if (keyIdOf(verifier) !== verifier.keyId) throw idMismatch();
  return verifier;
}

/**
 * Parses `PRIVATE+KEY+name+hex(key id)+base64(type ‖ seed)`, as Go's `note.GenerateKey` writes it.
 *
 * @throws {RecordError} `key-invalid`
 */
export function parseSignerKey(skey: string): Signer {
  const prefix = 'PRIVATE+KEY+';
  if (typeof skey !== 'string' || !skey.startsWith(prefix))
    throw invalid('expected a signer key that begins PRIVATE+KEY+');
  const parts = splitKey(skey.slice(prefix.length), 'a signer key', () => 32);
  const signer = makeSigner(parts.name, parts.material.slice(1), parts.type);
  if (signer.keyId !== parts.keyId) throw idMismatch();
  return signer;
}

/** The Ed25519 signer (type 0x01) of this name. `seed` is 32 random bytes from the caller. */
export function generateSigner(name: string, seed: Uint8Array): Signer {
  return makeSigner(name, seed, 1);
}

/**
 * The ML-DSA-44 cosigner (type 0x06) of this name. `seed` is 32 random bytes from the caller.
 *
 * @throws {RecordError} `key-unsupported` where the platform has no ML-DSA-44
 */
export function generateMlDsaSigner(name: string, seed: Uint8Array): Signer {
  return makeSigner(name, seed, 6);
}

/** The same name and key as a cosigner (type 0x04): its key id differs. */
export function cosignerOf(signer: Signer): Signer {
  return makeSigner(signer.name, signer.seed, 4);
}

/** The same name and key as the verifier of cosignatures (type 0x04). */
export function cosignatureVerifierOf(verifier: Verifier): Verifier {
  const { name, publicKey } = verifier;
  return { name, publicKey, type: 4, keyId: keyIdOf({ name, publicKey, type: 4 }) };
}

/** Whether two keys are one, of one name. */
export function sameKey(a: Verifier, b: Verifier): boolean {
  return a.name === b.name && a.type === b.type && equalBytes(a.publicKey, b.publicKey);
}

/** The verifier key of a verifier or signer, as text. */
export function formatVerifierKey(key: Verifier): string {
  return `${key.name}+${hex8(key.keyId)}+${encodeBase64(concatBytes(Uint8Array.of(key.type), key.publicKey))}`;
}

/** The signer key as text: secret. */
export function formatSignerKey(signer: Signer): string {
  return `PRIVATE+KEY+${signer.name}+${hex8(signer.keyId)}+${encodeBase64(concatBytes(Uint8Array.of(signer.type), signer.seed))}`;
}

// White_Space of Unicode, which is what the specification calls a space; JavaScript's \s lacks U+0085 and has U+FEFF.
const space = /[\t-\r \x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]/;

/** A key name: not empty, no Unicode space, no `+`, no control character, well formed. */
export function isKeyName(name: string): boolean {
  if (name === '' || name.length > nameCharsMax || space.test(name) || name.includes('+') || !name.isWellFormed())
    return false;
  for (let i = 0; i < name.length; i++) if (name.charCodeAt(i) < 0x20) return false;
  return true;
}

/** A key id as eight lower-case hex digits. */
export function hex8(keyId: number): string {
  return keyId.toString(16).padStart(8, '0');
}

function makeSigner(name: string, seed: Uint8Array, type: KeyType): Signer {
  if (!isKeyName(name)) throw invalid('expected a key name without spaces, control characters or +');
  if (seed.length !== 32) throw invalid(`expected a seed of 32 bytes, got ${seed.length}`);
  const publicKey = type === 6 ? mlDsa44PublicKey(seed) : ed25519PublicKey(seed);
  if (publicKey === undefined)
    throw new RecordError(
      'key-unsupported',
      'this platform has no ML-DSA-44; Node.js has it from version 24.7 on, with OpenSSL 3.5',
    );
  return { name, type, publicKey, keyId: keyIdOf({ name, type, publicKey }), seed: seed.slice() };
}

function keyIdOf({ name, type, publicKey }: Pick<Verifier, 'name' | 'type' | 'publicKey'>): number {
  const digest = sha256(concatBytes(encodeUtf8(`${name}\n`), Uint8Array.of(type), publicKey));
  return new DataView(digest.buffer, digest.byteOffset).getUint32(0);
}

interface KeyParts {
  readonly name: string;
  readonly keyId: number;
  readonly type: KeyType;
  /** type ‖ key or seed */
  readonly material: Uint8Array;
}

function publicKeyBytes(type: KeyType): number {
  return type === 6 ? 1312 : 32;
}

function splitKey(text: string, what: string, bytesOf: (type: KeyType) => number): KeyParts {
  // Split on the first two `+` only: base64 has `+` of its own.
  const first = typeof text === 'string' ? text.indexOf('+') : -1;
  const second = first < 0 ? -1 : text.indexOf('+', first + 1);
  if (second < 0 || text.length > keyCharsMax) throw invalid(`expected ${what} as name+id+base64`);
  const name = text.slice(0, first);
  const id = text.slice(first + 1, second);
  const material = tryDecodeBase64(text.slice(second + 1));
  if (!isKeyName(name)) throw invalid(`expected ${what} with a name without spaces, control characters or +`);
  if (!/^[0-9a-f]{8}$/.test(id)) throw invalid(`expected ${what} with an id of eight lower-case hex digits`);
  if (material === undefined) throw invalid(`expected ${what} to end in canonical base64`);
  const type = material[0];
  if (type !== 1 && type !== 4 && type !== 6)
    throw invalid(`expected ${what} of type 1 (Ed25519), 4 or 6 (cosignature), got ${type ?? 'nothing'}`);
  if (material.length !== 1 + bytesOf(type))
    throw invalid(`expected ${what} with ${bytesOf(type)} bytes after the type, got ${material.length - 1}`);
  return { name, keyId: Number.parseInt(id, 16), type, material };
}

function idMismatch(): RecordError {
  return invalid('the id does not belong to this name and key; copy the whole key again from where it was published');
}

function invalid(message: string): RecordError {
  return new RecordError('key-invalid', message);
}
