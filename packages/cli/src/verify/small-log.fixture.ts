/** A small log over HTTP, as c2sp.org/tlog-tiles wants it, made with the primitives of `record` alone; a test may change any resource. */
import { randomBytes } from 'node:crypto';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import {
  emptyRoot,
  encodeBase64,
  formatCheckpoint,
  formatProof,
  formatVerifierKey,
  generateSigner,
  hashLeaf,
  inclusionProof,
  leafDataOf,
  rootOf,
  type Signer,
  sealKeyName,
  signNote,
  signSeal,
  tilePath,
  tileWidth,
} from '@watchglass/record';

export const origin = 'watchglass.example/clinic';

export interface SmallLog extends AsyncDisposable {
  readonly url: string;
  readonly vkey: string;
  /** By path below `/log/clinic/`. */
  readonly resources: Map<string, Uint8Array>;
  readonly checkpointAt: (size: number) => string;
  readonly proofOf: (index: number) => string;
  readonly leafOf: (index: number) => string;
}

function firstSeal(signer: Signer): Uint8Array {
  const next = generateSigner(sealKeyName(origin, 674), randomBytes(32));
  return signSeal({ origin, epoch: 673, size: 0, root: emptyRoot(), previous: undefined, next }, signer);
}

export async function serveSmallLog(
  size: number,
  signer: Signer = generateSigner(origin, randomBytes(32)),
): Promise<SmallLog> {
  const leaves = Array.from({ length: size }, (_, index) =>
    leafDataOf(hashLeaf(Uint8Array.of(index >> 8, index & 0xff))),
  );
  const levels = [leaves.map(hashLeaf)];
  const checkpointAt = (at: number): string =>
    signNote(formatCheckpoint({ origin, size: BigInt(at), root: rootOf((levels[0] ?? []).slice(0, at)) }), [signer]);
  const resources = new Map<string, Uint8Array>([
    ['checkpoint', Buffer.from(checkpointAt(size))],
    ['vkey', Buffer.from(`${formatVerifierKey(signer)}\n`)],
    ['rotations', Buffer.from('[]')],
    ['seals', Buffer.from('[673]')],
    ['seals/673', firstSeal(signer)],
  ]);
  for (let n = 0; n * tileWidth < size; n++) {
    const some = leaves.slice(n * tileWidth, (n + 1) * tileWidth);
    const bundle = some.flatMap((leaf) => [Uint8Array.of(0, leaf.length), leaf]);
    resources.set(tilePath('entries', n, some.length), Buffer.concat(bundle));
  }
  for (let level = 0; (levels[level] ?? []).length > 0; level++) {
    const hashes = levels[level] ?? [];
    levels.push([]);
    for (let n = 0; n * tileWidth < hashes.length; n++) {
      const some = hashes.slice(n * tileWidth, (n + 1) * tileWidth);
      resources.set(tilePath(level, n, some.length), Buffer.concat(some));
      if (some.length === tileWidth) levels[level + 1]?.push(rootOf(some));
    }
  }
  const server = createServer((request, response) => {
    const path = (request.url ?? '').split('?')[0] ?? '';
    const proof = /^\/v1\/events\/(\d+)\/proof$/.exec(path);
    if (path === '/log') response.end(JSON.stringify([{ tenant: 'clinic', origin }]));
    else if (proof !== null) response.end(proofOf(Number(proof[1])));
    else {
      const bytes = resources.get(path.replace('/log/clinic/', ''));
      if (bytes === undefined) response.writeHead(404).end();
      else response.end(bytes);
    }
  });
  const proofOf = (index: number): string =>
    formatProof({
      index: BigInt(index),
      hashes: inclusionProof(index, size, levels[0] ?? []),
      checkpoint: checkpointAt(size),
    });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    vkey: formatVerifierKey(signer),
    resources,
    checkpointAt,
    proofOf,
    leafOf: (index) => encodeBase64((levels[0] ?? [])[index] ?? new Uint8Array()),
    [Symbol.asyncDispose]: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}
