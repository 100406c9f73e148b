/**
 * Learns from a Bundle while it passes, in bounded memory: each entry is held until it ends, and no longer one than the bound. What can't be read makes what was learnt `truncated`; so does
 * an answer that turns out to be something else. `Parameters` are read the same way, by their parameters.
 */
import { JsonPieces } from '../http/json-pieces.ts';
import { parsePartialJson } from '../http/partial-json.ts';
import { type Learned, Learner, textOf } from './exposure.ts';

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
  /** The last piece that ended in the beginning. */
  #last: { readonly name: string; readonly item: boolean; readonly text: string } | undefined;

  /** `beginning` is what was learnt from before. What it cut off is read once more, as a whole. */
  constructor(beginning: Uint8Array, options: { readonly pieceBytesMax: number }) {
    this.#pieceBytesMax = options.pieceBytesMax;
    let lastEnd = 0;
    this.push(beginning, (at) => {
      lastEnd = at;
    });
    this.#learns = true;
    if (this.#last === undefined) return;
    // Of one that is no JSON nothing was learnt.
    this.#understood = parsePartialJson(textOf(beginning)) !== undefined;
    // Of any other everything up to its last comma was: a piece that none follows was not.
    if (!isFollowed(beginning, lastEnd)) this.#learn(this.#last);
    this.#last = undefined;
  }

  push(chunk: Uint8Array, onEnd?: (at: number) => void): undefined {
    // An open piece goes on at the first byte.
    if (this.#from !== undefined) this.#from = 0;
    for (const { kind, at, name, item } of this.#pieces.push(chunk)) {
      if (kind === 'start') {
        this.#from = at;
        continue;
      }
      this.#hold(chunk.subarray(this.#from ?? 0, at));
      this.#endPiece(name, item);
      onEnd?.(at);
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
    else if (this.#learns) this.#learn({ name, item, text });
    else this.#last = { name, item, text };
  }

  #learn({ name, item, text }: { readonly name: string; readonly item: boolean; readonly text: string }): void {
    // An envelope, which isn't counted: what stands in it is.
    const value = item ? `[${text}]` : text;
    const read = this.#learner.addText(`{"resourceType":"Bundle",${JSON.stringify(name)}:${value}}`, true);
    this.#understood &&= read;
  }
}

/** By a comma, behind the end of its list or not. */
function isFollowed(bytes: Uint8Array, end: number): boolean {
  let at = end;
  while (at < bytes.length && ' \t\r\n]'.includes(String.fromCharCode(bytes[at] as number))) at += 1;
  return bytes[at] === 0x2c;
}

function unquoted(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
