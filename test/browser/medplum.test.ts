/**
 * An application that is a page and MedplumClient, in Chromium, before a whole demo: its `signInWithRedirect` to the issuer and back, reading and searching from another origin, renewal, and
 * giving its refresh token back. Nothing of it is ours but its few lines of settings, which are those of docs/identity.md.
 */
import assert from 'node:assert/strict';
import { createReadStream } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import type { Browser, Page } from 'playwright-core';
import { makeFolder } from '../scenario/command.fixture.ts';
import { type SmartDemo, startSmartDemo } from '../scenario/smart.fixture.ts';
import { launchChromium } from './chromium.fixture.ts';

const library = fileURLToPath(import.meta.resolve('@medplum/core'));
let script = '';
const app = createServer((request, response) => {
  const path = request.url?.split('?')[0];
  if (path === '/medplum.mjs') {
    response.setHeader('content-type', 'text/javascript');
    createReadStream(library).pipe(response);
  } else if (path === '/') {
    response.setHeader('content-type', 'text/html');
    response.end(`<!doctype html><title>app</title><p id="said">working</p><script type="module">${script}</script>`);
  } else response.writeHead(404).end();
});
let folder: Awaited<ReturnType<typeof makeFolder>>;
let smart: SmartDemo;
let browser: Browser;
let page: Page;
let origin: string;

before(async () => {
  await new Promise<void>((resolve) => app.listen(0, '127.0.0.1', resolve));
  origin = `http://localhost:${(app.address() as AddressInfo).port}/`;
  folder = await makeFolder('medplum-browser');
  smart = await startSmartDemo(join(folder.path, 'data'), { redirectUri: origin });
  script = pageScript();
  browser = await launchChromium();
  page = await (await browser.newContext({ ignoreHTTPSErrors: true })).newPage();
});
after(async () => {
  await browser?.close();
  await smart?.[Symbol.asyncDispose]();
  await folder?.[Symbol.asyncDispose]();
  app.closeAllConnections();
  app.close();
});

function pageScript(): string {
  const authorizeUrl = `${smart.smart.authorization_endpoint}?${new URLSearchParams({ aud: smart.fhirUrl })}`;
  const settings = {
    baseUrl: `${smart.demo.file.urls.gateway}/`,
    fhirUrlPath: 'fhir',
    authorizeUrl,
    tokenUrl: smart.smart.token_endpoint,
    clientId: 'growth-chart',
  };
  return `
    import { MedplumClient } from '/medplum.mjs';
    window.medplum = new MedplumClient(${JSON.stringify(settings)});
    const said = document.getElementById('said');
    medplum.signInWithRedirect({ scope: 'openid fhirUser user/*.rs', redirectUri: location.origin + '/' }).then(
      () => { if (medplum.isAuthenticated()) said.textContent = 'signed in'; },
      (error) => { said.textContent = 'failed: ' + error; });
  `;
}

test('a page signs its person in by MedplumClient’s own redirect, and reads, searches and renews from its own origin', async () => {
  const { username, password } = smart.demo.person('physician');
  await page.goto(origin);
  await page.getByLabel('Username').fill(username);
  await page.getByLabel('Password').fill(password);
  await page.getByRole('button', { name: 'Sign in' }).click();
  await page.getByText('signed in').waitFor();
  const done = await page.evaluate(`(async () => {
    const found = await medplum.search('Patient', { _count: '2' });
    const [first] = found.entry;
    const read = await medplum.readResource('Patient', first.resource.id);
    const next = found.link.find(({ relation }) => relation === 'next').url;
    const more = await medplum.get(next);
    const old = medplum.getAccessToken();
    await medplum.refreshIfExpired(2 * 3_600_000);
    const again = await medplum.readResource('Patient', first.resource.id, { cache: 'reload' });
    return {
      read: read.id === first.resource.id && again.id === read.id,
      entries: [found.entry.length, more.entry.length],
      renewed: medplum.getAccessToken() !== old,
    };
  })()`);
  assert.deepEqual(done, { read: true, entries: [2, 2], renewed: true });
});

test('giving its refresh token back signs it out', async () => {
  const status = await page.evaluate(`(async () => {
    const body = new URLSearchParams({
      client_id: 'growth-chart',
      token: medplum.getActiveLogin().refreshToken,
      token_type_hint: 'refresh_token',
    });
    window.late = medplum.getAccessToken();
    const { status } = await fetch(${JSON.stringify(smart.smart.revocation_endpoint)}, { method: 'POST', body });
    medplum.clear();
    return status;
  })()`);
  assert.equal(status, 200);
  await page.waitForFunction(
    `fetch(${JSON.stringify(`${smart.fhirUrl}/Patient?_count=1`)}, { credentials: 'include', headers: { authorization: 'Bearer ' + late } }).then(({ status }) => status === 401)`,
    undefined,
    { polling: 100 },
  );
});
