/**
 * The console as a person has it: a real Chromium against a real demo. Sign-in by OIDC, search, the event's proof checked in the
 * browser, what happens when a proof is forged, the keyboard, the live tail, signing out, a phone, and accessibility in both themes.
 */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import type { Browser, BrowserContext, Page } from 'playwright-core';
import { splitBundle, verifyBundle } from '../../packages/record/src/index.ts';
import { makeFolder, until, watchglassJson } from '../scenario/command.fixture.ts';
import { type Demo, startDemo } from '../scenario/demo.fixture.ts';
import { launchChromium } from './chromium.fixture.ts';

const patient = 'wg-pt-000001';
const axeSource = readFileSync(join(import.meta.dirname, '../../node_modules/axe-core/axe.min.js'), 'utf8');

let demo: Demo;
let browser: Browser;
const teardown = new AsyncDisposableStack();

before(async () => {
  const folder = teardown.use(await makeFolder('browser'));
  demo = await startDemo({ dataDir: folder.path });
  teardown.defer(async () => {
    await demo.stop();
  });
  browser = await launchChromium();
  teardown.defer(() => browser.close());
  const read = await demo.throughGateway(`/fhir/Patient/${patient}`, demo.person('physician').token);
  assert.equal(read.status, 200);
  await until(async () => {
    const found = await watchglassJson<{ count: number }>([
      'search',
      '--patient',
      patient,
      '--kind',
      'api',
      '--data',
      demo.dataDir,
    ]);
    return found.count > 0 ? true : undefined;
  }, 'the read in the index');
});

after(() => teardown.disposeAsync());

async function openContext(
  options: { colorScheme?: 'light' | 'dark'; viewport?: { width: number; height: number }; hasTouch?: boolean } = {},
): Promise<AsyncDisposable & { context: BrowserContext; page: Page }> {
  const context = await browser.newContext({
    viewport: { width: 1440, height: 900 },
    reducedMotion: 'reduce',
    ...options,
  });
  const page = await context.newPage();
  return { context, page, [Symbol.asyncDispose]: () => context.close() };
}

async function signIn(page: Page, role: string, path = '/'): Promise<void> {
  const person = demo.person(role);
  await page.goto(`${demo.file.urls.console}${path}`);
  await page.getByRole('link', { name: 'Sign in' }).click();
  await page.getByLabel('Username').fill(person.username);
  await page.getByLabel('Password').fill(person.password);
  await page.getByRole('button', { name: 'Sign in' }).click();
  await page.getByRole('heading', { name: 'Explorer' }).waitFor();
}

interface Found {
  readonly events: readonly { readonly actor: { readonly id: string; readonly roles: readonly string[] } }[];
  readonly people: Readonly<Record<string, { readonly name: string }>>;
}

async function searchAs(role: string, query: object): Promise<Found> {
  const response = await fetch(`${demo.file.urls.server}/v1/events/search`, {
    method: 'POST',
    headers: { authorization: `Bearer ${demo.person(role).token}`, 'content-type': 'application/json' },
    body: JSON.stringify(query),
  });
  assert.equal(response.status, 200);
  return (await response.json()) as Found;
}

/** What is still fading in has a contrast of its own: everything that ends has ended. */
async function settle(page: Page): Promise<void> {
  await page.evaluate(async () => {
    const ending = (): Animation[] =>
      document.getAnimations().filter((each) => each.effect?.getComputedTiming().endTime !== Number.POSITIVE_INFINITY);
    for (let running = ending(); running.length > 0; running = ending())
      await Promise.allSettled(running.map(({ finished }) => finished));
  });
}

async function complainNothing(page: Page): Promise<void> {
  await settle(page);
  // Evaluated over the debugging protocol, which the page's own content security policy does not govern.
  await page.evaluate(axeSource);
  const found = (await page.evaluate(
    `axe.run({ runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'] })`,
  )) as { violations: { id: string; nodes: { target: string[] }[] }[] };
  assert.deepEqual(
    found.violations.map(({ id, nodes }) => `${id}: ${nodes.map((node) => node.target.join(' ')).join(', ')}`),
    [],
  );
}

async function searchForPatient(page: Page): Promise<void> {
  await page.keyboard.press('/');
  await page.keyboard.type(`patient:${patient} kind:api`);
  await page.keyboard.press('Enter');
  await page.getByRole('list', { name: 'Active filters' }).waitFor();
  await page
    .getByRole('region', { name: 'Events' })
    .getByRole('link', { name: /Read Patient/ })
    .first()
    .waitFor();
}

test('a privacy officer signs in, finds who read a patient, and proves it in the browser', async () => {
  await using opened = await openContext();
  const { page, context } = opened;
  const complaints: string[] = [];
  const asked: string[] = [];
  page.on('request', (request) => asked.push(request.url()));
  page.on('pageerror', (error) => complaints.push(error.message));
  page.on('console', (message) => message.type() === 'error' && complaints.push(message.text()));
  await signIn(page, 'privacy-officer');
  await searchForPatient(page);
  assert.match(page.url(), /kind=api/);

  await page.keyboard.press('j');
  await page.keyboard.press('Enter');
  const proof = page.getByRole('region', { name: 'Proof' });
  await proof.getByText('Sealed', { exact: true }).waitFor();
  assert.match((await proof.textContent()) ?? '', /opened the leaf, found exactly this event/);
  await proof.getByRole('button').first().click();
  await proof.getByText('The event opens the leaf').waitFor();
  for (const region of ['Events', 'Proof']) {
    const shown = await page.getByRole('region', { name: region }).textContent();
    assert.doesNotMatch(shown ?? '', new RegExp(patient), 'only pseudonyms are shown');
  }

  await page.getByRole('button', { name: 'Evidence of this event' }).click();
  await page.getByLabel('Reason').fill('Complaint 17');
  const [file] = await Promise.all([
    page.waitForEvent('download'),
    page.getByRole('button', { name: 'Make the file' }).click(),
  ]);
  assert.match(file.suggestedFilename(), /^evidence-.*\.html$/);
  const { evidence } = splitBundle(readFileSync(await file.path(), 'utf8'));
  assert.deepEqual(verifyBundle(evidence).findings, []);
  await page.getByText('Saved as evidence-').waitFor();
  await page.keyboard.press('Escape');

  await page.keyboard.press('Escape');
  await proof.waitFor({ state: 'detached' });
  const cookies = await context.cookies();
  const session = cookies.find((cookie) => cookie.name === '__Host-watchglass');
  assert.ok(session?.httpOnly && session.secure, 'the session is a __Host- cookie that scripts cannot read');
  assert.equal(
    await page.evaluate('Object.values({...localStorage, ...sessionStorage}).some((v) => /eyJ/.test(v))'),
    false,
    'no token reaches the browser',
  );
  assert.ok(asked.length > 10);
  assert.deepEqual(
    asked.filter((url) => url.includes(patient)),
    [],
    'a patient stands in no URL that leaves the browser',
  );
  assert.deepEqual(complaints, []);
});

test('all filters stand in the URL, so that a colleague sees the same', async () => {
  await using opened = await openContext();
  const { page } = opened;
  await signIn(page, 'auditor', '/explorer?kind=access-change');
  await page.getByRole('list', { name: 'Active filters' }).waitFor();
  const rows = page.getByRole('region', { name: 'Events' }).getByRole('row');
  await until(async () => ((await rows.count()) > 5 ? true : undefined), 'rows');
  await page.reload();
  await page.getByRole('list', { name: 'Active filters' }).waitFor();
  assert.match(page.url(), /kind=access-change/);
});

test('a forged proof is called not intact', async () => {
  await using opened = await openContext();
  const { page } = opened;
  await signIn(page, 'privacy-officer');
  await page.route('**/v1/events/*/proof*', async (route) => {
    const response = await route.fetch();
    const text = await response.text();
    // One character of the opening: r ‖ m no longer open the leaf.
    const forged = text.replace(/^extra (.)/m, (_, first: string) => `extra ${first === 'A' ? 'B' : 'A'}`);
    await route.fulfill({ response, body: forged });
  });
  await searchForPatient(page);
  await page.keyboard.press('j');
  await page.keyboard.press('Enter');
  await page.getByRole('region', { name: 'Proof' }).getByText('Not intact', { exact: true }).waitFor();
});

test('a security analyst proves the place of an event, but its content is not opened to them', async () => {
  await using opened = await openContext();
  const { page } = opened;
  await signIn(page, 'security-analyst');
  await searchForPatient(page);
  await page.keyboard.press('j');
  await page.keyboard.press('Enter');
  await page.getByRole('region', { name: 'Proof' }).getByText('Position sealed', { exact: true }).waitFor();
});

test('a wrong password is refused in words, and a clinical person has nothing to see', async () => {
  await using opened = await openContext();
  const { page } = opened;
  await page.goto(demo.file.urls.console);
  await page.getByRole('link', { name: 'Sign in' }).click();
  await page.getByLabel('Username').fill(demo.person('auditor').username);
  await page.getByLabel('Password').fill('not the password');
  await page.getByRole('button', { name: 'Sign in' }).click();
  await page.getByText('go together').waitFor();
  const nurse = demo.person('nurse');
  await page.getByLabel('Username').fill(nurse.username);
  await page.getByLabel('Password').fill(nurse.password);
  await page.getByRole('button', { name: 'Sign in' }).click();
  await page.waitForURL((url) => url.href.startsWith(demo.file.urls.console));
  await page.waitForLoadState('networkidle');
  assert.equal(await page.getByRole('region', { name: 'Events' }).getByRole('row').count(), 0);
});

test('people are called by their names, with what they are; the id is in the panel', async () => {
  await using opened = await openContext();
  const { page } = opened;
  const { events, people } = await searchAs('privacy-officer', { patient, kind: 'api' });
  const [{ actor } = assert.fail('no event of the patient')] = events;
  const { name } = people[actor.id] ?? assert.fail(`${actor.id} has no name`);
  await signIn(page, 'privacy-officer');
  await searchForPatient(page);
  const row = page.getByRole('region', { name: 'Events' }).getByRole('row').filter({ hasText: name }).first();
  assert.match((await row.textContent()) ?? '', new RegExp(`${name} ${actor.roles[0]}`));
  const who = (await page.getByRole('region', { name: 'Who' }).textContent()) ?? '';
  assert.match(who, new RegExp(name));
  assert.doesNotMatch(who, /wg-/, 'whoever is counted has a name, whether a page listed them or not');
  await row.click();
  await page.getByRole('heading', { name: `by ${name} (${actor.roles[0]}` }).waitFor();
  await page.getByRole('region', { name: 'Who' }).getByText(actor.id, { exact: true }).waitFor();
});

test('a server that is busy is an error in words: what is safe, what to do', async () => {
  await using opened = await openContext();
  const { page } = opened;
  await signIn(page, 'auditor');
  await page.route('**/v1/events/search', (route) =>
    route.fulfill({
      status: 503,
      contentType: 'application/problem+json',
      body: JSON.stringify({ title: 'A part this needs is not ready', detail: 'Retry-After', code: 'unavailable' }),
    }),
  );
  await page.goto(`${demo.file.urls.console}/explorer?kind=api`);
  const alert = page.getByRole('alert');
  await alert.getByText('What is on record is not touched').waitFor();
  assert.doesNotMatch((await alert.textContent()) ?? '', /Retry-After/);
  await page.unroute('**/v1/events/search');
  await alert.getByRole('button', { name: 'Try again' }).click();
  await page.getByRole('region', { name: 'Events' }).getByRole('row').nth(1).waitFor();
});

test('whoever signs out is out: the cookie opens nothing any more', async () => {
  await using opened = await openContext();
  const { page, context } = opened;
  await signIn(page, 'auditor');
  const cookies = await context.cookies();
  await page.getByRole('button', { name: 'Account of' }).click();
  // The page begins anew; the link is there a moment before that already, and a reload in that moment is one too many.
  const anew = page.waitForEvent('load');
  await page.getByRole('menuitem', { name: 'Sign out' }).click();
  await anew;
  await page.getByRole('link', { name: 'Sign in' }).waitFor();
  await context.addCookies(cookies);
  await page.reload();
  await page.getByRole('link', { name: 'Sign in' }).waitFor();
  assert.equal((await context.request.get(`${demo.file.urls.console}/v1/events`)).status(), 401);
});

test('a sign-in that failed comes back to a sentence, and not to JSON', async () => {
  await using opened = await openContext();
  const { page } = opened;
  await page.goto(`${demo.file.urls.console}/auth/callback?code=x&state=y`);
  await page.getByRole('alert').getByText('You are not signed in.').waitFor();
  assert.doesNotMatch(page.url(), /signin/, 'a reload does not say it again');
  await page.getByRole('link', { name: 'Sign in' }).click();
  await page.getByLabel('Username').waitFor();
});

test('while live is on, what arrives is counted, and a click brings it in', async () => {
  await using opened = await openContext();
  const { page } = opened;
  await signIn(page, 'privacy-officer', '/explorer?kind=api');
  const links = page.getByRole('region', { name: 'Events' }).locator('[data-event-link]');
  await links.first().waitFor();
  const before = await links.first().getAttribute('href');
  const tail = page.waitForResponse((response) => response.url().includes('/v1/events/tail'));
  await page.keyboard.press('l');
  await tail;
  const read = await demo.throughGateway(`/fhir/Patient/${patient}`, demo.person('nurse').token);
  assert.equal(read.status, 200);
  await page.getByRole('button', { name: /^\d+ new events?$/ }).click();
  await until(
    async () => ((await links.first().getAttribute('href')) === before ? undefined : true),
    'the new event at the top',
  );
  await page.getByRole('button', { name: /new event/ }).waitFor({ state: 'detached' });
});

test('everything can be done from the keyboard, and no screen offends the content security policy', async () => {
  await using opened = await openContext();
  const { page } = opened;
  const complaints: string[] = [];
  page.on('pageerror', (error) => complaints.push(error.message));
  page.on('console', (message) => message.type() === 'error' && complaints.push(message.text()));
  await signIn(page, 'privacy-officer');
  await page.getByRole('region', { name: 'Events' }).getByRole('row').nth(3).waitFor();
  const press = (key: string): Promise<void> => page.keyboard.press(key);
  const panel = page.getByRole('region', { name: 'Proof' });

  await press('j');
  await press('j');
  await press('k');
  await press('Enter');
  await panel.waitFor();
  const first = page.url();
  await press('j');
  await page.waitForURL((url) => url.href !== first);
  await press('Escape');
  await panel.waitFor({ state: 'detached' });

  await press('?');
  const dialog = page.getByRole('dialog');
  await dialog.getByText('This help').waitFor();
  await press('Escape');
  await dialog.waitFor({ state: 'detached' });

  await press('Control+k');
  await page.getByRole('combobox', { name: 'Command' }).fill('3');
  await page.getByRole('option', { name: 'Open event 3' }).waitFor();
  await press('Enter');
  await panel.getByText('Sealed', { exact: true }).waitFor();
  assert.match(page.url(), /event=3/);
  await press('Escape');

  for (const name of [/^Time range: /, 'Filter', 'Account of']) {
    await page.getByRole('button', { name }).click();
    await page.locator('[data-radix-popper-content-wrapper]').waitFor();
    await press('Escape');
    await page.locator('[data-radix-popper-content-wrapper]').waitFor({ state: 'detached' });
  }
  await press('Control+k');
  await page.getByRole('combobox', { name: 'Command' }).fill('ledger');
  await press('Enter');
  await page.getByRole('heading', { name: 'Emitters' }).waitFor();
  assert.deepEqual(complaints, []);
});

test('the Ledger page says what was examined, and shows each red interval in words with the events it follows from', async () => {
  // A gateway that died: it counted, and says nothing any more.
  const at = Date.now() - 20 * 60_000;
  const names = [
    'since',
    'received',
    'recorded',
    'flooded',
    'faulted',
    'unrecorded',
    'inFlight',
    'answered',
    'refused',
  ];
  const counters = [...names, 'connectionFaults', 'eventsRecorded', 'eventsPending', 'eventsUnrecorded'];
  const sent = await fetch(`${demo.file.urls.server}/v1/events`, {
    method: 'POST',
    headers: { authorization: `Bearer ${demo.file.writeKey}`, 'content-type': 'application/json' },
    body: JSON.stringify(
      [0, 60_000].map((ms, seq) => ({
        time: new Date(at + ms).toISOString(),
        emitter: { id: 'edge-2', seq: seq + 1 },
        kind: 'system',
        action: 'execute',
        operation: 'request-counters',
        outcome: { status: 'success' },
        actor: { id: 'gateway:edge-2', type: 'service' },
        changes: counters.map((name) => {
          const after = String(name === 'since' ? at : name === 'eventsRecorded' ? seq : 0);
          return { path: `/${name}`, op: 'replace', after };
        }),
      })),
    ),
  });
  const [, { index = -1 } = {}] = ((await sent.json()) as { receipts: { index: number }[] }).receipts;
  for (const colorScheme of ['light', 'dark'] as const) {
    await using opened = await openContext({ colorScheme });
    const { page } = opened;
    await signIn(page, 'auditor');
    await page.goto(`${demo.file.urls.console}/ledger`);
    const section = page.getByRole('region', { name: 'Is anything missing?' });
    await section
      .getByText(/Examined: /)
      .first()
      .waitFor();
    await section.getByRole('img', { name: /red interval/ }).waitFor();
    const row = section.getByRole('row').filter({ hasText: 'edge-2' });
    await row.getByText('Emitter silent').waitFor();
    await row.getByText(/has said nothing since, and no goodbye/).waitFor();
    await section.getByRole('button', { name: '7 days' }).click();
    await row.getByText(/and still$/).waitFor();
    await complainNothing(page);
    await row.getByRole('link', { name: index.toLocaleString('en-GB'), exact: true }).click();
    await page.getByText('Counted its requests so far').first().waitFor();
    await page.waitForURL(new RegExp(`event=${index}`));
  }
});

test('on a phone the facets come up in a sheet', async () => {
  await using opened = await openContext({ viewport: { width: 390, height: 844 }, hasTouch: true });
  const { page } = opened;
  await signIn(page, 'auditor');
  await page.getByRole('button', { name: 'Filter' }).tap();
  const sheet = page.getByRole('dialog', { name: 'Filter' });
  await sheet.getByRole('button', { name: /^Access change/ }).tap();
  await page.waitForURL(/kind=access-change/);
  await complainNothing(page);
  await sheet.getByRole('button', { name: 'Close' }).tap();
  await page.getByRole('list', { name: 'Active filters' }).waitFor();
  await page
    .getByRole('link', { name: /^Added the person/ })
    .first()
    .waitFor();
});

for (const colorScheme of ['light', 'dark'] as const) {
  test(`the rows shown stay legible while a new answer is awaited, in the ${colorScheme} theme`, async () => {
    await using opened = await openContext({ colorScheme });
    const { page } = opened;
    await signIn(page, 'auditor');
    const rows = page.getByRole('region', { name: 'Events' }).getByRole('row');
    await rows.nth(3).waitFor();
    const answer = Promise.withResolvers<void>();
    await page.route('**/v1/events/{search,summary}', async (route) => {
      await answer.promise;
      await route.continue();
    });
    await page
      .getByRole('complementary', { name: 'Facets' })
      .getByRole('button', { name: /^Access change/ })
      .click();
    const awaited = page.getByRole('status').filter({ hasText: 'The new answer is awaited.' });
    await awaited.waitFor();
    await complainNothing(page);
    assert.equal(await page.getByRole('region', { name: 'Events' }).getAttribute('aria-busy'), 'true');
    answer.resolve();
    await awaited.waitFor({ state: 'detached' });
    await page
      .getByRole('link', { name: /^Added the person/ })
      .first()
      .waitFor();
  });

  test(`axe finds nothing to complain about in the ${colorScheme} theme`, async () => {
    await using opened = await openContext({ colorScheme });
    const { page } = opened;
    await signIn(page, 'auditor');
    await page.getByRole('region', { name: 'Events' }).getByRole('row').nth(3).waitFor();
    await page.keyboard.press('j');
    await page.keyboard.press('Enter');
    await page.getByRole('region', { name: 'Proof' }).getByText('Sealed', { exact: true }).waitFor();
    await complainNothing(page);
  });
}
