import assert from 'node:assert/strict';
import { createServer, type RequestListener } from 'node:http';
import type { AddressInfo } from 'node:net';
import { test } from 'node:test';
import { HttpFailure } from './http.ts';
import { realHttp } from './real-http.ts';

async function serving(listener: RequestListener): Promise<{ readonly url: string } & AsyncDisposable> {
  const server = createServer(listener);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/`,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

const kindOf = (kind: string) => (error: unknown) => error instanceof HttpFailure && error.kind === kind;

test('an answer comes back as it is, whatever its status, and no redirect is followed', async () => {
  await using at = await serving(async (request, response) => {
    if (request.url === '/elsewhere') return assert.fail('the redirect was followed');
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    response.writeHead(302, { location: '/elsewhere', 'content-type': 'text/x.tlog.size' }).end(Buffer.concat(chunks));
  });
  const answer = await realHttp.ask({ method: 'POST', url: at.url, body: 'hello', bytesMax: 10, deadlineMs: 10_000 });
  assert.deepEqual(
    [answer.status, answer.contentType, Buffer.from(answer.body).toString()],
    [302, 'text/x.tlog.size', 'hello'],
  );
});

test('silence ends at the deadline, also in the middle of a body', async () => {
  await using silent = await serving(() => undefined);
  await assert.rejects(
    realHttp.ask({ method: 'GET', url: silent.url, bytesMax: 10, deadlineMs: 50 }),
    kindOf('deadline'),
  );
  await using slow = await serving((_request, response) => {
    response.write('a');
  });
  await assert.rejects(
    realHttp.ask({ method: 'GET', url: slow.url, bytesMax: 10, deadlineMs: 300 }),
    kindOf('deadline'),
  );
});

test('a body without end is cut off at the bound', async () => {
  await using endless = await serving((_request, response) => {
    const more = (): void => {
      while (!response.destroyed && response.write(Buffer.alloc(16_384)));
    };
    response.on('drain', more);
    more();
  });
  await assert.rejects(
    realHttp.ask({ method: 'GET', url: endless.url, bytesMax: 100_000, deadlineMs: 10_000 }),
    kindOf('too-large'),
  );
});

test('nobody there, and being told to stop, are told apart', async () => {
  const gone = await serving(() => undefined);
  await gone[Symbol.asyncDispose]();
  await assert.rejects(
    realHttp.ask({ method: 'GET', url: gone.url, bytesMax: 10, deadlineMs: 10_000 }),
    (error) => kindOf('unreachable')(error) && /ECONNREFUSED/.test(String(error)),
  );
  await using silent = await serving(() => undefined);
  const stop = new AbortController();
  const asked = realHttp.ask({ method: 'GET', url: silent.url, bytesMax: 10, deadlineMs: 10_000, signal: stop.signal });
  stop.abort();
  await assert.rejects(asked, kindOf('aborted'));
  await assert.rejects(
    realHttp.ask({ method: 'GET', url: silent.url, bytesMax: 10, deadlineMs: 10_000, signal: AbortSignal.abort() }),
    kindOf('aborted'),
  );
});
