/**
 * `watchglass tail`: events as they come, until Ctrl-C (which is a good end) or until `--count` of them. Opening and closing a tail are
 * events themselves. The stream has everything of the tenant; the filters pick from it here.
 */
import { openClient } from '../client.ts';
import { type ConnectionOptions, findConnection } from '../connection.ts';
import { CliError } from '../errors.ts';
import { eventLine, type FoundEvent, parseFound } from '../event-line.ts';
import { type Io, note, paint, printJson, printLine } from '../io.ts';

export interface TailFilters {
  readonly actor?: string;
  readonly kind?: string;
  readonly action?: string;
  readonly operation?: string;
  readonly outcome?: string;
}

export interface TailOptions extends ConnectionOptions, TailFilters {
  readonly json?: boolean;
  readonly count?: number;
}

export async function tail(options: TailOptions, io: Io): Promise<void> {
  await using client = openClient(await findConnection(options, io));
  const query = options.tenant === undefined ? '' : `?tenant=${encodeURIComponent(options.tenant)}`;
  const ending = new AbortController();
  const signal = AbortSignal.any([io.signal, ending.signal]);
  let left = options.count ?? Number.POSITIVE_INFINITY;
  if (options.json !== true) note(io, paint(io, io.stderr, 'dim', `Following ${client.url}; Ctrl-C ends it.`));
  try {
    for await (const data of client.stream(`/v1/events/tail${query}`, signal)) {
      const event = parseFound(JSON.parse(data));
      if (!matches(event, options)) continue;
      if (options.json === true) printJson(io, event);
      else printLine(io, eventLine(event));
      left -= 1;
      if (left <= 0) {
        ending.abort();
        return;
      }
    }
  } catch (error) {
    if (signal.aborted) return;
    throw error;
  }
  if (!signal.aborted) {
    throw new CliError('unreachable', 'the server ended the stream', {
      remedy: 'Run it again; search shows what came between.',
    });
  }
}

function matches(event: FoundEvent, { actor, kind, action, operation, outcome }: TailFilters): boolean {
  return (
    (actor === undefined || event.actor.id === actor) &&
    (kind === undefined || event.kind === kind) &&
    (action === undefined || event.action === action) &&
    (operation === undefined || event.operation === operation) &&
    (outcome === undefined || event.outcome.status === outcome)
  );
}
