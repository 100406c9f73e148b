/**
 * The commands that end what was written, or keep it from ending: retention and legal holds. Both take two people.
 */
import type { Command } from 'commander';
import type { Io } from '../io.ts';
import { toCount, toOneRange } from './arguments.ts';
import { command, connected } from './command.ts';

export function addRetention(program: Command, io: Io): void {
  const commands = () => import('../commands/retention.ts');
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
}

export function addHolds(program: Command, io: Io): void {
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
    .action(async (options) => (await import('../commands/hold.ts')).addHold(options, io));
  connected(command(hold, 'list', 'Holds that are on, and what they keep.', ['watchglass hold list'])).action(
    async (options) => (await import('../commands/hold.ts')).listHolds(options, io),
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
    .action(async (id: string, options) => (await import('../commands/hold.ts')).releaseHold(id, options, io));
}
