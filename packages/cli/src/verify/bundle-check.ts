/**
 * A bundle of evidence as a file, checked by this program and not by the page in it: every byte of the file counts, the page's too. A line a finding, with its
 * place.
 */
import {
  type BundleCosigned,
  type BundleReport,
  encodeBase64,
  type Policy,
  RecordError,
  readEvidence,
  sayCompleteness,
  sayNotProven,
  sayProven,
  sayQuery,
  splitBundle,
  verifyBundle,
} from '@watchglass/record';
import { CliError } from '../errors.ts';
import { type Io, note, paint, printJson, printLine } from '../io.ts';
import { plain } from '../table.ts';

export interface BundleKeys {
  /** The only one to believe. */
  readonly vkey: string | undefined;
  /** A key of this log from elsewhere than the file, where there is one. */
  readonly keyOf: (origin: string) => Promise<string | undefined>;
  readonly checkpoint?: string;
  /** Witnesses that are trusted. */
  readonly policy?: Policy;
}

export async function checkBundle(bytes: Uint8Array, keys: BundleKeys): Promise<BundleReport> {
  let text: string;
  try {
    // A byte order mark is a byte like any other here.
    text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    return unreadable('the file is not UTF-8');
  }
  try {
    const { evidence, page } = splitBundle(text);
    const vkey = keys.vkey ?? (await keys.keyOf(originOf(evidence)));
    return verifyBundle(evidence, {
      page,
      ...(vkey === undefined ? {} : { vkey }),
      ...(keys.checkpoint === undefined ? {} : { checkpoint: keys.checkpoint }),
      ...(keys.policy === undefined ? {} : { policy: keys.policy }),
    });
  } catch (error) {
    if (!(error instanceof RecordError)) throw error;
    if (error.code !== 'bundle-malformed') throw new CliError('usage', error.message, { cause: error });
    return unreadable(error.message);
  }
}

function originOf(evidence: string): string {
  return readEvidence(evidence).contents.origin;
}

function unreadable(message: string): BundleReport {
  return {
    intact: false,
    pinned: false,
    findings: [{ code: 'bundle-malformed', place: 'evidence', message }],
    events: [],
    signatures: [],
    unchecked: [],
    followed: [],
    shreds: [],
  };
}

/** Prints it, and throws `not-intact` (exit code 3) when it is not. */
export function printBundle(shown: string, report: BundleReport, options: { readonly json: boolean }, io: Io): void {
  if (options.json) printJson(io, jsonOf(report));
  else printForPeople(shown, report, io);
  if (!report.intact) {
    const count = report.findings.length;
    throw new CliError('not-intact', `${shown} is not intact: ${count} finding${count === 1 ? '' : 's'}`, {
      remedy: 'Do not rely on it; ask whoever made it for the file again, and keep this one as it is.',
    });
  }
}

function printForPeople(shown: string, report: BundleReport, io: Io): void {
  for (const { code, place, index, message } of report.findings) {
    const at = index === undefined ? place : `${place} (index ${index})`;
    printLine(io, `  ${paint(io, io.stdout, 'red', '✘')} ${plain(`${at}: ${message}`)} [${code}]`);
  }
  const { contents } = report;
  if (!report.intact || contents === undefined) return;
  const { by, made, purpose } = contents;
  const verdict = paint(io, io.stdout, 'green', '✔ intact');
  printLine(io, `${verdict}: ${plain(shown)} holds ${report.events.length} events ${plain(sayQuery(contents))}`);
  printLine(io, plain(`  Made by ${by.name} (${by.id}) at ${made} for ${purpose.code}: ${purpose.reason}`));
  printLine(io, `  ${sayCompleteness(contents)}`);
  for (const line of sayProven(report)) printLine(io, plain(`  + ${line}`));
  for (const line of sayNotProven(report)) printLine(io, plain(`  - Not shown: ${line}`));
  if (!report.pinned) note(io, 'Give --vkey to check it under a key that did not come with it.');
}

function jsonOf({ contents, events, maker, checkpoint, cosigned, shreds, ...rest }: BundleReport): object {
  const about = contents && (({ events: _events, ...head }) => head)(contents);
  return {
    intact: rest.intact,
    pinned: rest.pinned,
    findings: rest.findings,
    ...(about === undefined ? {} : { contents: about }),
    ...(checkpoint === undefined ? {} : { size: Number(checkpoint.size), root: encodeBase64(checkpoint.root) }),
    followed: rest.followed.map(({ number, kind, epoch, size }) => ({ number, kind, epoch, size })),
    unchecked: rest.unchecked.map(({ name, keyId, type }) => ({ name, keyId, type })),
    shreds: shreds.map(({ unit, events: count, done }) => ({ unit, events: count, done: done.index })),
    ...(cosigned === undefined ? {} : { cosigned: sayable(cosigned) }),
    ...(maker === undefined ? {} : { maker: { index: maker.index, record: maker.record } }),
    events: events.map(({ index, opens, withheld, leaf, record, shredded }) => ({
      index,
      opens,
      ...(shredded === undefined ? {} : { shredded: shredded.unit }),
      withheld,
      leaf: encodeBase64(leaf),
      record,
    })),
  };
}

/** Times of cosignatures as numbers: JSON has no others. */
function sayable({ quorum, signatures, unchecked, ...rest }: BundleCosigned): object {
  const timed = (all: BundleCosigned['signatures']): object[] =>
    all.map(({ timeSeconds, ...one }) => ({ ...one, timeSeconds: Number(timeSeconds ?? 0n) }));
  return {
    ...rest,
    signatures: timed(signatures),
    unchecked: timed(unchecked),
    ...(quorum === undefined ? {} : { quorum: { names: quorum.names, timeSeconds: Number(quorum.timeSeconds ?? 0n) } }),
  };
}
