/**
 * `watchglass search`: what happened, by patient, actor, resource and the rest. The filters go in a body, so that no identifier
 * stands in a URL; the search itself becomes an event. Nothing is filtered here.
 */
import { openClient } from '../client.ts';
import { type ConnectionOptions, findConnection } from '../connection.ts';
import { CliError } from '../errors.ts';
import { eventColumns, eventRow, type FoundEvent, parseFound } from '../event-line.ts';
import { type Io, note, paint, printJson, printLine } from '../io.ts';
import { parseMoment } from '../moment.ts';
import { formatTable } from '../table.ts';

export interface Filters {
  readonly patient?: string;
  readonly actor?: string;
  readonly resource?: string;
  readonly kind?: string;
  readonly action?: string;
  readonly operation?: string;
  readonly outcome?: string;
  readonly from?: string;
  readonly to?: string;
  readonly q?: string;
}

export interface SearchOptions extends ConnectionOptions, Filters {
  readonly json?: boolean;
  readonly limit?: number;
  readonly all?: boolean;
}

interface Page {
  readonly events: readonly FoundEvent[];
  readonly next: string | null;
  readonly count: number;
}

const pageEvents = 500;
const limitDefault = 50;

export async function search(options: SearchOptions, io: Io): Promise<void> {
  const query = queryOf(options);
  const wanted = options.all === true ? Number.POSITIVE_INFINITY : (options.limit ?? limitDefault);
  await using client = openClient(await findConnection(options, io));
  const events: FoundEvent[] = [];
  let cursor: string | undefined;
  let page: Page;
  do {
    const limit = Math.min(pageEvents, wanted - events.length);
    const body = { ...query, limit, ...(cursor === undefined ? {} : { cursor }) };
    page = parsePage(await client.postJson('/v1/events/search', body, io.signal));
    events.push(...page.events);
    cursor = page.next ?? undefined;
  } while (cursor !== undefined && events.length < wanted);

  if (options.json === true) return printJson(io, { events, next: page.next, count: page.count });
  if (events.length === 0) return printLine(io, 'Nothing was found.');
  const [head = '', ...rows] = formatTable(eventColumns, events.map(eventRow), io.stdout.columns);
  printLine(io, paint(io, io.stdout, 'bold', head));
  for (const row of rows) printLine(io, row);
  const shown = events.length === 1 ? '1 event' : `${events.length} events`;
  note(io, page.next === null ? `${shown}.` : `${shown} of ${page.count}; --all shows the rest, newest first.`);
}

/** The body of the search without paging. */
export function queryOf(
  options: Filters & { readonly tenant?: string },
  nowMs: number = Date.now(),
): Record<string, string> {
  const plain = (
    ['tenant', 'patient', 'actor', 'resource', 'kind', 'action', 'operation', 'outcome', 'q'] as const
  ).flatMap((name) => (options[name] === undefined ? [] : [[name, options[name]] as const]));
  const moments = (['from', 'to'] as const).flatMap((name) =>
    options[name] === undefined ? [] : [[name, parseMoment(options[name], nowMs)] as const],
  );
  return Object.fromEntries([...plain, ...moments]);
}

function parsePage(value: unknown): Page {
  if (typeof value !== 'object' || value === null || !('events' in value) || !Array.isArray(value.events)) {
    throw new CliError('answer-invalid', 'expected {events, next, count}, got something else', {
      remedy: 'Check that the URL is that of a Watchglass server.',
    });
  }
  const next = 'next' in value && typeof value.next === 'string' ? value.next : null;
  const count = 'count' in value && typeof value.count === 'number' ? value.count : value.events.length;
  return { events: value.events.map(parseFound), next, count };
}
