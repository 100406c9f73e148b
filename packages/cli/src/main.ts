/**
 * The command line: the program, how a run of it ends, and which groups of commands it has (program/*-commands.ts). A command's own code is loaded when it runs, so that
 * `--help` is quick.
 */
import { Command, CommanderError } from 'commander';
import manifest from '../package.json' with { type: 'json' };
import { CliError, exitCodes } from './errors.ts';
import { type Io, printError } from './io.ts';
import { endProcess, openProcessIo } from './process.ts';
import { addChecking, addEvidence } from './program/checking-commands.ts';
import { addDecisions } from './program/decision-commands.ts';
import { addKeys, addLedger } from './program/ledger-commands.ts';
import { addPolicy } from './program/policy-commands.ts';
import { addHolds, addRetention } from './program/retention-commands.ts';
import { addRunning } from './program/running-commands.ts';
import { addSearching } from './program/searching-commands.ts';
import { addWitness } from './program/witness-commands.ts';

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
      '\nExamples:\n  watchglass demo\n  watchglass search --help\n\nExit codes: 0 fine, 1 failed, 2 usage, 3 not intact (verify, monitor, prove, bundle, fsck and completeness --strict).',
    );

  addRunning(program, io);
  addChecking(program, io);
  addSearching(program, io);
  addEvidence(program, io);
  addKeys(program, io);
  addLedger(program, io);
  addWitness(program, io);
  addRetention(program, io);
  addHolds(program, io);
  addPolicy(program, io);
  addDecisions(program, io);
  return program;
}
