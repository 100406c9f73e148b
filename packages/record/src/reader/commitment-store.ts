/** Stored commitments of one tenant for a verifier: from commitment files, then from the journal. Read in any order; a few files are held at a time. */
import type { ManifestTenant } from '../codec/manifest.ts';
import { commitmentFileName, commitmentsPerFile, parseArchiveName } from '../codec/names.ts';
import { type LedgerFiles, readRange } from './ledger-files.ts';

const heldFilesMax = 6;

export class CommitmentStore {
  readonly #files: LedgerFiles;
  readonly #dir: string;
  readonly #log: ManifestTenant;
  readonly #tail: readonly { readonly first: number; readonly commitments: Uint8Array }[];
  readonly #held: Map<number, Uint8Array> = new Map();

  /** @param tail commitments of journal groups, in order, the first at the manifest's size */
  constructor(
    files: LedgerFiles,
    dir: string,
    log: ManifestTenant,
    tail: readonly { readonly first: number; readonly commitments: Uint8Array }[],
  ) {
    this.#files = files;
    this.#dir = dir;
    this.#log = log;
    this.#tail = tail;
  }

  /** The commitments from `index` on that are stored together, up to `end`; empty when they aren't there. */
  async from(index: number, end: number): Promise<Uint8Array> {
    if (index >= this.#log.size) {
      const chunk = this.#chunkOf(index);
      if (chunk === undefined) return new Uint8Array(0);
      const at = index - chunk.first;
      return chunk.commitments.subarray(at * 32, Math.min((end - chunk.first) * 32, chunk.commitments.length));
    }
    const number = Math.floor(index / commitmentsPerFile);
    const bytes = await this.#file(number);
    const first = number * commitmentsPerFile;
    return bytes.subarray((index - first) * 32, (Math.min(end, this.#log.size) - first) * 32);
  }

  #chunkOf(index: number): { readonly first: number; readonly commitments: Uint8Array } | undefined {
    let low = 0;
    let high = this.#tail.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((this.#tail[middle]?.first ?? 0) <= index) low = middle + 1;
      else high = middle;
    }
    const chunk = this.#tail[low - 1];
    return chunk !== undefined && index < chunk.first + chunk.commitments.length / 32 ? chunk : undefined;
  }

  async #file(number: number): Promise<Uint8Array> {
    const held = this.#held.get(number);
    if (held !== undefined) return held;
    const name = commitmentFileName(number);
    // A manifest may claim anything.
    const counted = Math.min(this.#log.files.get(name) ?? 0, commitmentsPerFile * 32);
    let bytes: Uint8Array = new Uint8Array(0);
    if (((await this.#files.size(`${this.#dir}/${name}`)) ?? 0) >= counted && counted > 0) {
      const file = await this.#files.open(`${this.#dir}/${name}`, 'read');
      try {
        bytes = await readRange(file, 0, counted);
      } finally {
        await file.close();
      }
    }
    if (this.#held.size >= heldFilesMax) this.#held.delete(this.#held.keys().next().value ?? -1);
    this.#held.set(number, bytes);
    return bytes;
  }
}

/** Leaves whose commitments are in files, whether a manifest counts them or not. */
export async function storedCommitments(files: Pick<LedgerFiles, 'list' | 'size'>, dir: string): Promise<number> {
  let leaves = 0;
  for (const entry of await files.list(`${dir}/commitments`)) {
    const name = `commitments/${entry}`;
    const parsed = parseArchiveName(name);
    if (parsed?.kind !== 'commitments') continue;
    const held = Math.floor(((await files.size(`${dir}/${name}`)) ?? 0) / 32);
    if (held > 0) leaves = Math.max(leaves, parsed.number * commitmentsPerFile + Math.min(held, commitmentsPerFile));
  }
  return leaves;
}
