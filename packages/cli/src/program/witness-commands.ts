/**
 * The commands of a witness: make one, tell it logs, run it.
 */
import type { Command } from 'commander';
import type { Io } from '../io.ts';
import { toPort } from './arguments.ts';
import { command } from './command.ts';

export function addWitness(program: Command, io: Io): void {
  const witness = program.command('witness').description('Be a witness for the logs of others.');
  command(witness, 'init', 'Make a witness: its key, its configuration; replaces nothing.', [
    'watchglass witness init /etc/watchglass-witness --name witness.example/w1',
  ])
    .argument('[dir]', 'where to', '.')
    .requiredOption('--name <name>', 'its name, usually an address without scheme')
    .option('--port <n>', 'port it listens at', toPort, 9450)
    .action(async (dir: string, options) => (await import('../commands/witness.ts')).initWitness(dir, options, io));
  command(witness, 'add-log', 'Tell a witness logs; one that runs takes notice by itself.', [
    'watchglass witness add-log watchglass.example/clinic+1a2b3c4d+AX…',
  ])
    .argument('<vkeys...>', 'verifier keys of logs')
    .option('--config <file>', 'configuration of the witness', 'witness.yaml')
    .action(async (vkeys: string[], options) => (await import('../commands/witness.ts')).addLog(vkeys, options, io));
  command(witness, 'serve', 'Run a witness until Ctrl-C.', [
    'watchglass witness serve --config /etc/watchglass-witness/witness.yaml',
  ])
    .option('--config <file>', 'configuration', 'witness.yaml')
    .action(async (options) => (await import('../commands/witness.ts')).serveWitness(options, io));
}
