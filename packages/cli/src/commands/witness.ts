/**
 * `watchglass witness …`: be a witness for the logs of others. `init` makes its key and configuration, `add-log` tells it a log, `serve` runs it. A witness
 * is a process of its own, on a machine of its own: beside the log it watches it would vouch for nothing.
 */
import { existsSync } from 'node:fs';
import { mkdir, readFile, rename, writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { formatSignerKey, formatVerifierKey, parseVerifierKey, RecordError } from '@watchglass/record';
import { CliError, messageOf } from '../errors.ts';
import { type Io, note, printJson, printLine } from '../io.ts';
import { reportReady, untilStopped } from '../supervised.ts';

export interface WitnessInitOptions {
  readonly json?: boolean;
  readonly name: string;
  readonly port: number;
}

export async function initWitness(dir: string, options: WitnessInitOptions, io: Io): Promise<void> {
  const folder = resolve(io.cwd, dir);
  const at = (name: string): string => join(folder, name);
  const there = ['witness.yaml', 'witness.key', 'logs.txt', 'data'].filter((name) => existsSync(at(name)));
  if (there.length > 0)
    throw new CliError('already-exists', `${folder} already has ${there.join(', ')}`, {
      remedy: 'Nothing was written. Choose an empty folder, or move what is there away.',
    });
  const { makeWitnessKey } = await import('@watchglass/server');
  let signer: ReturnType<typeof makeWitnessKey>;
  try {
    signer = makeWitnessKey(options.name);
  } catch (cause) {
    throw new CliError('usage', `--name: ${messageOf(cause)}`, { cause });
  }
  await mkdir(folder, { recursive: true, mode: 0o700 });
  await writeFile(at('witness.key'), `${formatSignerKey(signer)}\n`, { flag: 'wx', mode: 0o600 });
  await writeFile(at('logs.txt'), logsTemplate, { flag: 'wx' });
  await writeFile(at('witness.yaml'), configTemplate(options.port), { flag: 'wx' });
  const vkey = formatVerifierKey(signer);
  const config = at('witness.yaml');
  if (options.json === true) return printJson(io, { dir: folder, config, name: options.name, vkey });
  for (const line of [
    `A witness is in ${folder}. Its verifier key, for the policies of those who rely on it:`,
    `  ${vkey}`,
    'Never restore an older copy of its data: it would cosign a second history.',
    '',
    'Next:',
    `  watchglass witness add-log --config ${config} <vkey of a log>`,
    `  watchglass witness serve --config ${config}`,
    'and at the log, in its policy:',
    `  witness ${options.name} ${vkey} http://…:${options.port}`,
  ])
    printLine(io, line);
}

export interface WitnessConfigOptions {
  readonly json?: boolean;
  readonly config: string;
}

export async function addLog(vkeys: readonly string[], options: WitnessConfigOptions, io: Io): Promise<void> {
  for (const vkey of vkeys) assertLogKey(vkey);
  const { readWitnessConfig } = await import('@watchglass/server');
  const { logsFile } = await readWitnessConfig(resolve(io.cwd, options.config));
  const text = existsSync(logsFile) ? await readFile(logsFile, 'utf8') : logsTemplate;
  const known = new Set(text.split('\n').map((line) => line.trim()));
  const added = [...new Set(vkeys)].filter((vkey) => !known.has(vkey));
  if (added.length > 0) {
    const begin = text === '' || text.endsWith('\n') ? text : `${text}\n`;
    // By rename: a witness that runs reads the file whenever it has changed.
    await writeFile(`${logsFile}.tmp`, `${begin}${added.join('\n')}\n`);
    await rename(`${logsFile}.tmp`, logsFile);
  }
  if (options.json === true) return printJson(io, { logs: logsFile, added });
  for (const vkey of vkeys)
    printLine(io, `${added.includes(vkey) ? 'added' : 'known already'}: ${parseVerifierKey(vkey).name}`);
}

export async function serveWitness(options: WitnessConfigOptions, io: Io): Promise<void> {
  const { readWitnessConfig, startWitness } = await import('@watchglass/server');
  await using witness = await startWitness(await readWitnessConfig(resolve(io.cwd, options.config)));
  reportReady(io, witness.url);
  if (options.json === true) printJson(io, { ready: true, url: witness.url, vkeys: witness.vkeys });
  else note(io, `Watchglass witness: ${witness.url}`);
  await untilStopped(io.signal);
}

function assertLogKey(vkey: string): void {
  try {
    if (parseVerifierKey(vkey).type === 4)
      throw new RecordError('key-invalid', 'expected the verifier key of a log, got that of a witness');
  } catch (cause) {
    throw new CliError('usage', messageOf(cause), {
      cause,
      remedy: 'A log of Watchglass shows its key at <server>/log/<tenant>/vkey, and in data/ledger/<tenant>/vkey.',
    });
  }
}

const logsTemplate = `# The logs this witness knows: a verifier key a line. It is read again when it changes.
`;

function configTemplate(port: number): string {
  return `# A Watchglass witness: cosigns that logs only grow (c2sp.org/tlog-witness). All keys: docs/witnesses.md.
# Run it with \`watchglass witness serve\`, on another machine than the logs it watches.

# What it must not forget. Never restore an older copy of it.
data: ./data

# Its secret, mode 0600.
key: ./witness.key

# Verifier keys of the logs it knows, one a line; \`watchglass witness add-log\` adds one.
logs: ./logs.txt

listen:
  host: 127.0.0.1
  port: ${port}

# tls:
#   cert: ./tls/witness.pem
#   key: ./tls/witness.key       # mode 0600

# Requests from one address; more are answered 429.
limits:
  perSecond: 20
  burst: 200

log:
  level: info
`;
}
