/**
 * A real Chromium: the system's where there is one, else the packaged one. `WATCHGLASS_CHROMIUM` names another.
 * Nothing leaves the machine: background requests are off.
 */
import { existsSync, mkdirSync, readFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Browser, chromium } from 'playwright-core';

const systemPaths = [
  '/usr/bin/chromium',
  '/usr/bin/chromium-browser',
  '/usr/bin/google-chrome',
  '/Applications/Google Chrome.app/Contents/MacOS/Google Chrome',
];

const quietArgs = [
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
];

export async function launchChromium(): Promise<Browser> {
  const found = process.env.WATCHGLASS_CHROMIUM ?? systemPaths.find((path) => existsSync(path));
  if (found !== undefined)
    return await chromium.launch({ executablePath: found, args: ['--no-sandbox', ...quietArgs] });
  // The packaged one unpacks itself into the temporary folder and would reuse a stale copy: a folder for each version.
  const manifest = join(import.meta.dirname, '../../node_modules/@sparticuz/chromium/package.json');
  const { version } = JSON.parse(readFileSync(manifest, 'utf8')) as { version: string };
  const folder = join(tmpdir(), `watchglass-chromium-${version}`);
  mkdirSync(folder, { recursive: true });
  process.env.TMPDIR = folder;
  const packaged = (await import('@sparticuz/chromium')).default;
  // Not its own list of arguments: that one switches web security off and runs everything in one process.
  return await chromium.launch({
    executablePath: await packaged.executablePath(),
    args: ['--no-sandbox', ...quietArgs],
  });
}
