/** For tests only: a server that receipts events and shows its log as c2sp.org/tlog-tiles has it; and that can lie: cut, rewrite, or sign with another key. */
import { randomBytes } from 'node:crypto';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import {
  emptyRoot,
  formatCheckpoint,
  formatVerifierKey,
  generateSigner,
  hashLeaf,
  type Rotation,
  rootOf,
  type Signer,
  sealKeyName,
  signNote,
  signRotation,
  signSeal,
  tilePath,
  tileWidth,
} from '@watchglass/record';

export const origin = 'watchglass.test/clinic';
const epoch = 673;

export class ReceiptServer implements AsyncDisposable {
  leaves: Uint8Array[] = [];
  signer: Signer = generateSigner(origin, randomBytes(32));
  /** Resources that aren't there. */
  hidden: RegExp | undefined;
  status = 200;
  readonly asked: string[] = [];
  readonly #epochKey: Signer = generateSigner(sealKeyName(origin, epoch + 1), randomBytes(32));
  readonly #first: Signer = this.signer;
  #rotations: Uint8Array[] = [];
  #server: Server | undefined;

  static async start(): Promise<ReceiptServer> {
    const made = new ReceiptServer();
    made.#server = createServer((request, response) => {
      const path = request.url ?? '';
      if (request.method === 'POST') {
        const chunks: Buffer[] = [];
        request.on('data', (chunk: Buffer) => chunks.push(chunk));
        request.on('end', () => {
          const lines = Buffer.concat(chunks).toString('utf8').trim().split('\n');
          response
            .writeHead(201)
            .end(JSON.stringify(made.take(lines.map((line) => (JSON.parse(line) as { id: string }).id))));
        });
        return;
      }
      made.asked.push(path);
      const bytes = made.status !== 200 || made.hidden?.test(path) ? undefined : made.#resource(path);
      response.writeHead(bytes === undefined ? (made.status === 200 ? 404 : made.status) : 200).end(bytes);
    });
    await new Promise<void>((resolve) => made.#server?.listen(0, '127.0.0.1', resolve));
    return made;
  }

  get url(): string {
    const address = this.#server?.address() as AddressInfo | undefined;
    return `http://127.0.0.1:${address?.port ?? 0}`;
  }

  get vkey(): string {
    return formatVerifierKey(this.signer);
  }

  /** Appends events and receipts them. */
  take(ids: readonly string[]): {
    readonly receipts: { id: string; index: number; leaf: string }[];
    readonly checkpoint: string;
  } {
    const receipts = ids.map((id) => {
      const hash = hashLeaf(Buffer.from(id));
      this.leaves.push(hash);
      return { id, index: this.leaves.length - 1, leaf: Buffer.from(hash).toString('base64') };
    });
    return { receipts, checkpoint: this.checkpoint() };
  }

  checkpoint(): string {
    return signNote(formatCheckpoint({ origin, size: BigInt(this.leaves.length), root: rootOf(this.leaves) }), [
      this.signer,
    ]);
  }

  /** Another key signs from now on, with a statement that says so. */
  rotate(kind: Rotation['kind'] = 'planned'): void {
    const next = generateSigner(origin, randomBytes(32));
    const size = this.leaves.length;
    const rotation: Rotation = {
      origin,
      number: 1,
      kind,
      size,
      root: rootOf(this.leaves),
      trusted: size,
      epoch: epoch + 1,
      previous: undefined,
      old: this.signer,
      next,
    };
    this.#rotations = [signRotation(rotation, { old: this.signer, next, epochKey: this.#epochKey })];
    this.signer = next;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server?.closeAllConnections();
    await new Promise<void>((resolve) => this.#server?.close(() => resolve()));
  }

  #resource(path: string): Uint8Array | undefined {
    if (path === '/log') return Buffer.from(JSON.stringify([{ tenant: 'clinic', origin }]));
    const name = path.replace('/log/clinic/', '');
    switch (name) {
      case 'checkpoint':
        return Buffer.from(this.checkpoint());
      case 'vkey':
        return Buffer.from(`${this.vkey}\n`);
      case 'seals':
        return Buffer.from(`[${epoch}]`);
      case `seals/${epoch}`:
        return signSeal(
          { origin, epoch, size: 0, root: emptyRoot(), previous: undefined, next: this.#epochKey },
          this.#first,
        );
      case 'rotations':
        return Buffer.from(JSON.stringify(this.#rotations.map((_, at) => at + 1)));
      case 'rotations/1':
        return this.#rotations[0];
      default:
        return this.#tiles().get(name);
    }
  }

  #tiles(): Map<string, Uint8Array> {
    const tiles = new Map<string, Uint8Array>();
    let hashes: readonly Uint8Array[] = this.leaves;
    for (let level = 0; hashes.length > 0; level++) {
      const above: Uint8Array[] = [];
      for (let n = 0; n * tileWidth < hashes.length; n++) {
        const some = hashes.slice(n * tileWidth, (n + 1) * tileWidth);
        tiles.set(tilePath(level, n, some.length), Buffer.concat(some));
        if (some.length === tileWidth) above.push(rootOf(some));
      }
      hashes = above;
    }
    return tiles;
  }
}
