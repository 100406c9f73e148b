// Makes a fresh clone ready: installs what the lock file names and builds the console, each only when something changed.
// It runs before `npm start` and `npm test`, on whatever Node the machine has (18 or later), so it uses nothing but Node itself.
// `npm install` rather than `npm ci`: where a registry offers only this platform's binaries, `npm ci` refuses a lock made elsewhere.
import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));
const modules = join(root, 'node_modules');
const installStamp = join(modules, '.watchglass-installed');
const buildStamp = join(root, 'packages/console/dist/.watchglass-built');

await install();
await buildConsole();

async function install() {
  const wanted = hashOf(['package.json', 'package-lock.json', ...manifests()]);
  if (readStamp(installStamp) === wanted) return;
  const lockPath = join(root, 'package-lock.json');
  const lock = readFileSync(lockPath);
  await step('installing packages', npm(), [...npmArgs(), 'install', '--no-audit', '--no-fund', '--loglevel=error']);
  if (!lock.equals(readFileSync(lockPath))) {
    writeFileSync(lockPath, lock);
    say('the install would have changed package-lock.json; it was put back as it was');
  }
  const node = join(modules, '.bin', process.platform === 'win32' ? 'node.cmd' : 'node');
  if (!existsSync(node) && !recentEnough(process.versions.node)) {
    fail(
      `Node.js 24.12 or later is needed, this is ${process.versions.node}, and no packaged one exists for ${process.platform}-${process.arch}: install Node.js 26, then run the same command again`,
    );
  }
  writeFileSync(installStamp, wanted);
}

async function buildConsole() {
  const wanted = hashOf([
    'package-lock.json',
    ...['index.html', 'vite.config.ts', 'evidence.config.ts', 'package.json'].map((name) => `packages/console/${name}`),
    ...filesUnder('packages/console/src'),
    ...filesUnder('packages/record/src'),
  ]);
  if (readStamp(buildStamp) === wanted) return;
  const bin = join(modules, '.bin');
  const node = existsSync(join(bin, 'node')) ? join(bin, 'node') : process.execPath;
  const build = [join(modules, 'vite/bin/vite.js'), 'build', '--logLevel=error'];
  const folder = join(root, 'packages/console');
  await step('building the console', node, [...build, folder]);
  // The page that a bundle of evidence is put into; second, since the console's build empties the folder.
  await step('building the evidence page', node, [...build, '-c', join(folder, 'evidence.config.ts'), folder]);
  writeFileSync(buildStamp, wanted);
}

/** Runs one command quietly, shows that it is alive, and shows its output only when it fails. */
async function step(title, command, args) {
  const started = Date.now();
  const seconds = () => Math.round((Date.now() - started) / 1000);
  const live = process.stderr.isTTY;
  say(`${title} …`);
  const child = spawn(command, args, {
    cwd: root,
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, PATH: `${join(modules, '.bin')}${delimiter}${process.env.PATH ?? ''}` },
    shell: process.platform === 'win32',
  });
  const output = [];
  child.stdout.on('data', (chunk) => output.push(chunk));
  child.stderr.on('data', (chunk) => output.push(chunk));
  const timer = setInterval(
    () => {
      if (live) process.stderr.write(`\r  ${title} … ${seconds()} s`);
      else say(`${title} … ${seconds()} s`);
    },
    live ? 1_000 : 10_000,
  );
  const code = await new Promise((resolve) => {
    child.on('error', (error) => {
      output.push(Buffer.from(String(error)));
      resolve(1);
    });
    child.on('close', resolve);
  });
  clearInterval(timer);
  if (live) process.stderr.write('\r\x1b[K');
  if (code !== 0) {
    process.stderr.write(Buffer.concat(output));
    fail(`${title} failed (exit code ${code}); what it said is above`);
  }
  say(`${title}: done in ${seconds()} s`);
}

/** npm itself, run by the Node that runs this; `npm_execpath` is set by npm for its scripts. */
function npm() {
  return process.env.npm_execpath?.endsWith('.js') ? process.execPath : 'npm';
}

function npmArgs() {
  return process.env.npm_execpath?.endsWith('.js') ? [process.env.npm_execpath] : [];
}

function manifests() {
  return ['packages', 'examples'].flatMap((group) =>
    readdirSync(join(root, group))
      .sort()
      .map((name) => `${group}/${name}/package.json`)
      .filter((path) => existsSync(join(root, path))),
  );
}

function filesUnder(folder) {
  const found = [];
  for (const entry of readdirSync(join(root, folder), { withFileTypes: true }).sort((a, b) =>
    a.name < b.name ? -1 : 1,
  )) {
    const path = `${folder}/${entry.name}`;
    if (entry.isDirectory()) found.push(...filesUnder(path));
    else if (!entry.name.includes('.test.')) found.push(path);
  }
  return found;
}

function hashOf(paths) {
  const hash = createHash('sha256').update(`${process.platform}-${process.arch}\n`);
  for (const path of paths) {
    const full = join(root, path);
    hash.update(`${path}\n`);
    if (existsSync(full) && statSync(full).isFile()) hash.update(readFileSync(full));
  }
  return hash.digest('hex');
}

function readStamp(path) {
  return existsSync(path) ? readFileSync(path, 'utf8') : undefined;
}

function recentEnough(version) {
  const [major = 0, minor = 0] = version.split('.').map(Number);
  return major > 24 || (major === 24 && minor >= 12);
}

function say(line) {
  process.stderr.write(`watchglass: ${line}\n`);
}

function fail(line) {
  say(line);
  process.exit(1);
}
