/**
 * The command `watchglass-hospital`: serve, traffic, roster. Reads its arguments, the clock and the environment once,
 * here; nothing below looks at them again. Exit codes: 0 fine, 1 failed, 2 usage.
 */
import { setFlagsFromString } from 'node:v8';
import { Command, InvalidArgumentError, Option } from 'commander';
import { makeWorld, startHospital } from './serve.ts';
import { supervise } from './supervised.ts';
import { scenarioNames } from './traffic/misuse.ts';
import { runTraffic } from './traffic/run.ts';
import { type Day, formatDay, parseDay } from './world/calendar.ts';

interface WorldFlags {
  readonly seed: string;
  readonly today: Day;
  readonly patients: number;
  readonly staff: number;
  readonly data?: string;
}

interface ServeFlags extends WorldFlags {
  readonly port: number;
  readonly host: string;
  readonly publicUrl?: string;
  readonly rosterOut?: string;
}

interface TrafficFlags {
  readonly gateway: string;
  readonly ca?: string;
  readonly tokens: string;
  readonly roster: string;
  readonly seed: string;
  readonly rate: number;
  readonly misuse: readonly string[];
  readonly misuseAfter: number;
  readonly misuseEvery: number;
  readonly labels?: string;
  readonly duration?: number;
  readonly diurnal?: true;
}

export async function main(argv: readonly string[]): Promise<void> {
  const program = new Command('watchglass-hospital')
    .description(
      'A synthetic hospital: its FHIR R4 API, its staff, and the traffic they make. Everybody in it is invented.',
    )
    .showHelpAfterError()
    .exitOverride((error) => process.exit(error.exitCode === 0 ? 0 : 2));
  worldOptions(program.command('serve').description('serve the FHIR API'))
    .option('--port <n>', 'port to listen on; 0 takes a free one', wholeNumber(0, 65_535), 9443)
    .option('--host <address>', 'address to listen on', '127.0.0.1')
    .option('--public-url <url>', 'origin that clients see, for the links in answers', origin)
    .option('--roster-out <file>', 'write the roster there (0600)')
    .addHelpText(
      'after',
      '\nExample:\n  watchglass-hospital serve --port 9443 --seed larkhaven --roster-out roster.json',
    )
    .action((flags: ServeFlags) => serve(flags));
  worldOptions(program.command('roster').description('print the roster as JSON'))
    .addHelpText('after', '\nExample:\n  watchglass-hospital roster --seed larkhaven')
    .action((flags: WorldFlags) => printRoster(flags));
  program
    .command('traffic')
    .description('let the staff work through the gateway')
    .requiredOption('--gateway <url>', 'origin of the gateway', origin)
    .option('--ca <file>', 'certificate of the authority that signed the gateway’s')
    .requiredOption('--tokens <file>', 'the demo’s tokens.json; read again when it changes')
    .requiredOption('--roster <file>', 'the roster that serve wrote')
    .option('--seed <text>', 'decides who does what, and in which order', 'larkhaven')
    .option('--rate <n>', 'ordinary requests a second, all people together', positive(5000), 3)
    .addOption(
      new Option('--misuse <names>', `labelled misuse to mix in: ${scenarioNames.join(', ')}`)
        .argParser(scenarios)
        .default([], 'none'),
    )
    .option('--misuse-after <s>', 'seconds until the first misuse begins', positive(86_400), 20)
    .option('--misuse-every <s>', 'seconds between two episodes of one kind', positive(864_000), 900)
    .option('--labels <file>', 'append a line of JSON for each request of misuse')
    .option('--duration <s>', 'stop after so many seconds', positive(8_640_000))
    .option('--diurnal', 'people work only in their shifts (UTC)')
    .addHelpText(
      'after',
      '\nExample:\n  watchglass-hospital traffic --gateway https://localhost:9441 --ca ca.pem --tokens tokens.json --roster roster.json --rate 5',
    )
    .action((flags: TrafficFlags) => traffic(flags));
  try {
    await program.parseAsync([...argv]);
  } catch (error) {
    process.stderr.write(`watchglass-hospital: ${error instanceof Error ? error.message : 'failed'}\n`);
    process.exitCode = 1;
    if (process.connected) process.disconnect?.();
  }
}

function worldOptions(command: Command): Command {
  return command
    .option('--seed <text>', 'the same seed gives the same hospital', 'larkhaven')
    .option('--today <day>', 'the day it is there, YYYY-MM-DD', day, parseDay(new Date().toISOString().slice(0, 10)))
    .option('--patients <n>', 'how many patients', wholeNumber(1, 50_000), 600)
    .option('--staff <n>', 'how many members of staff', wholeNumber(8, 1600), 40)
    .option('--data <dir>', 'serve the records of these bulk FHIR NDJSON files instead of generated patients');
}

async function serve(flags: ServeFlags): Promise<void> {
  const supervision = supervise(process.env);
  // Nearly everything made while starting stays; a young generation that grew for it would cost 60 MB for nothing.
  setFlagsFromString('--semi-space-growth-factor=1');
  await using hospital = await startHospital({
    ...flags,
    data: flags.data,
    now: () => new Date(),
    // The place in the code, without the message: a message might quote a record.
    onFailure: (error) => process.stderr.write(`hospital: a request failed${placeOf(error)}\n`),
  });
  setFlagsFromString('--semi-space-growth-factor=2');
  supervision.ready(hospital.url);
  await aborted(supervision.signal);
}

function placeOf(error: unknown): string {
  const frame =
    error instanceof Error ? error.stack?.split('\n').find((line) => line.trimStart().startsWith('at ')) : undefined;
  return error instanceof Error ? `: ${error.name} ${frame?.trim() ?? ''}` : '';
}

async function printRoster(flags: WorldFlags): Promise<void> {
  const { roster } = await makeWorld({ ...flags, data: flags.data });
  process.stdout.write(`${JSON.stringify(roster)}\n`);
}

async function traffic(flags: TrafficFlags): Promise<void> {
  const supervision = supervise(process.env);
  await runTraffic({
    gateway: flags.gateway,
    caFile: flags.ca,
    tokensFile: flags.tokens,
    rosterFile: flags.roster,
    seed: flags.seed,
    rate: flags.rate,
    misuse: flags.misuse,
    misuseAfterMs: flags.misuseAfter * 1000,
    misuseEveryMs: flags.misuseEvery * 1000,
    labelsFile: flags.labels,
    durationMs: flags.duration === undefined ? undefined : flags.duration * 1000,
    diurnal: flags.diurnal === true,
    signal: supervision.signal,
    onReady: () => supervision.ready(flags.gateway),
    print: (line) => process.stdout.write(`${line}\n`),
  });
  if (process.connected) process.disconnect?.();
}

function aborted(signal: AbortSignal): Promise<void> {
  if (signal.aborted) return Promise.resolve();
  return new Promise((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }));
}

function wholeNumber(low: number, high: number): (text: string) => number {
  return (text) => {
    const value = Number(text);
    if (!/^\d+$/.test(text) || value < low || value > high)
      throw new InvalidArgumentError(`expected a whole number from ${low} to ${high}`);
    return value;
  };
}

function positive(high: number): (text: string) => number {
  return (text) => {
    const value = Number(text);
    if (!(value > 0) || value > high) throw new InvalidArgumentError(`expected a number above 0, at most ${high}`);
    return value;
  };
}

function day(text: string): Day {
  const value = parseDay(text);
  if (value === undefined) throw new InvalidArgumentError(`expected a day such as ${formatDay(20_516)}`);
  return value;
}

function origin(text: string): string {
  if (!URL.canParse(text) || !/^https?:$/.test(new URL(text).protocol) || new URL(text).pathname !== '/')
    throw new InvalidArgumentError('expected an origin such as https://localhost:9441');
  return new URL(text).origin;
}

function scenarios(text: string): string[] {
  const names = text.split(',').filter((name) => name !== '');
  for (const name of names)
    if (!scenarioNames.includes(name)) throw new InvalidArgumentError(`expected some of ${scenarioNames.join(', ')}`);
  return names;
}
