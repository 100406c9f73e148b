/**
 * Events in the bytes in which they are sealed and sent: one line of JSON each, encoded once for the disk and for the wire. Taken apart only
 * where the server refuses something in them.
 */
const lineEnd = 0x0a;

/** Events in order of `seq`, without gaps. */
export class Batch {
  readonly firstSeq: number;
  readonly count: number;
  /** The lines, each ended by "\n". */
  readonly bytes: Buffer;

  constructor(parts: { readonly firstSeq: number; readonly count: number; readonly bytes: Buffer }) {
    this.firstSeq = parts.firstSeq;
    this.count = parts.count;
    this.bytes = parts.bytes;
  }

  get lastSeq(): number {
    return this.firstSeq + this.count - 1;
  }

  get lines(): readonly string[] {
    return this.bytes.toString('utf8').split('\n').slice(0, -1);
  }

  /** The events from position `from` up to position `to`. */
  slice(from: number, to: number = this.count): Batch {
    if (from === 0 && to >= this.count) return this;
    let start = 0;
    for (let i = 0; i < from; i++) start = this.#endOf(start);
    const count = Math.max(0, Math.min(to, this.count) - from);
    let end = start;
    for (let i = 0; i < count; i++) end = this.#endOf(end);
    return new Batch({ firstSeq: this.firstSeq + from, count, bytes: this.bytes.subarray(start, end) });
  }

  /** As many from the beginning as the bounds let in. */
  within({ eventsMax, bytesMax }: { readonly eventsMax: number; readonly bytesMax: number }): Batch {
    if (this.count <= eventsMax && this.bytes.length <= bytesMax) return this;
    let count = 0;
    for (let end = 0; count < Math.min(eventsMax, this.count); count++) {
      end = this.#endOf(end);
      if (end > bytesMax) break;
    }
    return this.slice(0, count);
  }

  #endOf(start: number): number {
    return this.bytes.indexOf(lineEnd, start) + 1;
  }
}

/** One batch of several that follow each other. */
export function joinBatches(firstSeq: number, parts: readonly Batch[]): Batch {
  const [only] = parts;
  if (only !== undefined && parts.length === 1) return only;
  const count = parts.reduce((sum, part) => sum + part.count, 0);
  return new Batch({ firstSeq, count, bytes: Buffer.concat(parts.map(({ bytes }) => bytes)) });
}
