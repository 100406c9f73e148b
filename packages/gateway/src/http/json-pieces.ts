/**
 * Where the values in a JSON object begin and end, found in its bytes as they pass, whatever their number: each member of the object by itself, of a list each item. Nothing is held here but
 * a name. What stands inside of a value is not judged: whoever parses it does that.
 */

/** A place in the chunk that was just given: behind the last byte of a value, or at its first. */
export interface PieceMark {
  readonly kind: 'start' | 'end';
  readonly at: number;
  /** Of the member of the object. */
  readonly name: string;
  /** One of the items of a list. */
  readonly item: boolean;
}

const nameBytesMax = 256;
/** FHIR's longest resource has fewer. */
const membersMax = 128;

const quote = 0x22;
const backslash = 0x5c;
const comma = 0x2c;
const colon = 0x3a;
const openBrace = 0x7b;
const closeBrace = 0x7d;
const openBracket = 0x5b;
const closeBracket = 0x5d;

export class JsonPieces {
  /** Of the members so far; '' of a document that is a list. */
  readonly names: Set<string> = new Set();
  readonly #lists: boolean;
  #depth = 0;
  #inString = false;
  #escaped = false;
  /** What comes next in the object itself. */
  #expects: 'name' | 'colon' | 'value' = 'name';
  /** Bytes of the name that is being read. */
  #name: number[] | undefined;
  #member = '';
  /** Inside of a member that is a list. */
  #list = false;
  #open: 'nothing' | 'scalar' | 'container' = 'nothing';
  #marks: PieceMark[] = [];
  #over = false;
  /** The document is a list. */
  #isList = false;
  #begun = false;

  /** Not a JSON object, one with a member twice, or one with more members than anybody reads. */
  broken = false;

  /** Broken inside of an object: readers that are less strict each find something else in it. */
  get ambiguous(): boolean {
    return this.broken && this.#begun && !this.#over;
  }

  /** It came to its end, and there was nothing behind it. */
  get whole(): boolean {
    return this.#over && !this.broken;
  }

  /** `lists`: the document may be a list as well, whose items are its pieces. */
  constructor(options: { readonly lists: boolean } = { lists: false }) {
    this.#lists = options.lists;
  }

  /** Whose value is not known to be at its end; undefined between two of them. */
  get member(): string | undefined {
    return this.#over || this.#depth === 0 || this.#expects === 'name' ? undefined : this.#member;
  }

  push(chunk: Uint8Array): readonly PieceMark[] {
    this.#marks = [];
    for (let at = 0; at < chunk.length && !this.broken; at += 1) {
      if (this.#open === 'container') at = this.#skipContainer(chunk, at);
      else if (this.#inString && this.#name === undefined) at = this.#skipText(chunk, at);
      else this.#take(chunk[at] as number, at);
    }
    return this.#marks;
  }

  #take(byte: number, at: number): void {
    if (this.#inString) this.#inText(byte);
    else if (!isSpace(byte)) this.#outside(byte, at);
  }

  /** Most bytes are inside of a value: nothing is looked for there but its end. Returns where that is, or the end of the chunk. */
  #skipContainer(chunk: Uint8Array, from: number): number {
    const outer = this.#list ? 2 : 1;
    let depth = this.#depth;
    let inString = this.#inString;
    let escaped = this.#escaped;
    let at = from;
    for (; at < chunk.length; at += 1) {
      const byte = chunk[at] as number;
      if (inString) {
        if (escaped) escaped = false;
        else if (byte === backslash) escaped = true;
        else if (byte === quote) inString = false;
      } else if (byte === quote) inString = true;
      else if (byte === openBrace || byte === openBracket) depth += 1;
      else if (byte === closeBrace || byte === closeBracket) {
        depth -= 1;
        if (depth > outer) continue;
        this.#mark('end', at + 1);
        this.#open = 'nothing';
        break;
      }
    }
    this.#depth = depth;
    this.#inString = inString;
    this.#escaped = escaped;
    return at;
  }

  /** Of a value that is no container. */
  #skipText(chunk: Uint8Array, from: number): number {
    let escaped = this.#escaped;
    let at = from;
    for (; at < chunk.length; at += 1) {
      const byte = chunk[at];
      if (escaped) escaped = false;
      else if (byte === backslash) escaped = true;
      else if (byte === quote) {
        this.#inString = false;
        break;
      }
    }
    this.#escaped = escaped;
    return at;
  }

  /** A name. */
  #inText(byte: number): void {
    const ends = !this.#escaped && byte === quote;
    this.#escaped = !this.#escaped && byte === backslash;
    if (ends) this.#inString = false;
    const name = this.#name ?? [];
    if (ends) this.#endName(name);
    else if (name.length === nameBytesMax) this.broken = true;
    else name.push(byte);
  }

  #endName(bytes: readonly number[]): void {
    this.#name = undefined;
    const name = unescaped(Buffer.from(bytes).toString('utf8'));
    this.broken ||= name === undefined || this.names.has(name) || this.names.size === membersMax;
    this.#member = name ?? '';
    this.names.add(this.#member);
    this.#expects = 'colon';
  }

  #outside(byte: number, at: number): void {
    const begins = byte === openBrace || (byte === openBracket && this.#lists) || this.#skipsMark(byte);
    if (this.#over || (this.#depth === 0 && !begins)) {
      this.broken = true;
      return;
    }
    switch (byte) {
      case quote:
        this.#inString = true;
        if (this.#depth === 1 && this.#expects === 'name') this.#name = [];
        else this.#startScalar(at);
        break;
      case openBrace:
      case openBracket:
        this.#enter(byte, at);
        break;
      case closeBrace:
      case closeBracket:
        this.#leave(byte, at);
        break;
      case comma:
        this.#endScalar(at);
        if (this.#depth === 1) this.#expects = 'name';
        break;
      case colon:
        if (this.#depth === 1) this.#expects = 'value';
        break;
      default:
        if (this.#depth > 0) this.#startScalar(at);
    }
  }

  /** Many readers skip a byte order mark. */
  #skipsMark(byte: number): boolean {
    return !this.#begun && (byte === 0xef || byte === 0xbb || byte === 0xbf);
  }

  #enter(byte: number, at: number): void {
    if (this.#depth === 0) {
      this.#begun = true;
      if (byte === openBracket) this.#enterDocument();
    } else if (this.#depth === 1 && byte === openBracket) this.#list = true;
    else if (this.#isSlot) {
      this.#mark('start', at);
      this.#open = 'container';
    }
    this.#depth += 1;
  }

  /** As if it were the only member, without a name. */
  #enterDocument(): void {
    this.#depth = 1;
    this.#isList = true;
    this.#list = true;
    this.#expects = 'value';
    this.names.add('');
  }

  #leave(byte: number, at: number): void {
    this.#endScalar(at);
    this.#depth -= 1;
    if (this.#depth === 0) {
      this.#over = true;
      this.broken ||= byte !== closeBrace;
    } else if (this.#depth === 1 && this.#list) {
      this.broken ||= byte !== closeBracket;
      this.#list = false;
      this.#over = this.#isList;
    }
  }

  /** A value that is looked for may begin here. */
  get #isSlot(): boolean {
    if (this.#open !== 'nothing') return false;
    return (this.#depth === 1 && this.#expects === 'value') || (this.#depth === 2 && this.#list);
  }

  #startScalar(at: number): void {
    if (!this.#isSlot) return;
    this.#mark('start', at);
    this.#open = 'scalar';
  }

  #endScalar(at: number): void {
    if (this.#open !== 'scalar') return;
    this.#mark('end', at);
    this.#open = 'nothing';
  }

  #mark(kind: PieceMark['kind'], at: number): void {
    this.#marks.push({ kind, at, name: this.#member, item: this.#list });
  }
}

/** The pieces of a text that is there as a whole; undefined where it is no sound object. */
export function piecesOf(
  text: Uint8Array,
):
  | readonly { readonly name: string; readonly item: boolean; readonly from: number; readonly to: number }[]
  | undefined {
  const scanner = new JsonPieces();
  const marks = scanner.push(text);
  if (!scanner.whole) return undefined;
  return marks.flatMap(({ kind, at, name, item }, position) =>
    kind === 'start' ? [{ name, item, from: at, to: marks[position + 1]?.at ?? at }] : [],
  );
}

/** No two readers have to find the same in it. */
export function isAmbiguous(text: Uint8Array): boolean {
  const scanner = new JsonPieces();
  scanner.push(text);
  return scanner.ambiguous;
}

function unescaped(text: string): string | undefined {
  if (!text.includes('\\')) return text;
  try {
    return JSON.parse(`"${text}"`) as string;
  } catch {
    return undefined;
  }
}

function isSpace(byte: number): boolean {
  return byte === 0x20 || byte === 0x0a || byte === 0x0d || byte === 0x09;
}
