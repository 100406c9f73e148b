/**
 * Events that the server will never take, set aside so that the others can pass: one sealed file each, with what the server said.
 *
 * They are counted and bounded. Past the bound the sender stops setting events aside, the spool fills, and whoever depends on it fails
 * closed: a wrong key or a wrong clock must not empty a spool into a folder nobody looks at.
 */
import { join } from 'node:path';

import type { SpoolDisk } from './disk.ts';
import { SdkError } from './errors.ts';
import {
  makeSegmentHeader,
  openFrame,
  parseSegmentHeader,
  sealFrame,
  segmentHeaderBytes,
  segmentKey,
  viewFrame,
} from './segment.ts';

export interface DeadLetter {
  readonly seq: number;
  /** The event as it would have been sent. */
  readonly line: string;
  /** HTTP status of the refusal. */
  readonly status: number;
  /** What the server said: places and kinds, never values. */
  readonly reason: string;
}

const letterName = /^\d{16}\.wgs$/;

export class DeadLetters {
  readonly #disk: SpoolDisk;
  readonly #directory: string;
  readonly #spoolKey: Uint8Array;
  readonly #countMax: number;
  readonly #names: Set<string>;

  private constructor(parts: {
    readonly disk: SpoolDisk;
    readonly directory: string;
    readonly spoolKey: Uint8Array;
    readonly countMax: number;
    readonly names: Set<string>;
  }) {
    this.#disk = parts.disk;
    this.#directory = parts.directory;
    this.#spoolKey = parts.spoolKey;
    this.#countMax = parts.countMax;
    this.#names = parts.names;
  }

  static async open(parts: {
    readonly disk: SpoolDisk;
    readonly directory: string;
    readonly spoolKey: Uint8Array;
    readonly countMax: number;
  }): Promise<DeadLetters> {
    await parts.disk.makeDir(parts.directory);
    const names = new Set((await parts.disk.list(parts.directory)).filter((name) => letterName.test(name)));
    return new DeadLetters({ ...parts, names });
  }

  get count(): number {
    return this.#names.size;
  }

  get full(): boolean {
    return this.#names.size >= this.#countMax;
  }

  /** Resolves once the letter is durable. */
  async add(letter: DeadLetter): Promise<void> {
    const name = `${String(letter.seq).padStart(16, '0')}.wgs`;
    const { bytes, salt } = makeSegmentHeader(letter.seq);
    const note = JSON.stringify({ status: letter.status, reason: letter.reason });
    const key = segmentKey(this.#spoolKey, salt);
    const plain = Buffer.from(`${letter.line}\n${note}`, 'utf8');
    const frame = sealFrame({ key, nonce: 1, firstSeq: letter.seq, count: 2, plain });
    const temporary = join(this.#directory, `${name}.new`);
    await this.#disk.remove(temporary);
    const file = await this.#disk.create(temporary);
    try {
      await file.write(bytes, 0);
      await file.write(frame, segmentHeaderBytes);
      await file.datasync();
    } finally {
      await file.close();
    }
    await this.#disk.rename(temporary, join(this.#directory, name));
    await this.#disk.syncDir(this.#directory);
    this.#names.add(name);
  }

  /** Opens all of them, oldest first. */
  async *read(): AsyncGenerator<DeadLetter> {
    for (const name of [...this.#names].sort()) yield await this.#open(join(this.#directory, name));
  }

  async #open(path: string): Promise<DeadLetter> {
    const bytes = await this.#disk.read(path);
    const header = parseSegmentHeader(bytes);
    const view = viewFrame(bytes, segmentHeaderBytes);
    if (header === undefined || view.kind !== 'frame') {
      throw new SdkError('spool-damaged', `${path}: expected one whole frame, got a wrong checksum; check the disk`);
    }
    const key = segmentKey(this.#spoolKey, header.salt);
    const [line, note] = openFrame(key, bytes, segmentHeaderBytes, view.size, path).toString('utf8').split('\n');
    const { status, reason } = JSON.parse(note ?? '{}') as { status: number; reason: string };
    return { seq: header.firstSeq, line: line ?? '', status, reason };
  }
}
