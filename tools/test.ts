/**
 * `npm test`: every test of the project, in an order that says early what is broken.
 *
 *   npm test                       everything but `long`
 *   npm test -- long               the longest crash loops, and others with more rounds, as CI runs them too
 *   npm test -- unit browser       some suites, by name
 *   npm test -- path/to/x.test.ts  some files
 *
 * Suites of the first row run side by side, one process a file; the others start real servers and run one after another.
 * The last line counts; the lines before it name what was skipped and why.
 */
import { appendFileSync, globSync, mkdirSync, rmSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { dirname, join, relative } from 'node:path';
import { run } from 'node:test';
import type { TestEvent } from 'node:test/reporters';

const root: string = join(import.meta.dirname, '..');
const fileTimeoutMs = 300_000;
const cores = availableParallelism();
/** Files that wait for their disk half of the time. */
const waitingMax = cores + 1;

/** Only where they are asked for: loops that find more the longer they run. */
const onlyLong = [
  'test/scenario/witnesses.test.ts',
  'test/fault/*-crash.test.ts',
  'test/fault/*syscall.test.ts',
  'test/fault/witness-kill.test.ts',
];
/** With a few rounds in every run, and with many among the long ones, told by `WATCHGLASS_LONG`. */
const longer = ['test/fault/server-kill.test.ts', 'test/sim/canary.test.ts', 'test/sim/every-operation.test.ts'];

const suites: Record<string, { globs: string[]; concurrency: number }> = {
  tidy: { globs: ['test/*.test.ts'], concurrency: 1 },
  unit: {
    globs: ['packages/*/src/**/*.test.ts', 'examples/*/src/**/*.test.ts', 'tools/**/*.test.ts'],
    concurrency: waitingMax,
  },
  contract: {
    globs: ['test/contract/**/*.test.ts', 'test/golden/**/*.test.ts', 'test/conformance/**/*.test.ts'],
    concurrency: waitingMax,
  },
  fuzz: { globs: ['test/fuzz/**/*.test.ts'], concurrency: cores },
  sim: { globs: ['test/sim/**/*.test.ts'], concurrency: cores },
  scenario: { globs: ['test/scenario/**/*.test.ts'], concurrency: 1 },
  fault: { globs: ['test/fault/**/*.test.ts'], concurrency: 1 },
  browser: { globs: ['test/browser/**/*.test.ts'], concurrency: 1 },
  long: { globs: [...onlyLong, ...longer], concurrency: 1 },
};
const longFiles = new Set(globSync(onlyLong, { cwd: root }));

interface Tally {
  passed: number;
  failed: string[];
  skipped: string[];
}

/**
 * What was heard of a suite's tests, held against what each file says it ran: a process that ends early takes its last
 * tests with it, and a test that nobody heard of hasn't passed.
 */
class RollCall {
  readonly #stated: Map<string, number> = new Map();
  readonly #seconds: Map<string, number> = new Map();
  #heard = 0;

  hear({ type, data }: TestEvent): void {
    if (type === 'test:summary' && data.file !== undefined) {
      this.#stated.set(data.file, data.counts.tests);
      this.#seconds.set(relative(root, data.file), data.duration_ms / 1_000);
    }
    if ((type === 'test:pass' || type === 'test:fail') && data.details.type !== 'suite') this.#heard++;
  }

  /** So that what takes most of the ten minutes is seen. */
  slowest(count: number): string {
    const files = [...this.#seconds].sort(([, a], [, b]) => b - a).slice(0, count);
    return files.map(([file, seconds]) => `${file} ${seconds.toFixed(0)} s`).join(', ');
  }

  missing(files: readonly string[]): { file: string; message: string }[] {
    const silent = files.filter((file) => !this.#stated.has(join(root, file)));
    if (silent.length > 0)
      return silent.map((file) => ({ file, message: 'its process ended before it said how many tests it ran' }));
    const ran = [...this.#stated.values()].reduce((sum, count) => sum + count, 0);
    if (ran === this.#heard) return [];
    return [{ file: `${files.length} files`, message: `they ran ${ran} tests, and ${this.#heard} were heard of` }];
  }
}

const tally: Tally = { passed: 0, failed: [], skipped: [] };
const detailPath = join(root, 'node_modules/.cache/watchglass-test.log');
mkdirSync(dirname(detailPath), { recursive: true });
rmSync(detailPath, { force: true });

// A third of what a file of tests costs is reading the sources that the file before it read.
process.env.NODE_COMPILE_CACHE ??= join(root, 'node_modules/.cache/watchglass-compiled');

const asked = process.argv.slice(2).filter((argument) => !argument.startsWith('-'));
const chosen = asked.length > 0 ? asked : Object.keys(suites).filter((name) => name !== 'long');
for (const name of chosen) {
  process.env.WATCHGLASS_LONG = name === 'long' ? '1' : '0';
  const suite = suites[name] ?? { globs: [name], concurrency: 1 };
  const found = globSync(suite.globs, { cwd: root, exclude: (path) => String(path).includes('node_modules') }).sort();
  const files = name in suites && name !== 'long' ? found.filter((file) => !longFiles.has(file)) : found;
  if (files.length > 0) await runSuite(name, files, suite.concurrency);
  else if (!(name in suites))
    tally.failed.push(`${name}: there is no such suite or file (suites: ${Object.keys(suites).join(' ')})`);
}
conclude();

async function runSuite(name: string, files: string[], concurrency: number): Promise<void> {
  const before = performance.now();
  const counts = { passed: 0, failed: 0 };
  const roll = new RollCall();
  const trails = new Map<string, string[]>();
  const stream = run({ files: files.map((file) => join(root, file)), concurrency, timeout: fileTimeoutMs, cwd: root });
  for await (const event of stream) {
    roll.hear(event);
    const { type, data } = event;
    if (type === 'test:stdout' || type === 'test:stderr') appendFileSync(detailPath, data.message);
    if (type === 'test:start') trailOf(trails, data.file).splice(data.nesting, Number.POSITIVE_INFINITY, data.name);
    if (type !== 'test:pass' && type !== 'test:fail') continue;
    const place = data.file === undefined ? '' : relative(root, data.file);
    const title = [place, ...trailOf(trails, data.file).slice(0, data.nesting), data.name].join(' › ');
    if (type === 'test:fail') {
      if (!isRelayed(data.details.error)) counts.failed += countFailure(title, data.details.error);
    } else if (data.skip !== undefined && data.skip !== false) {
      tally.skipped.push(typeof data.skip === 'string' && data.skip !== '' ? `${title}: ${data.skip}` : title);
    } else if (data.details.type !== 'suite' && data.name !== data.file) {
      // A file without a test in it passes as a test of its own name, and proves nothing.
      tally.passed++;
      counts.passed++;
    }
  }
  for (const { file, message } of roll.missing(files)) counts.failed += countFailure(file, new Error(message));
  const seconds = (performance.now() - before) / 1000;
  console.log(
    `${counts.failed === 0 ? '✔' : '✖'} ${name}: ${counts.passed} passed, ${counts.failed} failed (${files.length} files, ${seconds.toFixed(1)} s)`,
  );
  if (seconds > 60 && files.length > 1) console.log(`  longest: ${roll.slowest(8)}`);
}

function countFailure(title: string, error: unknown): number {
  tally.failed.push(title);
  console.log(`\n✖ ${title}\n${describe(error)}\n`);
  return 1;
}

/** The names of the suites around the test of a file that runs now. */
function trailOf(trails: Map<string, string[]>, file = ''): string[] {
  const trail = trails.get(file) ?? [];
  trails.set(file, trail);
  return trail;
}

/** A suite that failed only because one of its tests did is not a failure of its own. */
function isRelayed(error: unknown): boolean {
  return (error as { failureType?: string }).failureType === 'subtestsFailed';
}

function describe(error: unknown): string {
  const cause = (error as { cause?: unknown }).cause ?? error;
  const text = cause instanceof Error ? (cause.stack ?? cause.message) : String(cause);
  return text
    .split('\n')
    .slice(0, 30)
    .map((line) => `    ${line}`)
    .join('\n');
}

function conclude(): void {
  if (tally.skipped.length > 0) console.log(`\nSkipped:\n${tally.skipped.map((line) => `  - ${line}`).join('\n')}`);
  if (tally.failed.length > 0) {
    console.log(`\nFailed:\n${tally.failed.map((line) => `  ✖ ${line}`).join('\n')}`);
    console.log(`What the tests printed: ${relative(root, detailPath)}`);
  }
  console.log(`\n${tally.passed} passed, ${tally.failed.length} failed, ${tally.skipped.length} skipped`);
  process.exitCode = tally.failed.length > 0 || tally.passed === 0 ? 1 : 0;
}
