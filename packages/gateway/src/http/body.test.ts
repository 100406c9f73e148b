import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { test } from 'node:test';

import { endWithBody } from './body.ts';

test('an answer ends with the very bytes it was given, short or long', async () => {
  const bodies = [0, 1, 256, 8_192, 8_193, 100_000].map((length) =>
    Buffer.from(Uint8Array.from({ length }, (_, n) => n)),
  );
  const server = createServer((request, response) => {
    const body = bodies[Number(request.url?.slice(1))] as Buffer;
    response.writeHead(200, { 'content-type': 'application/octet-stream', 'content-length': String(body.length) });
    endWithBody(response, body);
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  try {
    const { port } = server.address() as AddressInfo;
    for (const [position, body] of bodies.entries()) {
      const answer = await fetch(`http://127.0.0.1:${port}/${position}`);
      assert.ok(Buffer.from(await answer.arrayBuffer()).equals(body), `${body.length} bytes`);
    }
  } finally {
    server.closeAllConnections();
    server.close();
  }
});
