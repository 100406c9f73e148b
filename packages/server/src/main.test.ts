import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { chmod, mkdtemp, readFile, rm, stat, truncate, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { call } from './call.fixture.ts';
import { freePort } from './free-ports.fixture.ts';
import { LedgerError, readConfig, type ServerConfig, ServerError, startServer } from './index.ts';

interface Place {
  readonly dir: string;
  readonly config: ServerConfig;
}

async function prepare(context: TestContext): Promise<Place> {
  const dir = await mkdtemp(join(tmpdir(), 'watchglass-main-'));
  context.after(() => rm(dir, { recursive: true }));
  const [server, issuer] = [await freePort(), await freePort()];
  const staff = [{ id: 'wg-pr-0001', username: 'n.abara', name: 'N. Abara', role: 'nurse', department: 'medicine' }];
  await writeFile(join(dir, 'roster.json'), JSON.stringify({ staff }));
  await writeFile(
    join(dir, 'watchglass.yaml'),
    `data: ./data
listen: { port: ${server} }
url: http://localhost:${server}
tenants: [clinic]
origin: test.watchglass.example
issuer: { embedded: true, url: "http://localhost:${issuer}", listen: { port: ${issuer} } }
demo: { people: roster.json }
log: { level: silent }
`,
  );
  return { dir, config: await readConfig(join(dir, 'watchglass.yaml')) };
}

interface DemoTokens {
  readonly writeKey: string;
  readonly people: readonly {
    readonly id: string;
    readonly username: string;
    readonly password: string;
    readonly role: string;
    readonly token: string;
  }[];
}

async function tokensOf({ config }: Place): Promise<DemoTokens> {
  return JSON.parse(await readFile(join(config.dataDir, 'demo', 'tokens.json'), 'utf8')) as DemoTokens;
}

async function operatorOf({ config }: Place): Promise<string> {
  return (await readFile(join(config.dataDir, 'keys', 'operator.token'), 'utf8')).trim();
}

const event = {
  kind: 'api',
  action: 'read',
  operation: 'read',
  outcome: { status: 'success', code: 200 },
  actor: { id: 'wg-pr-0001', type: 'human' },
  targets: [{ type: 'Patient', id: 'wg-pt-000417', patient: 'wg-pt-000417' }],
};

interface Seen {
  readonly operation: string;
  readonly kind: string;
  readonly emitter: { readonly id: string; readonly seq: number };
}

/** What matches, found once the indexes have it. */
async function search(place: Place, query: object): Promise<readonly Seen[]> {
  const token = await operatorOf(place);
  for (;;) {
    const { status, body } = await call(`${place.config.url}/v1/events/search`, token, query);
    assert.equal(status, 200, JSON.stringify(body));
    const events = body.events as readonly Seen[];
    if (events.length > 0) return events;
  }
}

test('an event that was posted is durable, found and proven, and who is not allowed learns nothing', async (context) => {
  const place = await prepare(context);
  await using server = await startServer(place.config);
  const { people, writeKey } = await tokensOf(place);
  const posted = await call(`${server.url}/v1/events`, writeKey, event);
  assert.equal(posted.status, 201, JSON.stringify(posted.body));
  const [receipt] = posted.body.receipts as [{ index: number }];
  const [found] = await search(place, { patient: 'wg-pt-000417', kind: 'api' });
  assert.equal(found?.operation, 'read');

  const officer = people.find(({ role }) => role === 'privacy-officer');
  const nurse = people.find(({ role }) => role === 'nurse');
  assert.ok(officer !== undefined && nurse !== undefined);
  const read = await call(`${server.url}/v1/events/${receipt.index}`, officer.token);
  assert.equal(read.status, 200, JSON.stringify(read.body));
  assert.equal((await call(`${server.url}/v1/events/${receipt.index}`, nurse.token)).status, 403);
  assert.equal((await call(`${server.url}/v1/events/${receipt.index}`, writeKey)).status, 401);
  assert.deepEqual(JSON.parse(await readFile(join(place.config.dataDir, 'server.json'), 'utf8')), { url: server.url });
});

test('a privacy officer signs in to the console with username and password, and out again', async (context) => {
  const place = await prepare(context);
  await using server = await startServer(place.config);
  const officer = (await tokensOf(place)).people.find(({ role }) => role === 'privacy-officer');
  assert.ok(officer !== undefined);
  const jar = new Map<string, string>();
  const visit = async (url: string, init: RequestInit = {}): Promise<Response> => {
    const headers = new Headers(init.headers);
    headers.set('cookie', [...jar].map(([name, value]) => `${name}=${value}`).join('; '));
    const response = await fetch(url, { ...init, headers, redirect: 'manual' });
    for (const cookie of response.headers.getSetCookie()) {
      const [, name = '', value = ''] = /^([^=]+)=([^;]*)/.exec(cookie) ?? [];
      if (value === '') jar.delete(name);
      else jar.set(name, value);
    }
    return response;
  };
  const follow = async (from: string): Promise<{ url: string; response: Response }> => {
    let url = from;
    for (let hops = 0; hops < 10; hops++) {
      const response = await visit(url);
      const location = response.headers.get('location');
      if (location === null) return { url, response };
      url = new URL(location, url).href;
    }
    throw new Error('too many redirects');
  };
  const session = async () => (await (await visit(`${server.url}/v1/session`)).json()) as Record<string, unknown>;

  assert.equal((await session()).signedIn, false);
  const page = await follow(`${server.url}/auth/login?to=/`);
  assert.match(await page.response.text(), /<label for="password">Password<\/label>/);
  const form = new URLSearchParams({ username: officer.username, password: officer.password });
  const posted = await visit(page.url, { method: 'POST', body: form, headers: { origin: new URL(page.url).origin } });
  assert.equal(posted.status, 303);
  await follow(new URL(posted.headers.get('location') ?? '', page.url).href);
  const signedIn = await session();
  assert.equal(signedIn.signedIn, true, JSON.stringify(signedIn));
  assert.equal((signedIn.person as { username: string }).username, officer.username);
  await visit(`${server.url}/auth/logout`, { method: 'POST', headers: { origin: server.url } });
  assert.equal((await session()).signedIn, false);
  const [out] = await search(place, { operation: 'logout' });
  assert.equal(out?.kind, 'auth');
});

test('the server’s own events are numbered without a gap across restarts, and start and stop are among them', async (context) => {
  const place = await prepare(context);
  for (let run = 0; run < 2; run++) {
    await using _server = await startServer(place.config);
    assert.ok(existsSync(join(place.config.dataDir, 'server.json')));
  }
  assert.ok(!existsSync(join(place.config.dataDir, 'server.json')));
  await using server = await startServer(place.config);
  const status = await call(`${server.url}/v1/status`, await operatorOf(place));
  const text = JSON.stringify(status.body);
  assert.equal(status.status, 200, text);
  const starts = await search(place, { kind: 'system', operation: 'start' });
  const stops = await search(place, { kind: 'system', operation: 'stop' });
  assert.deepEqual([starts.length, stops.length], [3, 2]);
  const own: number[] = [];
  for (let index = 0; own.length < (starts[0]?.emitter.seq ?? 0); index++) {
    const { body } = await call(`${server.url}/v1/events/${index}`, await operatorOf(place));
    const { emitter } = body as unknown as Seen;
    if (emitter.id === 'server') own.push(emitter.seq);
  }
  assert.deepEqual(
    own,
    own.map((_, position) => position + 1),
  );
});

test('a second server on the same data is refused and says so', async (context) => {
  const place = await prepare(context);
  await using _server = await startServer(place.config);
  await assert.rejects(
    startServer(place.config),
    (error) => error instanceof LedgerError && error.code === 'locked' && error.message.includes(place.config.dataDir),
  );
});

test('a key that others can read keeps the server from starting', async (context) => {
  const place = await prepare(context);
  {
    await using _server = await startServer(place.config);
  }
  const kek = join(place.config.dataDir, 'keys', 'kek');
  await chmod(kek, 0o644);
  await assert.rejects(
    startServer(place.config),
    (error) =>
      error instanceof ServerError && error.code === 'key-file-exposed' && error.message.includes(`chmod 600 ${kek}`),
  );
});

test('with a damaged ledger the status says why, and everything else that needs it is refused', async (context) => {
  const place = await prepare(context);
  {
    await using server = await startServer(place.config);
    assert.equal((await call(`${server.url}/v1/events`, (await tokensOf(place)).writeKey, event)).status, 201);
  }
  const commitments = join(place.config.dataDir, 'ledger', 'clinic', 'commitments', '000000.wgc');
  await truncate(commitments, (await stat(commitments)).size / 2);

  await using server = await startServer(place.config);
  assert.equal(server.state.kind, 'read-only');
  const { people, writeKey } = await tokensOf(place);
  const officer = people.find(({ role }) => role === 'privacy-officer')?.token ?? '';
  for (const token of [officer, await operatorOf(place)]) {
    const { status, body } = await call(`${server.url}/v1/status`, token);
    assert.equal(status, 200, JSON.stringify(body));
    assert.match((body.ledger as { state: { reason: string } }).state.reason, /000000\.wgc .*restore it/);
  }
  assert.equal((await call(`${server.url}/v1/events`, writeKey, event)).status, 503);
  for (const path of ['/v1/events', '/v1/events/0', '/v1/events/0/proof', '/v1/events/tail', '/log/clinic/checkpoint'])
    assert.equal((await call(`${server.url}${path}`, officer)).status, 503, path);
  assert.equal((await fetch(`${server.url}/readyz`)).status, 503);
  for (const path of ['/healthz', '/metrics', '/v1/session'])
    assert.equal((await fetch(`${server.url}${path}`)).status, 200, path);
});

test('a start that was given up leaves nothing behind', async (context) => {
  const place = await prepare(context);
  await assert.rejects(startServer(place.config, { signal: AbortSignal.abort() }), { name: 'AbortError' });
  assert.ok(!existsSync(join(place.config.dataDir, 'server.json')));
  await using _server = await startServer(place.config);
});

test('a port that somebody else has is named by its key, and what was open is let go of', async (context) => {
  const place = await prepare(context);
  const { listen, issuer } = place.config;
  assert.ok(issuer.kind === 'embedded');
  for (const [key, { port }] of [
    ['listen', listen],
    ['issuer.listen', issuer.listen],
  ] as const) {
    const other = createServer();
    await new Promise<void>((resolve) => other.listen(port, '127.0.0.1', resolve));
    try {
      await assert.rejects(startServer(place.config), ({ code, message }: ServerError) => {
        assert.equal(code, 'config-invalid');
        assert.equal(
          message,
          `${key}: expected to listen at 127.0.0.1:${port}, got EADDRINUSE; end what listens there, or choose another port`,
        );
        return true;
      });
    } finally {
      await new Promise((resolve) => other.close(resolve));
    }
  }
  await using _server = await startServer(place.config);
});
