/**
 * Derives the tree from the stored commitments, and compares: roots at the sizes that were signed or written, and every
 * full tile of level ≥ 1.
 */
import { encodeHex, equalBytes } from '../bytes.ts';
import type { LeafType } from '../commitment.ts';
import { Frontier } from '../frontier.ts';
import { tilePath, tileWidth } from '../tile.ts';
import type { CommitmentStore } from './commitment-store.ts';
import type { Findings } from './findings.ts';
import type { LedgerFiles } from './ledger-files.ts';

/** A root that somebody stated for a size. */
export interface StatedRoot {
  readonly size: number;
  readonly root: Uint8Array;
  readonly place: string;
  readonly who: string;
}

/** A size whose root somebody wants to know. */
export interface WantedRoot {
  readonly size: number;
  readonly derived: (root: Uint8Array) => void;
}

export interface TreeCheck {
  readonly files: LedgerFiles;
  /** The tenant's directory. */
  readonly dir: string;
  readonly tenant: string;
  readonly leafType: LeafType;
  readonly findings: Findings;
  readonly commitments: CommitmentStore;
  /** Leaves to derive. */
  readonly size: number;
  /** Leaves whose full tiles must be there. */
  readonly archivedSize: number;
  readonly stated: readonly (StatedRoot | WantedRoot)[];
  readonly signal: AbortSignal | undefined;
  readonly progress: (leaves: number) => void;
}

export interface CheckedTree {
  /** At `size`, in hex. */
  readonly root: string;
  /** Paths of the tiles that were derived. */
  readonly tiles: ReadonlySet<string>;
}

const chunkLeaves = 4096;

export async function checkTree(check: TreeCheck): Promise<CheckedTree> {
  const frontier = new Frontier(check.leafType);
  const filling: number[] = [];
  const edges: Uint8Array[][] = [];
  const full: { level: number; n: number; hashes: Uint8Array[] }[] = [];
  const tiles = new Set<string>();
  const sink = (level: number, n: number, hash: Uint8Array): void => {
    edges[level] ??= [];
    filling[level] = n;
    const edge = edges[level] as Uint8Array[];
    edge.push(hash);
    if (edge.length === tileWidth) {
      full.push({ level, n: Math.floor(n / tileWidth), hashes: edge });
      edges[level] = [];
    }
  };
  const stops = [...check.stated].filter(({ size }) => size <= check.size).sort((a, b) => a.size - b.size);
  let stop = 0;
  const compare = (): void => {
    for (let one = stops[stop]; one !== undefined && one.size === frontier.size; one = stops[++stop]) {
      if ('derived' in one) {
        one.derived(frontier.root());
        continue;
      }
      const { root, place, who, size } = one;
      if (!equalBytes(frontier.root(), root))
        check.findings.add(
          'root-mismatch',
          place,
          `${who} states another root for ${size} leaves than the commitments give`,
        );
    }
  };
  compare();
  while (frontier.size < check.size) {
    check.signal?.throwIfAborted();
    const end = Math.min(check.size, frontier.size + chunkLeaves, stops[stop]?.size ?? check.size);
    const part = await check.commitments.from(frontier.size, end);
    if (part.length === 0) {
      check.findings.add(
        'file-short',
        `${check.tenant}/commitments`,
        `expected commitments for ${check.size} leaves, got ${frontier.size}`,
        { index: frontier.size },
      );
      break;
    }
    frontier.appendCommitments(part, sink);
    for (const tile of full.splice(0)) tiles.add(await compareTile(check, tile));
    compare();
    check.progress(part.length / 32);
  }
  return { root: encodeHex(frontier.root()), tiles };
}

async function compareTile(
  check: TreeCheck,
  { level, n, hashes }: { level: number; n: number; hashes: Uint8Array[] },
): Promise<string> {
  const path = tilePath(level, n);
  const place = `${check.tenant}/${path}`;
  const stored = await check.files.readFile(`${check.dir}/${path}`);
  const required = (n + 1) * tileWidth * tileWidth ** level <= check.archivedSize;
  if (stored === undefined) {
    if (required) check.findings.add('file-missing', place, 'a full tile of the archived log is missing');
  } else if (!equalBytes(stored, Buffer.concat(hashes))) {
    check.findings.add('tile-mismatch', place, 'the tile is not the one derived from the commitments');
  }
  return path;
}
