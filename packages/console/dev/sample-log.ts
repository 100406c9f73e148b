/** A real log in memory over synthetic events: leaves, tree, signed checkpoints, proofs and tiles, made with `@watchglass/record`. */
import {
  commit,
  type Event,
  encode,
  encodeBase64,
  foldStep,
  formatCheckpoint,
  formatProof,
  formatVerifierKey,
  generateSigner,
  hashChildren,
  inclusionProof,
  leafHashOf,
  minimise,
  openingExtra,
  originHashOf,
  parseTilePath,
  rootOf,
  signNote,
} from '@watchglass/record';
import type { ListedEvent } from '../src/api/client.ts';
import { sha256 } from './hash.ts';
import { sampleSent, sampleTenant, showSample } from './sample-event.ts';

export const sampleOrigin: string = `watchglass.example/${sampleTenant}`;

interface Leaf {
  readonly shown: ListedEvent;
  readonly r: Uint8Array;
  readonly m: Uint8Array;
  readonly hash: Uint8Array;
}

export class SampleLog {
  readonly #leaves: Leaf[] = [];
  readonly #hashes: Uint8Array[] = [];
  readonly #signer: ReturnType<typeof generateSigner>;
  readonly vkey: string;

  /** `seed` decides the signing key. */
  constructor(seed = 'sample') {
    this.#signer = generateSigner(sampleOrigin, sha256(seed));
    this.vkey = formatVerifierKey(this.#signer);
  }

  get size(): number {
    return this.#leaves.length;
  }

  get shown(): readonly ListedEvent[] {
    return this.#leaves.map((leaf) => leaf.shown);
  }

  append(sent: Event = sampleSent(this.size)): ListedEvent {
    const index = this.size;
    const event = minimise(sent);
    const m = encode({ received: event.time, submitter: 'key:k1', intake: 'http', digest: '0'.repeat(64), event });
    const r = sha256(`r ${index}`);
    const hash = leafHashOf(commit({ originHash: originHashOf(sampleOrigin), index, r, m }));
    const shown = { ...showSample(index, event), leaf: encodeBase64(hash) };
    this.#leaves.push({ shown, r, m, hash });
    this.#hashes.push(hash);
    return shown;
  }

  checkpoint(size: number = this.size): string {
    const root = rootOf(this.#hashes.slice(0, size));
    return signNote(formatCheckpoint({ origin: sampleOrigin, size: BigInt(size), root, extensions: [] }), [
      this.#signer,
    ]);
  }

  proof(index: number, options: { readonly opening?: boolean; readonly size?: number } = {}): string {
    const leaf = this.#leaves[index];
    const size = options.size ?? this.size;
    if (!leaf) throw new RangeError(`no event ${index}`);
    return formatProof({
      ...((options.opening ?? true) && { extra: openingExtra(leaf.r, leaf.m) }),
      index: BigInt(index),
      hashes: inclusionProof(index, size, this.#hashes.slice(0, size)),
      checkpoint: this.checkpoint(size),
    });
  }

  /** A tile by its C2SP path; undefined past the end. */
  tile(path: string): Uint8Array | undefined {
    const { level, n, width } = parseTilePath(path);
    if (level === 'entries') return undefined;
    const bytes = new Uint8Array(width * 32);
    const span = 256 ** level;
    for (let i = 0; i < width; i++) {
      const first = (Number(n) * 256 + i) * span;
      if (first + span > this.size) return undefined;
      bytes.set(complete(this.#hashes.slice(first, first + span)), i * 32);
    }
    return bytes;
  }
}

function complete(hashes: readonly Uint8Array[]): Uint8Array {
  if (hashes.length === 1) return foldStep(hashes);
  const half = hashes.length / 2;
  return hashChildren(complete(hashes.slice(0, half)), complete(hashes.slice(half)));
}
