/**
 * Keeps who is locked out across restarts, kill -9 included: a line a block, appended with what came meanwhile and one datasync; nobody waits for it. Bounded: what is over is left out when the
 * file is made new.
 *
 * What a crash tore off at its end was about to be kept, and is lost with the moment. Any other line that can't be read is damage: then nobody knows who is missing, and the lock-outs that begin
 * with it are wary (`Lockout`), until a time that the file keeps as well.
 */
import { chmod, type FileHandle, open, readFile, rename } from 'node:fs/promises';
import { dirname } from 'node:path';

import { z } from 'zod';

/** One that was locked out, by the machine's clock. */
export interface KeptBlock {
  readonly key: string;
  /** Of the last block, as it was decided. */
  readonly blockMs: number;
  readonly blocksCount: number;
  /** When the block is over. */
  readonly untilMs: number;
  /** When it is forgotten that there was one. */
  readonly forgetMs: number;
}

const warySchema = z.strictObject({ waryUntilMs: z.number().min(0) });

const linesSpare = 1_000;

const blockSchema: z.ZodType<KeptBlock> = z.strictObject({
  key: z.string().max(20_000),
  blockMs: z.number().min(0),
  blocksCount: z.int().min(1).max(1_000),
  untilMs: z.number().min(0),
  forgetMs: z.number().min(0),
});

export class LockoutFile implements AsyncDisposable {
  /** What was kept, the last of each key, in the order in which they came. */
  readonly blocks: readonly KeptBlock[];
  /** Found just now. */
  readonly damaged: boolean;
  /** Since then or an earlier time; 0 where it never was. */
  readonly waryUntilMs: number;
  readonly #file: string;
  readonly #onFault: () => void;
  #all: () => readonly KeptBlock[];
  #handle: FileHandle | undefined;
  #linesCount = 0;
  /** Then it is made new. Counted once: to look at all that is worth keeping costs more than to keep one more. */
  #linesMax = 0;
  #waiting: KeptBlock[] = [];
  #writing: Promise<void> | undefined;

  private constructor(options: LockoutFileOptions, read: Pick<LockoutFile, 'blocks' | 'damaged' | 'waryUntilMs'>) {
    this.#file = options.file;
    this.#onFault = options.onFault;
    this.blocks = read.blocks;
    this.damaged = read.damaged;
    this.waryUntilMs = read.waryUntilMs;
    this.#all = () => read.blocks;
  }

  /** Rejects where it can't be read or written. */
  static async open(options: LockoutFileOptions): Promise<LockoutFile> {
    const nowMs = Date.now();
    const text = await readFile(options.file, 'utf8').catch((error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOENT') return '';
      throw error;
    });
    // What follows the last line end was torn off by a crash.
    const lines = text.split('\n').slice(0, -1).map(parseJson);
    const blocks = new Map<string, KeptBlock>();
    let damaged = false;
    let waryUntilMs = 0;
    for (const line of lines) {
      const block = blockSchema.safeParse(line).data;
      const wary = warySchema.safeParse(line).data;
      if (wary !== undefined) waryUntilMs = Math.max(waryUntilMs, Math.min(wary.waryUntilMs, nowMs + options.waryMs));
      else if (block === undefined) damaged = true;
      else {
        blocks.delete(block.key);
        if (block.forgetMs > nowMs) blocks.set(block.key, block);
      }
    }
    if (damaged) waryUntilMs = nowMs + options.waryMs;
    const made = new LockoutFile(options, { blocks: [...blocks.values()], damaged, waryUntilMs });
    await made.#rewrite();
    return made;
  }

  /** Who tells, when the file is made new, all that is worth keeping. */
  from(all: () => readonly KeptBlock[]): void {
    this.#all = all;
  }

  add(block: KeptBlock): void {
    this.#waiting.push(block);
    this.#writing ??= this.#write();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#writing;
    await this.#handle?.close();
    this.#handle = undefined;
  }

  async #write(): Promise<void> {
    while (this.#waiting.length > 0) {
      const blocks = this.#waiting;
      this.#waiting = [];
      try {
        const handle = this.#handle;
        if (handle === undefined || this.#linesCount > this.#linesMax) await this.#rewrite();
        else await this.#append(handle, blocks);
      } catch {
        // Half a line may stand there: the next one begins with a new file, which has these as well.
        await this.#handle?.close().catch(() => undefined);
        this.#handle = undefined;
        this.#onFault();
      }
    }
    this.#writing = undefined;
  }

  async #append(handle: FileHandle, blocks: readonly KeptBlock[]): Promise<void> {
    await handle.appendFile(blocks.map(lineOf).join(''));
    await handle.datasync();
    this.#linesCount += blocks.length;
  }

  async #rewrite(): Promise<void> {
    await this.#handle?.close();
    this.#handle = undefined;
    const blocks = this.#all();
    const handle = await open(`${this.#file}.new`, 'w', 0o600);
    try {
      await chmod(`${this.#file}.new`, 0o600);
      const wary = this.waryUntilMs > Date.now() ? `${JSON.stringify({ waryUntilMs: this.waryUntilMs })}\n` : '';
      await handle.writeFile(wary + blocks.map(lineOf).join(''));
      await handle.datasync();
      await rename(`${this.#file}.new`, this.#file);
      const directory = await open(dirname(this.#file), 'r');
      await directory.sync().finally(() => directory.close());
    } catch (error) {
      await handle.close().catch(() => undefined);
      throw error;
    }
    this.#handle = handle;
    this.#linesCount = blocks.length;
    this.#linesMax = 2 * blocks.length + linesSpare;
  }
}

export interface LockoutFileOptions {
  readonly file: string;
  /** Something could not be kept; it is in force all the same, and is kept with the next. */
  readonly onFault: () => void;
  /** For how long lock-outs are wary after damage. */
  readonly waryMs: number;
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function lineOf({ key, blockMs, blocksCount, untilMs, forgetMs }: KeptBlock): string {
  return `${JSON.stringify({ key, blockMs, blocksCount, untilMs, forgetMs })}\n`;
}
