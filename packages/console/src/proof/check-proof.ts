/**
 * The proof of one event, checked here and nowhere else: the signature of the checkpoint under the remembered key, the
 * way from the event's leaf to the signed root, and that the opened leaf is the event on the screen.
 *
 * Nothing is asked of the server: `checkProof` is a function of its arguments.
 */
import {
  decode,
  leafHashOfOpening,
  openingBytes,
  originHashOf,
  parseProof,
  RecordError,
  type StoredRecord,
  verifyInclusion,
} from '@watchglass/record';
import type { ListedEvent } from '../api/client.ts';
import { compareOpening } from './compare-opening.ts';
import { readSignedCheckpoint } from './signed-checkpoint.ts';

export type Verdict =
  | { readonly kind: 'sealed'; readonly chain: Chain; readonly opening: OpeningVerdict }
  /** The checkpoint doesn't cover the event yet. */
  | { readonly kind: 'pending'; readonly size: bigint }
  | { readonly kind: 'not-intact'; readonly link: Link; readonly reason: string };

export type OpeningVerdict =
  /** The leaf opens to exactly the event shown. */
  | { readonly kind: 'equal'; readonly record: StoredRecord; readonly pseudonyms: number }
  /** These rights get no opening: the position is proven, the content isn't. */
  | { readonly kind: 'withheld' };

/** Where a chain can break. */
export type Link = 'proof' | 'signature' | 'inclusion' | 'content' | 'history';

export interface Chain {
  readonly origin: string;
  readonly index: bigint;
  readonly size: bigint;
  readonly root: Uint8Array;
  readonly leafHash: Uint8Array;
  /** From the leaf's sibling to the root's child. */
  readonly hashes: readonly Uint8Array[];
  /** Signed note. */
  readonly checkpoint: string;
}

/**
 * @param text a tlog-proof, as the server gave it
 * @param shown the event as the server showed it
 * @param vkey the remembered verifier key
 * @param earlier keys that it was followed from
 */
export function checkProof(text: string, shown: ListedEvent, vkey: string, earlier?: readonly string[]): Verdict {
  let link: Link = 'proof';
  try {
    const proof = parseProof(text);
    if (proof.index !== BigInt(shown.index)) return broken('proof', `It is the proof of event ${proof.index}.`);
    link = 'signature';
    const { origin, size, root } = readSignedCheckpoint(proof.checkpoint, vkey, earlier);
    if (proof.index >= size) return { kind: 'pending', size };
    link = 'content';
    const opened =
      proof.extra && proof.extra.length > 0
        ? openLeaf({ ...proof, extra: proof.extra }, origin, (leafHash) =>
            verifyInclusion({ leafHash, index: proof.index, size, proof: proof.hashes, root }),
          )
        : undefined;
    const leafHash = opened?.leafHash ?? (shown.leaf === undefined ? undefined : fromBase64(shown.leaf));
    if (!leafHash) return broken('content', 'The server gave neither the leaf of this event nor its opening.');
    link = 'inclusion';
    verifyInclusion({ leafHash, index: proof.index, size, proof: proof.hashes, root });
    const chain = {
      origin,
      index: proof.index,
      size,
      root,
      leafHash,
      hashes: proof.hashes,
      checkpoint: proof.checkpoint,
    };
    if (!opened) return { kind: 'sealed', chain, opening: { kind: 'withheld' } };
    link = 'content';
    const record = decode(opened.m);
    const comparison = compareOpening(shown, record);
    if (comparison.kind === 'different') {
      return broken('content', `The difference is at ${comparison.at}.`);
    }
    return { kind: 'sealed', chain, opening: { kind: 'equal', record, pseudonyms: comparison.pseudonyms } };
  } catch (error) {
    if (error instanceof RecordError) return broken(link, asSentence(error.message));
    throw error;
  }
}

function openLeaf(
  proof: { index: bigint; extra: Uint8Array },
  origin: string,
  proven: (leafHash: Uint8Array) => void,
): { leafHash: Uint8Array; m: Uint8Array } {
  const r = proof.extra.slice(0, openingBytes);
  const m = proof.extra.slice(openingBytes);
  const opening = { originHash: originHashOf(origin), index: proof.index, r, m };
  return { m, leafHash: leafHashOfOpening(opening, proven) };
}

function fromBase64(text: string): Uint8Array | undefined {
  try {
    return Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
  } catch {
    return undefined;
  }
}

function asSentence(message: string): string {
  return `${message.charAt(0).toUpperCase()}${message.slice(1)}.`;
}

function broken(link: Link, reason: string): Verdict {
  return { kind: 'not-intact', link, reason };
}
