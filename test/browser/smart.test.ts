/** A SMART application in Chromium, before a whole demo: somebody signs in, looks a patient up, chooses; the application reads that record; and the person signs out. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { createRequire } from 'node:module';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import * as client from 'openid-client';
import type { Browser, Page } from 'playwright-core';
import { makeFolder } from '../scenario/command.fixture.ts';
import { type SmartDemo, startSmartDemo } from '../scenario/smart.fixture.ts';
import { launchChromium } from './chromium.fixture.ts';

const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
const app = createServer((_request, response) => response.end('back at the app'));
let redirectUri: string;
let folder: Awaited<ReturnType<typeof makeFolder>>;
let smart: SmartDemo;
let browser: Browser;
let page: Page;
let config: client.Configuration;
let tokens: client.TokenEndpointResponse & client.TokenEndpointResponseHelpers;

before(async () => {
  await new Promise<void>((resolve) => app.listen(0, '127.0.0.1', resolve));
  redirectUri = `http://localhost:${(app.address() as AddressInfo).port}/callback`;
  folder = await makeFolder('smart-browser');
  smart = await startSmartDemo(join(folder.path, 'data'), { redirectUri });
  config = await smart.configure('growth-chart');
  browser = await launchChromium();
  page = await (
    await browser.newContext({ viewport: { width: 900, height: 1000 }, ignoreHTTPSErrors: true })
  ).newPage();
});
after(async () => {
  await browser?.close();
  await smart?.[Symbol.asyncDispose]();
  await folder?.[Symbol.asyncDispose]();
  app.closeAllConnections();
  app.close();
});

async function look(name: string): Promise<void> {
  const found = await page.evaluate(
    `(async () => { ${axe}; return (await axe.run({ runOnly: ['wcag2a', 'wcag2aa', 'wcag21aa'] })).violations.map(({ id }) => id); })()`,
  );
  assert.deepEqual(found, []);
  const pictures = process.env.WATCHGLASS_PICTURES;
  if (pictures === undefined) return;
  for (const colorScheme of ['light', 'dark'] as const) {
    await page.emulateMedia({ colorScheme });
    await page.screenshot({ path: `${pictures}/${name}-${colorScheme}.png`, fullPage: true });
  }
}

test('a physician signs in, looks a patient up by a part of the name, chooses, and the application reads that record', async () => {
  const verifier = client.randomPKCECodeVerifier();
  const state = client.randomState();
  const url = client.buildAuthorizationUrl(config, {
    redirect_uri: redirectUri,
    scope: 'openid fhirUser launch/patient patient/*.rs',
    aud: smart.fhirUrl,
    state,
    code_challenge: await client.calculatePKCECodeChallenge(verifier),
    code_challenge_method: 'S256',
  });
  const { username, password, token } = smart.demo.person('physician');
  await page.goto(url.href);
  await page.getByLabel('Username').fill(username);
  await page.getByLabel('Password').fill(password);
  await page.getByRole('button', { name: 'Sign in' }).click();
  await page.getByRole('heading', { name: 'Choose a patient' }).waitFor();
  await look('choose-patient');

  const answer = await smart.demo.throughGateway('/fhir/Patient?_count=1', token);
  const [{ resource }] = (
    JSON.parse(answer.text) as { entry: [{ resource: { id: string; name: [{ family: string }] } }] }
  ).entry;
  await page.getByLabel('Name or id').fill('nobody-of-this-name');
  await page.getByRole('button', { name: 'Look up' }).click();
  await page.getByText('Nobody is found by that.').waitFor();
  // What is typed stands in no address.
  assert.ok(!page.url().includes('nobody-of-this-name'));
  await page.getByLabel('Name or id').fill(resource.name[0].family.slice(0, 4));
  await page.getByRole('button', { name: 'Look up' }).click();
  await page.getByRole('heading', { name: 'Found' }).waitFor();
  await look('found-patients');
  await page.getByLabel('Name or id').fill(resource.id);
  await page.getByLabel('Name or id').press('Enter');
  await page.getByRole('button', { name: resource.id }).click();
  await page.getByText('back at the app').waitFor();

  const back = new URL(page.url());
  tokens = await client.authorizationCodeGrant(config, back, {
    pkceCodeVerifier: verifier,
    expectedState: state,
    idTokenExpected: true,
  });
  assert.equal(tokens.patient, resource.id);
  const read = await client.fetchProtectedResource(
    config,
    tokens.access_token,
    new URL(`${smart.fhirUrl}/Patient/${resource.id}`),
    'GET',
  );
  assert.equal(read.status, 200);
});

test('who is sent to sign out is asked, and then the application’s token opens nothing any more', async () => {
  await page.goto(client.buildEndSessionUrl(config, { id_token_hint: tokens.id_token ?? '' }).href);
  await page.getByRole('heading', { name: 'Sign out' }).waitFor();
  await look('sign-out');
  await page.getByRole('button', { name: 'Sign out' }).click();
  await page.getByRole('heading', { name: 'Signed out' }).waitFor();
  await look('signed-out');
  const url = new URL(`${smart.fhirUrl}/Patient/${tokens.patient}`);
  for (const endMs = performance.now() + 20_000; ; ) {
    const ended = await client.fetchProtectedResource(config, tokens.access_token, url, 'GET').then(
      ({ status }) => status === 401,
      () => true,
    );
    if (ended) break;
    assert.ok(performance.now() < endMs, 'not within twenty seconds');
  }
  await assert.rejects(client.refreshTokenGrant(config, tokens.refresh_token ?? ''), { error: 'invalid_grant' });
});

test('everything is signed out at one’s own account', async () => {
  const { username, password } = smart.demo.person('nurse');
  await page.goto(`${smart.smart.issuer}/account`);
  await page.getByLabel('Username').fill(username);
  await page.getByLabel('Password').fill(password);
  await page.getByRole('button', { name: 'Sign in' }).click();
  await page.getByRole('button', { name: 'Sign out everywhere' }).click();
  await page.getByText('You are signed out of every application.').waitFor();
  await look('account-signed-out');
});

/** What a page of the application runs: finds the token endpoint, exchanges its code, reads. */
const script = async ({
  base,
  ...form
}: {
  base: string;
  code: string;
  code_verifier: string;
  redirect_uri: string;
}) => {
  const smart = await (await fetch(`${base}/.well-known/smart-configuration`)).json();
  const body = new URLSearchParams({ grant_type: 'authorization_code', client_id: 'growth-chart', ...form });
  const given = await (await fetch(smart.token_endpoint, { method: 'POST', body })).json();
  const get = (token: string) =>
    fetch(`${base}/Patient/${given.patient}`, {
      headers: { authorization: `Bearer ${token}`, accept: 'application/fhir+json' },
    });
  const read = await get(given.access_token);
  const refused = await get('not-a-token');
  return {
    statuses: [read.status, refused.status],
    id: (await read.json()).id,
    patient: given.patient,
    challenge: refused.headers.get('www-authenticate'),
  };
};

test('an application in a browser does all of it by its own script, and a page of another origin reads nothing', async () => {
  const { username, password } = smart.demo.person('patient');
  const verifier = client.randomPKCECodeVerifier();
  const url = client.buildAuthorizationUrl(config, {
    redirect_uri: redirectUri,
    scope: 'openid launch/patient patient/*.rs',
    aud: smart.fhirUrl,
    code_challenge: await client.calculatePKCECodeChallenge(verifier),
    code_challenge_method: 'S256',
  });
  await page.goto(url.href);
  await page.getByLabel('Username').fill(username);
  await page.getByLabel('Password').fill(password);
  await page.getByRole('button', { name: 'Sign in' }).click();
  await page.getByText('back at the app').waitFor();
  const code = new URL(page.url()).searchParams.get('code') ?? '';
  const asked = { base: smart.fhirUrl, code, code_verifier: verifier, redirect_uri: redirectUri };
  const done = await page.evaluate(script, asked);
  assert.deepEqual(done.statuses, [200, 401]);
  assert.equal(done.id, done.patient);
  assert.match(String(done.challenge), /^Bearer /);

  // The same page by another name is another origin.
  await page.goto(redirectUri.replace('localhost', '127.0.0.1'));
  const token = smart.demo.person('physician').token;
  const refused = await page.evaluate(
    ([address, bearer]) =>
      fetch(String(address), { headers: { authorization: `Bearer ${bearer}` } }).then(
        ({ status }) => status,
        (error: unknown) => String(error),
      ),
    [`${smart.fhirUrl}/Patient?_count=1`, token],
  );
  assert.match(String(refused), /Failed to fetch/);
});
