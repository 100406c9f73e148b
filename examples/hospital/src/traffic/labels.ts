/**
 * The labels: one line of JSON for each request of misuse, appended 0600, and whole even if the process is killed after
 * it. They are the ground truth an evaluation compares detections with, and name patients by id.
 */
import { closeSync, openSync, writeSync } from 'node:fs';

export interface Label {
  /** When the request was sent, RFC 3339. */
  readonly at: string;
  readonly person: string;
  readonly scenario: string;
  /** Requests of one outing share it. */
  readonly episode: string;
  readonly method: string;
  readonly status: number;
  /** As the gateway called it in X-Request-Id, when it did. */
  readonly requestId?: string;
  readonly patient?: string;
  /** For a page of a directory: everybody on it. */
  readonly patients?: readonly string[];
}

export class Labels implements Disposable {
  readonly #file: number | undefined;
  #written = 0;

  /** Without a path the labels are only counted. */
  constructor(path: string | undefined) {
    this.#file = path === undefined ? undefined : openSync(path, 'a', 0o600);
  }

  add(label: Label): void {
    this.#written++;
    if (this.#file !== undefined) writeSync(this.#file, `${JSON.stringify(label)}\n`);
  }

  get written(): number {
    return this.#written;
  }

  [Symbol.dispose](): void {
    if (this.#file !== undefined) closeSync(this.#file);
  }
}
