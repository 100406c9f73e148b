/**
 * The commands that believe nobody: verify and monitor derive everything from what is published, prove and bundle check what they fetch.
 */
import type { Command } from 'commander';
import type { Io } from '../io.ts';
import { type Range, toIndex, toList, toRange } from './arguments.ts';
import { command, connected, plainFilters } from './command.ts';

export function addChecking(program: Command, io: Io): void {
  command(
    program,
    'verify',
    'Derive everything again: of a data directory, a running server, a proof, or a bundle of evidence.',
    [
      'watchglass verify .watchglass',
      'watchglass verify https://watchglass.example --checkpoint last-month.checkpoint',
      'watchglass verify event-417.tlog-proof --vkey watchglass.example/clinic+1a2b3c4d+AX…',
      'watchglass verify evidence.html --vkey watchglass.example/clinic+1a2b3c4d+AX…',
    ],
  )
    .argument('[what]', 'directory, URL, or file; .watchglass unless named')
    .option('--vkey <key>', 'the only verifier key to believe')
    .option('--checkpoint <file>', 'a checkpoint kept from earlier, which today’s log has to contain')
    .option('--seal <file>', 'a seal kept from earlier, the first one best: it pins every month that was sealed since')
    .option('--no-predecessors', 'leave out the ledgers that this one goes on from')
    .option('--policy <file>', 'a trust policy: its witnesses must have cosigned (c2sp.org/tlog-policy)')
    .option('--tsa-ca <file>', 'certificates that the authority of the timestamps must lead to (directory)')
    .option('--full', 'also parse every record and hold it against its block')
    .option('--tenant <name>', 'only this tenant')
    .option('--ca <file>', 'CA certificate of the server (URL)')
    .option('--leaf <hash>', 'leaf hash in base64, for a proof without its opening')
    .option('--config <file>', 'configuration of the server, for keys that are not in DIR/keys')
    .action(async (what: string | undefined, options) =>
      (await import('../commands/verify.ts')).verify(what, options, io),
    );

  command(program, 'monitor', 'Follow a server’s public logs from outside, and say when one is not what it was.', [
    'watchglass monitor https://watchglass.example --state /var/lib/watchglass-monitor',
    'watchglass monitor https://watchglass.example --once --json',
  ])
    .argument('<url>', 'a server; no sign-in is needed')
    .option('--state <dir>', 'where the newest verified checkpoints are remembered; .watchglass-monitor unless named')
    .option('--interval <span>', 'how long between two looks', '1m')
    .option('--timeout <span>', 'how long one look at one log may take', '1m')
    .option('--stale-after <span>', 'how long a log may stay without a new event', '15m')
    .option('--once', 'look once and end')
    .option('--tenant <name>', 'only this tenant')
    .option('--vkey <key>', 'the only verifier key to believe')
    .option('--ca <file>', 'CA certificate of the server')
    .action(async (url: string, options) => (await import('../commands/monitor.ts')).monitor(url, options, io));

  command(program, 'fsck', 'Check what records mean, and the state of an installation against them.', [
    'watchglass fsck /var/lib/watchglass',
  ])
    .argument('[dir]', 'data directory; .watchglass unless named')
    .option('--tenant <name>', 'only its log')
    .option('--config <file>', 'configuration that says who keeps the keys')
    .action(async (dir: string | undefined, options) => (await import('../commands/fsck.ts')).fsck(dir, options, io));
}

export function addEvidence(program: Command, io: Io): void {
  connected(
    command(program, 'prove', 'Fetch the proof of an event and check it here.', [
      'watchglass prove 417 --out event-417.tlog-proof',
    ]),
  )
    .argument('<index>', 'index of the event in the log', toIndex)
    .option('--vkey <key>', 'the only verifier key to believe')
    .option('--out <file>', 'keep the proof')
    .action(async (index: number, options) => (await import('../commands/prove.ts')).prove(index, options, io));

  const bundling = connected(
    command(program, 'bundle', 'Put events with their proofs into one file that anybody can check offline.', [
      'watchglass bundle --patient wg-pt-000417 --purpose HOPERAT --reason "Complaint 17" --token …',
      'watchglass bundle 417 420-431 --purpose HOPERAT --reason "Incident 9" --out incident-9.html',
      'watchglass bundle --actor dr-ito --from 30d --scan --purpose HOPERAT --reason "Review of access"',
    ]),
  );
  plainFilters(bundling)
    .argument('[indexes...]', 'which events: an index (417) or a range (420-431); else all that match', toRange)
    .option('--patient <id>', 'FHIR id of a patient, with or without Patient/')
    .option('--resource <ref>', 'Type or Type/id')
    .option('--from <moment>', 'RFC 3339, a date, or how long ago (15m, 2h, 7d)')
    .option('--to <moment>', 'the same')
    .option('--q <text>', 'words in names of operations, routes, actors')
    .requiredOption('--purpose <code>', 'HL7 v3 PurposeOfUse, such as HOPERAT')
    .requiredOption('--reason <text>', 'why; stands in the bundle and in the log')
    .option('--scan', 'open and compare every record of the log instead of trusting the index')
    .option(
      '--withhold <pointer>',
      'a field to leave out, such as /actor/id or /targets/*/id; again for more',
      toList,
      [],
    )
    .option('--vkey <key>', 'the only verifier key to believe')
    .option('--out <file>', 'where to; named by the server unless given')
    .action(async (indexes: Range[], options) => (await import('../commands/bundle.ts')).bundle(indexes, options, io));
}
