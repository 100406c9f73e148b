/**
 * Signed notes (c2sp.org/signed-note): a text and signatures over it, for people and programs.
 *
 * `openNote` follows the rules for verifiers to the letter: unknown keys are ignored, a known key whose signature is
 * wrong spoils the whole note, and at least one known key must have signed. Anything returned as `text` is thereby verified.
 */
import { ed25519Sign, ed25519Verify, mlDsa44Sign, mlDsa44Verify } from '#crypto';
import { concatBytes, encodeBase64, encodeUtf8, equalBytes, tryDecodeBase64, tryDecodeUtf8 } from './bytes.ts';
import { ed25519CosignedMessage, mlDsa44CosignedMessage } from './cosigned-message.ts';
import { RecordError } from './errors.ts';
import {
  hex8,
  isKeyName,
  type KeyType,
  parseSignerKey,
  parseVerifierKey,
  type Signer,
  type Verifier,
} from './note-key.ts';

/** Longest note taken, in characters (a checkpoint has about 200, each signature about 100). */
export const noteCharsMax = 1_048_576;
/** Most signatures taken; the specification asks for at least 16. */
export const noteSignaturesMax = 64;

export interface VerifiedSignature {
  readonly name: string;
  readonly keyId: number;
  readonly type: KeyType;
  /** Of a cosignature: when the witness signed, in seconds since 1970. */
  readonly timeSeconds?: bigint;
}

export interface UnverifiedSignature {
  readonly name: string;
  readonly keyId: number;
  /** What follows the key id. */
  readonly bytes: Uint8Array;
}

export interface OpenedNote {
  /** The signed text, its final newline included. */
  readonly text: string;
  /** At least one. */
  readonly signatures: readonly VerifiedSignature[];
  /** By keys that weren't given: they prove nothing. */
  readonly unverified: readonly UnverifiedSignature[];
  /** By known keys of a kind this platform can't check (ML-DSA-44 in a browser): they prove nothing here, and that must be said. */
  readonly unchecked: readonly VerifiedSignature[];
}

export interface NoteParts {
  /** Not verified. */
  readonly text: string;
  readonly signatures: readonly UnverifiedSignature[];
}

/**
 * Splits a note and verifies it.
 *
 * @param note the note as text, or its bytes
 * @param verifiers verifier keys, as text or parsed
 * @throws {RecordError} `note-malformed`, `signature-invalid`, `note-unverified`, `key-invalid`
 * @example
 * const { text } = openNote(checkpoint, ['watchglass.example/clinic+1a2b3c4d+Ab…=']);
 */
export function openNote(note: string | Uint8Array, verifiers: readonly (string | Verifier)[]): OpenedNote {
  const parts = splitNote(note);
  const known = knownKeys(verifiers);
  const message = encodeUtf8(parts.text);
  const signatures: VerifiedSignature[] = [];
  const unverified: UnverifiedSignature[] = [];
  const unchecked: VerifiedSignature[] = [];
  const seen = new Set<string>();
  for (const signature of parts.signatures) {
    const key = keyOf(signature);
    const verifier = known.get(key);
    if (verifier === undefined) {
      unverified.push(signature);
    } else if (!seen.has(key)) {
      seen.add(key);
      const { checked, ...verified } = verifySignature(verifier, message, signature);
      (checked ? signatures : unchecked).push(verified);
    }
  }
  if (signatures.length === 0) {
    throw new RecordError(
      'note-unverified',
      `expected a signature by one of ${known.size} known keys, got ${unverified.length} by others; check that the verifier key belongs to this log`,
    );
  }
  return { text: parts.text, signatures, unverified, unchecked };
}

/**
 * Signs a text.
 *
 * @param text ends in a newline; has no control characters
 * @param signers at least one
 * @param options `timeSeconds` is needed by cosigners of type 0x04; 0 unless said for those of type 0x06
 * @throws {RecordError} `note-malformed`, `key-invalid`, `key-unsupported`, `argument-invalid`
 */
export function signNote(
  text: string,
  signers: readonly (string | Signer)[],
  options: { readonly timeSeconds?: bigint } = {},
): string {
  assertNoteText(text);
  if (signers.length === 0 || signers.length > noteSignaturesMax) {
    throw new RecordError('argument-invalid', `expected 1 to ${noteSignaturesMax} signers, got ${signers.length}`);
  }
  const message = encodeUtf8(text);
  let note = `${text}\n`;
  for (const given of signers) {
    const signer = typeof given === 'string' ? parseSignerKey(given) : given;
    note += signatureLine(signer, message, options.timeSeconds);
  }
  return note;
}

/**
 * Splits a note without verifying anything.
 *
 * @throws {RecordError} `note-malformed`
 */
export function splitNote(note: string | Uint8Array): NoteParts {
  const whole = typeof note === 'string' ? note : tryDecodeUtf8(note);
  if (whole === undefined) throw malformed('expected UTF-8');
  if (whole.length > noteCharsMax) throw malformed(`expected at most ${noteCharsMax} characters, got ${whole.length}`);
  // The text may have empty lines; the signatures begin after the last one.
  const split = whole.lastIndexOf('\n\n');
  if (split < 0) throw malformed('expected a text, an empty line and signatures');
  const text = whole.slice(0, split + 1);
  assertNoteText(text);
  const block = whole.slice(split + 2);
  if (block === '' || !block.endsWith('\n'))
    throw malformed('expected at least one signature line, each ending in a newline');
  const lines = block.slice(0, -1).split('\n', noteSignaturesMax + 1);
  if (lines.length > noteSignaturesMax) throw malformed(`expected at most ${noteSignaturesMax} signatures`);
  return { text, signatures: lines.map(parseSignatureLine) };
}

function parseSignatureLine(line: string): UnverifiedSignature {
  const prefix = '\u2014 ';
  const gap = line.indexOf(' ', prefix.length);
  if (!line.startsWith(prefix) || gap < 0) throw malformed('expected a signature line: em dash, name, base64');
  const name = line.slice(prefix.length, gap);
  const bytes = tryDecodeBase64(line.slice(gap + 1));
  if (!isKeyName(name)) throw malformed('expected a key name without spaces, control characters or +');
  if (bytes === undefined || bytes.length < 5) throw malformed('expected canonical base64 of a key id and a signature');
  return { name, keyId: new DataView(bytes.buffer, bytes.byteOffset).getUint32(0), bytes: bytes.subarray(4) };
}

function knownKeys(verifiers: readonly (string | Verifier)[]): ReadonlyMap<string, Verifier> {
  const known = new Map<string, Verifier>();
  for (const given of verifiers) {
    const verifier = typeof given === 'string' ? parseVerifierKey(given) : given;
    const key = keyOf(verifier);
    const other = known.get(key);
    if (other !== undefined && !equalBytes(other.publicKey, verifier.publicKey)) {
      throw new RecordError(
        'key-invalid',
        'two verifier keys have one name and id, but are different keys; give only the right one',
      );
    }
    known.set(key, verifier);
  }
  return known;
}

function verifySignature(
  verifier: Verifier,
  message: Uint8Array,
  signature: UnverifiedSignature,
): VerifiedSignature & { readonly checked: boolean } {
  const { name, keyId, type } = verifier;
  if (type === 1) {
    if (!ed25519Verify(verifier.publicKey, message, signature.bytes)) throw signatureInvalid(verifier);
    return { name, keyId, type, checked: true };
  }
  const { bytes } = signature;
  if (bytes.length !== 8 + (type === 6 ? 2420 : 64)) throw signatureInvalid(verifier);
  const timeSeconds = new DataView(bytes.buffer, bytes.byteOffset).getBigUint64(0);
  if (timeSeconds > timeSecondsMax) throw signatureInvalid(verifier);
  const valid = type === 6 ? verifyMlDsa() : verifyEd25519();
  if (valid === false) throw signatureInvalid(verifier);
  return { name, keyId, type, timeSeconds, checked: valid === true };

  function verifyEd25519(): boolean {
    return ed25519Verify(verifier.publicKey, ed25519CosignedMessage(timeSeconds, message), bytes.subarray(8));
  }

  /** Undefined where the platform can't tell. */
  function verifyMlDsa(): boolean | undefined {
    const cosigned = mlDsa44CosignedMessage({ cosigner: name, timeSeconds }, message);
    return cosigned !== undefined && mlDsa44Verify(verifier.publicKey, cosigned, bytes.subarray(8));
  }
}

const timeSecondsMax = 0x7fff_ffff_ffff_ffffn;

function signatureLine(signer: Signer, message: Uint8Array, timeSeconds: bigint | undefined): string {
  const id = new Uint8Array(4);
  new DataView(id.buffer).setUint32(0, signer.keyId);
  if (signer.type === 1) return line(signer.name, concatBytes(id, ed25519Sign(signer.seed, message)));
  if (signer.type === 6) return mlDsaLine(signer, id, message, timeSeconds ?? 0n);
  if (timeSeconds === undefined || timeSeconds < 0n || timeSeconds > timeSecondsMax) {
    throw new RecordError('argument-invalid', 'expected timeSeconds for a cosigner: seconds since 1970, below 2^63');
  }
  const time = new Uint8Array(8);
  new DataView(time.buffer).setBigUint64(0, timeSeconds);
  return line(
    signer.name,
    concatBytes(id, time, ed25519Sign(signer.seed, ed25519CosignedMessage(timeSeconds, message))),
  );
}

function line(name: string, bytes: Uint8Array): string {
  return `\u2014 ${name} ${encodeBase64(bytes)}\n`;
}

/** A time of zero makes no statement that this is the largest tree: so a log signs its own. */
function mlDsaLine(signer: Signer, id: Uint8Array, message: Uint8Array, timeSeconds: bigint): string {
  const cosigned = mlDsa44CosignedMessage({ cosigner: signer.name, timeSeconds }, message);
  if (cosigned === undefined || timeSeconds < 0n || timeSeconds > timeSecondsMax)
    throw new RecordError('argument-invalid', 'an ML-DSA-44 cosigner signs checkpoints only, with a time below 2^63');
  const time = new Uint8Array(8);
  new DataView(time.buffer).setBigUint64(0, timeSeconds);
  const signature = mlDsa44Sign(signer.seed, cosigned);
  if (signature === undefined) throw new RecordError('key-unsupported', 'this platform has no ML-DSA-44');
  return line(signer.name, concatBytes(id, time, signature));
}

function assertNoteText(text: string): void {
  if (typeof text !== 'string' || !text.endsWith('\n')) throw malformed('expected a text that ends in a newline');
  if (!text.isWellFormed()) throw malformed('expected well-formed Unicode');
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i);
    if (code < 0x20 && code !== 0x0a) throw malformed('expected no control characters but newline');
  }
}

function keyOf(key: { readonly name: string; readonly keyId: number }): string {
  return `${key.name}+${hex8(key.keyId)}`;
}

function signatureInvalid(verifier: Verifier): RecordError {
  return new RecordError(
    'signature-invalid',
    `the signature of the known key ${keyOf(verifier)} does not verify: the note was changed, or signed by another key`,
  );
}

function malformed(message: string): RecordError {
  return new RecordError('note-malformed', `${message} (c2sp.org/signed-note)`);
}
