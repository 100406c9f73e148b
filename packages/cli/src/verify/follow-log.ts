/**
 * One step of following a log: is its head of now the head remembered, with something appended? The remembered tree is taken up from its at
 * most 53 nodes in the tiles, which have to have the remembered root, and only the new entries are fetched and appended. So what a step costs
 * depends on what is new, and a head that is believed has a root that was computed here.
 */
import {
  Frontier,
  hashLeaf,
  openCheckpoint,
  parseCheckpoint,
  proofFromTiles,
  RecordError,
  type TreeNode,
  tilePath,
  tileWidth,
  tileWidthAt,
} from '@watchglass/record';
import type { Client } from '../client.ts';
import { getTile, inOrder, splitBundle } from './remote-log.ts';
import type { LogName } from './remote-statements.ts';

/** What a follower finds; docs/completeness.md has a row for each. */
export type FollowCode =
  | 'key-changed'
  | 'key-revoked'
  | 'events-lost'
  | 'signature-wrong'
  | 'split-view'
  | 'rolled-back'
  | 'history-changed'
  | 'entries-missing'
  | 'log-gone'
  | 'stale';

export interface FollowFinding {
  readonly code: FollowCode;
  readonly tenant: string;
  readonly message: string;
  /** The signed checkpoint that contradicts the remembered one: worth keeping. */
  readonly evidence?: string | undefined;
}

export interface Head {
  readonly size: number;
  readonly root: Uint8Array;
  /** The signed note. */
  readonly note: string;
}

export interface Step {
  /** To remember from now on; absent where it is not to be believed. */
  readonly head?: Head;
  readonly finding?: FollowFinding;
}

export interface Followed {
  readonly client: Client;
  readonly log: LogName;
  /** The one key believed. */
  readonly vkey: string;
  /** What statements say the log had, newly seen. */
  readonly stated: readonly { readonly size: number; readonly root: Uint8Array; readonly number: number }[];
  readonly before: Head | undefined;
  readonly signal: AbortSignal;
}

export async function followLog(followed: Followed): Promise<Step> {
  const { client, log, vkey, before, signal } = followed;
  const found = (code: FollowCode, message: string, evidence?: string): Step => ({
    finding: { code, tenant: log.tenant, message, evidence },
  });
  const note = await client.getText(`/log/${log.tenant}/checkpoint`, signal);
  const head = openHead(note, vkey, log.origin);
  if (!('size' in head))
    return found('signature-wrong', `the checkpoint is not signed as it should be: ${head.why}`, note);
  if (before !== undefined && head.size < before.size) {
    return found('rolled-back', `expected at least the ${before.size} events seen before, got ${head.size}`, note);
  }
  if (before !== undefined && head.size === before.size) {
    if (!sameBytes(head.root, before.root))
      return found('split-view', `two signed checkpoints of ${head.size} events have different roots`, note);
    if (followed.stated.length === 0) return { head: before };
  }
  const from = before ?? head;
  const frontier = await frontierOf(from.size, head.size, followed);
  if (frontier === undefined)
    return found('entries-missing', `the tiles of the first ${from.size} events are not there`);
  if (!sameBytes(frontier.root(), from.root)) {
    return found(
      'history-changed',
      `the tiles of the first ${from.size} events have not the root that was signed`,
      note,
    );
  }
  const stated = followed.stated.filter(({ size }) => size >= from.size).sort((a, b) => a.size - b.size);
  for (const { size, root, number } of [...stated, { ...head, number: 0 }]) {
    if (size > head.size)
      return found('rolled-back', `statement ${number} on its keys was made at ${size} events, got ${head.size}`, note);
    const missing = await append(frontier, size, head.size, followed);
    if (missing !== undefined) return found('entries-missing', `${missing} is not there, or not whole`, note);
    if (number > 0 && !sameBytes(frontier.root(), root))
      return found('history-changed', `statement ${number} on its keys states another root for ${size} events`, note);
  }
  return sameBytes(frontier.root(), head.root)
    ? { head }
    : found(
        'history-changed',
        `the checkpoint of ${head.size} events is not the one of ${from.size} with the new entries appended`,
        note,
      );
}

function openHead(note: string, vkey: string, origin: string): Head | { readonly why: string } {
  try {
    const { size, root } = openCheckpoint(note, { vkey, origin }).checkpoint;
    if (size > BigInt(Number.MAX_SAFE_INTEGER)) return { why: `no log has ${size} events` };
    return { size: Number(size), root, note };
  } catch (error) {
    if (!(error instanceof RecordError)) throw error;
    return { why: error.message };
  }
}

/** A head kept on disk; its signature was verified when it was kept. */
export function parseHead(note: string): Head {
  const { size, root } = parseCheckpoint(note);
  return { size: Number(size), root, note };
}

/** The tree of `size` from the tiles of the tree of `sizeNow`; `undefined` where one isn't there. */
async function frontierOf(
  size: number,
  sizeNow: number,
  { client, log, signal }: Followed,
): Promise<Frontier | undefined> {
  const wanted: TreeNode[] = [];
  for (let level = 0, n = size; n > 0; level++, n = Math.floor(n / 2))
    if (n % 2 === 1) wanted.push({ level, n: n - 1 });
  try {
    const hashes = await proofFromTiles(
      wanted.map((node) => [node]),
      sizeNow,
      (path) => getTile(client, log, path, signal),
    );
    const nodes = new Map(wanted.map(({ level, n }, at) => [`${level}/${n}`, hashes[at]]));
    return Frontier.from(size, (level, n) => nodes.get(`${level}/${n}`) ?? new Uint8Array(32));
  } catch (error) {
    if (error instanceof RecordError && error.code === 'argument-invalid') return undefined;
    throw error;
  }
}

/** Appends the entries up to `until` of a log of `size`, and says which bundle lacks one. */
async function append(
  frontier: Frontier,
  until: number,
  size: number,
  { client, log, signal }: Followed,
): Promise<string | undefined> {
  const firstBundle = Math.floor(frontier.size / tileWidth);
  const bundles = inOrder(Math.ceil(until / tileWidth) - firstBundle, async (at) => {
    const n = firstBundle + at;
    const width = tileWidthAt(0, n, size);
    return { n, width, bytes: await getTile(client, log, tilePath('entries', n, width), signal) };
  });
  for await (const { n, width, bytes } of bundles) {
    const entries = splitBundle(bytes).slice(0, width);
    if (entries.length < width) return tilePath('entries', n, width);
    const fresh = entries.slice(frontier.size - n * tileWidth, until - n * tileWidth);
    frontier.appendLeafHashes(Buffer.concat(fresh.map(hashLeaf)));
  }
  return undefined;
}

function sameBytes(a: Uint8Array, b: Uint8Array): boolean {
  return Buffer.from(a).equals(b);
}
