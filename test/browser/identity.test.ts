/** The issuer's own pages in Chromium, with a virtual authenticator: an app and a passkey are enrolled, people sign in with each, and what is refused. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { createRequire } from 'node:module';
import type { AddressInfo } from 'node:net';
import { after, before, test } from 'node:test';
import type { Browser, CDPSession, Page } from 'playwright-core';
import { totpCode, totpStep } from '../../packages/server/src/access/totp.ts';
import { passkeyAcr } from '../../packages/server/src/issuer/claims.ts';
import { password, type RunningIssuer, startIssuer } from '../../packages/server/src/issuer/issuer.fixture.ts';
import { launchChromium } from './chromium.fixture.ts';

const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
const app = createServer((_request, response) => response.end('back at the app'));
let redirectUri: string;
let issuer: RunningIssuer;
let browser: Browser;
let page: Page;
let cdp: CDPSession;
let authenticatorId: string;

before(async () => {
  await new Promise<void>((resolve) => app.listen(0, '127.0.0.1', resolve));
  redirectUri = `http://localhost:${(app.address() as AddressInfo).port}/callback`;
  issuer = await startIssuer([{ id: 'app', name: 'the app', redirectUris: [redirectUri], secret: 's'.repeat(43) }]);
  browser = await launchChromium();
  const context = await browser.newContext({ viewport: { width: 900, height: 1100 } });
  page = await context.newPage();
  cdp = await context.newCDPSession(page);
  await cdp.send('WebAuthn.enable');
  ({ authenticatorId } = await cdp.send('WebAuthn.addVirtualAuthenticator', {
    options: {
      protocol: 'ctap2',
      transport: 'internal',
      hasResidentKey: true,
      hasUserVerification: true,
      isUserVerified: true,
      automaticPresenceSimulation: true,
    },
  }));
});
after(async () => {
  await browser?.close();
  await issuer?.[Symbol.asyncDispose]();
  app.closeAllConnections();
  app.close();
});

async function typePassword(): Promise<void> {
  await page.getByLabel('Username').fill('n.abara');
  await page.getByLabel('Password').fill(password);
  await page.getByRole('button', { name: 'Sign in' }).click();
}

function authorization(more: Record<string, string>): string {
  const query = new URLSearchParams({
    client_id: 'app',
    response_type: 'code',
    redirect_uri: redirectUri,
    scope: 'openid',
    code_challenge: 'x'.repeat(43),
    code_challenge_method: 'S256',
    ...more,
  });
  return `${issuer.url}/auth?${query}`;
}

async function accessible(): Promise<void> {
  const found = await page.evaluate(
    `(async () => { ${axe}; return (await axe.run({ runOnly: ['wcag2a', 'wcag2aa', 'wcag21aa'] })).violations.map(({ id }) => id); })()`,
  );
  assert.deepEqual(found, []);
}

async function pictures(name: string): Promise<void> {
  const folder = process.env.WATCHGLASS_PICTURES;
  if (folder === undefined) return;
  for (const colorScheme of ['light', 'dark'] as const) {
    await page.emulateMedia({ colorScheme });
    await page.screenshot({ path: `${folder}/${name}-${colorScheme}.png`, fullPage: true });
  }
}

let secret: string;

test('an app is enrolled at one’s own account, and is asked for from then on', async () => {
  await page.goto(`${issuer.url}/account`);
  await pictures('sign-in');
  await accessible();
  await typePassword();
  await page.getByRole('button', { name: 'Set up an app' }).click();
  secret = ((await page.locator('#key').textContent()) ?? '').replaceAll(' ', '');
  await pictures('app');
  await page.getByLabel('Code from the app').fill('000000');
  await page.getByRole('button', { name: 'Confirm' }).click();
  await page.getByText('That code doesn’t fit').waitFor();
  await page.getByLabel('Code from the app').fill(totpCode(bytesOf(secret), totpStep(Date.now())));
  await page.getByRole('button', { name: 'Confirm' }).click();
  await page.getByText('The app is set up').waitFor();
  assert.equal(issuer.recorded.at(-1)?.operation, 'totp-set');
  await page.getByRole('button', { name: 'Leave' }).click();
  await typePassword();
  await page.getByRole('heading', { name: 'One more step' }).waitFor();
  await pictures('second-factor');
  await accessible();
  // A step ahead: the one of now has been used, and the one before it is over whenever the next begins.
  await page.getByLabel('Code from your app').fill(totpCode(bytesOf(secret), totpStep(Date.now()) + 1));
  await page.getByRole('button', { name: 'Go on' }).click();
  await page.getByRole('heading', { name: 'Your account' }).waitFor();
});

test('a passkey is enrolled after that strong sign-in, and recovery codes are shown once', async () => {
  await page.getByRole('button', { name: 'Add a passkey' }).click();
  await page.getByText('The passkey is set up').waitFor();
  const added = issuer.recorded.at(-1);
  assert.deepEqual([added?.operation, added?.actor.authentication?.mfa], ['passkey-added', true]);
  await page.getByRole('button', { name: 'Make new codes' }).click();
  assert.equal(await page.locator('#codes li').count(), 10);
  await pictures('account');
  await accessible();
});

test('a step-up to a passkey ends with one, and without the person being verified it does not', async () => {
  const verified = (isUserVerified: boolean) =>
    cdp.send('WebAuthn.setUserVerified', { authenticatorId, isUserVerified });
  await verified(false);
  await page.goto(authorization({ acr_values: passkeyAcr, max_age: '0' }));
  await page.getByRole('button', { name: 'Use a passkey' }).click();
  await page.getByText('No passkey was used').waitFor();
  await verified(true);
  await page.goto(authorization({ acr_values: passkeyAcr, max_age: '0' }));
  await page.getByRole('button', { name: 'Use a passkey' }).click();
  await page.getByText('back at the app').waitFor();
  assert.ok(new URL(page.url()).searchParams.has('code'));
  const login = issuer.recorded.at(-1);
  assert.deepEqual(
    [login?.operation, login?.actor.id, login?.actor.authentication],
    ['login', issuer.nurse.id, { method: 'passkey', mfa: true, assurance: passkeyAcr }],
  );
});

test('after ten wrong passwords the page says how long to wait', async () => {
  await page.goto(authorization({}));
  const guess = { username: 'nobody', password: 'not the password' };
  for (let n = 0; n < 10; n++) await issuer.access.people.signIn(guess);
  await page.getByLabel('Username').fill(guess.username);
  await page.getByLabel('Password').fill(guess.password);
  await page.getByRole('button', { name: 'Sign in' }).click();
  await page.getByText('Too many attempts. Try again in 15 minutes').waitFor();
  await pictures('locked');
  assert.ok(issuer.recorded.some(({ operation }) => operation === 'lockout'));
});

/** RFC 4648 §6, back. */
function bytesOf(text: string): Uint8Array {
  const bits = [...text].map((letter) =>
    'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567'.indexOf(letter).toString(2).padStart(5, '0'),
  );
  return Uint8Array.from(bits.join('').match(/.{8}/g) ?? [], (byte) => Number.parseInt(byte, 2));
}
