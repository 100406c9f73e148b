/**
 * The commands that act while something happens: decisions that every gateway of a tenant follows.
 */
import { type Command, InvalidArgumentError } from 'commander';
import type { Io } from '../io.ts';
import { command, connected } from './command.ts';

const unitsMs: Readonly<Record<string, number>> = { m: 60_000, h: 3_600_000, d: 86_400_000 };

function toDurationMs(text: string): number {
  const [, count, unit] = /^([1-9]\d{0,5})([mhd])$/.exec(text) ?? [];
  if (count === undefined || unit === undefined)
    throw new InvalidArgumentError('expected how long, such as 30m, 8h or 7d.');
  return Number(count) * (unitsMs[unit] ?? 0);
}

export function addDecisions(program: Command, io: Io): void {
  const commands = () => import('../commands/decisions.ts');
  const decisions = program
    .command('decisions')
    .description('Who is blocked at the gateways, or has to sign in again; in force within a second.')
    .addHelpText('after', '\nExample:\n  watchglass decisions list');
  connected(
    command(decisions, 'add', 'Block an address, an actor, a client or a session; or ask an actor to sign in again.', [
      'watchglass decisions add --address 192.0.2.0/24 --for 8h --reason "probing"',
      'watchglass decisions add --actor dr-ito --step-up --reason "token seen elsewhere"',
    ]),
  )
    .option('--address <range>', 'an address or CIDR range')
    .option('--actor <id>', 'a person or service, as events name them')
    .option('--client <id>', 'an OAuth client')
    .option('--session <id>', 'a session of the identity provider')
    .option('--step-up', 'with --actor: let in again after a new sign-in')
    .option('--for <duration>', 'how long: 30m, 8h, 7d; 24h unless given', toDurationMs)
    .requiredOption('--reason <text>', 'why')
    .action(async (options) => (await commands()).addDecision(options, io));
  connected(command(decisions, 'list', 'Decisions that are in force.', ['watchglass decisions list'])).action(
    async (options) => (await commands()).listDecisions(options, io),
  );
  connected(
    command(decisions, 'lift', 'End a decision before its time.', ['watchglass decisions lift d-0123456789abcdef']),
  )
    .argument('<id>', 'of the decision')
    .action(async (id: string, options) => (await commands()).liftDecision(id, options, io));
}
