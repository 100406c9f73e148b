/**
 * Offline proofs (c2sp.org/tlog-proof): one text that shows an event is in a log, to anybody who has the log's verifier
 * key; with the opening in its `extra` line, also what the event says.
 */
import { concatBytes, encodeBase64, tryDecodeBase64 } from './bytes.ts';
import { type Checkpoint, parseCheckpoint, tryParseDecimal } from './checkpoint.ts';
import { commit, leafHashOf, type Opening, openingBytes, originHashOf, recordBytesMax } from './commitment.ts';
import { decode } from './encode.ts';
import { RecordError } from './errors.ts';
import type { StoredRecord } from './event.ts';
import { commitFields } from './field-commitment.ts';
import { openNote, splitNote, type VerifiedSignature } from './note.ts';
import { parseVerifierKey, type Verifier } from './note-key.ts';
import { hashLeaf, verifyInclusion } from './tree.ts';

export interface Proof {
  /** Not authenticated by itself. Ours is *r* ‖ *m*: the opening of the commitment. */
  readonly extra?: Uint8Array;
  readonly index: bigint;
  /** From the leaf's sibling to the root's child. */
  readonly hashes: readonly Uint8Array[];
  /** The signed checkpoint, verbatim. */
  readonly checkpoint: string;
}

const header = 'c2sp.org/tlog-proof@v1';
const hashesMax = 64;
const extraBytesMax = openingBytes + recordBytesMax;
const proofCharsMax = 2_097_152;

/**
 * Parses a proof; verifies nothing.
 *
 * @throws {RecordError} `proof-malformed`
 */
export function parseProof(text: string): Proof {
  if (typeof text !== 'string' || text.length > proofCharsMax)
    throw malformed(`expected a text of at most ${proofCharsMax} characters`);
  const split = text.indexOf('\n\n');
  if (split < 0) throw malformed('expected an empty line before the checkpoint');
  // Enough for the header, extra, index and hashes, and one more to notice an overflow.
  const lines = text.slice(0, split).split('\n', hashesMax + 4);
  if (lines.shift() !== header) throw malformed(`expected ${header} on the first line`);
  const extra = lines[0]?.startsWith('extra ') ? parseExtra((lines.shift() as string).slice(6)) : undefined;
  const indexLine = lines.shift() ?? '';
  const index = indexLine.startsWith('index ') ? tryParseDecimal(indexLine.slice(6)) : undefined;
  if (index === undefined) throw malformed('expected index and a decimal without leading zeroes');
  if (lines.length > hashesMax) throw malformed(`expected at most ${hashesMax} hashes`);
  const checkpoint = text.slice(split + 2);
  assertCheckpoint(checkpoint);
  const proof = { index, hashes: lines.map(parseHash), checkpoint };
  return extra === undefined ? proof : { extra, ...proof };
}

/**
 * The text of a proof.
 *
 * @throws {RecordError} `proof-malformed`
 */
export function formatProof(proof: Proof): string {
  const { extra, index, hashes, checkpoint } = proof;
  if (extra !== undefined && (extra.length === 0 || extra.length > extraBytesMax)) {
    throw malformed(`expected extra to have 1 to ${extraBytesMax} bytes, got ${extra.length}`);
  }
  if (typeof index !== 'bigint' || index < 0n || index > 0xffff_ffff_ffff_ffffn)
    throw malformed('expected an index from 0 to 2^64 - 1');
  if (hashes.length > hashesMax || hashes.some((hash) => hash.length !== 32)) {
    throw malformed(`expected at most ${hashesMax} hashes of 32 bytes`);
  }
  assertCheckpoint(checkpoint);
  let text = `${header}\n`;
  if (extra !== undefined) text += `extra ${encodeBase64(extra)}\n`;
  text += `index ${index}\n`;
  for (const hash of hashes) text += `${encodeBase64(hash)}\n`;
  return `${text}\n${checkpoint}`;
}

/**
 * The leaf hash of an opening. An opening doesn't say of which type its leaf is: of the two that it may have, the one that is `proven`, and the one of type 0x01
 * where neither is.
 *
 * @param proven throws for a leaf hash that isn't in the tree
 */
export function leafHashOfOpening(opening: Opening, proven: (leafHash: Uint8Array) => void): Uint8Array {
  const whole = leafHashOf(commit(opening));
  try {
    proven(whole);
  } catch (error) {
    if (!(error instanceof RecordError)) throw error;
    try {
      const byFields = leafHashOf(commitFields(opening), 2);
      proven(byFields);
      return byFields;
    } catch (second) {
      if (!(second instanceof RecordError)) throw second;
    }
  }
  return whole;
}

/** The `extra` of our proofs: *r* ‖ *m*. */
export function openingExtra(r: Uint8Array, m: Uint8Array): Uint8Array {
  if (r.length !== openingBytes) throw malformed(`expected an opening of ${openingBytes} bytes, got ${r.length}`);
  return concatBytes(r, m);
}

/** Whom to trust. A verifier trusts nothing but the verifier keys it was given. */
export interface Trust {
  /** The log's verifier key. */
  readonly vkey: string | Verifier;
  /** The log's origin; the key's name unless given. */
  readonly origin?: string;
  /** Verifier keys of witnesses (type 0x04). Those that signed are checked and reported. */
  readonly witnesses?: readonly (string | Verifier)[];
  /** How many of them must have signed; 0 unless given. */
  readonly witnessesMin?: number;
}

export interface ProofClaim extends Trust {
  readonly proof: string | Proof;
  /** The leaf data, or its hash: one of the two. */
  readonly leafData?: Uint8Array;
  readonly leafHash?: Uint8Array;
}

export interface VerifiedProof {
  readonly index: bigint;
  readonly checkpoint: Checkpoint;
  /** Of the checkpoint: the log's own and those of known witnesses. */
  readonly signatures: readonly VerifiedSignature[];
}

/**
 * Verifies that a leaf is in the log whose key is given.
 *
 * @throws {RecordError} `proof-malformed`, `checkpoint-malformed`, `note-unverified`, `signature-invalid`,
 *   `origin-mismatch`, `inclusion-invalid`, `key-invalid`
 */
export function verifyProof(claim: ProofClaim): VerifiedProof {
  const proof = typeof claim.proof === 'string' ? parseProof(claim.proof) : claim.proof;
  const leafHash = claim.leafHash ?? (claim.leafData === undefined ? undefined : hashLeaf(claim.leafData));
  if (leafHash === undefined) throw new RecordError('argument-invalid', 'expected leafData or leafHash');
  const { checkpoint, signatures } = openCheckpoint(proof.checkpoint, claim);
  verifyInclusion({ leafHash, index: proof.index, size: checkpoint.size, proof: proof.hashes, root: checkpoint.root });
  return { index: proof.index, checkpoint, signatures };
}

export interface OpenedProof extends VerifiedProof {
  /** What the log holds at that index. */
  readonly record: StoredRecord;
  /** Its bytes. */
  readonly m: Uint8Array;
}

/**
 * Verifies a proof that carries its opening, and returns the record it proves.
 *
 * @throws {RecordError} as `verifyProof`, and `opening-missing`, `record-invalid`
 * @example
 * const { record } = openProof(text, { vkey });
 * console.log(record.event.actor.id);
 */
export function openProof(proof: string | Proof, trust: Trust): OpenedProof {
  const parsed = typeof proof === 'string' ? parseProof(proof) : proof;
  const { extra, index } = parsed;
  if (extra === undefined || extra.length <= openingBytes) {
    throw new RecordError(
      'opening-missing',
      'expected the proof to carry its opening; ask for it with the right to open, or use verifyProof',
    );
  }
  const r = extra.subarray(0, openingBytes);
  const m = extra.subarray(openingBytes);
  const origin = trust.origin ?? verifierOf(trust.vkey).name;
  const { checkpoint } = openCheckpoint(parsed.checkpoint, trust);
  const leafHash = leafHashOfOpening({ originHash: originHashOf(origin), index, r, m }, (hash) =>
    verifyInclusion({ leafHash: hash, index, size: checkpoint.size, proof: parsed.hashes, root: checkpoint.root }),
  );
  const verified = verifyProof({ ...trust, proof: parsed, leafHash });
  return { ...verified, m, record: decode(m) };
}

/**
 * Verifies a signed checkpoint: the log's own key must have signed it, and as many witnesses as asked.
 *
 * @throws {RecordError} `note-malformed`, `note-unverified`, `signature-invalid`, `checkpoint-malformed`, `origin-mismatch`
 */
export function openCheckpoint(
  note: string,
  trust: Trust,
): { readonly checkpoint: Checkpoint; readonly signatures: readonly VerifiedSignature[] } {
  const log = verifierOf(trust.vkey);
  const witnesses = (trust.witnesses ?? []).map(verifierOf);
  const { text, signatures } = openNote(note, [log, ...witnesses]);
  if (!signatures.some((signature) => signature.name === log.name && signature.keyId === log.keyId)) {
    throw new RecordError(
      'note-unverified',
      'expected the log itself to have signed the checkpoint; only witnesses did',
    );
  }
  const cosigned = new Set(
    signatures.filter((s) => witnesses.some((w) => w.name === s.name && w.keyId === s.keyId)).map((s) => s.name),
  );
  if (cosigned.size < (trust.witnessesMin ?? 0)) {
    throw new RecordError(
      'note-unverified',
      `expected ${trust.witnessesMin} witnesses to have signed the checkpoint, got ${cosigned.size}`,
    );
  }
  const checkpoint = parseCheckpoint(text);
  const origin = trust.origin ?? log.name;
  if (checkpoint.origin !== origin) {
    throw new RecordError(
      'origin-mismatch',
      `expected a checkpoint of ${origin}, got one of another log; give that log's verifier key`,
    );
  }
  return { checkpoint, signatures };
}

function verifierOf(key: string | Verifier): Verifier {
  return typeof key === 'string' ? parseVerifierKey(key) : key;
}

function parseExtra(text: string): Uint8Array {
  const extra = text.length > Math.ceil(extraBytesMax / 3) * 4 ? undefined : tryDecodeBase64(text);
  if (extra === undefined || extra.length === 0)
    throw malformed('expected extra as canonical base64 of bounded length');
  return extra;
}

function parseHash(line: string): Uint8Array {
  const hash = tryDecodeBase64(line);
  if (hash === undefined || hash.length !== 32) throw malformed('expected each hash as canonical base64 of 32 bytes');
  return hash;
}

function assertCheckpoint(note: string): void {
  try {
    splitNote(note);
    parseCheckpoint(note);
  } catch (cause) {
    throw new RecordError(
      'proof-malformed',
      'expected a signed checkpoint after the empty line (c2sp.org/tlog-proof)',
      { cause },
    );
  }
}

function malformed(message: string): RecordError {
  return new RecordError('proof-malformed', `${message} (c2sp.org/tlog-proof)`);
}
