/**
 * `npm run check`: what must hold of the sources besides the tests — types, lint and format, the console's build, and the
 * state of the lock file. Every check runs even after one failed, so that one run tells all.
 */
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';

const root: string = join(import.meta.dirname, '..');
const bin = (name: string): string => join(root, 'node_modules/.bin', name);

const checks: readonly [string, () => string | undefined][] = [
  ['types', () => command(bin('tsc'), ['-p', 'tsconfig.json'])],
  ['lint and format', () => command(bin('biome'), ['check', '--error-on-warnings', '--max-diagnostics=30', '.'])],
  [
    'console build',
    () =>
      command(process.execPath, [
        'node_modules/vite/bin/vite.js',
        'build',
        '--logLevel=warn',
        '--outDir',
        '../../node_modules/.cache/console-check',
        '--emptyOutDir',
        'packages/console',
      ]),
  ],
  [
    'evidence page build',
    () =>
      command(process.execPath, [
        'node_modules/vite/bin/vite.js',
        'build',
        '--logLevel=warn',
        '-c',
        'packages/console/evidence.config.ts',
        '--outDir',
        '../../node_modules/.cache/evidence-check',
        '--emptyOutDir',
        'packages/console',
      ]),
  ],
  ['lock file', lockFile],
];

let failed = 0;
for (const [name, check] of checks) {
  const started = performance.now();
  const complaint = check();
  const seconds = ((performance.now() - started) / 1000).toFixed(1);
  console.log(`${complaint === undefined ? '✔' : '✖'} ${name} (${seconds} s)`);
  if (complaint !== undefined) {
    console.log(complaint);
    failed++;
  }
}
console.log(`\n${checks.length - failed} passed, ${failed} failed`);
process.exitCode = failed === 0 ? 0 : 1;

function command(file: string, args: readonly string[]): string | undefined {
  const result = spawnSync(file, args, { cwd: root, encoding: 'utf8' });
  if (result.status === 0) return undefined;
  return `${result.stdout ?? ''}${result.stderr ?? ''}${result.error?.message ?? ''}`;
}

/** The lock holds exact versions and no addresses, so that it serves behind any registry. */
function lockFile(): string | undefined {
  const lock = JSON.parse(readFileSync(join(root, 'package-lock.json'), 'utf8')) as {
    packages: Record<string, { resolved?: string; link?: boolean; version?: string }>;
  };
  const addressed = Object.entries(lock.packages).filter(([, entry]) => entry.resolved !== undefined && !entry.link);
  const loose = ['.', ...Object.keys(lock.packages).filter((path) => /^(packages|examples)\//.test(path))].flatMap(
    (path) => {
      const manifest = JSON.parse(readFileSync(join(root, path, 'package.json'), 'utf8')) as Record<
        string,
        Record<string, string>
      >;
      return ['dependencies', 'devDependencies', 'optionalDependencies']
        .flatMap((group) => Object.entries(manifest[group] ?? {}))
        .filter(([, range]) => !/^\d+\.\d+\.\d+(-[\w.]+)?$/.test(range))
        .map(([name, range]) => `${path}: ${name} ${range}`);
    },
  );
  const complaints = [
    ...addressed.map(
      ([name]) =>
        `package-lock.json holds an address for ${name}; expected none (.npmrc: omit-lockfile-registry-resolved=true)`,
    ),
    ...loose.map((line) => `expected an exact version: ${line}`),
  ];
  return complaints.length === 0 ? undefined : complaints.slice(0, 20).join('\n');
}
