/**
 * A JSON document that passes, piece by piece: each member, of a list each item, held until it ends and no longer than the bound. What was learnt from its beginning before is told as known;
 * what the bound cut in two is told as a whole.
 */
import { JsonPieces } from '../http/json-pieces.ts';
import { parsePartialJson } from '../http/partial-json.ts';
import { textOf } from './exposure.ts';

export interface Piece {
  /** Of the member; '' in a document that is a list itself. */
  readonly name: string;
  /** Where it stands in its list; undefined for what is no item of one. */
  readonly index: number | undefined;
  text(): string;
}

/** False where it can't be understood. */
export type TakePiece = (piece: Piece, known: boolean) => boolean;

export class PassingPieces {
  readonly #scanner: JsonPieces;
  readonly #pieceBytesMax: number;
  readonly #take: TakePiece;
  #held: Uint8Array[] = [];
  #heldBytes = 0;
  /** Where the piece that is open began in this chunk. */
  #from: number | undefined;
  /** Of the list, and how many of its items have ended. */
  #list = { name: '', count: 0 };
  #known = true;
  /** The last piece that ended in the beginning, where, and whether it was the only one. */
  #last: { readonly piece: Piece; readonly end: number; readonly alone: boolean } | undefined;
  #understood = true;

  /** `beginning` is what was learnt from before. */
  constructor(
    beginning: Uint8Array,
    options: { readonly pieceBytesMax: number; readonly take: TakePiece; readonly lists?: boolean },
  ) {
    this.#pieceBytesMax = options.pieceBytesMax;
    this.#take = options.take;
    this.#scanner = new JsonPieces({ lists: options.lists === true });
    this.push(beginning);
    this.#known = false;
    if (this.#last === undefined) return;
    const { piece, end, alone } = this.#last;
    const followed = isFollowed(beginning, end);
    // Of a beginning everything up to its last comma was learnt: a piece that none follows was not.
    if (!followed) this.#tell(piece);
    // And of one that is no JSON nothing at all.
    if (followed || !alone) this.#understood &&= parsePartialJson(textOf(beginning)) !== undefined;
    this.#last = undefined;
  }

  /** Names of the members so far. */
  get names(): ReadonlySet<string> {
    return this.#scanner.names;
  }

  push(chunk: Uint8Array): void {
    // An open piece goes on at the first byte.
    if (this.#from !== undefined) this.#from = 0;
    for (const { kind, at, name, item } of this.#scanner.push(chunk)) {
      if (kind === 'start') {
        this.#from = at;
        continue;
      }
      this.#hold(chunk.subarray(this.#from ?? 0, at));
      this.#from = undefined;
      this.#end(name, item, at);
    }
    if (this.#from !== undefined) this.#hold(chunk.subarray(this.#from));
  }

  /** All of it could be read; `complete` where it came to its end. */
  isWhole(complete: boolean): boolean {
    return complete && this.#understood && this.#scanner.whole;
  }

  #hold(part: Uint8Array): void {
    this.#heldBytes += part.length;
    if (this.#heldBytes <= this.#pieceBytesMax) this.#held.push(part);
    else this.#held = [];
  }

  #end(name: string, item: boolean, at: number): void {
    const held = this.#held;
    const tooLong = this.#heldBytes > this.#pieceBytesMax;
    this.#held = [];
    this.#heldBytes = 0;
    if (this.#list.name !== name) this.#list = { name, count: 0 };
    const index = item ? this.#list.count : undefined;
    this.#list.count += 1;
    const piece: Piece = { name, index, text: () => Buffer.concat(held).toString('utf8') };
    if (this.#known) {
      this.#take(piece, true);
      this.#last = { piece, end: at, alone: this.#last === undefined };
    } else if (tooLong) this.#understood = false;
    else this.#tell(piece);
  }

  #tell(piece: Piece): void {
    const understood = this.#take(piece, false);
    this.#understood &&= understood;
  }
}

/** By a comma, behind the end of its list or not. */
function isFollowed(bytes: Uint8Array, end: number): boolean {
  let at = end;
  while (at < bytes.length && ' \t\r\n]'.includes(String.fromCharCode(bytes[at] as number))) at += 1;
  return bytes[at] === 0x2c;
}
