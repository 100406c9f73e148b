/**
 * Learns from a Bundle while it passes, in bounded memory: each entry is held until it ends, and no longer one than the bound. What can't be read makes what was learnt `truncated`; so does
 * an answer that turns out to be something else. `Parameters` are read the same way, by their parameters.
 */
import { JsonPieces } from '../http/json-pieces.ts';
import { type Learned, Learner } from './exposure.ts';

/** They carry resources, and are none themselves: piece by piece they tell what they tell as a whole. */
const carriers: ReadonlySet<unknown> = new Set(['Bundle', 'Parameters']);

export class BundleReader {
  readonly #learner = new Learner();
  readonly #pieces = new JsonPieces();
  readonly #pieceBytesMax: number;
  #held: Uint8Array[] = [];
  #heldBytes = 0;
  /** Where the piece that is open began in this chunk. */
  #from: number | undefined;
  #understood = true;
  #type: unknown;
  /** Only behind the beginning: what ended in it is learnt from already. */
  #learns = false;

  /** `beginning` is what was learnt from before. What it cut off is read once more, as a whole. */
  constructor(beginning: Uint8Array, options: { readonly pieceBytesMax: number }) {
    this.#pieceBytesMax = options.pieceBytesMax;
    this.push(beginning);
    this.#learns = true;
  }

  push(chunk: Uint8Array): undefined {
    // An open piece goes on at the first byte.
    if (this.#from !== undefined) this.#from = 0;
    for (const { kind, at, name, item } of this.#pieces.push(chunk)) {
      if (kind === 'start') {
        this.#from = at;
        continue;
      }
      this.#hold(chunk.subarray(this.#from ?? 0, at));
      this.#endPiece(name, item);
      this.#from = undefined;
    }
    if (this.#from !== undefined) this.#hold(chunk.subarray(this.#from));
  }

  /** What all of it behind the beginning told; `complete` where it came to its end. */
  async finish(complete: boolean): Promise<Learned> {
    const whole = complete && this.#understood && this.#pieces.whole && carriers.has(this.#type);
    return this.#learner.finish({ bytes: 0, unread: !whole });
  }

  #hold(part: Uint8Array): void {
    this.#heldBytes += part.length;
    if (this.#heldBytes <= this.#pieceBytesMax) this.#held.push(part);
    else this.#held = [];
  }

  #endPiece(name: string, item: boolean): void {
    const tooLong = this.#heldBytes > this.#pieceBytesMax;
    const text = tooLong ? '' : Buffer.concat(this.#held).toString('utf8');
    this.#held = [];
    this.#heldBytes = 0;
    if (name === 'resourceType') this.#type = unquoted(text);
    else if (tooLong) this.#understood &&= !this.#learns;
    else if (this.#learns) {
      // An envelope, which isn't counted: what stands in it is.
      const value = item ? `[${text}]` : text;
      const read = this.#learner.addText(`{"resourceType":"Bundle",${JSON.stringify(name)}:${value}}`, true);
      this.#understood &&= read;
    }
  }
}

function unquoted(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
