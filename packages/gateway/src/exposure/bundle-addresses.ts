/**
 * Puts other addresses into a Bundle, in its bytes: nothing else of it changes, not a digit of a number. In one that is there as a whole, or in one that passes, where a link is held until
 * it ends. Links are said anew by who knows which search they go on with; of `fullUrl`, `location` and `url` of an entry the base is moved. What stands in resources stays: what a client
 * sends back has to be what the API knows.
 */
import { isObject, type Json } from '../fhir/reference.ts';
import { parseJson, stringifyShallow } from '../http/one-reading.ts';
import { type AddressMark, BundleWalk, type Place } from './bundle-walk.ts';
import { type Move, mayHoldAddress, movedText } from './moved-address.ts';

/** What to say instead of a link; the same link where nothing is to change, undefined where it can't be said, and nothing may leave. */
export type Relink = (link: Json, place: Place) => Json | undefined;

export interface Readdress {
  readonly relink: Relink;
  readonly move: Move;
}

const addressBytesMax = 64 * 1_024;

/** Changes the chunks of one Bundle, one after the other. */
export class BundleAddresses {
  readonly #walk = new BundleWalk();
  readonly #to: Readdress;
  /** The beginning of what is to be said otherwise. */
  #held: Uint8Array[] = [];
  #heldBytes = 0;
  #isHeld = false;
  /** So many bytes more than came. */
  addedBytes = 0;

  constructor(to: Readdress) {
    this.#to = to;
  }

  /** It is no JSON object: nobody can say where its addresses are. */
  get broken(): boolean {
    return this.#walk.broken;
  }

  /** The links are not at their end. */
  get inLinks(): boolean {
    return this.#walk.inLinks;
  }

  /** Undefined where a link can't be passed on, and it has to end here: so has what readers may read differently, of a member twice or a second document behind the first. */
  change(chunk: Buffer): Buffer | undefined {
    const out: Uint8Array[] = [];
    let from = 0;
    const marks = this.#walk.push(chunk);
    if (this.#walk.ambiguous) return undefined;
    if (marks.length === 0 && !this.#isHeld) return chunk;
    for (const mark of marks) {
      if (mark.kind === 'start') {
        out.push(chunk.subarray(from, mark.at));
        this.#isHeld = true;
      } else {
        this.#hold(chunk.subarray(from, mark.at));
        const said = this.#end(mark);
        if (said === undefined) return undefined;
        out.push(said);
      }
      from = mark.at;
    }
    const rest = chunk.subarray(from);
    if (!this.#isHeld) out.push(rest);
    else if (!this.#hold(rest)) return undefined;
    const changed = Buffer.concat(out);
    this.addedBytes += changed.length - chunk.length;
    return changed;
  }

  #hold(part: Uint8Array): boolean {
    this.#heldBytes += part.length;
    this.#held.push(part);
    return this.#heldBytes <= addressBytesMax;
  }

  #end({ what, place }: AddressMark): Uint8Array | undefined {
    const text = Buffer.concat(this.#held);
    this.#held = [];
    this.#heldBytes = 0;
    this.#isHeld = false;
    if (text.length > addressBytesMax) return undefined;
    if (what === 'address') return movedText(text, this.#to.move) ?? text;
    // A byte that is no UTF-8 is read as most readers do; what is no JSON some read nonetheless, and nobody knows how.
    const link = parseJson(text.toString('utf8'));
    if (link === undefined) return undefined;
    const changed = isObject(link) ? this.#to.relink(link, place) : undefined;
    if (changed === link) return text;
    const said = changed && stringifyShallow(changed);
    return said === undefined ? undefined : Buffer.from(said);
  }
}

/** Of a whole Bundle; the same body where nothing changes. Undefined where a link can't be passed on; what is no JSON object has no addresses, and stays what it is. */
export function readdressBundle(body: Buffer, to: Readdress): Buffer | undefined {
  // Most have their links at the beginning, and nothing of what comes after the last one has to be looked at, unless the API says its own address.
  const last = mayHoldAddress(body, to.move) ? body.length : endOfLastName(body);
  const addresses = new BundleAddresses(to);
  const out: Buffer[] = [];
  let at = 0;
  for (let end = last; at < body.length && (at < last || addresses.inLinks); end = at + stepBytes) {
    const changed = addresses.change(body.subarray(at, end));
    if (changed === undefined) return undefined;
    if (addresses.broken) return body;
    out.push(changed);
    at = Math.min(end, body.length);
  }
  // It ended in the middle of one.
  if (out.length === 0 || addresses.inLinks) return body;
  const changed = Buffer.concat([...out, body.subarray(at)]);
  return changed.equals(body) ? body : changed;
}

const stepBytes = 1_024;
const plainName = '"link"';

function endOfLastName(body: Buffer): number {
  const at = body.lastIndexOf(plainName);
  return at === -1 ? 0 : at + plainName.length;
}
