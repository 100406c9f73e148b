/**
 * How far the server has acknowledged, written lazily. It is a hint: a lost or old mark only means that events are sent again,
 * and the server knows them by their id.
 */
import type { SpoolDisk } from './disk.ts';

const writeEveryMs = 1_000;

export class AckMark {
  readonly #disk: SpoolDisk;
  readonly #path: string;
  #seq = 0;
  #written = 0;
  #timer: NodeJS.Timeout | undefined;
  #writing: Promise<void> = Promise.resolve();

  constructor(parts: { readonly disk: SpoolDisk; readonly path: string }) {
    this.#disk = parts.disk;
    this.#path = parts.path;
  }

  /** The stored mark; 0 where there is none or it makes no sense. */
  async read(): Promise<number> {
    try {
      const text = Buffer.from(await this.#disk.read(this.#path)).toString('utf8');
      const seq = /^acked (\d{1,15})\n$/.exec(text)?.[1];
      this.#seq = this.#written = seq === undefined ? 0 : Number(seq);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
    }
    return this.#seq;
  }

  note(seq: number): void {
    this.#seq = seq;
    if (this.#timer !== undefined) return;
    this.#timer = setTimeout(() => {
      this.#timer = undefined;
      this.#writing = this.#write();
    }, writeEveryMs);
    this.#timer.unref();
  }

  async flush(): Promise<void> {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    await this.#writing;
    await this.#write();
  }

  async #write(): Promise<void> {
    if (this.#seq === this.#written) return;
    const seq = this.#seq;
    const temporary = `${this.#path}.new`;
    try {
      await this.#disk.remove(temporary);
      const file = await this.#disk.create(temporary);
      try {
        await file.write(Buffer.from(`acked ${seq}\n`), 0);
      } finally {
        await file.close();
      }
      await this.#disk.rename(temporary, this.#path);
      this.#written = seq;
    } catch {
      // A mark that could not be written costs a second sending and nothing else; the next one tries again.
    }
  }
}
