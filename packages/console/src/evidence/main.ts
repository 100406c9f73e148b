/**
 * The page of a bundle: verifies the evidence it lies in, offline, and says in plain sentences what holds. The evidence is data and never markup; nothing is
 * asked of any server, and the policy of the page would refuse it.
 *
 * What this page can't do is vouch for itself: whoever changes a file can change the page with it. `watchglass verify FILE` is the second way.
 */
import {
  type BundleContents,
  type BundleReport,
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
};

function show(report: BundleReport): void {
  const { contents } = report;
  document.title = `Evidence · ${contents?.origin ?? 'unreadable'} · ${report.intact ? 'intact' : 'NOT INTACT'}`;
  const verdict = element('div', {}, verdictOf(report));
  const unshown = element('div', {}, statements('What it does not show', sayNotProven(report)));
  const tell = (again: BundleReport): void => {
    verdict.replaceChildren(verdictOf(again));
    unshown.replaceChildren(
      ...[statements('What it does not show', sayNotProven(again))].filter((one) => one !== undefined),
    );
  };
  root.replaceChildren(
    element('header', {}, element('div', {}, element('h1', {}, titleOf(contents)), madeLine(contents)), themeButton()),
    element(
      'main',
      {},
      verdict,
      contents && aboutSection(contents, report),
      statements('What this shows', sayProven(report)),
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
          `Nothing in this evidence was changed since the log ${report.contents?.origin} signed it${report.pinned ? ' with the key that you gave' : ''}.`,
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

function aboutSection(contents: BundleContents, { checkpoint, signatures, cosigned }: BundleReport): HTMLElement {
  const fact = (name: string, value: string | undefined): HTMLElement[] =>
    value === undefined ? [] : [element('dt', {}, name), element('dd', {}, value)];
  const signers = signatures.map(({ name }) => name);
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
        'Witnessed by',
        cosigned === undefined || cosigned.signatures.length === 0
          ? 'nobody known here'
          : cosigned.signatures
              .map(
                ({ name, timeSeconds }) =>
                  `${name} on ${formatFullTime(new Date(Number(timeSeconds ?? 0n) * 1000).toISOString(), 'utc')}`,
              )
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

/** The key came with the file: whoever has it from elsewhere compares, and is told the verdict anew. */
function keySection(contents: BundleContents, tell: (report: BundleReport) => void): HTMLElement {
  const answer = element('p', { role: 'status', class: 'quiet' });
  const given = element('input', { id: 'key', type: 'text', autocomplete: 'off', spellcheck: 'false', class: 'mono' });
  given.addEventListener('input', () => {
    const vkey = given.value.trim();
    if (vkey === '') {
      answer.textContent = '';
      tell(verifyBundle(evidence));
      return;
    }
    try {
      const report = verifyBundle(evidence, { vkey });
      tell(report);
      answer.textContent = report.intact ? 'It is the same key.' : 'With this key the evidence does not hold.';
    } catch {
      answer.textContent = 'This is not a whole verifier key: it looks like name+hash+letters.';
    }
  });
  return element(
    'section',
    { 'aria-labelledby': 'key-title' },
    element('h2', { id: 'key-title' }, 'The key'),
    element(
      'div',
      { class: 'key' },
      element('p', { class: 'mono' }, contents.vkeys.join(' ')),
      element('label', { for: 'key' }, 'Compare it with the key you have from elsewhere'),
      given,
      answer,
    ),
  );
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
