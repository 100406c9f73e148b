/**
 * A bundle of evidence as somebody gets it: a file, opened in a real Chromium with the network off. It says what holds, shows a changed byte in red, asks for nothing
 * from anywhere, and is accessible in both themes.
 */
import assert from 'node:assert/strict';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { pathToFileURL } from 'node:url';
import { formatVerifierKey, generateMlDsaSigner, pageDigest, splitPage } from '@watchglass/record';
import type { Browser, BrowserContext, Page } from 'playwright-core';
import { sampleBundle, signer } from '../../packages/record/src/bundle/bundle.fixture.ts';
import {
  ask,
  clinic,
  indexed,
  post,
  startTestServer,
  type TestServer,
  testEvent,
} from '../../packages/server/src/api/server.fixture.ts';
import { makeFolder } from '../scenario/command.fixture.ts';
import { launchChromium } from './chromium.fixture.ts';

const root = join(import.meta.dirname, '../..');
const axeSource = readFileSync(join(root, 'node_modules/axe-core/axe.min.js'), 'utf8');
const page = readFileSync(join(root, 'packages/console/dist/evidence/page.html'), 'utf8');
const screenshots = join(import.meta.dirname, 'screenshots');
const manyEvents = 212;

let server: TestServer;
let browser: Browser;
let folder: string;
let bundle: string;
/** Three events: what is looked at closely. */
let few: string;
const teardown = new AsyncDisposableStack();

before(async () => {
  const made = teardown.use(await makeFolder('evidence'));
  folder = made.path;
  server = teardown.use(await startTestServer({ page }));
  const events = Array.from({ length: manyEvents }, (_, i) =>
    testEvent({
      actor: { id: i % 2 === 0 ? 'nurse-1' : 'dr-ito', type: 'human', roles: ['nurse'] },
      targets: [{ type: 'Observation', id: `o-${i}<b>`, patient: 'wg-pt-000417' }],
      exposure: { patients: [{ id: 'wg-pt-000417', classes: ['results'], count: 1 }], count: 1 },
    }),
  );
  assert.equal((await post(server, events)).statusCode, 201);
  await indexed(server);
  bundle = await makeBundle({ filters: { patient: 'wg-pt-000417' } });
  few = await makeBundle({ indexes: [[1, 3]] });
  browser = await launchChromium();
  teardown.defer(() => browser.close());
});
after(() => teardown.disposeAsync());

async function makeBundle(chosen: object): Promise<string> {
  const body = { purpose: 'HOPERAT', reason: 'Complaint 17 </script><b>', ...chosen };
  const answer = await ask(server, await server.token('auditor'), '/v1/bundles', body);
  assert.equal(answer.statusCode, 200, answer.body);
  return answer.body;
}

interface Opened extends AsyncDisposable {
  readonly context: BrowserContext;
  readonly page: Page;
  /** Addresses asked for besides the file itself, and everything the browser complained about. */
  readonly asked: string[];
  readonly complaints: string[];
}

async function open(name: string, text: string, colorScheme: 'light' | 'dark' = 'light'): Promise<Opened> {
  const path = join(folder, name);
  writeFileSync(path, text);
  const context = await browser.newContext({ colorScheme, viewport: { width: 1100, height: 900 }, offline: true });
  const opened = await context.newPage();
  const asked: string[] = [];
  const complaints: string[] = [];
  const url = pathToFileURL(path).href;
  opened.on('request', (request) => request.url() !== url && asked.push(request.url()));
  opened.on('pageerror', (error) => complaints.push(error.message));
  opened.on('console', (message) => message.type() === 'error' && complaints.push(message.text()));
  await opened.goto(url);
  await opened.getByRole('heading', { level: 1, name: /audit trail|cannot be read/ }).waitFor();
  return { context, page: opened, asked, complaints, [Symbol.asyncDispose]: () => context.close() };
}

async function complainNothing(page: Page): Promise<void> {
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

test('opened offline it checks itself and says in sentences what holds', async () => {
  await using opened = await open('intact.html', bundle);
  const { page, asked, complaints } = opened;
  await page.getByText('Intact', { exact: true }).waitFor();
  await page
    .getByRole('heading', { level: 1, name: `${manyEvents} events from the audit trail watchglass.test/clinic` })
    .waitFor();
  await page.getByText('“Complaint 17 </script><b>”').waitFor();
  const first = page.getByRole('list', { name: 'Events' }).getByRole('listitem').first();
  assert.match(
    (await first.textContent()) ?? '',
    /^Read Observation o-0<b> of patient wg-pt-000417 by nurse-1 \(nurse\)\./,
  );
  await page.getByText('Nobody can see from outside').waitFor({ state: 'detached' });
  await page.getByText(/The search index was asked for all that match among the first/).waitFor();
  assert.deepEqual(asked, [], 'nothing was asked of anywhere');
  assert.deepEqual(complaints, []);
});

test('it works by keyboard: the key is compared, words are found, records are opened, and the rest is shown', async () => {
  await using opened = await open('keyboard.html', bundle);
  const { page } = opened;
  const vkey = server.ledger.vkey(clinic).trim();
  await page.getByLabel('Compare it with the key you have from elsewhere').fill(vkey);
  await page.getByText('It is the same key.').waitFor();
  await page.getByText('with the key that you gave').waitFor();
  assert.equal(await page.getByText('That the key is the right one').count(), 0);
  await page.getByLabel('Compare it with the key you have from elsewhere').fill(vkey.replace('clinic', 'clinic-b'));
  await page.getByText('This is not a whole verifier key').waitFor();
  const items = page.getByRole('list', { name: 'Events' }).locator('> li');
  assert.equal(await items.count(), 200);
  await page.getByRole('button', { name: 'Show the other 12' }).press('Enter');
  assert.equal(await items.count(), manyEvents);
  await page.keyboard.press('k');
  await page.keyboard.press('Enter');
  await page.locator('details[open] pre').waitFor();
  await page.getByLabel('Find in these events').fill('O-17<');
  await page.getByText(`1 event of ${manyEvents}.`).waitFor();
  assert.equal(await items.count(), 1);
});

test('a byte that was changed is shown in red, with its place', async () => {
  for (const [name, changed, words] of [
    ['event', bundle.replace('nurse-1', 'nurse-2'), /does not open the leaf stated for it/],
    ['reason', bundle.replace('Complaint 17', 'Complaint 18'), /contents are not those/],
    ['hash', bundle.replace(/"hashes":\["./, '"hashes":["_'), /cannot be read/],
    [
      'cut',
      bundle.replace(/,"proof"[\s\S]*?<\/script>/, '</script>').replace(/\n"proof":[\s\S]*?<\/script>/, '</script>'),
      /cannot be read/,
    ],
  ] as const) {
    assert.notEqual(changed, bundle);
    await using opened = await open(`changed-${name}.html`, changed);
    const alert = opened.page.getByRole('alert');
    await alert.getByText('Not intact').waitFor();
    assert.match((await alert.textContent()) ?? '', words);
    assert.equal(await opened.page.getByText('Intact', { exact: true }).count(), 0);
  }
});

test('a script that is put in, and one that is changed, is not run', async () => {
  const evil = '<script>document.title = "taken over"</script>';
  for (const changed of [
    bundle.replace('<div id="root">', `${evil}<div id="root">`),
    bundle.replace('<div id="root">', '<img src="x" onerror="document.title = \'taken over\'"><div id="root">'),
  ]) {
    await using opened = await open('evil.html', changed);
    assert.notEqual(await opened.page.title(), 'taken over');
    assert.ok(opened.complaints.some((text) => /Content Security Policy/i.test(text)));
  }
});

test('it is accessible in both themes, and on a phone', async () => {
  mkdirSync(screenshots, { recursive: true });
  for (const scheme of ['light', 'dark'] as const) {
    await using opened = await open(`${scheme}.html`, few, scheme);
    const { page } = opened;
    await page.getByText('Intact', { exact: true }).waitFor();
    await complainNothing(page);
    await page.screenshot({ path: join(screenshots, `evidence-${scheme}.png`) });
    await page.setViewportSize({ width: 360, height: 740 });
    const width = (await page.evaluate('document.documentElement.scrollWidth')) as number;
    assert.ok(width <= 360, 'nothing is cut off on a phone');
    await complainNothing(page);
  }
});

test('on paper it is light and whole', async () => {
  await using opened = await open('paper.html', bundle, 'dark');
  const { page } = opened;
  await page.getByText('Intact', { exact: true }).waitFor();
  assert.equal(await page.locator('html').getAttribute('data-theme'), 'dark');
  await page.evaluate('dispatchEvent(new Event("beforeprint"))');
  assert.equal(await page.locator('html').getAttribute('data-theme'), 'light');
  assert.equal(await page.getByRole('list', { name: 'Events' }).locator('> li').count(), manyEvents);
  assert.ok((await page.pdf({ format: 'A4' })).length > 10_000);
});

test('a broken one is accessible in both themes too', async () => {
  for (const scheme of ['light', 'dark'] as const) {
    await using opened = await open(`broken-${scheme}.html`, few.replace('nurse-1', 'nurse-2'), scheme);
    await opened.page.getByRole('alert').waitFor();
    await complainNothing(opened.page);
    await opened.page.screenshot({ path: join(screenshots, `evidence-broken-${scheme}.png`) });
  }
});

test('what is withheld is said to be, and the rest is read as ever', async () => {
  await using fields = await startTestServer({ page, leafType: 2 });
  const event = testEvent({ actor: { id: 'dr-ito', type: 'human' }, purpose: { code: 'TREAT' } });
  assert.equal((await post(fields, [event])).statusCode, 201);
  const body = {
    purpose: 'PATRQT',
    reason: 'Asked by the patient',
    indexes: [fields.ledger.head(clinic).size - 1],
    withhold: ['/actor/id', '/targets/*/id', '/targets/*/patient', '/request'],
  };
  const answer = await ask(fields, await fields.token('auditor'), '/v1/bundles', body);
  assert.equal(answer.statusCode, 200, answer.body);
  await using opened = await open('withheld.html', answer.body);
  const { page: shown } = opened;
  await shown.getByText('Intact', { exact: true }).waitFor();
  await shown.getByText('Read Observation [withheld] of patient [withheld] by [withheld] for treatment.').waitFor();
  await shown.getByText('/actor/id, /targets/*/id, /targets/*/patient, /request').waitFor();
  await shown.getByText(/except for the fields that are withheld/).waitFor();
  await shown.getByText(/^Record of event/).click();
  await shown.getByText('null stands where a field is withheld').waitFor();
  await complainNothing(shown);
  assert.deepEqual(opened.complaints, []);
});

test('what was shredded, what cannot be checked here and who witnessed is said, and none of it in green', async () => {
  const mlDsa = generateMlDsaSigner(signer.name, new Uint8Array(32).fill(5));
  const { evidence, contents } = sampleBundle({
    ...{ signers: [signer, mlDsa], shredded: [4, 11], cosignedSize: 8 },
    contents: { page: pageDigest(page) },
  });
  const { before: head, after: tail } = splitPage(page);
  for (const colorScheme of ['light', 'dark'] as const) {
    await using opened = await open(`second-${colorScheme}.html`, `${head}${evidence}${tail}`, colorScheme);
    const { page: shown, asked, complaints } = opened;
    await shown.getByText('Intact', { exact: true }).waitFor();
    await shown.getByText('Event 4 is in the log, and what stood in it was shredded with access-650').waitFor();
    await shown.getByText(/2 events were shredded: that they were in the log/).waitFor();
    assert.equal(await shown.locator('.holds').count(), 1, 'one of three events opens its leaf');
    await shown.getByText('Not checked here', { exact: true }).waitFor();
    await shown.getByText(/What the ML-DSA-44 signature of the log is worth: it was not checked here/).waitFor();
    const key = shown.getByLabel('Compare it with the key you have from elsewhere');
    await key.fill(formatVerifierKey(mlDsa));
    await shown.getByText('its signature was not checked here').waitFor();
    assert.equal(await shown.getByText('with the key that you gave').count(), 0, 'it pins nothing');
    await key.fill('');
    await shown.getByText('Ask for witnesses that you trust').click();
    const policy = shown.getByLabel('Their policy');
    const lines = contents.witnesses.map((witness) => `witness a ${witness}`);
    await policy.fill(`${lines.join('\n')}\nquorum a`);
    await shown
      .getByText(/^Enough of them have signed, since .* UTC: witness.example; over the first 8 events/)
      .waitFor();
    await shown.getByText(/cosigned in sufficient number: witness.example/).waitFor();
    const other = formatVerifierKey({ ...signer, name: 'other.example' }).replace(/\+[0-9a-f]{8}\+/, '+00000000+');
    await policy.fill(`witness a ${other}\nquorum a`);
    await shown.getByText('This is not a policy of witnesses').waitFor();
    await complainNothing(shown);
    mkdirSync(screenshots, { recursive: true });
    await shown.screenshot({ path: join(screenshots, `evidence-second-${colorScheme}.png`), fullPage: true });
    assert.deepEqual([asked, complaints], [[], []]);
  }
});
