/** Broken glass is reviewed where its event is, in a real Chromium against a real demo. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import type { Browser, Page } from 'playwright-core';
import { makeFolder } from '../scenario/command.fixture.ts';
import { type Demo, startDemo } from '../scenario/demo.fixture.ts';
import { launchChromium } from './chromium.fixture.ts';

const patient = 'wg-pt-000001';
let demo: Demo;
let browser: Browser;
const teardown = new AsyncDisposableStack();

before(async () => {
  const folder = teardown.use(await makeFolder('review'));
  demo = await startDemo({ dataDir: folder.path });
  teardown.defer(async () => {
    await demo.stop();
  });
  browser = await launchChromium();
  teardown.defer(() => browser.close());
});
after(() => teardown.disposeAsync());

/** The page of somebody who signed in. */
async function openAs(role: string, path: string): Promise<Page> {
  const page = await (await browser.newContext({ viewport: { width: 1440, height: 900 } })).newPage();
  page.setDefaultTimeout(60_000);
  const person = demo.person(role);
  await page.goto(`${demo.file.urls.console}${path}`);
  await page.getByRole('link', { name: 'Sign in' }).click();
  await page.getByLabel('Username').fill(person.username);
  await page.getByLabel('Password').fill(person.password);
  await page.getByRole('button', { name: 'Sign in' }).click();
  await page.getByRole('heading', { name: 'Explorer' }).waitFor();
  return page;
}

test('broken glass says who looked at it, takes what a privacy officer finds, and shows it from then on', async () => {
  const sent = await fetch(`${demo.file.urls.server}/v1/events`, {
    method: 'POST',
    headers: { authorization: `Bearer ${demo.file.writeKey}`, 'content-type': 'application/json' },
    body: JSON.stringify({
      v: 1,
      kind: 'access-change',
      action: 'execute',
      operation: 'break-glass-opened',
      outcome: { status: 'success' },
      actor: { id: 'wg-pr-0002', type: 'human' },
      purpose: { code: 'BTG', justification: 'emergency' },
      targets: [{ type: 'Patient', id: patient, patient }],
    }),
  });
  assert.equal(sent.status, 201);
  const { receipts } = (await sent.json()) as { receipts: [{ index: number }] };
  const address = `/explorer?operation=break-glass-opened&event=${receipts[0].index}`;
  const page = await openAs('privacy-officer', address);
  const review = page.getByRole('region', { name: 'Review' });
  await review.getByText('Nobody has looked at it yet.').waitFor();
  await review.getByRole('button', { name: 'Not justified' }).click();
  await review.getByText('Recorded: not justified.').waitFor();
  await review.getByText(/found it unjustified/).waitFor();
  // Who may not open records sees what was found, and is asked for nothing.
  const other = await openAs('security-analyst', address);
  const seen = other.getByRole('region', { name: 'Review' });
  await seen.getByText(/found it unjustified/).waitFor();
  assert.equal(await seen.getByRole('button').count(), 0);
});
