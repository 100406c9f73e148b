#!/usr/bin/env node
// Starts the hospital. Its sources are TypeScript that Node runs as it is, from 24.12 on; under an older Node this goes
// over to the one the repository pins, if it is installed.
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const [major = 0, minor = 0] = process.versions.node.split('.').map(Number);
if (major > 24 || (major === 24 && minor >= 12)) {
  const { main } = await import('../src/main.ts');
  await main(process.argv);
} else {
  const pinned = fileURLToPath(new URL('../../../node_modules/.bin/node', import.meta.url));
  if (!existsSync(pinned)) {
    process.stderr.write(
      `watchglass-hospital needs Node 24.12 or later, this is ${process.versions.node}; run npm install in the repository, or use a newer Node\n`,
    );
    process.exit(2);
  }
  const ipc = process.send !== undefined;
  const child = spawn(pinned, [fileURLToPath(import.meta.url), ...process.argv.slice(2)], {
    stdio: ipc ? ['inherit', 'inherit', 'inherit', 'ipc'] : 'inherit',
  });
  if (ipc) {
    child.on('message', (message) => process.send?.(message));
    process.on('message', (message) => child.send(message));
    process.on('disconnect', () => child.connected && child.disconnect());
    child.on('disconnect', () => process.connected && process.disconnect());
  }
  // The terminal sends Ctrl-C to both; only a TERM meant for this process has to be passed on.
  process.on('SIGINT', () => {});
  process.on('SIGTERM', () => child.kill('SIGTERM'));
  child.on('exit', (code, signal) => {
    process.exitCode = code ?? (signal === null ? 1 : 128);
  });
}
