/**
 * The command line: which commands there are and what each takes. A command's own code is loaded when it runs, so that
 * `--help` is quick.
 */
import { Command, CommanderError, InvalidArgumentError } from 'commander';
import manifest from '../package.json' with { type: 'json' };
import { addPolicy } from './commands/policy.ts';
import { CliError, exitCodes } from './errors.ts';
import { type Io, printError } from './io.ts';
import { endProcess, openProcessIo } from './process.ts';

/** Runs one command and says how it ended: 0 fine, 1 failed, 2 usage, 3 not intact, 130 interrupted. */
export async function run(argv: readonly string[], io: Io): Promise<number> {
  const json = argv.includes('--json');
  const program = makeProgram(io, json);
  try {
    await program.parseAsync(argv, { from: 'user' });
    return exitCodes.fine;
  } catch (error) {
    if (error instanceof CommanderError) {
      if (error.exitCode === 0) return exitCodes.fine;
      if (json) printError(io, usageOf(error), true);
      return exitCodes.usage;
    }
    if (io.signal.aborted && error instanceof Error && error.name === 'AbortError') return 130;
    printError(io, error, json);
    return error instanceof CliError ? error.exitCode : exitCodes.failed;
  }
}

/** The whole life of the process: what `bin/watchglass.mjs` calls. */
export async function runProcess(): Promise<void> {
  const io = openProcessIo();
  endProcess(await run(process.argv.slice(2), io));
}

/** A usage error as one of ours; people have seen it already. */
function usageOf({ message }: CommanderError): CliError {
  const said = message.startsWith('(') ? 'expected a command' : message.replace(/^error: /, '');
  return new CliError('usage', said, { remedy: 'Run it with --help for what it takes.' });
}

function makeProgram(io: Io, json: boolean): Command {
  const program = new Command('watchglass')
    .description('The audit trail and the guard for APIs that touch patient data.')
    .version(manifest.version, '-V, --version')
    .showHelpAfterError('Run with --help for what it takes.')
    .configureHelp({ sortSubcommands: false })
    .exitOverride()
    .configureOutput({
      writeOut: (text) => io.stdout.write(text),
      // With --json a wrong usage is said once, as JSON.
      writeErr: (text) => (json ? true : io.stderr.write(text)),
    })
    .addHelpText(
      'after',
      '\nExamples:\n  watchglass demo\n  watchglass search --help\n\nExit codes: 0 fine, 1 failed, 2 usage, 3 not intact (verify, monitor, prove and bundle).',
    );

  command(
    program,
    'demo',
    'Run everything here: a synthetic hospital, the gateway, the server, the console, traffic.',
    ['watchglass demo', 'watchglass demo --port-base 9540 --data /tmp/second', 'watchglass demo --once'],
  )
    .option(
      '--port-base <n>',
      'first of four ports: server and console, gateway, identity provider, hospital',
      toPortBase,
      9440,
    )
    .option('--data <dir>', 'data directory; .watchglass unless named')
    .option('--no-traffic', 'no traffic but your own')
    .option('--once', 'start, do one request, find and prove it, stop')
    .option('--records <dir>', 'serve this bulk FHIR NDJSON instead of the synthetic patients')
    .action(async (options) => (await import('./commands/demo.ts')).demo(options, io));

  command(program, 'serve', 'Run the server of a configuration.', [
    'watchglass serve --config /etc/watchglass/watchglass.yaml',
  ])
    .option('--config <file>', 'configuration', 'watchglass.yaml')
    .action(async (options) => (await import('./commands/serve.ts')).serve(options, io));

  command(program, 'gateway', 'Run the gateway of a configuration.', [
    'watchglass gateway --config /etc/watchglass/gateway.yaml',
  ])
    .option('--config <file>', 'configuration', 'gateway.yaml')
    .action(async (options) => (await import('./commands/gateway.ts')).gateway(options, io));

  command(program, 'init', 'Write a commented configuration and first keys; replaces nothing.', [
    'watchglass init /etc/watchglass',
  ])
    .argument('[dir]', 'where to', '.')
    .option('--tenant <name>', 'name of the first tenant', 'clinic')
    .option('--origin <name>', 'begin of the logs’ names, usually a domain of yours; this machine’s name unless given')
    .action(async (dir: string, options) => (await import('./commands/init.ts')).init(dir, options, io));

  const config = program
    .command('config')
    .description('Work with configuration files.')
    .addHelpText('after', '\nExample:\n  watchglass config check');
  command(config, 'check', 'Say whether server and gateway configurations are right, without starting anything.', [
    'watchglass config check',
    'watchglass config check /etc/watchglass/*.yaml --json',
  ])
    .argument('[files...]', 'configurations; watchglass.yaml and gateway.yaml here unless named')
    .action(async (files: string[], options) => (await import('./commands/config.ts')).checkConfig(files, options, io));

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
      (await import('./commands/verify.ts')).verify(what, options, io),
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
    .action(async (url: string, options) => (await import('./commands/monitor.ts')).monitor(url, options, io));

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
    .action(async (options) => (await import('./commands/search.ts')).search(options, io));

  plainFilters(
    connected(
      command(program, 'tail', 'Events as they come, until Ctrl-C.', [
        'watchglass tail --outcome denied',
        'watchglass tail --json',
      ]),
    ),
  )
    .option('--count <n>', 'end after so many', toCount)
    .action(async (options) => (await import('./commands/tail.ts')).tail(options, io));

  connected(
    command(program, 'prove', 'Fetch the proof of an event and check it here.', [
      'watchglass prove 417 --out event-417.tlog-proof',
    ]),
  )
    .argument('<index>', 'index of the event in the log', toIndex)
    .option('--vkey <key>', 'the only verifier key to believe')
    .option('--out <file>', 'keep the proof')
    .action(async (index: number, options) => (await import('./commands/prove.ts')).prove(index, options, io));

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
    .action(async (indexes: Range[], options) => (await import('./commands/bundle.ts')).bundle(indexes, options, io));

  addKeys(program, io);
  addLedger(program, io);
  addWitness(program, io);
  addRetention(program, io);
  addPolicy(program, command, io);
  return program;
}

function addKeys(program: Command, io: Io): void {
  const keys = program.command('keys').description('The keys of an installation: look, rotate, wrap anew.');
  connected(command(keys, 'list', 'Which keys there are, and what lies under each.', ['watchglass keys list'])).action(
    async (options) => (await import('./commands/keys.ts')).listKeys(options, io),
  );
  const own = '--own';
  const ownSays = 'the keys that the tenant brought, rather than those of the installation';
  connected(
    command(keys, 'rotate', 'Make another key current; what older ones wrapped stays readable.', [
      'watchglass keys rotate',
      'watchglass keys rotate --own --tenant clinic --key arn:aws:kms:eu-central-1:111122223333:key/…',
    ]),
  )
    .option('--key <name>', 'a key that its keeper has already; a fresh one is made unless named')
    .option(own, ownSays)
    .action(async (options) => (await import('./commands/keys.ts')).rotateKeys(options, io));
  connected(
    command(keys, 'rewrap', 'Wrap everything under the current key; goes on where it was ended.', [
      'watchglass keys rewrap',
    ]),
  )
    .option(own, ownSays)
    .action(async (options) => (await import('./commands/keys.ts')).rewrapKeys(options, io));
  connected(
    command(keys, 'export-public', 'Print the verifier keys of the logs, for whoever checks them.', [
      'watchglass keys export-public > clinic.vkey',
    ]),
  ).action(async (options) => (await import('./commands/keys.ts')).exportPublic(options, io));
  command(keys, 'rotate-checkpoint', 'Let another key sign the checkpoints of a log; the server must be stopped.', [
    'watchglass keys rotate-checkpoint clinic --data /var/lib/watchglass',
    'watchglass keys rotate-checkpoint clinic --end-overlap',
    'watchglass keys rotate-checkpoint clinic --compromised --trusted 81200',
    'watchglass keys rotate-checkpoint clinic --add-ml-dsa-44',
  ])
    .argument('<tenant>', 'whose log')
    .option('--data <dir>', 'data directory; .watchglass unless named')
    .option('--compromised', 'the old key was stolen: it signs no more, and whoever pinned it is told')
    .option(
      '--trusted <size>',
      'with --compromised: the last size at which the old key is believed; that of the newest seal unless given',
      toIndex,
    )
    .option('--end-overlap', 'the key that was replaced signs no more')
    .option('--add-ml-dsa-44', 'an ML-DSA-44 key signs beside')
    .action(async (tenant: string, options) =>
      (await import('./commands/rotate-checkpoint.ts')).rotateCheckpoint(tenant, options, io),
    );
}

function addLedger(program: Command, io: Io): void {
  const ledger = program.command('ledger').description('Work with the ledger of an installation.');
  command(
    ledger,
    'succeed',
    'Begin a ledger that goes on from this one, which was restored from a backup; the server must be stopped.',
    ['watchglass ledger succeed --data /var/lib/watchglass'],
  )
    .option('--data <dir>', 'data directory; .watchglass unless named')
    .action(async (options) => (await import('./commands/succeed.ts')).succeedLedger(options, io));
}

function addWitness(program: Command, io: Io): void {
  const witness = program.command('witness').description('Be a witness for the logs of others.');
  command(witness, 'init', 'Make a witness: its key, its configuration; replaces nothing.', [
    'watchglass witness init /etc/watchglass-witness --name witness.example/w1',
  ])
    .argument('[dir]', 'where to', '.')
    .requiredOption('--name <name>', 'its name, usually an address without scheme')
    .option('--port <n>', 'port it listens at', toPort, 9450)
    .action(async (dir: string, options) => (await import('./commands/witness.ts')).initWitness(dir, options, io));
  command(witness, 'add-log', 'Tell a witness logs; one that runs takes notice by itself.', [
    'watchglass witness add-log watchglass.example/clinic+1a2b3c4d+AX…',
  ])
    .argument('<vkeys...>', 'verifier keys of logs')
    .option('--config <file>', 'configuration of the witness', 'witness.yaml')
    .action(async (vkeys: string[], options) => (await import('./commands/witness.ts')).addLog(vkeys, options, io));
  command(witness, 'serve', 'Run a witness until Ctrl-C.', [
    'watchglass witness serve --config /etc/watchglass-witness/witness.yaml',
  ])
    .option('--config <file>', 'configuration', 'witness.yaml')
    .action(async (options) => (await import('./commands/witness.ts')).serveWitness(options, io));
}

/** Both end what was written, so both take two people. */
function addRetention(program: Command, io: Io): void {
  const commands = () => import('./commands/retention.ts');
  const retention = program
    .command('retention')
    .description('How long events are kept, what is over, and how it ends.')
    .addHelpText('after', '\nExample:\n  watchglass retention plan');
  connected(
    command(retention, 'list', 'What is in force, proposals, and what was shredded.', ['watchglass retention list']),
  ).action(async (options) => (await commands()).listRetention(options, io));
  connected(
    command(retention, 'plan', 'The dry run: what would go. Changes nothing.', [
      'watchglass retention plan',
      'watchglass retention plan --at 2032-01-01 --json',
    ]),
  )
    .option('--at <moment>', 'a date, or RFC 3339; now unless given')
    .action(async (options) => (await commands()).planRetention(options, io));
  connected(
    command(retention, 'propose', 'Propose that it goes: all that is over, or the units named.', [
      'watchglass retention propose access-674 --server https://watchglass.example --token …',
    ]),
  )
    .argument('[units...]', 'such as access-674, as `retention plan` names them')
    .option('--plan <hash>', 'refuse where the plan is another one')
    .action(async (units: string[], options) => (await commands()).proposeShred(units, options, io));
  connected(
    command(retention, 'approve', 'Approve what somebody else proposed.', [
      'watchglass retention approve rp-0123456789abcdef --server https://watchglass.example --token …',
    ]),
  )
    .argument('<id>', 'of the proposal')
    .option('--plan <hash>', 'the plan you approve; as the proposal has it unless given')
    .action(async (id: string, options) => (await commands()).approveProposal(id, options, io));
  connected(
    command(retention, 'execute', 'Carry out what two people approved. It can’t be taken back.', [
      'watchglass retention execute rp-0123456789abcdef --server https://watchglass.example --token …',
    ]),
  )
    .argument('<id>', 'of the proposal')
    .action(async (id: string, options) => (await commands()).executeProposal(id, options, io));
  connected(
    command(retention, 'confirm', 'Confirm a configured retention of fewer than six years.', [
      'watchglass retention confirm access 400 --server https://watchglass.example --token …',
    ]),
  )
    .argument('<class>', 'access, security or oversight')
    .argument('<days>', 'as the configuration has them', toCount)
    .action(async (name: string, days: number, options) =>
      (await commands()).confirmRetention(name, days, options, io),
    );

  const hold = program
    .command('hold')
    .description('Legal holds: what they are about stays readable, whatever is shredded.')
    .addHelpText('after', '\nExample:\n  watchglass hold list');
  connected(
    command(hold, 'add', 'Add a hold; all that is said must be true of an event.', [
      'watchglass hold add --patient wg-pt-000417 --matter "Case 2032-17" --reason litigation',
      'watchglass hold add --actor dr-ito --from 2026-01-01 --matter "Inquiry 4" --reason "internal inquiry"',
    ]),
  )
    .option('--patient <id>', 'FHIR id of a patient, with or without Patient/')
    .option('--actor <id>', 'who did it')
    .option('--indexes <range>', 'an index (417) or a range (420-431)', toOneRange)
    .option('--class <name>', 'access, security or oversight')
    .option('--operation <name>', 'the precise name, such as search-type')
    .option('--from <moment>', 'received since: RFC 3339, a date, or how long ago')
    .option('--to <moment>', 'received before')
    .requiredOption('--matter <text>', 'the case it is for')
    .requiredOption('--reason <text>', 'why')
    .action(async (options) => (await import('./commands/hold.ts')).addHold(options, io));
  connected(command(hold, 'list', 'Holds that are on, and what they keep.', ['watchglass hold list'])).action(
    async (options) => (await import('./commands/hold.ts')).listHolds(options, io),
  );
  connected(
    command(
      hold,
      'release',
      'Propose that a hold ends; somebody else approves it, and it is carried out like a shred.',
      ['watchglass hold release 0123456789abcdef0123456789abcdef --server https://watchglass.example --token …'],
    ),
  )
    .argument('<id>', 'of the hold')
    .action(async (id: string, options) => (await import('./commands/hold.ts')).releaseHold(id, options, io));
}

/** Takes over from its parent where it writes to, and that it doesn't end the process. */
function command(parent: Command, name: string, what: string, examples: readonly string[]): Command {
  const path = parent.parent === null ? name : `${parent.name()} ${name}`;
  return parent
    .command(name)
    .description(what)
    .option('--json', 'print JSON, and nothing else, on standard output')
    .showHelpAfterError(`Run watchglass ${path} --help for what it takes.`)
    .addHelpText(
      'after',
      `\nExample${examples.length === 1 ? '' : 's'}:\n${examples.map((one) => `  ${one}`).join('\n')}`,
    );
}

function connected(command: Command): Command {
  return command
    .option('--data <dir>', 'an installation on this machine, as its operator; .watchglass where there is one')
    .option('--server <url>', 'a server')
    .option('--token <token>', 'access token for --server; WATCHGLASS_TOKEN in the environment does the same')
    .option('--ca <file>', 'CA certificate of the server')
    .option('--tenant <name>', 'which tenant; not needed where there is one');
}

function plainFilters(command: Command): Command {
  return command
    .option('--actor <id>', 'who did it')
    .option('--kind <kind>', 'api, auth, access-change, data, file, network, review, system')
    .option('--action <action>', 'create, read, update, delete, execute')
    .option('--operation <name>', 'the precise name, such as search-type')
    .option('--outcome <status>', 'success, denied, failed, error');
}

function toCount(text: string): number {
  const count = /^\d{1,9}$/.test(text) ? Number(text) : 0;
  if (count < 1) throw new InvalidArgumentError('expected a number from 1.');
  return count;
}

function toIndex(text: string): number {
  const index = /^\d{1,15}$/.test(text) ? Number(text) : -1;
  if (index < 0) throw new InvalidArgumentError('expected the index of an event: a number from 0.');
  return index;
}

type Range = readonly [first: number, last: number];

function toRange(text: string, before: Range[] = []): Range[] {
  const match = /^(\d{1,15})(?:-(\d{1,15}))?$/.exec(text);
  const first = Number(match?.[1]);
  const last = Number(match?.[2] ?? match?.[1]);
  if (match === null || last < first) throw new InvalidArgumentError('expected an index, or a range such as 420-431.');
  return [...before, [first, last]];
}

function toOneRange(text: string): Range {
  return toRange(text)[0] as Range;
}

function toList(text: string, before: readonly string[]): string[] {
  return [...before, text];
}

function toPort(text: string): number {
  const port = /^\d{1,5}$/.test(text) ? Number(text) : 0;
  if (port < 1 || port > 65_535) throw new InvalidArgumentError('expected a port from 1 to 65535.');
  return port;
}

function toPortBase(text: string): number {
  const port = /^\d{1,5}$/.test(text) ? Number(text) : 0;
  if (port < 1_024 || port > 65_532) throw new InvalidArgumentError('expected a port from 1024 to 65532.');
  return port;
}
