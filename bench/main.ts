/**
 * `npm run bench [ledger|intake|gateway|fronts|verify|scale|size …]`: runs one benchmark after another, each within a minute, and prints its
 * figures. Absolute times depend on the machine; the ratios, taken in one interleaved run, are what to quote.
 */
import { cpus } from 'node:os';
import { parseArgs } from 'node:util';

const names = ['ledger', 'intake', 'gateway', 'fronts', 'verify', 'scale', 'size'] as const;

interface Bench {
  run(options: {
    seconds: number;
    log: (line: string) => void;
    competitors: boolean;
    events: number | undefined;
  }): Promise<Record<string, number>>;
}

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    seconds: { type: 'string', default: '40' },
    json: { type: 'boolean', default: false },
    competitors: { type: 'boolean', default: false },
    events: { type: 'string' },
  },
});

const unknown = positionals.filter((name) => !(names as readonly string[]).includes(name));
const seconds = Number(values.seconds);
const events = values.events === undefined ? undefined : Number(values.events);
const eventsFit = events === undefined || (events >= 10_000 && events <= 100_000_000);
if (unknown.length > 0 || !(seconds >= 1 && seconds <= 600) || !eventsFit) {
  console.error(
    `usage: npm run bench -- [${names.join('|')} …] [--seconds 1…600] [--competitors] [--events N] [--json]`,
  );
  process.exit(2);
}

const log = (line: string): void => console.error(line);
log(`Node ${process.versions.node}, ${cpus().length} × ${cpus()[0]?.model ?? 'unknown processor'}`);

for (const name of positionals.length > 0 ? positionals : names) {
  log(`\n— ${name}`);
  const { run } = (await import(`./${name}.ts`)) as Bench;
  const figures = await run({ seconds, log, competitors: values.competitors, events });
  if (values.json) console.log(JSON.stringify({ bench: name, ...figures }));
  else for (const [what, value] of Object.entries(figures)) console.log(`${what.padEnd(44)} ${round(value)}`);
}

function round(value: number): string {
  const digits = Math.abs(value) >= 100 ? 0 : Math.abs(value) >= 1 ? 2 : 4;
  return value.toLocaleString('en-GB', { maximumFractionDigits: digits }).padStart(14);
}
