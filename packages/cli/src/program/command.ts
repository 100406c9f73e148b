/**
 * What the commands have in common: how one is made, that it can speak JSON, and the options of all that speak with a server or choose events.
 */
import type { Command } from 'commander';

/** Takes over from its parent where it writes to, and that it doesn't end the process. */
export function command(parent: Command, name: string, what: string, examples: readonly string[]): Command {
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

export function connected(command: Command): Command {
  return command
    .option('--data <dir>', 'an installation on this machine, as its operator; .watchglass where there is one')
    .option('--server <url>', 'a server')
    .option('--token <token>', 'access token for --server; WATCHGLASS_TOKEN in the environment does the same')
    .option('--ca <file>', 'CA certificate of the server')
    .option('--tenant <name>', 'which tenant; not needed where there is one');
}

export function plainFilters(command: Command): Command {
  return command
    .option('--actor <id>', 'who did it')
    .option('--kind <kind>', 'api, auth, access-change, data, file, network, review, system')
    .option('--action <action>', 'create, read, update, delete, execute')
    .option('--operation <name>', 'the precise name, such as search-type')
    .option('--outcome <status>', 'success, denied, failed, error');
}
