/**
 * What a verified bundle shows, in sentences: the same for the page in the bundle and for the command line. They say what is proven and, as plainly, what is not.
 */
import type { BundleContents } from './contents.ts';
import type { BundleReport } from './verify-bundle.ts';

/** Whether any of it is missing, which no bundle can prove: what was looked at, and by whom. */
export function sayCompleteness(contents: BundleContents): string {
  const gone = contents.query.shredded ?? 0;
  const lacking =
    gone === 0
      ? ''
      : ` ${counted(gone, 'event')} of the log ${gone === 1 ? 'was' : 'were'} shredded, and could not be looked at unless a legal hold keeps ${gone === 1 ? 'it' : 'them'}.`;
  return `${sayLookedAt(contents)}${lacking}`;
}

function sayLookedAt({ query, events }: BundleContents): string {
  const size = counted(query.size, 'event');
  switch (query.how) {
    case 'chosen':
      return 'The events were chosen by their index. What else is in the log is not said here.';
    case 'index': {
      const behind =
        query.unindexed === 0
          ? ''
          : ` ${counted(query.unindexed, 'event')} of the log ${query.unindexed === 1 ? 'was' : 'were'} not in the index yet, and may be missing.`;
      return `The search index was asked for all that match among the first ${size} of the log; it found ${grouped(events.length)}, and all of them are here. The index is a view that is built from the log and can be wrong: that nothing is missing is what the maker says, not what this file proves.${behind}`;
    }
    case 'scan':
      return `${(query.shredded ?? 0) === 0 ? 'Each' : 'Each one that is still there'} of the first ${size} of the log was opened and compared; ${grouped(events.length)} match, and all of them are here. Nobody can see from outside that none was left out: it is what the maker says, and the log holds that it was said.`;
    default:
      return query.how satisfies never;
  }
}

/** What was asked for, as half a sentence after "events". */
export function sayQuery({ query }: BundleContents): string {
  if (query.how === 'chosen') return `chosen by index: ${query.filters.map(([, value]) => value).join(', ')}`;
  return `that match ${query.filters.map(([name, value]) => `${name} ${value}`).join(' and ')}`;
}

/** What is shown to hold; empty where something was found wrong. */
export function sayProven(report: BundleReport): string[] {
  const { contents, checkpoint, cosigned, intact } = report;
  if (!intact || contents === undefined || checkpoint === undefined) return [];
  const gone = contents.events.filter((event) => 'shred' in event).length;
  const shown = contents.events.length - gone;
  const lines = [
    ...(shown === 0
      ? []
      : [
          `${shown === 1 ? 'The event' : `Each of the ${counted(shown, 'event')}`}${gone === 0 ? '' : ' whose content is shown'} is in the log ${contents.origin} at the index stated, word for word as it was stored${contents.withheld.length === 0 ? '' : ', except for the fields that are withheld'}.`,
        ]),
    ...sayShredded(report, gone),
    `All of them are under one tree of ${counted(Number(checkpoint.size), 'event')}, whose root is signed with the key of the log.`,
    'Who made this bundle, when, why and of what is in the log too: the event of its making names the digest of these contents. Nobody changed a byte of them since.',
  ];
  if (report.followed.length > 0) lines.push(sayFollowed(report.followed));
  if (contents.withheld.length > 0)
    lines.push(
      'What is withheld was in the events when they were stored, and can be opened later without changing anything here.',
    );
  if (cosigned !== undefined && cosigned.signatures.length > 0)
    lines.push(
      `The first ${counted(cosigned.size, 'event')} of the log were cosigned with the keys that this file names for ${cosigned.signatures.map(({ name }) => name).join(' and ')}: they were in the log then, and were not changed since.`,
    );
  if (cosigned?.quorum !== undefined)
    lines.push(
      `The witnesses of the policy that was given have cosigned in sufficient number: ${cosigned.quorum.names.join(' and ') || 'it asks for none'}.${sayPastCosigned(report, cosigned.size)}`,
    );
  return lines;
}

/** What none of it shows; empty where something was found wrong: then it shows nothing at all. */
export function sayNotProven(report: BundleReport): string[] {
  const { contents, cosigned, pinned, intact } = report;
  if (!intact) return [];
  const lines: string[] = [];
  if (!pinned)
    lines.push(
      'That the key is the right one: it came in this file. Compare it with the one you have from the log’s owner, or from elsewhere.',
    );
  for (const { type } of report.unchecked)
    lines.push(
      `What the ${type === 6 ? 'ML-DSA-44' : 'other'} signature of the log is worth: it was not checked here, since this program can’t. A newer Node.js can: watchglass verify FILE.`,
    );
  if (contents?.events.some((event) => 'shred' in event))
    lines.push('What stood in the events that were shredded: nobody can open them any more.');
  if (cosigned !== undefined && cosigned.unchecked.length > 0)
    lines.push(
      `What ${cosigned.unchecked.map(({ name }) => name).join(' and ')} cosigned: the ML-DSA-44 signature was not checked here, since this program can’t.`,
    );
  if (contents?.query.how !== 'chosen') lines.push('That no event was left out.');
  if (cosigned === undefined || cosigned.signatures.length === 0)
    lines.push('That there is no other history: no witness whose key is known here has signed.');
  else
    lines.push(
      `That ${cosigned.signatures.map(({ name }) => name).join(' and ')} are who the names say: the keys of witnesses came in this file. Compare them with those you have from elsewhere: ${(contents?.witnesses ?? []).join(' ')}.`,
    );
  if (cosigned !== undefined && cosigned.unknown > 0)
    lines.push(`What ${counted(cosigned.unknown, 'signature')} by unknown keys on the cosigned checkpoint are worth.`);
  lines.push('That what was recorded is what happened: a log proves what was stored, and when at the latest.');
  return lines;
}

function sayShredded({ shreds }: BundleReport, gone: number): string[] {
  if (gone === 0) return [];
  const by = shreds.map(
    ({ unit, done }) => `${unit} (event ${grouped(done.index)}, received ${done.record?.received})`,
  );
  return [
    `${counted(gone, 'event')} ${gone === 1 ? 'was' : 'were'} shredded: that ${gone === 1 ? 'it was' : 'they were'} in the log at ${gone === 1 ? 'its index' : 'their indexes'} is proven, and so is that the log says when the content was destroyed: ${by.join(' and ')}.`,
  ];
}

function sayFollowed(followed: BundleReport['followed']): string {
  const steps = followed.map(({ epoch, size }) => `in ${monthOf(epoch)} at ${counted(size, 'event')}`);
  return `The key that was given is an older one of the log. It was rotated ${steps.join(', then ')}; each time the older key, the newer one and the key of the month signed that, and so it leads to the key that signed this.`;
}

/** What happened after the witnesses signed is not under their signatures. */
function sayPastCosigned({ events }: BundleReport, size: number): string {
  const past = events.filter(({ index }) => index >= size).length;
  return past === 0
    ? ''
    : ` ${counted(past, 'event')} of this bundle came after that, and ${past === 1 ? 'is' : 'are'} not under their signatures.`;
}

function monthOf(epoch: number): string {
  return `${1970 + Math.floor(epoch / 12)}-${String((epoch % 12) + 1).padStart(2, '0')}`;
}

export function grouped(count: number): string {
  return count.toLocaleString('en-GB');
}

function counted(count: number, unit: string): string {
  return `${grouped(count)} ${unit}${count === 1 ? '' : 's'}`;
}
