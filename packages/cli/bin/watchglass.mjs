#!/usr/bin/env node
// Starts the command. On a Node.js that is too old for the sources it starts itself again with the one the workspace
// pins (node_modules/.bin/node, searched upwards); where there is none it says what is needed.
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import * as nodeModule from 'node:module';
import { constants } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const needed = [24, 12];
const [major = 0, minor = 0] = process.versions.node.split('.').map(Number);
const here = fileURLToPath(import.meta.url);

if (major > needed[0] || (major === needed[0] && minor >= needed[1])) {
  const source = new URL('../src/main.ts', import.meta.url);
  // Compiled sources are kept beside the packages, never in a folder that others can write to: half the start-up, and less memory.
  const modules = pinnedModules();
  if (modules !== undefined) nodeModule.enableCompileCache(join(modules, '.cache', 'watchglass-compiled'));
  const { runProcess } = await import(existsSync(source) ? source.href : '../dist/main.js');
  await runProcess();
} else {
  const node = pinnedNode();
  if (node === undefined || process.env.WATCHGLASS_REEXECUTED === '1') {
    process.stderr.write(
      `watchglass needs Node.js ${needed.join('.')} or newer, and this is ${process.versions.node}.\n` +
        'Install a newer Node.js (https://nodejs.org), or run `npm install` in the clone, which brings one along.\n',
    );
    process.exitCode = 1;
  } else {
    again(node);
  }
}

function pinnedNode() {
  const modules = pinnedModules();
  const node = modules && join(modules, '.bin', 'node');
  return node && existsSync(node) ? node : undefined;
}

// The node_modules of the workspace this file belongs to; none where it is installed as a package.
function pinnedModules() {
  const modules = join(dirname(here), '..', '..', '..', 'node_modules');
  return existsSync(new URL('../src/main.ts', import.meta.url)) && existsSync(modules) ? modules : undefined;
}

// Signals are passed on; a terminal's Ctrl-C then arrives twice, which the demo takes for one.
function again(node) {
  const child = spawn(node, [here, ...process.argv.slice(2)], {
    stdio: process.channel ? ['inherit', 'inherit', 'inherit', 'ipc'] : 'inherit',
    env: { ...process.env, WATCHGLASS_REEXECUTED: '1' },
  });
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => child.kill(signal));
  if (process.channel) {
    process.on('message', (message) => child.connected && child.send(message));
    child.on('message', (message) => process.connected && process.send?.(message));
    process.on('disconnect', () => child.connected && child.disconnect());
  }
  child.on('exit', (code, signal) => {
    process.exit(code ?? 128 + (signal === null ? 0 : constants.signals[signal]));
  });
}
