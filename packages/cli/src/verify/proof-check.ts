/**
 * A tlog-proof against a key, offline: with its opening it proves what the record says; without, that the leaf given (or fetched) is in the
 * log at that index. One sentence says which.
 */
import {
  leafHashOfOpening,
  openProof,
  originHashOf,
  parseProof,
  type StoredRecord,
  verifyInclusion,
  verifyProof,
} from '@watchglass/record';
import { plain } from '../table.ts';

export interface ProvenEntry {
  readonly index: number;
  readonly origin: string;
  readonly size: number;
  /** Leaf hash, base64. */
  readonly leaf: string;
  /** What was written, where the proof carries the opening. */
  readonly record?: StoredRecord;
}

/** @throws RecordError when it does not hold. */
export function checkProof(
  text: string,
  options: { readonly vkey: string; readonly leafHash?: Uint8Array },
): ProvenEntry {
  const proof = parseProof(text);
  if (proof.extra === undefined) {
    const { checkpoint } = verifyProof({
      proof,
      vkey: options.vkey,
      ...(options.leafHash === undefined ? {} : { leafHash: options.leafHash }),
    });
    return {
      index: Number(proof.index),
      origin: checkpoint.origin,
      size: Number(checkpoint.size),
      leaf: Buffer.from(options.leafHash ?? []).toString('base64'),
    };
  }
  const { checkpoint, record, m } = openProof(proof, { vkey: options.vkey });
  const r = proof.extra.subarray(0, proof.extra.length - m.length);
  const { index, hashes } = proof;
  const leafHash = leafHashOfOpening({ originHash: originHashOf(checkpoint.origin), index, r, m }, (hash) =>
    verifyInclusion({ leafHash: hash, index, size: checkpoint.size, proof: hashes, root: checkpoint.root }),
  );
  return {
    index: Number(proof.index),
    origin: checkpoint.origin,
    size: Number(checkpoint.size),
    leaf: Buffer.from(leafHash).toString('base64'),
    record,
  };
}

/** What was proven, in one sentence. */
export function sayProven(entry: ProvenEntry): string {
  return plain(sentenceOf(entry));
}

function sentenceOf({ index, origin, size, leaf, record }: ProvenEntry): string {
  const where = `record ${index} of the ${size} in ${origin}`;
  if (record === undefined) {
    return `The commitment ${leaf} is ${where}, under a checkpoint signed with its key; the record itself was not opened.`;
  }
  const { actor, action, operation, outcome, time, targets } = record.event;
  const target = targets?.find(({ role }) => role !== 'query') ?? targets?.[0];
  const what = target === undefined ? '' : ` ${target.id === undefined ? target.type : `${target.type}/${target.id}`}`;
  return `${actor.id} did ${operation ?? action}${what} at ${time}, outcome ${outcome.status}: so it was written, received ${record.received}, as ${where}, under a checkpoint signed with its key.`;
}
