/**
 * The worker that writes index files: parses stored records, makes tokens, inserts. It alone writes, and it knows no key but those of the
 * files it was told to open.
 */
import { isMainThread, parentPort } from 'node:worker_threads';
import { type IndexFile, type NewEntry, openIndexFile } from './index-file.ts';
import {
  type Batch,
  type Envelope,
  type FileAccess,
  failureOf,
  type OpenAnswer,
  type Reply,
  type WriteRequest,
} from './messages.ts';
import { keysFingerprint, Pseudonyms, Tokens } from './tokens.ts';

export class IndexWriter {
  readonly #files: Map<string, IndexFile> = new Map();

  handle(request: WriteRequest): OpenAnswer | undefined {
    switch (request.kind) {
      case 'open':
        return this.#open(request.file, request.start, request.check);
      case 'add':
        this.#add(request.batch);
        return undefined;
      case 'close':
        for (const path of request.paths) {
          this.#files.get(path)?.close();
          this.#files.delete(path);
        }
        return undefined;
      default:
        return request satisfies never;
    }
  }

  close(): void {
    for (const file of this.#files.values()) file.close();
    this.#files.clear();
  }

  #open({ path, tokenKey, pseudonymKey }: FileAccess, start: number, check: boolean): OpenAnswer {
    const known = this.#files.get(path);
    if (known !== undefined) return { kind: 'opened', state: known.state };
    try {
      const file = openIndexFile({
        path,
        fingerprint: keysFingerprint(tokenKey, pseudonymKey),
        tokens: new Tokens(tokenKey, new Pseudonyms(pseudonymKey)),
        start,
        check,
      });
      this.#files.set(path, file);
      return { kind: 'opened', state: file.state };
    } catch (error) {
      return { kind: 'unusable', reason: error instanceof Error ? error.message : String(error) };
    }
  }

  #add(batch: Batch): void {
    const entries: NewEntry[][] = batch.files.map(() => []);
    const bytes = Buffer.from(batch.bytes.buffer, batch.bytes.byteOffset, batch.bytes.byteLength);
    let at = 0;
    batch.lengths.forEach((length, position) => {
      const of = entries[batch.fileOf[position] ?? -1];
      if (of === undefined) throw new Error('expected every entry of a batch to name its file');
      of.push({ index: batch.indexes[position] as number, m: bytes.subarray(at, at + length) });
      at += length;
    });
    batch.files.forEach(({ path, next }, number) => {
      const file = this.#files.get(path);
      if (file === undefined) throw new Error('expected the file of a batch to be open');
      file.add(entries[number] ?? [], next);
    });
  }
}

if (!isMainThread && parentPort !== null) {
  const port = parentPort;
  const writer = new IndexWriter();
  port.on('message', ({ id, request }: Envelope<WriteRequest>) => {
    let reply: Reply;
    try {
      reply = { id, answer: writer.handle(request) };
    } catch (error) {
      reply = failureOf(id, error);
    }
    port.postMessage(reply);
  });
}
