/** For tests only: spools in folders of their own, events to put in, disks that fail, and a server that answers as told. */
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { uuidv7 } from '@watchglass/record';

import { realDisk, type SpoolDisk, type SpoolFile } from './disk.ts';
import { minimiseOutgoing, type OutgoingEvent } from './outgoing.ts';
import { openSpool, type Spool, type SpoolOptions } from './spool.ts';

export async function temporaryFolder(): Promise<{ readonly path: string; remove(): Promise<void> }> {
  const path = await mkdtemp(join(tmpdir(), 'watchglass-sdk-'));
  return { path, remove: () => rm(path, { recursive: true, force: true }) };
}

export function spoolOptions(folder: string, options: Partial<SpoolOptions> = {}): SpoolOptions {
  return {
    dir: join(folder, 'spool'),
    keyFile: join(folder, 'spool.key'),
    maxBytes: 8 * 1024 * 1024,
    emitterId: 'test',
    freeBytesMin: 0,
    ...options,
  };
}

export function openTestSpool(folder: string, options: Partial<SpoolOptions> = {}): Promise<Spool> {
  return openSpool(spoolOptions(folder, options));
}

let made = 0;

export function event(fill: { readonly operation?: string; readonly targetsCount?: number } = {}): OutgoingEvent {
  made += 1;
  const random = new Uint8Array(10);
  new DataView(random.buffer).setUint32(6, made);
  return minimiseOutgoing({
    v: 1,
    id: uuidv7(1_700_000_000_000 + made, random),
    time: '2026-03-01T08:30:00.250Z',
    kind: 'api',
    action: 'read',
    operation: fill.operation ?? 'read',
    outcome: { status: 'success', code: 200 },
    actor: { id: 'person-1' },
    targets: Array.from({ length: fill.targetsCount ?? 1 }, (_, n) => ({
      type: 'Patient',
      id: `p-${n}`,
      patient: `p-${n}`,
    })),
  });
}

/** What stands in the spool, in order. */
export async function readAll(spool: Spool): Promise<{ id: string; seq: number; emitter: string }[]> {
  const batch = await spool.read({ eventsMax: 100_000, bytesMax: 64 * 1024 * 1024 });
  return (batch?.lines ?? []).map((line) => {
    const { id, emitter } = JSON.parse(line) as { id: string; emitter: { id: string; seq: number } };
    return { id, seq: emitter.seq, emitter: emitter.id };
  });
}

/** The real disk, except that what a test switches on goes wrong. */
export class FaultyDisk {
  writeError: NodeJS.ErrnoException | undefined;
  datasyncError: NodeJS.ErrnoException | undefined;
  /** While set, datasync waits for it. */
  hang: Promise<void> | undefined;
  onWrite: (() => void) | undefined;
  /** The same for write. */
  writeHang: Promise<void> | undefined;
  linked = true;
  freeBytes: number = Number.POSITIVE_INFINITY;
  datasyncCount = 0;
  writeCount = 0;

  readonly disk: SpoolDisk = {
    ...realDisk,
    create: async (path) => this.#wrap(await realDisk.create(path)),
    edit: async (path) => this.#wrap(await realDisk.edit(path)),
    freeBytes: () => this.freeBytes,
  };

  #wrap(file: SpoolFile): SpoolFile {
    return {
      write: async (bytes, position) => {
        this.writeCount += 1;
        this.onWrite?.();
        await this.writeHang;
        if (this.writeError !== undefined) {
          // Half of it gets through, as on a disk that fills up.
          await file.write(bytes.subarray(0, bytes.length >> 1), position);
          throw this.writeError;
        }
        await file.write(bytes, position);
      },
      datasync: async () => {
        this.datasyncCount += 1;
        await this.hang;
        if (this.datasyncError !== undefined) throw this.datasyncError;
        await file.datasync();
      },
      truncate: (size) => file.truncate(size),
      linked: () => this.linked && file.linked(),
      close: () => file.close(),
    };
  }
}

export function systemError(code: string): NodeJS.ErrnoException {
  return Object.assign(new Error(`${code}: made by a test`), { code });
}

export interface Posted {
  readonly lines: readonly string[];
  readonly authorization: string | undefined;
  readonly contentType: string | undefined;
}

export interface Reply {
  readonly status: number;
  readonly body?: unknown;
  readonly headers?: Readonly<Record<string, string>>;
}

/** An event server that answers with `reply`, and remembers what was posted. */
export async function eventServer(
  reply: (posted: Posted) => Reply,
): Promise<{ readonly url: string; readonly posts: Posted[]; close(): Promise<void> }> {
  const posts: Posted[] = [];
  const server: Server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      const posted: Posted = {
        lines: Buffer.concat(chunks).toString('utf8').trim().split('\n'),
        authorization: request.headers.authorization,
        contentType: request.headers['content-type'],
      };
      posts.push(posted);
      const { status, body, headers } = reply(posted);
      response.writeHead(status, { 'content-type': 'application/json', ...headers });
      response.end(JSON.stringify(body ?? {}));
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    posts,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

export function accepted({ lines }: Posted): Reply {
  return {
    status: 201,
    body: { receipts: lines.map((line) => ({ id: (JSON.parse(line) as { id: string }).id })), checkpoint: '' },
  };
}
