/**
 * Which positions of a log the files of one retention class cover, and which file an entry belongs to. Files of a class follow one another, one an epoch; a hole
 * (a file was deleted) is where following begins again.
 */
import type { RetentionClass } from '@watchglass/record';

export interface CoveredFile {
  readonly epoch: number;
  readonly path: string;
  readonly start: number;
  /** Moves up as entries are handed to the writer. */
  next: number;
}

export class Coverage {
  readonly retentionClass: RetentionClass;
  readonly #files: Map<number, CoveredFile> = new Map();

  constructor(retentionClass: RetentionClass) {
    this.retentionClass = retentionClass;
  }

  get files(): readonly CoveredFile[] {
    return [...this.#files.values()];
  }

  put(file: CoveredFile): void {
    this.#files.set(file.epoch, file);
  }

  drop(epoch: number): void {
    this.#files.delete(epoch);
  }

  of(epoch: number): CoveredFile | undefined {
    return this.#files.get(epoch);
  }

  /** The first position no file covers. */
  get firstHole(): number {
    let covered = 0;
    for (const { start, next } of this.files.toSorted((a, b) => a.start - b.start)) {
      if (start > covered) return covered;
      covered = Math.max(covered, next);
    }
    return covered;
  }

  /** The file that entries at this position go on with: it covers the position or ends there. */
  at(position: number): CoveredFile | undefined {
    let found: CoveredFile | undefined;
    for (const file of this.#files.values()) {
      if (file.start <= position && position <= file.next && (found === undefined || file.start >= found.start))
        found = file;
    }
    return found;
  }
}
