/**
 * `watchglass init [DIR]`: a configuration to read and change, the first keys (those of the ledger, the operator's credential, the gateway's
 * write key) and the first person who can sign in to the console. The server is started once, on free ports, to make them, so that even the first key is in the record. Replaces nothing.
 */
import { existsSync } from 'node:fs';
import { copyFile, mkdir, readFile, writeFile } from 'node:fs/promises';
import { hostname } from 'node:os';
import { join, resolve } from 'node:path';
import { openClient } from '../client.ts';
import { CliError } from '../errors.ts';
import { gatewayTemplate, serverTemplate } from '../init/templates.ts';
import { type Io, note, paint, printJson, printLine } from '../io.ts';
import { freePort } from '../ports.ts';
import { ensureLocalCertificates } from '../tls/local-certificates.ts';

export interface InitOptions {
  readonly json?: boolean;
  readonly tenant?: string;
  readonly origin?: string;
}

const emitter = 'gateway-1';
/** Somebody has to be the first: who looks after the installation, and may review. */
const firstPerson = { username: 'admin', name: 'First administrator', roles: ['administrator', 'privacy-officer'] };

export async function init(dir: string, options: InitOptions, io: Io): Promise<void> {
  const folder = resolve(io.cwd, dir);
  const at = (name: string): string => join(folder, name);
  const written = ['watchglass.yaml', 'gateway.yaml', 'policy.yaml', 'keys', 'tls', 'data'];
  const there = written.filter((name) => existsSync(at(name)));
  if (there.length > 0) {
    throw new CliError('already-exists', `${folder} already has ${there.join(', ')}`, {
      remedy: 'Nothing was written. Choose an empty folder, or move what is there away.',
    });
  }
  const tenant = options.tenant ?? 'clinic';
  const origin = options.origin ?? originHere();
  const { samplePolicyPath } = await import('@watchglass/gateway');
  await mkdir(at('keys'), { recursive: true, mode: 0o700 });
  await writeFile(at('watchglass.yaml'), serverTemplate({ tenant, origin }), { flag: 'wx' });
  await writeFile(at('gateway.yaml'), gatewayTemplate({ emitter }), { flag: 'wx' });
  await copyFile(samplePolicyPath(), at('policy.yaml'));
  await ensureLocalCertificates(at('tls'), 'gateway');

  note(io, 'Making the keys…');
  const { vkey, writeKey, password } = await makeFirstKeys(at('watchglass.yaml'), tenant, io);
  await writeFile(at('keys/gateway.key'), `${writeKey}\n`, { flag: 'wx', mode: 0o600 });

  if (options.json === true) {
    printJson(io, {
      dir: folder,
      files: [...written.slice(0, 3), 'keys/gateway.key', 'tls/ca.pem'],
      tenant,
      origin,
      vkey,
      person: { username: firstPerson.username, password, roles: firstPerson.roles },
    });
    return;
  }
  const byNpx = io.env.npm_command === 'exec';
  for (const line of nextSteps({ dir, folder, vkey, password, byNpx })) printLine(io, line);
  note(io, `${paint(io, io.stderr, 'green', '✓')} done`);
}

/** The server makes its keys at its first start; the gateway's is asked for as an operator asks for any. */
async function makeFirstKeys(
  configFile: string,
  tenant: string,
  io: Io,
): Promise<{ readonly vkey: string; readonly writeKey: string; readonly password: string }> {
  const { readConfig, startServer } = await import('@watchglass/server');
  const config = await readConfig(configFile);
  const host = '127.0.0.1';
  const port = await freePort();
  const issuer =
    config.issuer.kind === 'embedded' ? { ...config.issuer, listen: { host, port: await freePort() } } : config.issuer;
  const here = { ...config, listen: { host, port }, url: `http://localhost:${port}`, issuer };
  await using server = await startServer({ ...here, log: { level: 'silent' } }, { signal: io.signal });
  const token = (await readFile(join(config.dataDir, 'keys', 'operator.token'), 'utf8')).trim();
  await using client = openClient({ url: server.url, token, ca: undefined, tenant, dataDir: config.dataDir });
  const key = await client.postJson('/v1/write-keys', { tenant, name: 'gateway', emitter }, io.signal);
  const person = await client.postJson('/v1/people', { tenant, ...firstPerson }, io.signal);
  const vkey = (await client.getText(`/log/${tenant}/vkey`, io.signal)).trim();
  return { vkey, writeKey: secretIn(key, 'secret'), password: secretIn(person, 'password') };
}

function secretIn(answer: unknown, member: string): string {
  const value = typeof answer === 'object' && answer !== null ? (answer as Record<string, unknown>)[member] : undefined;
  if (typeof value !== 'string') {
    throw new CliError('answer-invalid', `expected an answer with its \`${member}\`, got something else`);
  }
  return value;
}

function originHere(): string {
  const name = hostname()
    .toLowerCase()
    .replace(/[^a-z0-9.-]/g, '-');
  return name === '' ? 'watchglass.local' : name;
}

interface Made {
  readonly dir: string;
  readonly folder: string;
  readonly vkey: string;
  readonly password: string;
  /** Then the command is known in the clone and nowhere else. */
  readonly byNpx: boolean;
}

function nextSteps({ dir, folder, vkey, password, byNpx }: Made): string[] {
  return [
    `A configuration and first keys are in ${folder}.`,
    '',
    'Keep this where an intruder here cannot change it; with it `verify --vkey` proves that the log is yours:',
    `  ${vkey}`,
    'Back up data/keys, all but *.epoch-key-*, which are to be gone when they have sealed: what is recorded cannot be read without it.',
    '',
    'Sign in to the console as',
    `  ${firstPerson.username}   ${password}   (${firstPerson.roles.join(', ')})`,
    'This password is shown only now. How to add more people: docs/api.md, "Running it".',
    '',
    'Next:',
    ...(byNpx ? commandsFromHere(dir) : commandsInside(dir)),
  ];
}

function commandsInside(dir: string): string[] {
  return [
    ...(dir === '.' ? [] : [`  cd ${dir}`]),
    '  watchglass config check',
    '  watchglass serve',
    '  watchglass gateway        # after upstream.url and the issuer in gateway.yaml are yours',
    '  watchglass search --data data',
  ];
}

function commandsFromHere(dir: string): string[] {
  const at = (name: string): string => (dir === '.' ? name : join(dir, name));
  return [
    `  npx watchglass config check ${at('watchglass.yaml')} ${at('gateway.yaml')}`,
    `  npx watchglass serve --config ${at('watchglass.yaml')}`,
    `  npx watchglass gateway --config ${at('gateway.yaml')}        # after upstream.url and the issuer in it are yours`,
    `  npx watchglass search --data ${at('data')}`,
  ];
}
