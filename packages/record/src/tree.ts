/**
 * The Merkle tree of RFC 6962 §2.1, and the verification of its proofs.
 *
 * Hashes are 32-byte `Uint8Array`s. Verification takes sizes as `bigint` and trusts nothing but its arguments; it returns
 * nothing and throws. Making proofs is in `tree-proof.ts`, growing a tree in `frontier.ts`.
 */
import { sha256, sha256Into } from '#crypto';
import { equalBytes } from './bytes.ts';
import { RecordError } from './errors.ts';

/** Bytes of a hash. */
export const hashBytes = 32;

/** The root of the tree without leaves: SHA-256 of nothing. A fresh copy each time. */
export function emptyRoot(): Uint8Array {
  return sha256(new Uint8Array(0));
}

/** SHA-256(0x00 ‖ data): RFC 6962 §2.1. */
export function hashLeaf(data: Uint8Array): Uint8Array {
  const input = new Uint8Array(1 + data.length);
  input.set(data, 1);
  return sha256(input);
}

/** SHA-256(0x01 ‖ left ‖ right): RFC 6962 §2.1. */
export function hashChildren(left: Uint8Array, right: Uint8Array): Uint8Array {
  assertHash(left);
  assertHash(right);
  const input = new Uint8Array(65);
  input[0] = 1;
  input.set(left, 1);
  input.set(right, 33);
  return sha256(input);
}

/**
 * The root of the tree over these leaf hashes (not leaf data), in order.
 *
 * @example
 * rootOf([hashLeaf(a), hashLeaf(b)]); // hashChildren(hashLeaf(a), hashLeaf(b))
 */
export function rootOf(leafHashes: readonly Uint8Array[]): Uint8Array {
  if (leafHashes.length === 0) return emptyRoot();
  const level = new Uint8Array(leafHashes.length * 32);
  for (let i = 0; i < leafHashes.length; i++) {
    const hash = leafHashes[i] as Uint8Array;
    assertHash(hash);
    level.set(hash, i * 32);
  }
  return foldLevel(level, leafHashes.length);
}

/** The root over `count` concatenated hashes, which are overwritten. An odd last node goes up as it is, as RFC 6962 has it. */
export function foldLevel(level: Uint8Array, count: number): Uint8Array {
  const input = new Uint8Array(65);
  input[0] = 1;
  while (count > 1) {
    const pairs = count >> 1;
    for (let i = 0; i < pairs; i++) {
      input.set(level.subarray(i * 64, i * 64 + 64), 1);
      sha256Into(input, level, i * 32);
    }
    if ((count & 1) === 1) level.copyWithin(pairs * 32, (count - 1) * 32, count * 32);
    count = pairs + (count & 1);
  }
  return level.slice(0, 32);
}

export interface InclusionClaim {
  readonly leafHash: Uint8Array;
  readonly index: bigint;
  readonly size: bigint;
  /** From the leaf's sibling up to the root's child: RFC 6962 §2.1.1. */
  readonly proof: readonly Uint8Array[];
  readonly root: Uint8Array;
}

/**
 * Proves that `leafHash` is at `index` in the tree of `size` leaves with this `root` (RFC 9162 §2.1.3.2).
 *
 * @throws {RecordError} `inclusion-invalid`, or `argument-invalid` where a hash hasn't 32 bytes or a size is out of range
 */
export function verifyInclusion(claim: InclusionClaim): void {
  const { index, size, proof } = claim;
  assertSize(size, 'size');
  assertSize(index, 'index');
  assertHash(claim.leafHash);
  assertHash(claim.root);
  if (index >= size) throw inclusionInvalid(`expected an index below the tree size ${size}, got ${index}`);
  assertProofLength(proof, inclusionProofLength(index, size), inclusionInvalid);
  let node = index;
  let last = size - 1n;
  let hash = claim.leafHash;
  for (const sibling of proof) {
    if ((node & 1n) === 1n || node === last) {
      hash = hashChildren(sibling, hash);
      while ((node & 1n) === 0n) {
        node >>= 1n;
        last >>= 1n;
      }
    } else {
      hash = hashChildren(hash, sibling);
    }
    node >>= 1n;
    last >>= 1n;
  }
  if (!equalBytes(hash, claim.root)) {
    throw inclusionInvalid(`the proof for index ${index} in the tree of ${size} leads to another root`);
  }
}

export interface ConsistencyClaim {
  readonly size1: bigint;
  readonly root1: Uint8Array;
  readonly size2: bigint;
  readonly root2: Uint8Array;
  /** RFC 6962 §2.1.2; empty where the sizes are equal or the first is 0. */
  readonly proof: readonly Uint8Array[];
}

/**
 * Proves that the tree (size2, root2) begins with the tree (size1, root1) (RFC 9162 §2.1.4.2). Where size1 is 0 the
 * roots prove nothing, but root1 must be the empty root and the proof must be empty.
 *
 * @throws {RecordError} `consistency-invalid`, or `argument-invalid` where a hash hasn't 32 bytes or a size is out of range
 */
export function verifyConsistency(claim: ConsistencyClaim): void {
  const { size1, size2, proof } = claim;
  assertSize(size1, 'size1');
  assertSize(size2, 'size2');
  assertHash(claim.root1);
  assertHash(claim.root2);
  if (size1 > size2)
    throw consistencyInvalid(`expected the first tree to be the smaller one, got ${size1} and ${size2}`);
  if (size1 === 0n && !equalBytes(claim.root1, emptyRoot()))
    throw consistencyInvalid('the root of an empty tree is wrong');
  if (size1 === 0n || size1 === size2) {
    if (proof.length !== 0) throw consistencyInvalid(`expected an empty proof, got ${proof.length} hashes`);
    if (size1 === size2 && !equalBytes(claim.root1, claim.root2)) {
      throw consistencyInvalid(`two roots are claimed for the one size ${size1}`);
    }
    return;
  }
  verifyGrowth(claim);
}

function verifyGrowth({ size1, root1, size2, root2, proof }: ConsistencyClaim): void {
  let node = size1 - 1n;
  let last = size2 - 1n;
  while ((node & 1n) === 1n) {
    node >>= 1n;
    last >>= 1n;
  }
  // When size1 is a power of two, root1 itself is the first node of the path and isn't repeated in the proof.
  const path = node === 0n ? [root1, ...proof] : proof;
  for (const hash of path) assertHash(hash);
  const first = path[0];
  if (first === undefined) throw consistencyInvalid('expected at least one hash, got an empty proof');
  let hash1 = first;
  let hash2 = first;
  for (let i = 1; i < path.length; i++) {
    const hash = path[i] as Uint8Array;
    if (last === 0n) throw consistencyInvalid(`the proof is too long: ${proof.length} hashes`);
    if ((node & 1n) === 1n || node === last) {
      hash1 = hashChildren(hash, hash1);
      hash2 = hashChildren(hash, hash2);
      while (node !== 0n && (node & 1n) === 0n) {
        node >>= 1n;
        last >>= 1n;
      }
    } else {
      hash2 = hashChildren(hash2, hash);
    }
    node >>= 1n;
    last >>= 1n;
  }
  if (last !== 0n) throw consistencyInvalid(`the proof is too short: ${proof.length} hashes`);
  if (!equalBytes(hash1, root1)) throw consistencyInvalid(`the proof does not lead to the root at size ${size1}`);
  if (!equalBytes(hash2, root2)) throw consistencyInvalid(`the proof does not lead to the root at size ${size2}`);
}

/** How many hashes an inclusion proof has. */
export function inclusionProofLength(index: bigint, size: bigint): number {
  const inner = bitLength(index ^ (size - 1n));
  return inner + bitCount(index >> BigInt(inner));
}

function bitLength(value: bigint): number {
  let bits = 0;
  for (; value > 0n; value >>= 1n) bits++;
  return bits;
}

function bitCount(value: bigint): number {
  let count = 0;
  for (; value > 0n; value >>= 1n) if ((value & 1n) === 1n) count++;
  return count;
}

function assertProofLength(
  proof: readonly Uint8Array[],
  expected: number,
  error: (message: string) => RecordError,
): void {
  if (proof.length !== expected) throw error(`expected a proof of ${expected} hashes, got ${proof.length}`);
  for (const hash of proof) assertHash(hash);
}

function assertHash(hash: Uint8Array): void {
  if (!(hash instanceof Uint8Array) || hash.length !== hashBytes) {
    throw new RecordError(
      'argument-invalid',
      `expected a hash of ${hashBytes} bytes, got ${hash?.length ?? typeof hash}`,
    );
  }
}

function assertSize(size: bigint, name: string): void {
  if (typeof size !== 'bigint' || size < 0n || size > 0xffff_ffff_ffff_ffffn) {
    throw new RecordError(
      'argument-invalid',
      `expected ${name} to be a bigint from 0 to 2^64 - 1, got a ${typeof size}`,
    );
  }
}

function inclusionInvalid(message: string): RecordError {
  return new RecordError('inclusion-invalid', `${message}; the leaf, its index, the proof or the root was changed`);
}

function consistencyInvalid(message: string): RecordError {
  return new RecordError('consistency-invalid', `${message}; the log was rewritten, or the proof is for other sizes`);
}
