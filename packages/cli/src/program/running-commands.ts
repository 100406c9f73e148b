/**
 * The commands that run Watchglass, or make what it needs to run: the demo, the server, the gateway, first configurations and their check.
 */
import type { Command } from 'commander';
import type { Io } from '../io.ts';
import { toPortBase } from './arguments.ts';
import { command } from './command.ts';

export function addRunning(program: Command, io: Io): void {
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
    .action(async (options) => (await import('../commands/demo.ts')).demo(options, io));

  command(program, 'serve', 'Run the server of a configuration.', [
    'watchglass serve --config /etc/watchglass/watchglass.yaml',
  ])
    .option('--config <file>', 'configuration', 'watchglass.yaml')
    .action(async (options) => (await import('../commands/serve.ts')).serve(options, io));

  command(program, 'gateway', 'Run the gateway of a configuration.', [
    'watchglass gateway --config /etc/watchglass/gateway.yaml',
  ])
    .option('--config <file>', 'configuration', 'gateway.yaml')
    .action(async (options) => (await import('../commands/gateway.ts')).gateway(options, io));

  command(program, 'init', 'Write a commented configuration and first keys; replaces nothing.', [
    'watchglass init /etc/watchglass',
  ])
    .argument('[dir]', 'where to', '.')
    .option('--tenant <name>', 'name of the first tenant', 'clinic')
    .option('--origin <name>', 'begin of the logs’ names, usually a domain of yours; this machine’s name unless given')
    .action(async (dir: string, options) => (await import('../commands/init.ts')).init(dir, options, io));

  const config = program
    .command('config')
    .description('Work with configuration files.')
    .addHelpText('after', '\nExample:\n  watchglass config check');
  command(config, 'check', 'Say whether server and gateway configurations are right, without starting anything.', [
    'watchglass config check',
    'watchglass config check /etc/watchglass/*.yaml --json',
  ])
    .argument('[files...]', 'configurations; watchglass.yaml and gateway.yaml here unless named')
    .action(async (files: string[], options) =>
      (await import('../commands/config.ts')).checkConfig(files, options, io),
    );
}
