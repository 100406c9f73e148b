/**
 * Verifies the evidence of a bundle (docs/bundle.md, "What a verifier does"). Trusts nothing but the verifier key it is
 * given; without one it uses the key in the bundle and proves self-consistency only.
 *
 * Never throws for what the evidence holds: everything wrong is a finding with its place, so that one look tells all.
 */
import { sha256 } from '#crypto';
import { encodeHex, encodeUtf8, equalBytes } from '../bytes.ts';
import { type Checkpoint, parseCheckpoint } from '../checkpoint.ts';
import type { VerifiedSignature } from '../note.ts';
import { parseVerifierKey } from '../note-key.ts';
import type { Policy } from '../policy.ts';
import type { Rotation } from '../rotation.ts';
import { rootOfMultiproof } from '../tree-multiproof.ts';
import type { BundleFinding } from './bundle-findings.ts';
import { checkSigned } from './bundle-keys.ts';
import { checkShredded, checkShreds, type VerifiedShred } from './bundle-shreds.ts';
import { type Cosigned, checkCosigned } from './bundle-witnesses.ts';
import { messageOf, type Read, type Tell } from './checking.ts';
import { type BundleContents, readEvidence } from './contents.ts';
import { openEvent, type VerifiedEvent } from './open-event.ts';

const nothing = { signatures: [], unchecked: [], followed: [], shreds: [] } as const;

export interface BundleTrust {
  /** The only verifier key of the log to believe. */
  readonly vkey?: string;
  /** Text of a checkpoint kept from elsewhere: where it has the size of one in the bundle, it must have its root. */
  readonly checkpoint?: string;
  /** Witnesses that are trusted, and how many of them must have cosigned. */
  readonly policy?: Policy;
  /** SHA-256 of the page as it is, hex (`splitBundle`). */
  readonly page?: string;
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
  /** By keys of the log that this platform can't check: worth nothing here. */
  readonly unchecked: readonly VerifiedSignature[];
  /** The rotations that lead from the key that was given to the one that signs. */
  readonly followed: readonly Rotation[];
  /** Shreds that events of the log vouch for. */
  readonly shreds: readonly VerifiedShred[];
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
    return { intact: false, pinned: false, findings, events: [], ...nothing };
  }
  const { contents } = read;
  if (trust.page !== undefined && trust.page !== contents.page)
    tell('page-changed', 'page', 'the page around the evidence is not the one that its maker put there');
  const signed = checkSigned(read, trust.vkey, tell);
  const shreds = checkShreds(contents, tell);
  const events = contents.events.map((event) =>
    'shred' in event ? checkShredded(event, shreds[event.shred], tell) : openEvent(contents, event, tell),
  );
  const maker = checkMaker(read, tell);
  if (signed.checkpoint !== undefined) checkRoot(read, signed.checkpoint, tell);
  const cosigned = checkCosigned(read, signed, trust.policy, tell);
  const compared = compareRemembered({ remembered, read, checkpoint: signed.checkpoint, tell });
  return {
    intact: findings.length === 0,
    pinned: signed.isPinned || compared,
    findings,
    contents,
    events,
    maker,
    signatures: signed.signatures,
    unchecked: signed.unchecked,
    followed: signed.followed,
    shreds: shreds.filter((shred) => shred !== undefined),
    ...(signed.checkpoint === undefined ? {} : { checkpoint: signed.checkpoint }),
    ...(cosigned === undefined ? {} : { cosigned }),
  };
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
  const proven = new Map<number, Uint8Array>();
  for (const { index, leaf } of [...contents.events, ...(contents.shreds ?? []).map(({ done }) => done), proof.maker]) {
    const known = proven.get(index);
    if (known !== undefined && !equalBytes(known, leaf))
      tell('root-mismatch', 'proof', `two leaves are stated for event ${index}`, index);
    proven.set(index, leaf);
  }
  const leaves = [...proven].map(([index, hash]) => ({ index, hash })).sort((a, b) => a.index - b.index);
  try {
    const root = rootOfMultiproof({ leaves, size: Number(checkpoint.size), hashes: proof.hashes });
    if (!equalBytes(root, checkpoint.root))
      tell('root-mismatch', 'proof', 'the leaves and hashes do not lead to the signed root: one of them was changed');
  } catch (error) {
    tell('root-mismatch', 'proof', messageOf(error));
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
