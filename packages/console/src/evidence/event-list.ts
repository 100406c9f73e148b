/** The events of a bundle, in words and with everything behind them; long lists grow by a button, and are whole on paper. */
import { encodeBase64, type VerifiedEvent } from '@watchglass/record';
import { formatCount, plural } from '../text/number.ts';
import { formatFullTime } from '../time/format.ts';
import { element } from './element.ts';
import { exposureOf, sentenceOf, timeOf } from './event-words.ts';

const shownFirst = 200;
/** Nobody looks for a word in more than this while typing. */
const settleMs = 150;

export function eventList(events: readonly VerifiedEvent[]): HTMLElement {
  const list = element('ol', { class: 'events', 'aria-label': 'Events' });
  const count = element('p', { class: 'quiet', role: 'status' });
  const more = element('button', { type: 'button', class: 'more' });
  const finder = element('input', { type: 'search', id: 'find', autocomplete: 'off' });
  let found = events;
  let shown = 0;
  const show = (upTo: number): void => {
    const end = Math.min(upTo, found.length);
    list.append(...found.slice(shown, end).map(eventItem));
    shown = end;
    more.hidden = shown === found.length;
    more.textContent = `Show the other ${formatCount(found.length - shown)}`;
    const all =
      found === events
        ? plural(events.length, 'event')
        : `${plural(found.length, 'event')} of ${formatCount(events.length)}`;
    count.textContent = shown === found.length ? `${all}.` : `${all}; the first ${formatCount(shown)} are shown.`;
  };
  const find = (): void => {
    const words = finder.value.trim().toLowerCase();
    found =
      words === ''
        ? events
        : events.filter((event) => `${sentenceOf(event)}\n${event.m}`.toLowerCase().includes(words));
    list.replaceChildren();
    shown = 0;
    show(shownFirst);
  };
  let waiting: ReturnType<typeof setTimeout> | undefined;
  finder.addEventListener('input', () => {
    clearTimeout(waiting);
    waiting = setTimeout(find, settleMs);
  });
  more.addEventListener('click', () => {
    const next = shown;
    show(found.length);
    (list.children[next]?.querySelector('summary') as HTMLElement | null)?.focus();
  });
  addEventListener('beforeprint', () => show(found.length));
  list.addEventListener('keydown', (key) => {
    if (key.key !== 'j' && key.key !== 'k') return;
    const summaries = [...list.querySelectorAll('summary')];
    const at = summaries.indexOf(document.activeElement as HTMLElement);
    summaries[at + (key.key === 'j' ? 1 : -1)]?.focus();
  });
  show(shownFirst);
  return element(
    'section',
    { 'aria-labelledby': 'events' },
    element('h2', { id: 'events' }, 'Events'),
    events.length > 10 &&
      element('p', { class: 'finder' }, element('label', { for: 'find' }, 'Find in these events'), finder),
    count,
    list,
    more,
  );
}

function eventItem(event: VerifiedEvent): HTMLElement {
  const time = timeOf(event);
  const exposure = exposureOf(event);
  const mark = markOf(event);
  return element(
    'li',
    event.opens ? {} : { class: 'changed' },
    element('p', {}, sentenceOf(event)),
    exposure !== undefined && element('p', { class: 'quiet' }, exposure),
    element(
      'p',
      { class: 'line' },
      element('span', {}, `Event ${formatCount(event.index)}`),
      time !== undefined && element('time', { datetime: time, class: 'mono' }, formatFullTime(time, 'utc')),
      mark,
    ),
    recordDetails(event),
  );
}

function markOf({ opens, shredded }: VerifiedEvent): HTMLElement {
  if (!opens) return element('span', { class: 'fails' }, shredded === undefined ? '✘ was changed' : '✘ not proven');
  return shredded === undefined
    ? element('span', { class: 'holds' }, '✔ opens its leaf')
    : element('span', { class: 'quiet' }, `shredded: event ${formatCount(shredded.done.index)} of the log says so`);
}

/** The record as it was stored; made when it is opened. */
function recordDetails(event: VerifiedEvent): HTMLElement {
  const note = 'null stands where a field is withheld; its hash is in the evidence.';
  const { shredded } = event;
  const title = shredded === undefined ? `Record of event ${formatCount(event.index)}` : 'Evidence of the shred';
  const details = element('details', {}, element('summary', {}, title));
  details.addEventListener(
    'toggle',
    () => {
      const { record, m } = shredded?.done ?? event;
      const text = record === undefined ? m : JSON.stringify(record, null, 2);
      // Long lines wrap, so that nothing has to be scrolled to be read.
      details.append(element('pre', {}, text));
      if (event.withheld && shredded === undefined) details.append(element('p', { class: 'quiet' }, note));
      details.append(element('p', { class: 'quiet mono' }, `leaf ${encodeBase64(event.leaf)}`));
    },
    { once: true },
  );
  return details;
}
