/** Signing in by HTTP as a browser does, without one: OIDC code + PKCE, a session cookie, and no token that ever reaches the browser. */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { makeFolder } from './command.fixture.ts';
import { type Demo, startDemo } from './demo.fixture.ts';
import { install, serve } from './server.fixture.ts';

let folder: Awaited<ReturnType<typeof makeFolder>>;
let demo: Demo;

before(async () => {
  folder = await makeFolder('sign-in');
  demo = await startDemo({ dataDir: join(folder.path, 'data') });
});

after(async () => {
  await demo?.[Symbol.asyncDispose]();
  await folder?.[Symbol.asyncDispose]();
});

/** Cookies by origin, redirects by hand, forms by their fields. */
class Visitor {
  readonly #cookies = new Map<string, Map<string, string>>();
  readonly seen: string[] = [];

  async fetch(url: string, init: RequestInit = {}): Promise<Response> {
    const { origin } = new URL(url);
    const jar = this.#cookies.get(origin) ?? new Map<string, string>();
    this.#cookies.set(origin, jar);
    const headers = new Headers(init.headers);
    if (jar.size > 0) headers.set('cookie', [...jar].map(([name, value]) => `${name}=${value}`).join('; '));
    const response = await fetch(url, { ...init, headers, redirect: 'manual' });
    for (const line of response.headers.getSetCookie()) {
      const [, name = '', value = ''] = /^([^=]+)=([^;]*)/.exec(line) ?? [];
      if (value === '' || /expires=Thu, 01 Jan 1970|max-age=0/i.test(line)) jar.delete(name);
      else jar.set(name, value);
      this.seen.push(line);
    }
    return response;
  }

  /** Follows redirects until there is a page. */
  async open(url: string, init: RequestInit = {}): Promise<{ url: string; status: number; html: string }> {
    let at = url;
    let response = await this.fetch(at, init);
    for (let hops = 0; response.status >= 300 && response.status < 400; hops++) {
      assert.ok(hops < 15, 'too many redirects');
      await response.arrayBuffer();
      at = new URL(response.headers.get('location')!, at).href;
      response = await this.fetch(at);
    }
    return { url: at, status: response.status, html: await response.text() };
  }

  async submit(
    page: { url: string; html: string },
    values: Record<string, string>,
  ): Promise<{ url: string; status: number; html: string }> {
    const form = /<form[^>]*>[\s\S]*?<\/form>/.exec(page.html)?.[0] ?? '';
    const action = /action="([^"]*)"/.exec(form)?.[1]?.replaceAll('&amp;', '&') ?? '';
    const fields = new URLSearchParams();
    for (const [input] of form.matchAll(/<input[^>]*>/g)) {
      const name = /name="([^"]*)"/.exec(input)?.[1];
      if (name !== undefined) fields.set(name, values[name] ?? /value="([^"]*)"/.exec(input)?.[1] ?? '');
    }
    const headers = { 'content-type': 'application/x-www-form-urlencoded', origin: new URL(page.url).origin };
    return this.open(new URL(action, page.url).href, { method: 'POST', body: fields.toString(), headers });
  }

  async session(
    server: string = demo.file.urls.server,
  ): Promise<{ signedIn: boolean; person?: { username: string; rights: string[] } }> {
    const response = await this.fetch(`${server}/v1/session`);
    assert.equal(response.status, 200);
    return (await response.json()) as { signedIn: boolean };
  }
}

async function signIn(
  visitor: Visitor,
  username: string,
  password: string,
  urls: { readonly server: string; readonly issuer: string } = demo.file.urls,
): Promise<{ url: string; status: number; html: string }> {
  const page = await visitor.open(`${urls.server}/auth/login?to=/`);
  assert.equal(new URL(page.url).origin, urls.issuer, page.html.slice(0, 500));
  assert.match(page.html, /Username[\s\S]*Password[\s\S]*Sign in/);
  return visitor.submit(page, { username, password });
}

test('a privacy officer signs in, searches with the session, and signs out', async () => {
  const visitor = new Visitor();
  assert.equal((await visitor.session()).signedIn, false);
  const officer = demo.person('privacy-officer');
  const landed = await signIn(visitor, officer.username, officer.password);
  assert.equal(new URL(landed.url).origin, demo.file.urls.server, landed.html.slice(0, 500));
  const session = await visitor.session();
  assert.equal(session.signedIn, true);
  assert.equal(session.person?.username, officer.username);
  assert.ok(session.person?.rights.includes('open'));

  const cookie = visitor.seen.find((line) => line.startsWith('__Host-watchglass='))!;
  for (const attribute of ['HttpOnly', 'Secure', 'SameSite=Lax', 'Path=/'])
    assert.match(cookie, new RegExp(attribute, 'i'));
  assert.doesNotMatch(
    visitor.seen.filter((line) => line.startsWith('__Host-')).join('\n'),
    /eyJ/,
    'a token reached the browser',
  );

  const search = (origin: string): Promise<Response> =>
    visitor.fetch(`${demo.file.urls.server}/v1/events/search`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', origin },
      body: JSON.stringify({ limit: 1 }),
    });
  assert.equal((await search(demo.file.urls.server)).status, 200);
  assert.equal((await search('https://evil.example')).status, 403);

  const out = await visitor.fetch(`${demo.file.urls.server}/auth/logout`, {
    method: 'POST',
    headers: { origin: demo.file.urls.server },
  });
  assert.ok(out.status < 400, String(out.status));
  assert.equal((await visitor.session()).signedIn, false);
  assert.equal((await search(demo.file.urls.server)).status, 401);
});

test('a wrong password and an unknown name get the same answer, and no session', async () => {
  const officer = demo.person('privacy-officer');
  const wrong = new Visitor();
  const pageWrong = await signIn(wrong, officer.username, 'not-the-password');
  const unknown = new Visitor();
  const pageUnknown = await signIn(unknown, 'nobody.here', 'not-the-password');
  assert.equal((await wrong.session()).signedIn, false);
  assert.equal((await unknown.session()).signedIn, false);
  const message = (html: string): string | undefined => /role="alert"[^>]*>([\s\S]*?)<\//.exec(html)?.[1]?.trim();
  assert.ok(message(pageWrong.html));
  assert.equal(message(pageUnknown.html), message(pageWrong.html));
});

test('whoever init names first signs in to a fresh installation, and may review', async () => {
  const here = await install(join(folder.path, 'clinic'));
  await using server = await serve(here);
  const port = Number(new URL(here.url).port);
  const visitor = new Visitor();
  const urls = { server: here.url, issuer: `http://localhost:${port + 2}` };
  await signIn(visitor, here.person.username, here.person.password, urls);
  const { signedIn, person } = await visitor.session(here.url);
  assert.ok(signedIn && person?.rights.includes('search') && person.rights.includes('open'));
  assert.doesNotMatch(server.spawned.err(), /Unsupported runtime/, 'nobody is told to install another Node.js');
});

test('a nurse may sign in and may search nothing', async () => {
  const visitor = new Visitor();
  const nurse = demo.person('nurse');
  await signIn(visitor, nurse.username, nurse.password);
  const response = await visitor.fetch(`${demo.file.urls.server}/v1/events?limit=1`);
  assert.ok([401, 403].includes(response.status), String(response.status));
  await response.arrayBuffer();
});

test('the way back from signing in leads to this console only', async () => {
  const officer = demo.person('privacy-officer');
  for (const to of ['https://evil.example/', '//evil.example/', '/\\evil.example', 'javascript:alert(1)']) {
    const visitor = new Visitor();
    const page = await visitor.open(`${demo.file.urls.server}/auth/login?to=${encodeURIComponent(to)}`);
    if (page.status >= 400) continue;
    const landed = await visitor.submit(page, { username: officer.username, password: officer.password });
    assert.equal(new URL(landed.url).origin, demo.file.urls.server, to);
  }
});
