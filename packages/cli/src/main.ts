/**
 * The command line: which commands there are and what each takes. A command's own code is loaded when it runs, so that
 * `--help` is quick.
 */
import { Command, CommanderError, InvalidArgumentError } from 'commander';
import manifest from '../package.json' with { type: 'json' };
import { CliError, exitCodes } from './errors.ts';
import { type Io, note, printError } from './io.ts';
import { endProcess, openProcessIo } from './process.ts';

/** Runs one command and says how it ended: 0 fine, 1 failed, 2 usage, 3 not intact, 130 interrupted. */
export async function run(argv: readonly string[], io: Io): Promise<number> {
  const program = makeProgram(io);
  const json = argv.includes('--json');
  try {
    await program.parseAsync(argv, { from: 'user' });
    return exitCodes.fine;
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode === 0 ? exitCodes.fine : exitCodes.usage;
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

function makeProgram(io: Io): Command {
  const program = new Command('watchglass')
    .description('The audit trail and the guard for APIs that touch patient data.')
    .version(manifest.version, '-V, --version')
    .showHelpAfterError('Run with --help for what it takes.')
    .configureHelp({ sortSubcommands: false })
    .exitOverride()
    .configureOutput({ writeOut: (text) => io.stdout.write(text), writeErr: (text) => io.stderr.write(text) })
    .addHelpText('after', '\nExit codes: 0 fine, 1 failed, 2 usage, 3 not intact (verify and prove).');
  program.action(() => {
    note(io, program.helpInformation());
    throw new CommanderError(exitCodes.usage, 'watchglass.noCommand', 'no command');
  });

  command(
    program,
    io,
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

  command(program, io, 'serve', 'Run the server of a configuration.', [
    'watchglass serve --config /etc/watchglass/watchglass.yaml',
  ])
    .option('--config <file>', 'configuration', 'watchglass.yaml')
    .action(async (options) => (await import('./commands/serve.ts')).serve(options, io));

  command(program, io, 'gateway', 'Run the gateway of a configuration.', [
    'watchglass gateway --config /etc/watchglass/gateway.yaml',
  ])
    .option('--config <file>', 'configuration', 'gateway.yaml')
    .action(async (options) => (await import('./commands/gateway.ts')).gateway(options, io));

  command(program, io, 'init', 'Write a commented configuration and first keys; replaces nothing.', [
    'watchglass init /etc/watchglass',
  ])
    .argument('[dir]', 'where to', '.')
    .option('--tenant <name>', 'name of the first tenant', 'clinic')
    .option('--origin <name>', 'begin of the logs’ names, usually a domain of yours; this machine’s name unless given')
    .action(async (dir: string, options) => (await import('./commands/init.ts')).init(dir, options, io));

  const config = program.command('config').description('Work with configuration files.');
  config.action(() => {
    note(io, config.helpInformation());
    throw new CommanderError(exitCodes.usage, 'watchglass.noCommand', 'no command');
  });
  command(config, io, 'check', 'Say whether server and gateway configurations are right, without starting anything.', [
    'watchglass config check',
    'watchglass config check /etc/watchglass/*.yaml --json',
  ])
    .argument('[files...]', 'configurations; watchglass.yaml and gateway.yaml here unless named')
    .action(async (files: string[], options) => (await import('./commands/config.ts')).checkConfig(files, options, io));

  command(program, io, 'verify', 'Derive everything again: of a data directory, a running server, or a proof.', [
    'watchglass verify .watchglass',
    'watchglass verify https://watchglass.example --checkpoint last-month.checkpoint',
    'watchglass verify event-417.tlog-proof --vkey watchglass.example/clinic+1a2b3c4d+AX…',
  ])
    .argument('[what]', 'directory, URL, or file; .watchglass unless named')
    .option('--vkey <key>', 'the only verifier key to believe')
    .option('--checkpoint <file>', 'a checkpoint kept from earlier, which today’s log has to contain')
    .option('--policy <file>', 'a trust policy: its witnesses must have cosigned (c2sp.org/tlog-policy)')
    .option('--tsa-ca <file>', 'certificates that the authority of the timestamps must lead to (directory)')
    .option('--full', 'also parse every record and hold it against its block')
    .option('--tenant <name>', 'only this tenant')
    .option('--ca <file>', 'CA certificate of the server (URL)')
    .option('--leaf <hash>', 'leaf hash in base64, for a proof without its opening')
    .action(async (what: string | undefined, options) =>
      (await import('./commands/verify.ts')).verify(what, options, io),
    );

  const searching = connected(
    command(program, io, 'search', 'Find events; the search itself is recorded.', [
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
      command(program, io, 'tail', 'Events as they come, until Ctrl-C.', [
        'watchglass tail --outcome denied',
        'watchglass tail --json',
      ]),
    ),
  )
    .option('--count <n>', 'end after so many', toCount)
    .action(async (options) => (await import('./commands/tail.ts')).tail(options, io));

  connected(
    command(program, io, 'prove', 'Fetch the proof of an event and check it here.', [
      'watchglass prove 417 --out event-417.tlog-proof',
    ]),
  )
    .argument('<index>', 'index of the event in the log', toIndex)
    .option('--vkey <key>', 'the only verifier key to believe')
    .option('--out <file>', 'keep the proof')
    .action(async (index: number, options) => (await import('./commands/prove.ts')).prove(index, options, io));

  addWitnessCommands(program, io);
  return program;
}

function addWitnessCommands(program: Command, io: Io): void {
  const witness = program.command('witness').description('Be a witness for the logs of others.');
  witness.action(() => {
    note(io, witness.helpInformation());
    throw new CommanderError(exitCodes.usage, 'watchglass.noCommand', 'no command');
  });
  command(witness, io, 'init', 'Make a witness: its key, its configuration; replaces nothing.', [
    'watchglass witness init /etc/watchglass-witness --name witness.example/w1',
  ])
    .argument('[dir]', 'where to', '.')
    .requiredOption('--name <name>', 'its name, usually an address without scheme')
    .option('--port <n>', 'port it listens at', toPort, 9450)
    .action(async (dir: string, options) => (await import('./commands/witness.ts')).initWitness(dir, options, io));
  command(witness, io, 'add-log', 'Tell a witness logs; one that runs takes notice by itself.', [
    'watchglass witness add-log watchglass.example/clinic+1a2b3c4d+AX…',
  ])
    .argument('<vkeys...>', 'verifier keys of logs')
    .option('--config <file>', 'configuration of the witness', 'witness.yaml')
    .action(async (vkeys: string[], options) => (await import('./commands/witness.ts')).addLog(vkeys, options, io));
  command(witness, io, 'serve', 'Run a witness until Ctrl-C.', [
    'watchglass witness serve --config /etc/watchglass-witness/witness.yaml',
  ])
    .option('--config <file>', 'configuration', 'witness.yaml')
    .action(async (options) => (await import('./commands/witness.ts')).serveWitness(options, io));
}

function command(parent: Command, io: Io, name: string, what: string, examples: readonly string[]): Command {
  return parent
    .command(name)
    .description(what)
    .option('--json', 'print JSON, and nothing else, on standard output')
    .exitOverride()
    .configureOutput({ writeOut: (text) => io.stdout.write(text), writeErr: (text) => io.stderr.write(text) })
    .showHelpAfterError(`Run watchglass ${name} --help for what it takes.`)
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
