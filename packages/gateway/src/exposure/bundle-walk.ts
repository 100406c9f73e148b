/**
 * Where addresses stand in a Bundle or in Parameters, found in its bytes as they pass: links, `fullUrl` and what entries say of their exchange, in Bundles inside of them as well. What a
 * resource itself says is passed over. Nothing is held here but a name; nesting is bounded.
 */

/** A place in the chunk that was just given: behind the last byte of a value, or at its first. */
export interface AddressMark {
  readonly kind: 'start' | 'end';
  readonly at: number;
  readonly what: 'link' | 'address';
  readonly place: Place;
}

export interface Place {
  /** How many resources are around the one that it stands in: none around the document itself. */
  readonly depth: number;
  /** It is of an entry, not of its Bundle. */
  readonly ofEntry: boolean;
  /** Of the entry of the document that it stands in. */
  readonly position: number | undefined;
}

type Kind = 'resource' | 'entry' | 'exchange' | 'parameter';

/** What stands under which name. Whether it is a Bundle may be said at its end only: of other resources some have these names, and no addresses there. */
const shapes: Readonly<Record<Kind, ReadonlyMap<string, Kind | AddressMark['what']>>> = {
  resource: new Map([
    ['link', 'link'],
    ['entry', 'entry'],
    ['parameter', 'parameter'],
  ]),
  entry: new Map<string, Kind | AddressMark['what']>([
    ['fullUrl', 'address'],
    ['link', 'link'],
    ['request', 'exchange'],
    ['resource', 'resource'],
    ['response', 'exchange'],
  ]),
  exchange: new Map([
    ['location', 'address'],
    ['url', 'address'],
  ]),
  parameter: new Map([
    ['part', 'parameter'],
    ['resource', 'resource'],
  ]),
};

interface Frame {
  readonly kind: Kind;
  readonly depth: number;
  expects: 'name' | 'colon' | 'value' | 'comma';
  /** Of the member that is being read. */
  role: Kind | AddressMark['what'] | undefined;
  /** Inside of a list of those. */
  inList: boolean;
  /** In that list. */
  index: number;
}

const framesMax = 128;
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

export class BundleWalk {
  readonly #frames: Frame[] = [];
  #frame: Frame | undefined;
  /** Of the document. */
  readonly #names = new Set<string>();
  #text: 'none' | 'name' | 'value' = 'none';
  #name: number[] = [];
  #escaped = false;
  /** Inside of a value that is passed over, or held as one. */
  #opaqueDepth = 0;
  #opaqueText = false;
  #marked: AddressMark['what'] | undefined;
  #marks: AddressMark[] = [];
  #begun = false;
  #over = false;

  /** Not a JSON object, or one that readers may read differently. */
  broken = false;

  /** Broken inside of an object, or with more behind it: readers that are less strict each find something else in it. */
  get ambiguous(): boolean {
    return this.broken && this.#begun;
  }

  /** A link is not at its end, or may be followed by another one. */
  get inLinks(): boolean {
    const frame = this.#frame;
    return this.#marked !== undefined || (frame?.role === 'link' && frame.expects !== 'name');
  }

  push(chunk: Uint8Array): readonly AddressMark[] {
    this.#marks = [];
    for (let at = 0; at < chunk.length && !this.broken; at += 1) {
      if (this.#opaqueDepth > 0) at = this.#passContainer(chunk, at);
      else if (this.#text === 'value') at = this.#passText(chunk, at);
      else if (this.#text === 'name') this.#inName(chunk[at] as number);
      else this.#outside(chunk[at] as number, at);
    }
    return this.#marks;
  }

  /** Nothing is looked for there but its end. Returns where that is, or the end of the chunk. */
  #passContainer(chunk: Uint8Array, from: number): number {
    let depth = this.#opaqueDepth;
    let inText = this.#opaqueText;
    let escaped = this.#escaped;
    let at = from;
    for (; at < chunk.length && depth > 0; at += 1) {
      const byte = chunk[at] as number;
      if (inText) {
        if (escaped) escaped = false;
        else if (byte === backslash) escaped = true;
        else if (byte === quote) inText = false;
      } else if (byte === quote) inText = true;
      else if (byte === openBrace || byte === openBracket) depth += 1;
      else if (byte === closeBrace || byte === closeBracket) depth -= 1;
    }
    this.#opaqueDepth = depth;
    this.#opaqueText = inText;
    this.#escaped = escaped;
    if (depth === 0) this.#endValue(at);
    return at - 1;
  }

  #passText(chunk: Uint8Array, from: number): number {
    for (let at = from; at < chunk.length; at += 1) {
      const byte = chunk[at];
      if (this.#escaped) this.#escaped = false;
      else if (byte === backslash) this.#escaped = true;
      else if (byte === quote) {
        this.#text = 'none';
        this.#endValue(at + 1);
        return at;
      }
    }
    return chunk.length;
  }

  #inName(byte: number): void {
    const ends = !this.#escaped && byte === quote;
    this.#escaped = !this.#escaped && byte === backslash;
    if (!ends) {
      // One that is longer is none that is looked for; of the document it is too long to be compared with the others.
      if (this.#name.length <= nameBytesMax) this.#name.push(byte);
      return;
    }
    const frame = this.#frame as Frame;
    const name = this.#name.length > nameBytesMax ? undefined : unescaped(Buffer.from(this.#name).toString('utf8'));
    if (this.#frames.length === 1) this.#noteName(name);
    frame.role = name === undefined ? undefined : shapes[frame.kind].get(name);
    frame.expects = 'colon';
    this.#text = 'none';
  }

  #noteName(name: string | undefined): void {
    this.broken ||= name === undefined || this.#names.has(name) || this.#names.size === membersMax;
    this.#names.add(name ?? '');
  }

  #outside(byte: number, at: number): void {
    if (byte === 0x20 || byte === 0x0a || byte === 0x0d || byte === 0x09) return;
    const frame = this.#frame;
    if (frame === undefined) {
      this.#begin(byte);
      return;
    }
    switch (byte) {
      case quote:
        this.#startText(frame, at);
        break;
      case colon:
        if (frame.expects === 'colon') frame.expects = 'value';
        else this.broken = true;
        break;
      case comma:
        this.broken ||= frame.expects === 'name' || frame.expects === 'colon';
        if (frame.inList) frame.index += 1;
        frame.expects = frame.inList ? 'value' : 'name';
        break;
      case openBrace:
      case openBracket:
        if (frame.expects === 'value') this.#enter(frame, byte, at);
        else this.broken = true;
        break;
      case closeBrace:
        this.#leave(frame);
        break;
      case closeBracket:
        this.broken ||= !frame.inList;
        frame.inList = false;
        frame.expects = 'comma';
        break;
      default:
        this.broken ||= frame.expects !== 'value';
    }
  }

  /** Many readers skip a byte order mark. */
  #begin(byte: number): void {
    if (this.#over || this.#begun) this.broken = true;
    else if (byte === openBrace) {
      this.#begun = true;
      this.#push('resource', 0);
    } else this.broken = byte !== 0xef && byte !== 0xbb && byte !== 0xbf;
  }

  #startText(frame: Frame, at: number): void {
    if (frame.expects === 'name') {
      this.#text = 'name';
      this.#name = [];
      return;
    }
    this.broken ||= frame.expects !== 'value';
    this.#text = 'value';
    const { role } = frame;
    // A link that is only a text, or a list in a list, is none anybody knows how to say otherwise: of the document it is held to be refused.
    if ((role === 'address' && !frame.inList) || (role === 'link' && this.#frames.length === 1)) this.#mark(role, at);
  }

  #enter(frame: Frame, byte: number, at: number): void {
    const { role } = frame;
    if (byte === openBracket && !frame.inList && role !== undefined && role !== 'address') {
      frame.inList = true;
      frame.index = 0;
    } else if (role === 'link' && (byte === openBrace || this.#frames.length === 1)) {
      this.#mark('link', at);
      this.#opaqueDepth = 1;
    } else if (byte === openBracket || role === undefined || role === 'address' || role === 'link')
      this.#opaqueDepth = 1;
    else this.#push(role, frame.depth + (role === 'resource' ? 1 : 0));
    // The byte itself is passed already.
    this.#opaqueText = false;
  }

  #push(kind: Kind, depth: number): void {
    this.#frame = { kind, depth, expects: 'name', role: undefined, inList: false, index: 0 };
    this.#frames.push(this.#frame);
    this.broken ||= this.#frames.length > framesMax;
  }

  #leave(frame: Frame): void {
    this.broken ||= frame.inList || frame.expects === 'colon';
    this.#frames.pop();
    this.#frame = this.#frames.at(-1);
    if (this.#frame === undefined) this.#over = true;
    else this.#frame.expects = 'comma';
  }

  #mark(what: AddressMark['what'], at: number): void {
    this.#marked = what;
    this.#marks.push({ kind: 'start', at, what, place: this.#place() });
  }

  #endValue(at: number): void {
    (this.#frame as Frame).expects = 'comma';
    if (this.#marked === undefined) return;
    this.#marks.push({ kind: 'end', at, what: this.#marked, place: this.#place() });
    this.#marked = undefined;
  }

  #place(): Place {
    const [document] = this.#frames;
    const { kind, depth } = this.#frame as Frame;
    const position = document?.role === 'entry' && this.#frames.length > 1 ? document.index : undefined;
    return { depth, ofEntry: kind === 'entry', position };
  }
}

function unescaped(text: string): string | undefined {
  if (!text.includes('\\')) return text;
  try {
    return JSON.parse(`"${text}"`) as string;
  } catch {
    return undefined;
  }
}
