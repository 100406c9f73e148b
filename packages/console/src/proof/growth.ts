/**
 * Has the log only grown since this browser last looked? Takes the remembered checkpoint and a new one, both signed
 * notes, reads the tiles between them and checks the consistency proof (RFC 6962 §2.1.2). Tiles are not trusted: a wrong
 * one makes the proof fail.
 *
 * This is what shows a rollback (a shorter log) and a split view (another log of the same length): two answers that an
 * honest server never gives.
 */
import {
  type Checkpoint,
  consistencyPlan,
  proofFromTiles,
  type TileReader,
  verifyConsistency,
} from '@watchglass/record';
import { ConsoleError } from '../errors.ts';
import { readSignedCheckpoint } from './signed-checkpoint.ts';

export type { TileReader };

export type Growth =
  /** Nothing was remembered: from now on the log is held to this checkpoint. */
  | { readonly kind: 'first' }
  /** It continues what was remembered. `before` is the remembered size. */
  | { readonly kind: 'grown'; readonly before: bigint }
  /** It is an earlier, consistent state: an answer that was overtaken by a newer one. */
  | { readonly kind: 'older' }
  | { readonly kind: 'rolled-back'; readonly before: bigint; readonly now: bigint }
  | { readonly kind: 'split'; readonly before: bigint; readonly now: bigint };

/** Both notes must verify under `vkey`, or under one that it was followed from. */
export async function checkGrowth(options: {
  readonly remembered: string | undefined;
  readonly next: string;
  readonly vkey: string;
  /** Keys that it was followed from. */
  readonly earlier?: readonly string[] | undefined;
  readonly readTile: TileReader;
}): Promise<Growth> {
  const next = readSignedCheckpoint(options.next, options.vkey, options.earlier);
  if (options.remembered === undefined) return { kind: 'first' };
  const before = readSignedCheckpoint(options.remembered, options.vkey, options.earlier);
  const shrunk = next.size < before.size;
  const [small, large] = shrunk ? [next, before] : [before, next];
  const sizes = { before: before.size, now: next.size };
  if (await extendsTo(small, large, options.readTile))
    return shrunk ? { kind: 'older' } : { kind: 'grown', before: before.size };
  return { kind: shrunk ? 'rolled-back' : 'split', ...sizes };
}

async function extendsTo(small: Checkpoint, large: Checkpoint, readTile: TileReader): Promise<boolean> {
  const size = Number(large.size);
  try {
    const proof = await proofFromTiles(consistencyPlan(Number(small.size), size), size, readTile);
    verifyConsistency({ size1: small.size, root1: small.root, size2: large.size, root2: large.root, proof });
    return true;
  } catch (error) {
    // Not reaching the server says nothing about the log; a missing or wrong tile does.
    if (error instanceof ConsoleError && error.status !== 404) throw error;
    return false;
  }
}
