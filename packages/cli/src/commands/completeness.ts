/**
 * `watchglass completeness`: when the record may be incomplete, as the server finds it in its own ledger. Times, words and the events each interval follows from;
 * `--strict` makes anything but a clear answer exit code 3, for cron.
 */
import { openClient } from '../client.ts';
import { type ConnectionOptions, findConnection } from '../connection.ts';
import { CliError } from '../errors.ts';
import { type Io, note, paint, printJson, printLine } from '../io.ts';
import { formatTable, plain } from '../table.ts';
import { queryOf } from './search.ts';

export interface CompletenessOptions extends ConnectionOptions {
  readonly json?: boolean;
  readonly from?: string;
  readonly to?: string;
  readonly strict?: boolean;
}

interface Interval {
  readonly kind: string;
  readonly from: string;
  readonly to: string;
  readonly ongoing?: boolean;
  readonly emitter?: string;
  readonly evidence: readonly number[];
  readonly words: string;
}

interface Report {
  readonly verdict: string;
  readonly words: string;
  readonly red: readonly Interval[];
  readonly redOmitted?: number;
  readonly examined: { readonly from: string; readonly to: string };
  readonly unexamined: readonly { readonly from?: string; readonly to?: string; readonly words: string }[];
  readonly limits: readonly string[];
}

const kindWords: Readonly<Record<string, string>> = {
  'recording-paused': 'recording paused',
  'clock-stepped': 'clock stepped',
  'emitter-silent': 'emitter silent',
  'sequence-gap': 'events missing',
  'counts-differ': 'counts don’t add up',
};

/** Of the evidence of one interval in the table; `--json` has all of it. */
const evidenceShown = 3;

export async function completeness(options: CompletenessOptions, io: Io): Promise<void> {
  const query = new URLSearchParams(queryOf(options));
  await using client = openClient(await findConnection(options, io));
  const asked = query.size === 0 ? '' : `?${query}`;
  const report = parseReport(await client.getJson(`/v1/completeness${asked}`, io.signal));
  if (options.json === true) printJson(io, report);
  else printReport(report, io);
  if (options.strict === true && report.verdict !== 'clear') {
    throw new CliError('not-intact', report.words, {
      remedy: 'Look at what each interval follows from: watchglass prove INDEX, or the console.',
    });
  }
}

function printReport(report: Report, io: Io): void {
  const { verdict, words, red, redOmitted, examined, unexamined, limits } = report;
  const colour = verdict === 'clear' ? 'green' : verdict === 'red' ? 'red' : 'yellow';
  printLine(io, paint(io, io.stdout, colour, plain(words)));
  printLine(io, plain(`From ${shortTime(examined.from)} to ${shortTime(examined.to)}, UTC.`));
  if (red.length > 0) {
    const [head = '', ...rows] = formatTable(
      [{ title: 'FROM' }, { title: 'TO' }, { title: 'WHAT' }, { title: 'EMITTER', widthMax: 32 }, { title: 'EVENTS' }],
      red.map(rowOf),
      io.stdout.columns,
    );
    printLine(io);
    printLine(io, paint(io, io.stdout, 'bold', head));
    for (const [at, row] of rows.entries()) {
      printLine(io, row);
      printLine(io, plain(`  ${red[at]?.words ?? ''}`));
    }
    if (redOmitted !== undefined) note(io, `${redOmitted} older ones are not shown; ask for a shorter time.`);
  }
  if (unexamined.length > 0) {
    printLine(io);
    printLine(io, paint(io, io.stdout, 'yellow', 'Not examined:'));
    for (const { from, to, words: why } of unexamined) {
      const span = from === undefined || to === undefined ? '' : `${shortTime(from)} to ${shortTime(to)}: `;
      printLine(io, plain(`  ${span}${why}`));
    }
  }
  for (const limit of limits) note(io, plain(limit));
}

function rowOf({ kind, from, to, ongoing, emitter, evidence }: Interval): string[] {
  const shown = evidence.slice(0, evidenceShown).join(', ');
  const more = evidence.length > evidenceShown ? `, +${evidence.length - evidenceShown}` : '';
  return [
    shortTime(from),
    ongoing === true ? 'now' : shortTime(to),
    kindWords[kind] ?? kind,
    emitter ?? '',
    `${shown}${more}`,
  ];
}

/** `2026-03-14 08:00:00`; UTC like all that the command prints. */
function shortTime(text: string): string {
  return text.slice(0, 19).replace('T', ' ');
}

function parseReport(value: unknown): Report {
  const report = value as Report;
  const isObject = (one: unknown): one is Record<string, unknown> => typeof one === 'object' && one !== null;
  if (
    isObject(value) &&
    typeof report.verdict === 'string' &&
    typeof report.words === 'string' &&
    isObject(report.examined) &&
    typeof report.examined.from === 'string' &&
    typeof report.examined.to === 'string' &&
    Array.isArray(report.unexamined) &&
    report.unexamined.every((one: unknown) => isObject(one) && typeof one.words === 'string') &&
    Array.isArray(report.limits) &&
    report.limits.every((one: unknown) => typeof one === 'string') &&
    Array.isArray(report.red) &&
    report.red.every(
      (one: unknown) =>
        isObject(one) &&
        [one.kind, one.from, one.to, one.words].every((text) => typeof text === 'string') &&
        Array.isArray(one.evidence),
    )
  )
    return report;
  throw new CliError('answer-invalid', 'expected a report of red intervals, got something else', {
    remedy: 'Check that the URL is that of a Watchglass server, and that it is as new as this command.',
  });
}
