/**
 * The commands that find events: search looks back, tail waits for what comes.
 */
import type { Command } from 'commander';
import type { Io } from '../io.ts';
import { toCount } from './arguments.ts';
import { command, connected, plainFilters } from './command.ts';

export function addSearching(program: Command, io: Io): void {
  const searching = connected(
    command(program, 'search', 'Find events; the search itself is recorded.', [
      'watchglass search --patient wg-pt-000417',
      'watchglass search --actor amara.osei --from 2h --outcome denied',
      'watchglass search --operation search-type --all --json',
    ]),
  );
  plainFilters(searching)
    .option('--patient <id>', 'FHIR id of a patient, with or without Patient/')
    .option('--resource <ref>', 'Type or Type/id')
    .option('--from <moment>', 'RFC 3339, a date, or how long ago (15m, 2h, 7d)')
    .option('--to <moment>', 'the same')
    .option('--q <text>', 'words in names of operations, routes, actors')
    .option('--limit <n>', 'how many, newest first', toCount, 50)
    .option('--all', 'all of them')
    .action(async (options) => (await import('../commands/search.ts')).search(options, io));

  plainFilters(
    connected(
      command(program, 'tail', 'Events as they come, until Ctrl-C.', [
        'watchglass tail --outcome denied',
        'watchglass tail --json',
      ]),
    ),
  )
    .option('--count <n>', 'end after so many', toCount)
    .action(async (options) => (await import('../commands/tail.ts')).tail(options, io));

  connected(
    command(program, 'completeness', 'When the record may be incomplete, and what that follows from.', [
      'watchglass completeness --from 7d',
      'watchglass completeness --from 1d --strict --json',
    ]),
  )
    .option('--from <moment>', 'RFC 3339, a date, or how long ago (15m, 2h, 7d); a day before --to unless given')
    .option('--to <moment>', 'the same; now unless given')
    .option('--strict', 'exit code 3 unless all of it was examined and nothing is red')
    .action(async (options) => (await import('../commands/completeness.ts')).completeness(options, io));
}
