/**
 * The style of the house, as far as a machine can hold it: packages and floors in their order, no circle, names that say
 * something, and time, randomness and disk only where they belong. The rules are explained in CONTRIBUTING.md.
 */
import assert from 'node:assert/strict';
import { existsSync, globSync, readFileSync } from 'node:fs';
import { basename, dirname, join, relative } from 'node:path';
import { test } from 'node:test';
import { parseSync } from 'oxc-parser';

const root = join(import.meta.dirname, '..');
const linesMax = 500;

const sources = globSync(
  [
    'packages/*/src/**/*.{ts,tsx}',
    'packages/*/dev/**/*.ts',
    'examples/*/src/**/*.ts',
    'test/**/*.ts',
    'bench/**/*.ts',
    'tools/**/*.ts',
  ],
  { cwd: root },
)
  // Of what is measured against us, installed there.
  .filter((path) => !path.includes('node_modules'))
  .sort();

interface Source {
  readonly path: string;
  readonly text: string;
  readonly imports: readonly string[];
}

const parsed: readonly Source[] = sources.map((path) => {
  const text = readFileSync(join(root, path), 'utf8');
  const { module, errors } = parseSync(path, text);
  assert.deepEqual(errors, [], `${path} does not parse`);
  const imports = [
    ...module.staticImports.map((one) => one.moduleRequest.value),
    ...module.staticExports.flatMap((one) => one.entries.flatMap((entry) => entry.moduleRequest?.value ?? [])),
    ...module.dynamicImports.map((one) =>
      text.slice(one.moduleRequest.start, one.moduleRequest.end).replace(/^['"`]|['"`]$/g, ''),
    ),
  ];
  return { path, text, imports: [...new Set(imports)] };
});

const isTest = (path: string): boolean =>
  /\.test\.tsx?$|\.fixture\.ts$/.test(path) || /^(test|bench|tools)\//.test(path);
const own = parsed.filter(({ path }) => !isTest(path));

/** Which of our packages a package may import (design §2). */
const mayImport: Record<string, readonly string[]> = {
  record: [],
  trace: [],
  sdk: ['@watchglass/record'],
  server: ['@watchglass/record', '@watchglass/trace'],
  console: ['@watchglass/record'],
  gateway: ['@watchglass/sdk', '@watchglass/record', '@watchglass/trace'],
  cli: ['@watchglass/sdk', '@watchglass/record', '@watchglass/server', '@watchglass/gateway', '@watchglass/console'],
};

/** The floors of a package that has rooms: a room imports only rooms of lower floors, and its own files. */
const houses: Record<string, Record<string, number>> = {
  server: {
    world: 1,
    trace: 1,
    ledger: 2,
    access: 2,
    witness: 2,
    indexes: 3,
    detect: 4,
    retention: 4,
    respond: 5,
    forward: 5,
    review: 6,
    intake: 7,
    issuer: 7,
    api: 7,
    config: 8,
  },
  gateway: {
    http: 1,
    limits: 1,
    trace: 1,
    fhir: 2,
    identity: 3,
    exposure: 3,
    policy: 4,
    upstream: 4,
    tunnel: 2,
    capture: 5,
    watch: 6,
    passage: 7,
    workers: 7,
    fronts: 8,
    config: 9,
  },
};

test('a package imports only the packages below it, and by name', () => {
  for (const { path, imports } of own.filter(({ path }) => path.startsWith('packages/'))) {
    const name = path.split('/')[1] ?? '';
    for (const wanted of imports) {
      if (wanted.startsWith('.')) {
        const target = relative(root, join(root, dirname(path), wanted));
        assert.equal(target.split('/')[1], name, `${path} reaches into ${target}: import another package by its name`);
      } else if (wanted.startsWith('@watchglass/') || wanted === 'watchglass') {
        const [scope, bare, ...deep] = wanted.split('/');
        assert.ok(mayImport[name]?.includes(`${scope}/${bare}`), `${path} imports ${wanted}: package ${name} may not`);
        assert.ok(
          deep.length === 0 || /^@watchglass\/record\/(reader|source)$/.test(wanted),
          `${path} imports ${wanted} by a deep path`,
        );
      }
    }
  }
});

test('the example imports nothing of ours', () => {
  for (const { path, imports } of parsed.filter(({ path }) => path.startsWith('examples/'))) {
    assert.deepEqual(
      imports.filter((wanted) => /watchglass|packages\//.test(wanted)),
      [],
      path,
    );
  }
});

test('a room imports only lower floors', () => {
  for (const [house, floors] of Object.entries(houses)) {
    const base = `packages/${house}/src/`;
    for (const { path, imports } of own.filter((source) => source.path.startsWith(base))) {
      const room = roomOf(path, base);
      if (room === undefined) continue;
      const floor = floors[room];
      assert.ok(floor !== undefined, `${path}: ${room} is no room of the house (CONTRIBUTING.md)`);
      for (const wanted of imports.filter((one) => one.startsWith('.'))) {
        const target = relative(root, join(root, dirname(path), wanted));
        const targetRoom = roomOf(target, base);
        if (targetRoom === room) continue;
        if (targetRoom === undefined) {
          assert.equal(basename(target), 'errors.ts', `${path} imports ${target}: only main.ts stands above the rooms`);
        } else {
          assert.ok(
            (floors[targetRoom] ?? 99) < floor,
            `${path} (floor ${floor}) imports ${target} (floor ${floors[targetRoom]})`,
          );
        }
      }
    }
  }
});

/** The folder below `base` that a file stands in; undefined for what stands above the rooms. */
function roomOf(path: string, base: string): string | undefined {
  const parts = path.slice(base.length).split('/');
  return parts.length > 1 ? parts[0] : undefined;
}

test('no file imports itself in a circle', () => {
  const graph = new Map(
    own.map(({ path, imports }) => [
      path,
      imports.filter((one) => one.startsWith('.')).map((one) => relative(root, join(root, dirname(path), one))),
    ]),
  );
  const state = new Map<string, 'open' | 'done'>();
  const visit = (path: string, trail: readonly string[]): void => {
    if (state.get(path) === 'done') return;
    assert.notEqual(state.get(path), 'open', `a circle: ${[...trail, path].join(' → ')}`);
    state.set(path, 'open');
    for (const next of graph.get(path) ?? []) visit(next, [...trail, path]);
    state.set(path, 'done');
  };
  for (const path of graph.keys()) visit(path, []);
});

test('a file is named for one thing, in kebab-case', () => {
  for (const { path } of parsed) {
    const name = basename(path).replace(/(\.test|\.fixture|\.browser)?\.tsx?$/, '');
    assert.match(name, /^[a-z0-9]+(-[a-z0-9]+)*(\.[a-z]+)?$|^__root$|^\$/, `${path} is not in kebab-case`);
    assert.doesNotMatch(
      name,
      /^(utils?|helpers?|common|misc|manager|shared|index\d)$|-(utils?|helpers?|manager)$/,
      `${path} names nothing`,
    );
    assert.ok(existsSync(join(root, path)));
  }
});

test('a file is short enough to be one idea', () => {
  const long = parsed
    .map(({ path, text }) => ({ path, lines: text.split('\n').length }))
    .filter(({ lines }) => lines > linesMax);
  assert.deepEqual(long, [], `files over ${linesMax} lines`);
});

test('time, randomness and disk come from world in the server', () => {
  const rules: readonly [RegExp, string][] = [
    [/\bDate\.now\(/, 'Date.now'],
    [/\bnew Date\(\s*\)/, 'new Date()'],
    [/\bMath\.random\(/, 'Math.random'],
    [/\brandom(Bytes|UUID|Int|FillSync)\(/, 'random* of node:crypto'],
  ];
  for (const { path, text, imports } of own.filter(
    ({ path }) => path.startsWith('packages/server/src/') && !path.includes('/world/'),
  )) {
    const code = text.replace(/\/\*[\s\S]*?\*\//g, '').replace(/\/\/.*$/gm, '');
    for (const [pattern, what] of rules) assert.doesNotMatch(code, pattern, `${path} uses ${what}: take it from world`);
    assert.deepEqual(
      imports.filter((one) => /^node:fs(\/|$)/.test(one)),
      [],
      `${path} imports node:fs: take the disk from world`,
    );
  }
});

test('nothing is left over or switched off', () => {
  for (const { path, text } of parsed) {
    if (path === 'test/tidy.test.ts') continue;
    assert.doesNotMatch(text, /\b(TODO|FIXME|XXX|HACK)\b/, `${path} has something left over`);
    assert.doesNotMatch(text, /\b(test|it|describe)\.(only|todo)\(/, `${path} switches tests off`);
  }
});

test('record needs nothing at run time', () => {
  const manifest = JSON.parse(readFileSync(join(root, 'packages/record/package.json'), 'utf8')) as {
    dependencies?: object;
  };
  assert.deepEqual(Object.keys(manifest.dependencies ?? {}), []);
  for (const { path, imports } of own.filter(({ path }) => path.startsWith('packages/record/src/'))) {
    const browserReachable = !/\/(reader|codec|source)(\/|\.ts)/.test(path) && !path.endsWith('crypto-node.ts');
    for (const wanted of imports.filter((one) => !one.startsWith('.') && one !== '#crypto')) {
      if (browserReachable)
        assert.match(wanted, /^@noble\/(hashes|curves)\//, `${path} imports ${wanted}, which a browser lacks`);
      else assert.match(wanted, /^node:/, `${path} imports ${wanted}`);
    }
  }
});

test('every file says first what it promises', () => {
  for (const { path, text } of own) {
    assert.match(text.trimStart(), /^(\/\*\*|\/\/|#!)/, `${path} begins without a word on what it promises`);
  }
});

test('every dependency is weighed in docs/decisions/dependencies.md', () => {
  const weighed = new Set(
    readFileSync(join(root, 'docs/decisions/dependencies.md'), 'utf8')
      .split('\n')
      .flatMap((line) => (line.startsWith('| ') ? (line.split('|')[1] ?? '').split('·') : []))
      .map((name) => name.trim().replace(/^@[^/]+\//, '')),
  );
  // Ours, the types of what is weighed, and Node.js itself.
  const needless = /^@(watchglass|types)\/|^node-/;
  const unweighed = new Set<string>();
  for (const path of globSync(['package.json', '{packages,examples}/*/package.json'], { cwd: root })) {
    const manifest = JSON.parse(readFileSync(join(root, path), 'utf8')) as Record<string, object | undefined>;
    for (const kind of ['dependencies', 'devDependencies', 'optionalDependencies', 'peerDependencies'])
      for (const name of Object.keys(manifest[kind] ?? {}))
        if (!needless.test(name) && !weighed.has(name.replace(/^@[^/]+\//, ''))) unweighed.add(name);
  }
  assert.deepEqual([...unweighed], []);
});
