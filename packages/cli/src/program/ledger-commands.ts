/**
 * The commands that change what a ledger is signed and wrapped with, or what it goes on from.
 */
import type { Command } from 'commander';
import type { Io } from '../io.ts';
import { toIndex } from './arguments.ts';
import { command, connected } from './command.ts';

export function addKeys(program: Command, io: Io): void {
  const keys = program.command('keys').description('The keys of an installation: look, rotate, wrap anew.');
  connected(command(keys, 'list', 'Which keys there are, and what lies under each.', ['watchglass keys list'])).action(
    async (options) => (await import('../commands/keys.ts')).listKeys(options, io),
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
    .action(async (options) => (await import('../commands/keys.ts')).rotateKeys(options, io));
  connected(
    command(keys, 'rewrap', 'Wrap everything under the current key; goes on where it was ended.', [
      'watchglass keys rewrap',
    ]),
  )
    .option(own, ownSays)
    .action(async (options) => (await import('../commands/keys.ts')).rewrapKeys(options, io));
  connected(
    command(keys, 'export-public', 'Print the verifier keys of the logs, for whoever checks them.', [
      'watchglass keys export-public > clinic.vkey',
    ]),
  ).action(async (options) => (await import('../commands/keys.ts')).exportPublic(options, io));
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
      (await import('../commands/rotate-checkpoint.ts')).rotateCheckpoint(tenant, options, io),
    );
}

export function addLedger(program: Command, io: Io): void {
  const ledger = program.command('ledger').description('Work with the ledger of an installation.');
  command(
    ledger,
    'succeed',
    'Begin a ledger that goes on from this one, which was restored from a backup; the server must be stopped.',
    ['watchglass ledger succeed --data /var/lib/watchglass'],
  )
    .option('--data <dir>', 'data directory; .watchglass unless named')
    .action(async (options) => (await import('../commands/succeed.ts')).succeedLedger(options, io));
}
