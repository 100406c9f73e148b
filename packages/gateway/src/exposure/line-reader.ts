/**
 * Learns from NDJSON while it passes, in bounded memory: a line is held until it ends, and no longer one than the bound. What is compressed is opened for reading, and passes
 * as it came. What can't be read makes what was learnt `truncated`.
 */
import { createGunzip, type Gunzip } from 'node:zlib';

import { type Learned, Learner } from './exposure.ts';

/** Opened bytes read of one file: behind them nobody looks any more, and it is said. */
export const openedBytesMax: number = 8 * 1024 ** 3;

const newline = 0x0a;

export class LineReader {
  readonly #learner = new Learner();
  readonly #lineBytesMax: number;
  readonly #gunzip: Gunzip | undefined;
  #held: Buffer[] = [];
  #heldBytes = 0;
  #openedBytes = 0;
  /** Inside a line longer than the bound. */
  #skipping = false;
  #understood = true;

  constructor(options: { readonly lineBytesMax: number; readonly gzip: boolean }) {
    this.#lineBytesMax = options.lineBytesMax;
    if (!options.gzip) return;
    this.#gunzip = createGunzip();
    this.#gunzip.on('data', (chunk: Buffer) => this.#read(chunk));
    this.#gunzip.on('error', () => {
      this.#understood = false;
    });
  }

  /** A promise where it has to be waited for before more is given. */
  push(chunk: Uint8Array): Promise<void> | undefined {
    const gunzip = this.#gunzip;
    if (gunzip === undefined) {
      this.#read(Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength));
      return undefined;
    }
    if (gunzip.destroyed || gunzip.write(chunk)) return undefined;
    return new Promise((resolve) => {
      const go = (): void => {
        gunzip.off('drain', go);
        gunzip.off('close', go);
        resolve();
      };
      gunzip.on('drain', go);
      gunzip.on('close', go);
    });
  }

  /** What all of it told; `complete` where it came to its end. */
  async finish(complete: boolean): Promise<Learned> {
    const gunzip = this.#gunzip;
    if (gunzip !== undefined && !gunzip.destroyed) {
      const closed = new Promise<void>((resolve) => gunzip.once('close', resolve));
      if (complete) gunzip.end();
      else gunzip.destroy();
      await closed;
    }
    this.#understood &&= complete;
    if (complete) this.#endLine();
    return this.#learner.finish({ bytes: 0, unread: !this.#understood });
  }

  #read(chunk: Buffer): void {
    this.#openedBytes += chunk.length;
    if (this.#openedBytes > openedBytesMax) {
      this.#understood = false;
      this.#gunzip?.destroy();
      return;
    }
    let from = 0;
    for (let at = chunk.indexOf(newline); at !== -1; at = chunk.indexOf(newline, from)) {
      this.#hold(chunk.subarray(from, at));
      this.#endLine();
      from = at + 1;
    }
    this.#hold(chunk.subarray(from));
  }

  #hold(part: Buffer): void {
    if (part.length === 0 || this.#skipping) return;
    this.#heldBytes += part.length;
    if (this.#heldBytes > this.#lineBytesMax) {
      this.#skipping = true;
      this.#held = [];
      return;
    }
    this.#held.push(part);
  }

  #endLine(): void {
    if (this.#skipping) this.#understood = false;
    else if (this.#heldBytes > 0) {
      const line = Buffer.concat(this.#held).toString('utf8');
      if (line.trim() !== '') this.#understood = this.#learner.addText(line, true) && this.#understood;
    }
    this.#held = [];
    this.#heldBytes = 0;
    this.#skipping = false;
  }
}
