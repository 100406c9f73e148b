/**
 * Puts other links into a Bundle, in its bytes: nothing else of it changes, not a digit of a number. In one that is there as a whole, or in one that passes, where a link is held until it ends.
 */
import { isObject, type Json } from '../fhir/reference.ts';
import { isAmbiguous, JsonPieces, piecesOf } from '../http/json-pieces.ts';
import { parseUtf8, stringifyShallow } from '../http/one-reading.ts';

/** What to say instead of a link; undefined where it can't be said, and nothing may leave. */
export type Relink = (link: Json) => Json | undefined;

const linkBytesMax = 64 * 1_024;

/** Changes the chunks of one Bundle, one after the other. */
export class BundleLinks {
  readonly #pieces = new JsonPieces();
  readonly #relink: Relink;
  /** The beginning of a link. */
  #held: Uint8Array[] = [];
  #heldBytes = 0;
  #inLink = false;
  /** So many bytes more than came. */
  addedBytes = 0;

  constructor(relink: Relink) {
    this.#relink = relink;
  }

  /** It is no JSON object: nobody can say where its links are. */
  get broken(): boolean {
    return this.#pieces.broken;
  }

  /** The links are not at their end. */
  get inLinks(): boolean {
    return this.#pieces.member === 'link';
  }

  /** Undefined where a link can't be passed on, and it has to end here: so has what has a member twice, of which the client may take the other one. */
  change(chunk: Uint8Array): Buffer | undefined {
    const out: Uint8Array[] = [];
    let from = 0;
    const marks = this.#pieces.push(chunk);
    if (this.#pieces.ambiguous) return undefined;
    for (const { kind, at, name } of marks) {
      if (name !== 'link') continue;
      if (kind === 'start') {
        out.push(chunk.subarray(from, at));
        this.#inLink = true;
      } else {
        this.#hold(chunk.subarray(from, at));
        const link = this.#end();
        if (link === undefined) return undefined;
        out.push(link);
      }
      from = at;
    }
    const rest = chunk.subarray(from);
    if (!this.#inLink) out.push(rest);
    else if (!this.#hold(rest)) return undefined;
    const changed = Buffer.concat(out);
    this.addedBytes += changed.length - chunk.length;
    return changed;
  }

  #hold(part: Uint8Array): boolean {
    this.#heldBytes += part.length;
    this.#held.push(part);
    return this.#heldBytes <= linkBytesMax;
  }

  #end(): Buffer | undefined {
    const link = parseUtf8(Buffer.concat(this.#held));
    this.#held = [];
    this.#heldBytes = 0;
    this.#inLink = false;
    const changed = isObject(link) ? this.#relink(link) : undefined;
    const text = changed && stringifyShallow(changed);
    return text === undefined ? undefined : Buffer.from(text);
  }
}

/** Of a whole Bundle. Undefined where a link can't be passed on; what is no JSON object has no links, and stays what it is. */
export function relinkBundle(body: Buffer, relink: Relink): Buffer | undefined {
  if (!mayHoldLinks(body)) return body;
  const links = new BundleLinks(relink);
  const out: Buffer[] = [];
  // Most have them at their beginning, and nothing of what comes after the last one has to be looked at.
  const last = body.includes(escapedLetter) ? body.length : body.lastIndexOf(plainName) + plainName.length;
  let at = 0;
  for (let to = last; at < body.length && (at < last || links.inLinks); to = at + stepBytes) {
    const changed = links.change(body.subarray(at, to));
    if (changed === undefined) return undefined;
    if (links.broken) return body;
    out.push(changed);
    at = Math.min(to, body.length);
  }
  // It ended in the middle of one.
  if (links.inLinks) return body;
  return Buffer.concat([...out, body.subarray(at)]);
}

const stepBytes = 1_024;

/** Of the answer to a batch: the Bundles in its entries. `relinkOf` of those that have links, by their position. */
export function relinkBatch(body: Buffer, relinkOf: (position: number) => Relink | undefined): Buffer | undefined {
  if (!mayHoldLinks(body)) return body;
  const entries = piecesOf(body);
  if (entries === undefined) return isAmbiguous(body) ? undefined : body;
  const out: Uint8Array[] = [];
  let from = 0;
  let position = -1;
  for (const entry of entries) {
    if (entry.name !== 'entry' || !entry.item) continue;
    position += 1;
    const relink = relinkOf(position);
    if (relink === undefined) continue;
    const inside = body.subarray(entry.from, entry.to);
    const members = piecesOf(inside);
    if (members === undefined) return undefined;
    for (const { name, item, from: start, to } of members) {
      if (name !== 'resource' || item) continue;
      const resource = relinkBundle(inside.subarray(start, to), relink);
      if (resource === undefined) return undefined;
      out.push(body.subarray(from, entry.from + start), resource);
      from = entry.from + to;
    }
  }
  return out.length === 0 ? body : Buffer.concat([...out, body.subarray(from)]);
}

const plainName = '"link"';
/** How a name that is written in another way would begin one of its letters. */
const escapedLetter = '\\u006';

function mayHoldLinks(body: Buffer): boolean {
  return body.includes(plainName) || body.includes(escapedLetter);
}
