/**
 * The page of a bundle: verifies the evidence it lies in, offline, and says in plain sentences what holds. The evidence is data and never markup; nothing is
 * asked of any server, and the policy of the page would refuse it.
 *
 * What this page can't do is vouch for itself: whoever changes a file can change the page with it. `watchglass verify FILE` is the second way.
 */
import {
  type BundleContents,
  type BundleReport,
  formatVerifierKey,
  parsePolicy,
  parseVerifierKey,
  RecordError,
  sayCompleteness,
  sayNotProven,
  sayProven,
  sayQuery,
  verifyBundle,
} from '@watchglass/record';
import { plainWords, purposeLabel } from '../text/labels.ts';
import { plural } from '../text/number.ts';
import { formatFullTime } from '../time/format.ts';
import { element, sealShape } from './element.ts';
import { eventList } from './event-list.ts';
import './page.css';

followTheme();
const root = document.getElementById('root') as HTMLElement;
const evidence = document.getElementById('evidence')?.textContent ?? '';
// After the first paint, which says that it is being checked.
setTimeout(() => {
  try {
    show(verifyBundle(evidence));
  } catch {
    // Whatever a forger put where a time or a name belongs: nothing of it was shown to hold.
    show(unshowable);
  }
}, 30);

const unshowable: BundleReport = {
  intact: false,
  pinned: false,
  findings: [{ code: 'bundle-malformed', place: 'evidence', message: 'the evidence cannot be shown' }],
  events: [],
  signatures: [],
  unchecked: [],
  followed: [],
  shreds: [],
};

function show(report: BundleReport): void {
  const { contents } = report;
  document.title = `Evidence · ${contents?.origin ?? 'unreadable'} · ${report.intact ? 'intact' : 'NOT INTACT'}`;
  const verdict = element('div', {}, verdictOf(report));
  const unshown = element('div', {}, statements('What it does not show', sayNotProven(report)));
  const shownHere = element('div', {}, statements('What this shows', sayProven(report)));
  const tell = (again: BundleReport): void => {
    verdict.replaceChildren(verdictOf(again));
    for (const [place, title, lines] of [
      [shownHere, 'What this shows', sayProven(again)],
      [unshown, 'What it does not show', sayNotProven(again)],
    ] as const)
      place.replaceChildren(...[statements(title, lines)].filter((one) => one !== undefined));
  };
  root.replaceChildren(
    element('header', {}, element('div', {}, element('h1', {}, titleOf(contents)), madeLine(contents)), themeButton()),
    element(
      'main',
      {},
      verdict,
      contents && aboutSection(contents, report),
      shownHere,
      unshown,
      contents && keySection(contents, tell),
      report.events.length > 0 && eventList(report.events),
      report.maker && makerSection(report.maker),
    ),
    element(
      'footer',
      {},
      element(
        'p',
        {},
        'This page checked the evidence by itself, with nothing from elsewhere. A page can be changed together with what it shows: to be sure, have the file checked by a program of your own, such as ',
        element('span', { class: 'mono' }, 'watchglass verify FILE --vkey KEY'),
        '.',
      ),
    ),
  );
}

function titleOf(contents: BundleContents | undefined): string {
  if (contents === undefined) return 'Evidence that cannot be read';
  return `${plural(contents.events.length, 'event')} from the audit trail ${contents.origin}`;
}

function madeLine(contents: BundleContents | undefined): HTMLElement | undefined {
  if (contents === undefined) return undefined;
  const { by, made, purpose } = contents;
  const roles = by.roles.length === 0 ? '' : ` (${by.roles.map(plainWords).join(', ')})`;
  return element(
    'p',
    { class: 'quiet' },
    `Put together by ${by.name}${roles} on ${formatFullTime(made, 'utc')}, for ${purposeLabel(purpose.code)}: “${purpose.reason}”.`,
  );
}

function verdictOf(report: BundleReport): HTMLElement {
  if (report.intact) {
    return element(
      'div',
      { class: 'verdict intact', role: 'status' },
      sealShape('intact'),
      element(
        'div',
        {},
        element('strong', {}, 'Intact'),
        element(
          'p',
          {},
          `Nothing in this evidence was changed since the log ${report.contents?.origin} signed it${sayWhichKey(report)}.`,
        ),
      ),
    );
  }
  return element(
    'div',
    { class: 'verdict broken', role: 'alert' },
    sealShape('broken'),
    element(
      'div',
      {},
      element('strong', {}, 'Not intact'),
      element('p', {}, 'This evidence is not what was put together. Do not rely on it.'),
      element(
        'ul',
        { class: 'findings' },
        ...report.findings
          .slice(0, 50)
          .map(({ code, place, message }) =>
            element(
              'li',
              {},
              `${message.charAt(0).toUpperCase()}${message.slice(1)}. `,
              element('span', { class: 'mono' }, `${place} [${code}]`),
            ),
          ),
      ),
    ),
  );
}

function sayWhichKey({ pinned, followed }: BundleReport): string {
  if (!pinned) return '';
  return followed.length === 0 ? ' with the key that you gave' : ', with a key that the one you gave leads to';
}

function aboutSection(
  contents: BundleContents,
  { checkpoint, signatures, unchecked, cosigned }: BundleReport,
): HTMLElement {
  const fact = (name: string, value: string | undefined): HTMLElement[] =>
    value === undefined ? [] : [element('dt', {}, name), element('dd', {}, value)];
  const signers = signatures.map(({ name, type }) => `${name} (${type === 6 ? 'ML-DSA-44' : 'Ed25519'})`);
  return element(
    'section',
    { 'aria-labelledby': 'about' },
    element('h2', { id: 'about' }, 'About this evidence'),
    element(
      'dl',
      { class: 'facts' },
      ...fact('Events', sayQuery(contents)),
      ...fact('Complete?', sayCompleteness(contents)),
      ...fact('Withheld', contents.withheld.length === 0 ? undefined : contents.withheld.join(', ')),
      ...fact(
        'Signed by',
        signers.length === 0
          ? 'nobody'
          : `${signers.join(' and ')}, over ${plural(Number(checkpoint?.size ?? 0), 'event')}`,
      ),
      ...fact(
        'Not checked here',
        unchecked.length === 0
          ? undefined
          : `The ML-DSA-44 signature by ${unchecked.map(({ name }) => name).join(' and ')}: this browser can’t. It counts for nothing above; watchglass verify FILE checks it.`,
      ),
      ...fact(
        'Witnessed by',
        cosigned === undefined || cosigned.signatures.length === 0
          ? 'nobody known here'
          : cosigned.signatures
              .map(({ name, timeSeconds }) => `${name} on ${formatFullTime(timeOfSeconds(timeSeconds ?? 0n), 'utc')}`)
              .join(' and '),
      ),
    ),
  );
}

function statements(title: string, lines: readonly string[]): HTMLElement | undefined {
  if (lines.length === 0) return undefined;
  const id = title.toLowerCase().replaceAll(' ', '-');
  return element(
    'section',
    { 'aria-labelledby': id },
    element('h2', { id }, title),
    element('ul', { class: 'statements' }, ...lines.map((line) => element('li', {}, line))),
  );
}

/** The key came with the file: whoever has it, or knows witnesses, from elsewhere compares, and is told the verdict anew. */
function keySection(contents: BundleContents, tell: (report: BundleReport) => void): HTMLElement {
  const answer = element('p', { role: 'status', class: 'quiet' });
  const policyAnswer = element('p', { role: 'status', class: 'quiet' });
  const given = element('input', { id: 'key', type: 'text', autocomplete: 'off', spellcheck: 'false', class: 'mono' });
  const policy = element('textarea', { id: 'policy', rows: '4', spellcheck: 'false', class: 'mono' });
  const again = (): void => {
    const vkey = readGiven(given, answer, parseVerifierKey, 'a whole verifier key: it looks like name+hash+letters');
    const trusted = readGiven(policy, policyAnswer, parsePolicy, 'a policy of witnesses (c2sp.org/tlog-policy)');
    const report = verifyBundle(evidence, {
      ...(vkey === undefined ? {} : { vkey: formatVerifierKey(vkey) }),
      ...(trusted === undefined ? {} : { policy: trusted }),
    });
    tell(report);
    if (vkey !== undefined) answer.textContent = sayKey(report);
    if (trusted !== undefined) policyAnswer.textContent = sayPolicy(report);
  };
  given.addEventListener('input', again);
  policy.addEventListener('input', again);
  return element(
    'section',
    { 'aria-labelledby': 'key-title' },
    element('h2', { id: 'key-title' }, contents.vkeys.length === 1 ? 'The key' : 'The keys'),
    element(
      'div',
      { class: 'key' },
      ...contents.vkeys.map((vkey) =>
        element('p', { class: 'mono' }, vkey.length > 300 ? `${vkey.slice(0, 80)}… (ML-DSA-44)` : vkey),
      ),
      element(
        'label',
        { for: 'key' },
        'Compare it with the key you have from elsewhere; an older key of the log will do',
      ),
      given,
      answer,
      element(
        'details',
        {},
        element('summary', {}, 'Ask for witnesses that you trust'),
        element('label', { for: 'policy' }, 'Their policy: which witnesses, and how many of them must have signed'),
        policy,
        policyAnswer,
      ),
    ),
  );
}

/** What somebody typed, read; what can't be read is said, and nothing typed asks for nothing. */
function readGiven<T>(
  from: HTMLInputElement | HTMLTextAreaElement,
  answer: HTMLElement,
  read: (text: string) => T,
  expected: string,
): T | undefined {
  answer.textContent = '';
  if (from.value.trim() === '') return undefined;
  try {
    return read(from instanceof HTMLInputElement ? from.value.trim() : `${from.value.trim()}\n`);
  } catch (error) {
    if (!(error instanceof RecordError)) throw error;
    answer.textContent = `This is not ${expected}.`;
    return undefined;
  }
}

function sayKey({ intact, pinned, followed, findings }: BundleReport): string {
  const revoked = findings.find(({ code }) => code === 'key-revoked');
  if (revoked !== undefined) return 'That key was stolen, as the log itself says. See above.';
  if (!intact) return 'With this key the evidence does not hold.';
  if (!pinned)
    return 'It is a key of the log, and its signature was not checked here: this browser can’t check ML-DSA-44.';
  return followed.length === 0
    ? 'It is the same key.'
    : 'It is an older key of the log, and leads to the one that signed this.';
}

function sayPolicy({ cosigned, findings }: BundleReport): string {
  if (findings.some(({ code }) => code === 'quorum-missing')) return 'Not enough of these witnesses have signed.';
  if (cosigned?.quorum === undefined) return 'With this policy the evidence does not hold.';
  const { names, timeSeconds } = cosigned.quorum;
  const since = timeSeconds === undefined ? '' : `, since ${formatFullTime(timeOfSeconds(timeSeconds), 'utc')}`;
  return `Enough of them have signed${since}: ${names.join(', ') || 'it asks for none'}; over the first ${plural(cosigned.size, 'event')} of the log.`;
}

function timeOfSeconds(seconds: bigint): string {
  return new Date(Number(seconds) * 1000).toISOString();
}

function makerSection(maker: NonNullable<BundleReport['maker']>): HTMLElement {
  return element(
    'section',
    { 'aria-labelledby': 'maker' },
    element('h2', { id: 'maker' }, 'The event of its making'),
    element(
      'p',
      { class: 'quiet' },
      `Event ${maker.index} of the log records that this bundle was made, and names the digest of its contents.`,
    ),
    element(
      'pre',
      { tabindex: '0', 'aria-label': 'Record of the event of its making' },
      maker.record === undefined ? maker.m : JSON.stringify(maker.record, null, 2),
    ),
  );
}

function themeButton(): HTMLElement {
  const button = element('button', { type: 'button' });
  const name = (): void => {
    button.textContent = document.documentElement.dataset.theme === 'dark' ? 'Light' : 'Dark';
    button.setAttribute('aria-label', `${button.textContent} colours`);
  };
  button.addEventListener('click', () => {
    const { dataset } = document.documentElement;
    dataset.theme = dataset.theme === 'dark' ? 'light' : 'dark';
    name();
  });
  name();
  return button;
}

/** The system's theme; on paper always the light one. */
function followTheme(): void {
  const { dataset } = document.documentElement;
  const dark = matchMedia('(prefers-color-scheme: dark)');
  const follow = (): void => {
    dataset.theme = dark.matches ? 'dark' : 'light';
  };
  follow();
  dark.addEventListener('change', follow);
  let before = dataset.theme;
  addEventListener('beforeprint', () => {
    before = dataset.theme;
    dataset.theme = 'light';
  });
  addEventListener('afterprint', () => {
    dataset.theme = before ?? 'light';
  });
}
