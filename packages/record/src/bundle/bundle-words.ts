/**
 * What a verified bundle shows, in sentences: the same for the page in the bundle and for the command line. They say what is proven and, as plainly, what is not.
 */
import type { BundleContents } from './contents.ts';
import type { BundleReport } from './verify-bundle.ts';

/** Whether any of it is missing, which no bundle can prove: what was looked at, and by whom. */
export function sayCompleteness({ query, events }: BundleContents): string {
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
      return `Each of the first ${size} of the log was opened and compared; ${grouped(events.length)} match, and all of them are here. Nobody can see from outside that none was left out: it is what the maker says, and the log holds that it was said.`;
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
  const lines = [
    `Each of the ${counted(contents.events.length, 'event')} is in the log ${contents.origin} at the index stated, word for word as it was stored${contents.withheld.length === 0 ? '' : ', except for the fields that are withheld'}.`,
    `All of them are under one tree of ${counted(Number(checkpoint.size), 'event')}, whose root is signed with the key of the log.`,
    'Who made this bundle, when, why and of what is in the log too: the event of its making names the digest of these contents. Nobody changed a byte of them since.',
  ];
  if (contents.withheld.length > 0)
    lines.push(
      'What is withheld was in the events when they were stored, and can be opened later without changing anything here.',
    );
  if (cosigned !== undefined && cosigned.signatures.length > 0)
    lines.push(
      `The first ${counted(cosigned.size, 'event')} of the log were cosigned with the keys that this file names for ${cosigned.signatures.map(({ name }) => name).join(' and ')}: they were in the log then, and were not changed since.`,
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

export function grouped(count: number): string {
  return count.toLocaleString('en-GB');
}

function counted(count: number, unit: string): string {
  return `${grouped(count)} ${unit}${count === 1 ? '' : 's'}`;
}
