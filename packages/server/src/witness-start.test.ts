/** A whole server on an older copy of its files, with a witness that remembers more: nothing is signed before the witness was heard. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { cosignatureVerifierOf, cosignerOf, formatVerifierKey, generateSigner } from '@watchglass/record';
import { freePort } from './free-ports.fixture.ts';
import { readConfig, startServer } from './index.ts';
import { realWorld } from './world/real-world.ts';
import type { World } from './world/world.ts';

async function listening(server: Server): Promise<number> {
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return (server.address() as AddressInfo).port;
}

test('a server on an older copy seals nothing before a witness was asked', async () => {
  const dir = await mkdtemp(join(tmpdir(), 'watchglass-witness-start-'));
  // It says that it has seen a larger tree, whatever it is asked.
  const witness = createServer((request, response) => {
    request.resume();
    const isGet = request.method === 'GET';
    response.writeHead(isGet ? 404 : 409, { 'content-type': 'text/x.tlog.size' }).end(isGet ? '' : '1000000\n');
  });
  try {
    const port = await listening(witness);
    const cosigner = cosignerOf(generateSigner('witness.example', new Uint8Array(32).fill(3)));
    const vkey = formatVerifierKey(cosignatureVerifierOf(cosigner));
    const file = join(dir, 'watchglass.yaml');
    const configured = async (witnessed: boolean): Promise<Awaited<ReturnType<typeof readConfig>>> => {
      const [server, issuer] = [await freePort(), await freePort()];
      const policy = `witnesses: { text: "witness w ${vkey} http://127.0.0.1:${port}\\nquorum w\\n" }\n`;
      await writeFile(
        file,
        `data: ./data
listen: { port: ${server} }
url: http://localhost:${server}
tenants: [clinic]
origin: test.watchglass.example
issuer: { embedded: true, url: "http://localhost:${issuer}", listen: { port: ${issuer} } }
log: { level: silent }
${witnessed ? policy : ''}`,
      );
      return readConfig(file);
    };
    let aheadMs = 0;
    const real = realWorld();
    const world: World = { ...real, clock: { ...real.clock, now: () => real.clock.now() + aheadMs } };
    const seals = (): Promise<string[]> => readdir(join(dir, 'data/ledger/clinic/seals'));
    {
      await using server = await startServer(await configured(false), { world });
      assert.equal(server.state.kind, 'writable');
    }
    const before = await seals();
    aheadMs = 70 * 86_400_000;
    {
      await using server = await startServer(await configured(true), { world });
      assert.equal(server.state.kind, 'read-only');
    }
    assert.deepEqual(await seals(), before);
    {
      await using server = await startServer(await configured(false), { world });
      assert.equal(server.state.kind, 'writable');
    }
    assert.ok((await seals()).length > before.length, 'without witnesses the months that are over are sealed');
  } finally {
    witness.close();
    await rm(dir, { recursive: true, force: true });
  }
});
