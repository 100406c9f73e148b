/**
 * The worker that answers questions: opens index files read-only and keeps them open. One question at a time, each within its time bound.
 */
import { DatabaseSync } from 'node:sqlite';
import { isMainThread, parentPort } from 'node:worker_threads';
import { findEntries } from './find-entries.ts';
import {
  type Envelope,
  type FindAnswer,
  failureOf,
  type ReadableFile,
  type ReadRequest,
  type Reply,
  type SummaryAnswer,
} from './messages.ts';
import { summariseEntries } from './summarise-entries.ts';
import { Pseudonyms, Tokens } from './tokens.ts';
import type { OpenFile } from './windows.ts';

/** Files kept open between questions. */
const filesOpenMax = 96;

interface Held {
  readonly opening: number;
  readonly database: DatabaseSync;
  readonly tokens: Tokens;
}

export class IndexReader {
  readonly #held: Map<string, Held> = new Map();

  handle(request: ReadRequest): FindAnswer | SummaryAnswer | undefined {
    if (request.kind === 'close') {
      for (const path of request.paths) {
        this.#held.get(path)?.database.close();
        this.#held.delete(path);
      }
      return undefined;
    }
    const files = request.files.map((file) => this.#open(file));
    const tokensOf = (file: OpenFile): Tokens => (this.#held.get(file.path) as Held).tokens;
    try {
      return request.kind === 'find'
        ? findEntries(request, files, tokensOf)
        : summariseEntries(request, files, tokensOf);
    } finally {
      this.#closeSurplus();
    }
  }

  close(): void {
    for (const { database } of this.#held.values()) database.close();
    this.#held.clear();
  }

  #open(file: ReadableFile): OpenFile {
    let held = this.#held.get(file.path);
    if (held !== undefined && held.opening !== file.opening) {
      this.#held.delete(file.path);
      held.database.close();
      held = undefined;
    }
    if (held === undefined) {
      const database = new DatabaseSync(file.path, { readOnly: true, timeout: 5_000 });
      database.exec('PRAGMA cache_size = -4096;');
      held = { opening: file.opening, database, tokens: new Tokens(file.tokenKey, new Pseudonyms(file.pseudonymKey)) };
    } else this.#held.delete(file.path);
    // Re-inserted last: the map's order is that of use.
    this.#held.set(file.path, held);
    return { ...file, database: held.database };
  }

  #closeSurplus(): void {
    for (const [path, { database }] of this.#held) {
      if (this.#held.size <= filesOpenMax) break;
      database.close();
      this.#held.delete(path);
    }
  }
}

if (!isMainThread && parentPort !== null) {
  const port = parentPort;
  const reader = new IndexReader();
  port.on('message', ({ id, request }: Envelope<ReadRequest>) => {
    let reply: Reply;
    try {
      reply = { id, answer: reader.handle(request) };
    } catch (error) {
      reply = failureOf(id, error);
    }
    port.postMessage(reply);
  });
}
