/**
 * Learns from a Bundle while it passes, in bounded memory: each entry is held until it ends, and no longer one than the bound. What can't be read makes what was learnt `truncated`; so does
 * an answer that turns out to be something else. `Parameters` are read the same way, by their parameters.
 */
import { type Learned, Learner } from './exposure.ts';
import { PassingPieces, type Piece } from './passing-pieces.ts';

/** They carry resources, and are none themselves: piece by piece they tell what they tell as a whole. */
const carriers: ReadonlySet<unknown> = new Set(['"Bundle"', '"Parameters"']);

export class BundleReader {
  readonly #learner = new Learner();
  readonly #pieces: PassingPieces;
  #type: string | undefined;

  /** `beginning` is what was learnt from before. What it cut off is read once more, as a whole. */
  constructor(beginning: Uint8Array, options: { readonly pieceBytesMax: number }) {
    this.#pieces = new PassingPieces(beginning, { ...options, take: (piece, known) => this.#take(piece, known) });
  }

  push(chunk: Uint8Array): undefined {
    this.#pieces.push(chunk);
  }

  /** What all of it behind the beginning told; `complete` where it came to its end. */
  async finish(complete: boolean): Promise<Learned> {
    const whole = this.#pieces.isWhole(complete) && carriers.has(this.#type);
    return this.#learner.finish({ bytes: 0, unread: !whole });
  }

  #take({ name, index, text }: Piece, known: boolean): boolean {
    if (name === 'resourceType') this.#type = text().trim();
    if (known || name === 'resourceType') return true;
    // An envelope, which isn't counted: what stands in it is.
    const value = index === undefined ? text() : `[${text()}]`;
    return this.#learner.addText(`{"resourceType":"Bundle",${JSON.stringify(name)}:${value}}`, true);
  }
}
