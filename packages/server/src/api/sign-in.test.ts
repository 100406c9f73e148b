import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { parseTenantId } from '@watchglass/record';
import { freePort } from '../free-ports.fixture.ts';
import { startServer } from '../main.ts';
import { startTestServer } from './server.fixture.ts';
import { ownPath } from './sign-in.ts';

/** What a browser keeps between requests, for each origin. */
class Browser {
  readonly #cookies: Map<string, Map<string, string>> = new Map();

  async fetch(url: string, init: RequestInit = {}): Promise<Response> {
    const { origin } = new URL(url);
    const jar = this.#cookies.get(origin) ?? new Map<string, string>();
    this.#cookies.set(origin, jar);
    const headers = new Headers(init.headers);
    headers.set('cookie', [...jar].map(([name, value]) => `${name}=${value}`).join('; '));
    const response = await fetch(url, { ...init, headers, redirect: 'manual' });
    for (const cookie of response.headers.getSetCookie()) {
      const [pair = ''] = cookie.split(';');
      const at = pair.indexOf('=');
      if (at === pair.length - 1) jar.delete(pair.slice(0, at));
      else jar.set(pair.slice(0, at), pair.slice(at + 1));
    }
    return response;
  }

  async follow(url: string): Promise<{ readonly url: string; readonly response: Response }> {
    let at = url;
    for (let hops = 0; hops < 12; hops++) {
      const response = await this.fetch(at);
      const location = response.headers.get('location');
      if (location === null) return { url: at, response };
      at = new URL(location, at).href;
    }
    throw new Error('too many redirects');
  }
}

test('a person signs in to the console, is known by a cookie the page cannot read, and signs out', async (t) => {
  const dataDir = mkdtempSync(join(tmpdir(), 'sign-in-'));
  t.after(() => rmSync(dataDir, { recursive: true, force: true }));
  const peopleFile = join(dataDir, 'roster.json');
  writeFileSync(peopleFile, JSON.stringify({ staff: [] }));
  const [port, issuerPort] = [await freePort(), await freePort()];
  const url = `http://localhost:${port}`;
  const issuerUrl = `http://localhost:${issuerPort}`;
  await using _server = await startServer({
    dataDir,
    listen: { host: 'localhost', port },
    url,
    tenants: [parseTenantId('clinic')],
    origin: 'watchglass.test',
    issuer: { kind: 'embedded', url: issuerUrl, listen: { host: 'localhost', port: issuerPort } },
    demo: { peopleFile },
    log: { level: 'silent' },
  });
  const { people } = JSON.parse(readFileSync(join(dataDir, 'demo', 'tokens.json'), 'utf8')) as {
    people: { username: string; password: string; role: string }[];
  };
  const officer = people.find(({ role }) => role === 'privacy-officer');
  assert.ok(officer !== undefined);

  const browser = new Browser();
  assert.deepEqual(await (await browser.fetch(`${url}/v1/session`)).json(), { signedIn: false, demo: true });
  const page = await browser.follow(`${url}/auth/login?to=/explorer%3Foutcome%3Ddenied`);
  assert.ok(page.url.startsWith(issuerUrl), page.url);
  const answer = await browser.fetch(page.url, {
    method: 'POST',
    body: new URLSearchParams({ username: officer.username, password: officer.password }),
    headers: { origin: issuerUrl },
  });
  let at = new URL(answer.headers.get('location') ?? '', page.url).href;
  while (!at.startsWith(`${url}/auth/callback`)) {
    at = new URL((await browser.fetch(at)).headers.get('location') ?? '', at).href;
  }
  const back = await browser.fetch(at);
  assert.equal(back.status, 302, await back.text());
  assert.equal(back.headers.get('location'), '/explorer?outcome=denied');
  const cookie = back.headers.getSetCookie().find((one) => one.startsWith('__Host-watchglass='));
  for (const attribute of ['HttpOnly', 'Secure', 'SameSite=Lax', 'Path=/'])
    assert.ok(cookie?.includes(attribute), attribute);

  const session = (await (await browser.fetch(`${url}/v1/session`)).json()) as {
    signedIn: boolean;
    person: { username: string; rights: string[] };
    vkeys: Record<string, string>;
  };
  assert.deepEqual([session.signedIn, session.person.username], [true, officer.username]);
  assert.ok(session.person.rights.includes('open') && session.vkeys.clinic?.startsWith('watchglass.test/clinic+'));

  const search = (headers: Record<string, string>): Promise<Response> =>
    browser.fetch(`${url}/v1/events/search`, {
      method: 'POST',
      body: '{"operation":"login"}',
      headers: { 'content-type': 'application/json', ...headers },
    });
  assert.equal((await search({ origin: url })).status, 200);
  for (const headers of [{ origin: 'http://localhost:1' }, { origin: 'null' }, {}] as Record<string, string>[]) {
    const refused = await search(headers);
    assert.deepEqual([refused.status, ((await refused.json()) as { code: string }).code], [403, 'origin-refused']);
  }

  // The way back works once, and only in the browser it began in.
  const again = await browser.fetch(at);
  assert.equal(((await again.json()) as { code: string }).code, 'sign-in-failed');
  const inWords = await browser.fetch(at, { headers: { accept: 'text/html,application/xhtml+xml' } });
  assert.deepEqual([inWords.status, inWords.headers.get('location')], [302, '/?signin=sign-in-failed']);

  assert.equal(
    (await browser.fetch(`${url}/auth/logout`, { method: 'POST', headers: { origin: 'http://evil.test' } })).status,
    403,
  );
  assert.equal((await browser.fetch(`${url}/auth/logout`, { method: 'POST', headers: { origin: url } })).status, 204);
  assert.deepEqual(await (await browser.fetch(`${url}/v1/session`)).json(), { signedIn: false, demo: true });
});

test('who comes by another name of this machine begins at the one the way back leads to', async () => {
  await using server = await startTestServer();
  const begin = (host: string): Promise<{ statusCode: number; headers: Record<string, unknown> }> =>
    server.api.fastify.inject({ url: '/auth/login?to=/ledger', headers: { host } });
  for (const host of ['127.0.0.1:9440', '[::1]:9440']) {
    const { statusCode, headers } = await begin(host);
    assert.deepEqual([statusCode, headers.location], [302, 'http://localhost:9440/auth/login?to=%2Fledger'], host);
  }
  for (const host of ['localhost:9440', '127.0.0.1:9441', 'evil.test', '127.0.0.1:9440@evil.test', '']) {
    assert.equal((await begin(host)).headers.location, undefined, host);
  }
});

test('signing in never leads to another site', () => {
  for (const to of [
    '//evil.test',
    '/\\evil.test',
    'https://evil.test',
    'javascript:alert(1)',
    '',
    '/a b',
    '/a\r\nb',
    '/a\\b',
    `/${'a'.repeat(2_000)}`,
  ]) {
    assert.equal(ownPath(to), '/', to);
  }
  assert.equal(ownPath('/explorer?outcome=denied&q=%C3%A9'), '/explorer?outcome=denied&q=%C3%A9');
  assert.equal(ownPath(undefined), '/');
});
