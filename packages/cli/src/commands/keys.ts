/**
 * `watchglass keys list|rotate|rewrap|export-public`: the key-encryption keys of an installation. Changes are made by the server that holds the ledger, so that each is
 * in it; without a running server they are refused. Looking needs none: `list` and `export-public` read the data directory where nothing runs.
 */
import { existsSync } from 'node:fs';
import { readdir, readFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { type Client, openClient } from '../client.ts';
import { type Connection, type ConnectionOptions, defaultDataDir, findConnection } from '../connection.ts';
import { CliError } from '../errors.ts';
import { type Io, note, paint, printJson, printLine } from '../io.ts';
import { openProgress } from '../progress.ts';
import { type Column, formatTable } from '../table.ts';
import { listLogs } from '../verify/remote-log.ts';

export interface KeysOptions extends ConnectionOptions {
  readonly json?: boolean;
  /** Of a keeper elsewhere: the key to make current. */
  readonly key?: string;
  /** The tenant's own keys rather than those of the installation. */
  readonly own?: boolean;
}

interface ShownKek {
  readonly id: string;
  readonly provider: string;
  readonly tenant?: string | undefined;
  readonly state: string;
  readonly since: string;
  readonly until?: string | undefined;
  readonly files: { readonly seeds: number; readonly others: number };
}

interface Rewrap {
  readonly state: 'running' | 'done' | 'failed';
  readonly done: number;
  readonly total: number;
  readonly rewrapped: number;
  readonly already: number;
  readonly left: number;
  readonly failed: readonly { readonly place: string; readonly code: string; readonly message: string }[];
  readonly error?: { readonly code: string; readonly message: string };
}

const pollMs = 250;
const columns: readonly Column[] = [
  { title: 'KEY', widthMax: 90 },
  { title: 'OF' },
  { title: 'STATE' },
  { title: 'SINCE' },
  { title: 'SEEDS', align: 'right' },
  { title: 'OTHERS', align: 'right' },
];

export async function listKeys(options: KeysOptions, io: Io): Promise<void> {
  const offline = await dataDirOfNoServer(options, io);
  const keys = offline === undefined ? await ofServer(options, io) : await ofDirectory(offline);
  if (options.json === true) return printJson(io, { keys });
  const [head = '', ...rows] = formatTable(columns, keys.map(rowOf), io.stdout.columns);
  printLine(io, paint(io, io.stdout, 'bold', head));
  for (const row of rows) printLine(io, row);
}

export async function rotateKeys(options: KeysOptions, io: Io): Promise<void> {
  await using client = openClient(await changing(options, io));
  const body = { ...(await whose(client, options, io)), ...(options.key === undefined ? {} : { key: options.key }) };
  const { from, to } = turnedOf(await client.postJson('/v1/keys/rotate', body, io.signal));
  if (options.json === true) return printJson(io, { from, to });
  printLine(io, `${paint(io, io.stdout, 'green', '✔')} current is now ${to}`);
  if (from !== null)
    note(io, `  What was wrapped under ${from} stays readable; \`watchglass keys rewrap\` moves it to the new key.`);
}

export async function rewrapKeys(options: KeysOptions, io: Io): Promise<void> {
  await using client = openClient(await changing(options, io));
  const body = await whose(client, options, io);
  let job = jobOf(await client.postJson('/v1/keys/rewrap', body, io.signal));
  const progress = await openProgress(io, 'Wrapping anew', 'files');
  try {
    while (job.state === 'running') {
      await pause(pollMs, io.signal);
      job = jobOf(await client.getJson(`/v1/keys?tenant=${body.tenant}`, io.signal));
      if (job.total > 0) progress.update(job.done, job.total);
    }
  } finally {
    progress.end();
  }
  if (options.json === true) printJson(io, job);
  else sayRewrap(job, io);
  if (job.state === 'failed')
    throw new CliError('api', job.error?.message ?? `${job.failed.length} files could not be wrapped anew`, {
      remedy: 'What was moved stays moved; mend what is named, then run this again: it goes on where it ended.',
      ...(job.error === undefined ? {} : { problem: job.error.code }),
    });
}

/** The public halves: what somebody needs to check this installation's logs. */
export async function exportPublic(options: KeysOptions, io: Io): Promise<void> {
  const offline = await dataDirOfNoServer(options, io);
  const keys =
    offline === undefined ? await publicOfServer(options, io) : await publicOfDirectory(offline, options.tenant);
  if (options.json === true) return printJson(io, { keys });
  for (const { vkeys } of keys) for (const vkey of vkeys) printLine(io, vkey);
}

interface PublicKeys {
  readonly tenant: string;
  readonly vkeys: readonly string[];
}

async function publicOfServer(options: KeysOptions, io: Io): Promise<PublicKeys[]> {
  await using client = openClient(await findConnection(options, io));
  const logs = await listLogs(client, options.tenant, io.signal);
  const keys: PublicKeys[] = [];
  for (const { tenant } of logs)
    keys.push({ tenant, vkeys: linesOf(await client.getText(`/log/${tenant}/vkey`, io.signal)) });
  return keys;
}

async function publicOfDirectory(dataDir: string, only: string | undefined): Promise<PublicKeys[]> {
  const keys: PublicKeys[] = [];
  const ledger = join(dataDir, 'ledger');
  for (const tenant of (await readdir(ledger).catch(() => [])).sort()) {
    const text = await readFile(join(ledger, tenant, 'vkey'), 'utf8').catch(() => '');
    if (text !== '' && (only === undefined || only === tenant)) keys.push({ tenant, vkeys: linesOf(text) });
  }
  if (keys.length === 0)
    throw new CliError('no-installation', `there is no log in ${dataDir}`, {
      remedy: 'Name an installation with --data DIR.',
    });
  return keys;
}

async function ofServer(options: KeysOptions, io: Io): Promise<readonly ShownKek[]> {
  await using client = openClient(await findConnection(options, io));
  const { tenant } = await whose(client, options, io);
  const answer = await client.getJson(`/v1/keys?tenant=${tenant}`, io.signal);
  const keys = (answer as { keys?: unknown } | null)?.keys;
  if (!Array.isArray(keys) || !keys.every(isShownKek)) throw strange('a list of keys');
  return keys;
}

async function ofDirectory(dataDir: string): Promise<readonly ShownKek[]> {
  const { listKeysOf } = await import('@watchglass/server');
  return listKeysOf(dataDir);
}

/** The directory, where an installation is named and nothing runs in it. */
async function dataDirOfNoServer(options: KeysOptions, io: Io): Promise<string | undefined> {
  if (options.server !== undefined) return undefined;
  const dataDir = resolve(io.cwd, options.data ?? defaultDataDir);
  return existsSync(join(dataDir, 'ledger')) && !existsSync(join(dataDir, 'server.json')) ? dataDir : undefined;
}

async function changing(options: KeysOptions, io: Io): Promise<Connection> {
  if ((await dataDirOfNoServer(options, io)) !== undefined) {
    throw new CliError(
      'no-installation',
      'no server is running there, and a change of keys has to be recorded in its ledger',
      {
        remedy: 'Start the server, then run this again.',
      },
    );
  }
  return findConnection(options, io);
}

/** Whose keys: the installation's unless `--own` says the tenant's. The first log takes the record of what was asked. */
async function whose(
  client: Client,
  options: KeysOptions,
  io: Io,
): Promise<{ readonly of: 'installation' | 'tenant'; readonly tenant: string }> {
  const logs = await listLogs(client, options.tenant, io.signal);
  const [first] = logs;
  if (first === undefined)
    throw new CliError('answer-invalid', 'the server has no log yet', { remedy: 'Send it an event first.' });
  if (options.own === true && logs.length > 1)
    throw new CliError('usage', 'the server has more than one log', {
      remedy: 'Name the tenant whose keys are meant with --tenant.',
    });
  return { of: options.own === true ? 'tenant' : 'installation', tenant: first.tenant };
}

function sayRewrap({ state, rewrapped, already, failed }: Rewrap, io: Io): void {
  const mark = state === 'done' ? paint(io, io.stdout, 'green', '✔') : paint(io, io.stdout, 'red', '✘');
  printLine(io, `${mark} ${rewrapped} wrapped anew, ${already} under the current key already`);
  for (const { place, message } of failed) printLine(io, `  ${place}: ${message}`);
}

function rowOf({ id, tenant, state, since, until, files }: ShownKek): readonly string[] {
  const shown = state === 'ending' && until !== undefined ? `ending ${until.slice(0, 10)}` : state;
  return [id, tenant ?? 'all', shown, since.slice(0, 10), String(files.seeds), String(files.others)];
}

function isShownKek(value: unknown): value is ShownKek {
  if (typeof value !== 'object' || value === null) return false;
  const { id, provider, state, since, files } = value as Record<string, unknown>;
  return (
    [id, provider, state, since].every((one) => typeof one === 'string') &&
    typeof files === 'object' &&
    files !== null &&
    'seeds' in files &&
    'others' in files
  );
}

function jobOf(answer: unknown): Rewrap {
  const job = (answer as { rewrap?: unknown } | null)?.rewrap;
  if (typeof job === 'object' && job !== null && 'state' in job && 'failed' in job && Array.isArray(job.failed))
    return job as Rewrap;
  throw strange('how far wrapping anew is');
}

function turnedOf(answer: unknown): { readonly from: string | null; readonly to: string } {
  const { from, to } = (answer ?? {}) as { from?: unknown; to?: unknown };
  if (typeof to === 'string') return { from: typeof from === 'string' ? from : null, to };
  throw strange('the key that is current now');
}

function strange(expected: string): CliError {
  return new CliError('answer-invalid', `expected ${expected}, got something else`, {
    remedy: 'Check that the URL is that of a Watchglass server.',
  });
}

function linesOf(text: string): readonly string[] {
  return text.split('\n').filter((line) => line !== '');
}

function pause(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolvePause, reject) => {
    const timer = setTimeout(() => {
      signal.removeEventListener('abort', stop);
      resolvePause();
    }, ms);
    const stop = (): void => {
      clearTimeout(timer);
      reject(signal.reason);
    };
    signal.addEventListener('abort', stop, { once: true });
  });
}
