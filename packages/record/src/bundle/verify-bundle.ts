/**
 * Verifies the evidence of a bundle (docs/bundle.md, "What a verifier does"). Trusts nothing but the verifier key it is
 * given; without one it uses the key in the bundle and proves self-consistency only.
 *
 * Never throws for what the evidence holds: everything wrong is a finding with its place, so that one look tells all.
 */
import { sha256 } from '#crypto';
import { encodeHex, encodeUtf8, equalBytes } from '../bytes.ts';
import { type Checkpoint, parseCheckpoint } from '../checkpoint.ts';
import { commit, leafDataOf, originHashOf } from '../commitment.ts';
import { decode } from '../encode.ts';
import { RecordError } from '../errors.ts';
import type { StoredRecord } from '../event.ts';
import { commitFieldRoot, commitFields, fieldRootOfDisclosure } from '../field-commitment.ts';
import { openNote, splitNote, type VerifiedSignature } from '../note.ts';
import { parseVerifierKey } from '../note-key.ts';
import { hashLeaf, verifyConsistency } from '../tree.ts';
import { rootOfMultiproof } from '../tree-multiproof.ts';
import type { BundleFinding, BundleFindingCode } from './bundle-findings.ts';
import { type BundleContents, type BundleEvent, type Evidence, readEvidence } from './contents.ts';

export interface BundleTrust {
  /** The only verifier key of the log to believe. */
  readonly vkey?: string;
  /** Text of a checkpoint kept from elsewhere: where it has the size of one in the bundle, it must have its root. */
  readonly checkpoint?: string;
  /** SHA-256 of the page as it is, hex (`splitBundle`). */
  readonly page?: string;
}

/** An event of a bundle, as far as it could be read. */
export interface VerifiedEvent {
  readonly index: number;
  /** It opens the leaf stated for it; whether that leaf is in the log is for the whole to say. */
  readonly opens: boolean;
  /** Withheld fields are null. */
  readonly record: StoredRecord | undefined;
  readonly withheld: boolean;
  readonly leaf: Uint8Array;
  readonly m: string;
}

export interface Cosigned {
  readonly size: number;
  readonly signatures: readonly VerifiedSignature[];
  /** By keys that the bundle doesn't name. */
  readonly unknown: number;
}

export interface BundleReport {
  /** No findings. */
  readonly intact: boolean;
  /** A key or a comparable checkpoint from elsewhere was given. */
  readonly pinned: boolean;
  readonly findings: readonly BundleFinding[];
  /** Undefined where the evidence can't be read. */
  readonly contents?: BundleContents;
  readonly events: readonly VerifiedEvent[];
  readonly maker?: VerifiedEvent;
  readonly checkpoint?: Checkpoint;
  readonly signatures: readonly VerifiedSignature[];
  readonly cosigned?: Cosigned;
}

/**
 * @param evidence the text of the evidence (`splitBundle(file).evidence`)
 * @throws {RecordError} `key-invalid` or `checkpoint-malformed` where what is to be trusted is malformed itself
 * @example
 * const { evidence, page } = splitBundle(fileText);
 * const { intact, findings, events } = verifyBundle(evidence, { page, vkey });
 */
export function verifyBundle(evidence: string, trust: BundleTrust = {}): BundleReport {
  const remembered = trust.checkpoint === undefined ? undefined : parseCheckpoint(trust.checkpoint);
  if (trust.vkey !== undefined) parseVerifierKey(trust.vkey);
  const findings: BundleFinding[] = [];
  const tell: Tell = (code, place, message, index) =>
    void findings.push({ code, place, message, ...(index === undefined ? {} : { index }) });
  let read: ReturnType<typeof readEvidence>;
  try {
    read = readEvidence(evidence);
  } catch (error) {
    tell('bundle-malformed', 'evidence', messageOf(error));
    return { intact: false, pinned: false, findings, events: [], signatures: [] };
  }
  const { contents } = read;
  if (trust.page !== undefined && trust.page !== contents.page)
    tell('page-changed', 'page', 'the page around the evidence is not the one that its maker put there');
  const signed = checkCheckpoint(read, trust, tell);
  const events = contents.events.map((event) => openEvent(contents, event, tell));
  const maker = checkMaker(read, tell);
  if (signed.checkpoint !== undefined) checkRoot(read, signed.checkpoint, tell);
  const cosigned = checkCosigned(read, signed.checkpoint, tell);
  const compared = compareRemembered({ remembered, read, checkpoint: signed.checkpoint, tell });
  return {
    intact: findings.length === 0,
    pinned: trust.vkey !== undefined || compared,
    findings,
    contents,
    events,
    maker,
    signatures: signed.signatures,
    ...(signed.checkpoint === undefined ? {} : { checkpoint: signed.checkpoint }),
    ...(cosigned === undefined ? {} : { cosigned }),
  };
}

type Read = Evidence & { readonly contentsText: string };
type Tell = (code: BundleFindingCode, place: string, message: string, index?: number) => void;

interface Signed {
  readonly checkpoint?: Checkpoint;
  readonly signatures: readonly VerifiedSignature[];
}

/** The checkpoint is of this log, and each signature on it is one by a key of the log that the bundle names. */
function checkCheckpoint({ contents, proof }: Read, trust: BundleTrust, tell: Tell): Signed {
  const place = 'proof.checkpoint';
  const keys = logKeys(contents, tell);
  if (trust.vkey !== undefined && !keys.includes(trust.vkey))
    tell('key-mismatch', 'contents.vkeys', 'the verifier key that was given is not among those of the bundle');
  let checkpoint: Checkpoint | undefined;
  try {
    checkpoint = parseCheckpoint(proof.checkpoint);
    if (checkpoint.origin !== contents.origin) tell('checkpoint-invalid', place, 'the checkpoint is of another log');
    const believed = trust.vkey === undefined ? keys : keys.filter((key) => key === trust.vkey);
    if (trust.vkey !== undefined) openNote(proof.checkpoint, [trust.vkey]);
    const { signatures } = openNote(proof.checkpoint, keys);
    if (signatures.length !== splitNote(proof.checkpoint).signatures.length)
      tell('checkpoint-invalid', place, 'a signature is by a key that the bundle does not name, or stands there twice');
    const byBelieved = signatures.filter(({ name, keyId }) =>
      believed.some((key) => {
        const verifier = parseVerifierKey(key);
        return verifier.name === name && verifier.keyId === keyId;
      }),
    );
    return { checkpoint, signatures: byBelieved };
  } catch (error) {
    tell('checkpoint-invalid', place, messageOf(error));
    return { ...(checkpoint === undefined ? {} : { checkpoint }), signatures: [] };
  }
}

function logKeys({ vkeys, origin }: BundleContents, tell: Tell): string[] {
  if (vkeys.length === 0) tell('key-invalid', 'contents.vkeys', 'expected the verifier key of the log');
  return vkeys.filter((vkey) => {
    try {
      if (parseVerifierKey(vkey).name === origin) return true;
      tell('key-invalid', 'contents.vkeys', 'a verifier key is of another log');
    } catch (error) {
      tell('key-invalid', 'contents.vkeys', messageOf(error));
    }
    return false;
  });
}

function openEvent(contents: BundleContents, event: BundleEvent, tell: Tell, place = 'events'): VerifiedEvent {
  const code = place === 'events' ? 'event-mismatch' : 'maker-mismatch';
  const whole = 'r' in event;
  const m = encodeUtf8(event.m);
  let record: StoredRecord | undefined;
  let opens = false;
  try {
    opens = equalBytes(leafHashOfEvent(contents, event, m), event.leaf);
    if (!opens)
      tell(code, place, `event ${event.index} does not open the leaf stated for it: it was changed`, event.index);
    record = whole ? decode(m) : readShown(event.m);
  } catch (error) {
    tell('record-invalid', place, `event ${event.index}: ${messageOf(error)}`, event.index);
  }
  return { index: event.index, opens, record, withheld: !whole, leaf: event.leaf, m: event.m };
}

/** Members of it may be withheld, and are null then; that there is an event is what a reader goes by. @throws {RecordError} `record-invalid` */
function readShown(m: string): StoredRecord {
  // What is not JSON at all has failed above already.
  const value = JSON.parse(m) as Partial<StoredRecord> | null;
  if (typeof value?.event !== 'object' || value.event === null)
    throw new RecordError('record-invalid', 'expected a stored record with an event in it');
  return value as StoredRecord;
}

function leafHashOfEvent({ origin, leafType }: BundleContents, event: BundleEvent, m: Uint8Array): Uint8Array {
  const { index } = event;
  const originHash = originHashOf(origin);
  if ('r' in event) {
    const opening = { originHash, index, r: event.r, m };
    return hashLeaf(leafDataOf(leafType === 1 ? commit(opening) : commitFields(opening), leafType));
  }
  if (leafType === 1)
    throw new RecordError('record-invalid', 'expected the whole event: leaves of this log commit to whole events');
  const root = fieldRootOfDisclosure({ m, salts: event.salts, holes: event.holes });
  return hashLeaf(leafDataOf(commitFieldRoot({ originHash, index, root }), leafType));
}

/** The maker's event is in the log like any other, and names the digest of the contents: so the log vouches for them. */
function checkMaker({ contents, proof, contentsText }: Read, tell: Tell): VerifiedEvent {
  const maker = openEvent(contents, proof.maker, tell, 'proof.maker');
  const last = contents.events.at(-1)?.index ?? -1;
  const wrong = (message: string): void => tell('maker-mismatch', 'proof.maker', message, maker.index);
  if (maker.index <= last) wrong('it comes before the last of the events');
  const { submitter, event } = maker.record ?? {};
  if (event === undefined) return maker;
  // Whoever may write events can write one that looks like this, about any contents: only the log's own server says `self`.
  if (submitter !== 'self') wrong('it was sent in from outside, and not written by the server that keeps the log');
  const { targets = [], exposure, actor, purpose } = event;
  if (event.kind !== 'review' || event.operation !== 'bundle' || event.outcome.status !== 'success')
    wrong('it is not the record of a bundle that was made');
  const digest = encodeHex(sha256(encodeUtf8(contentsText)));
  if (!targets.some(({ type, id }) => type === 'Bundle' && id === digest))
    tell('contents-changed', 'contents', 'the contents are not those that the event of their maker names');
  if (actor.id !== contents.by.id) wrong('it is by somebody else than the bundle says');
  if (purpose?.code !== contents.purpose.code) wrong('it states another purpose than the bundle');
  if (exposure?.count !== contents.events.length) wrong('it states another number of events than the bundle has');
  if (event.tenant !== contents.tenant) wrong('it is of another tenant than the bundle says');
  return maker;
}

function checkRoot({ contents, proof }: Read, checkpoint: Checkpoint, tell: Tell): void {
  const leaves = [...contents.events, proof.maker].map(({ index, leaf }) => ({ index, hash: leaf }));
  try {
    const root = rootOfMultiproof({ leaves, size: Number(checkpoint.size), hashes: proof.hashes });
    if (!equalBytes(root, checkpoint.root))
      tell('root-mismatch', 'proof', 'the leaves and hashes do not lead to the signed root: one of them was changed');
  } catch (error) {
    tell('root-mismatch', 'proof', messageOf(error));
  }
}

function checkCosigned(
  { contents, proof }: Read,
  checkpoint: Checkpoint | undefined,
  tell: Tell,
): Cosigned | undefined {
  const place = 'contents.cosigned';
  if (contents.cosigned === '') {
    if (proof.growth.length > 0)
      tell('growth-invalid', 'proof.growth', 'expected no hashes without a cosigned checkpoint');
    return undefined;
  }
  try {
    const older = parseCheckpoint(contents.cosigned);
    if (older.origin !== contents.origin) throw new RecordError('origin-mismatch', 'it is of another log');
    const keys = [...contents.vkeys, ...contents.witnesses];
    const { signatures, unverified } = openNote(contents.cosigned, keys);
    if (!signatures.some(({ name }) => name === contents.origin))
      throw new RecordError('note-unverified', 'the log itself did not sign it');
    checkGrowth(older, checkpoint, proof.growth, tell);
    const byWitnesses = signatures.filter(({ name }) => name !== contents.origin);
    return { size: Number(older.size), signatures: byWitnesses, unknown: unverified.length };
  } catch (error) {
    tell('cosigned-invalid', place, messageOf(error));
    return undefined;
  }
}

function checkGrowth(older: Checkpoint, newer: Checkpoint | undefined, proof: readonly Uint8Array[], tell: Tell): void {
  if (newer === undefined) return;
  try {
    verifyConsistency({ size1: older.size, root1: older.root, size2: newer.size, root2: newer.root, proof });
  } catch (error) {
    tell('growth-invalid', 'proof.growth', messageOf(error));
  }
}

/** @returns whether it could be compared: a checkpoint of another size says nothing without the log between them */
function compareRemembered(given: {
  readonly remembered: Checkpoint | undefined;
  readonly read: Read;
  readonly checkpoint: Checkpoint | undefined;
  readonly tell: Tell;
}): boolean {
  const { remembered, read, checkpoint, tell } = given;
  if (remembered === undefined) return false;
  if (remembered.origin !== read.contents.origin) {
    tell('checkpoint-mismatch', 'proof.checkpoint', 'the checkpoint that was given is of another log');
    return false;
  }
  if (checkpoint?.size !== remembered.size) return false;
  if (!equalBytes(checkpoint.root, remembered.root))
    tell('checkpoint-mismatch', 'proof.checkpoint', 'the checkpoint that was given has another root at the same size');
  return true;
}

function messageOf(error: unknown): string {
  if (error instanceof RecordError) return error.message;
  throw error;
}
