/**
 * The keys of logs seen before, as `known_hosts` does it: the first key seen for a log is remembered, and from then on only
 * that one is believed. `--vkey` goes before everything.
 *
 * Remembered in the installation (`DIR/known-logs.json`) or, for a server elsewhere, in the user's configuration folder. A key from
 * `localhost` without an installation is not remembered: another log may live there tomorrow.
 */
import { mkdir, readFile, rename, writeFile } from 'node:fs/promises';
import { homedir } from 'node:os';
import { dirname, join } from 'node:path';
import { formatVerifierKey, parseVerifierKey } from '@watchglass/record';
import type { Connection } from './connection.ts';
import { CliError, systemCodeOf } from './errors.ts';
import type { Io } from './io.ts';

export interface TrustedKey {
  readonly vkey: string;
  /** `offered`: taken from the server just now, so that what it proves is self-consistency. */
  readonly how: 'given' | 'remembered' | 'first-seen' | 'offered';
  /** RFC 3339, UTC; of a remembered key. */
  readonly since?: string;
}

interface KnownLog {
  readonly vkey: string;
  readonly since: string;
}

/** Which key to check a log with; `offered` is what the server says its key is. */
export async function trustedKey(options: {
  readonly given: string | undefined;
  readonly offered: string;
  readonly connection: Connection;
  readonly tenant: string;
  readonly io: Io;
}): Promise<TrustedKey> {
  if (options.given !== undefined) return { vkey: parseGivenKey(options.given), how: 'given' };
  const path = knownLogsPath(options.connection, options.io);
  if (path === undefined) return { vkey: options.offered, how: 'offered' };
  const known = await readKnownLogs(path);
  const name =
    options.connection.dataDir === undefined ? `${options.connection.url} ${options.tenant}` : options.tenant;
  const before = known[name];
  if (before !== undefined) return { vkey: before.vkey, how: 'remembered', since: before.since };
  const since = new Date().toISOString();
  try {
    await writeKnownLogs(path, { ...known, [name]: { vkey: options.offered, since } });
  } catch (error) {
    if (!['EACCES', 'EROFS', 'EPERM'].includes(systemCodeOf(error) ?? '')) throw error;
    return { vkey: options.offered, how: 'offered' };
  }
  return { vkey: options.offered, how: 'first-seen', since };
}

/** The newest of the keys that `/log/<tenant>/vkey` lists. */
export function firstKey(text: string): string {
  return text.trim().split('\n')[0] ?? '';
}

/** What `--vkey` says: a verifier key, or wrong usage. */
export function parseGivenKey(text: string): string {
  try {
    return formatVerifierKey(parseVerifierKey(text.trim()));
  } catch (error) {
    throw new CliError('usage', '--vkey is not a verifier key', {
      cause: error,
      remedy: 'Give it whole, as `/log/<tenant>/vkey` shows it: name+hash+base64.',
    });
  }
}

/** How far the key can be believed, as half a sentence. */
export function sayTrust(key: TrustedKey): string {
  switch (key.how) {
    case 'given':
      return 'the key is the one you gave';
    case 'remembered':
      return `the key is the one remembered since ${key.since ?? 'before'}`;
    case 'first-seen':
      return 'the key was seen for the first time and is remembered from now on';
    case 'offered':
      return 'the key came from the server itself, so this shows self-consistency only (give --vkey to pin it)';
    default:
      return key.how satisfies never;
  }
}

function knownLogsPath(connection: Connection, io: Io): string | undefined {
  if (connection.dataDir !== undefined) return join(connection.dataDir, 'known-logs.json');
  const host = new URL(connection.url).hostname;
  if (host === 'localhost' || host === '[::1]' || host.startsWith('127.')) return undefined;
  const folder = io.env.XDG_CONFIG_HOME ?? join(io.env.HOME ?? homedir(), '.config');
  return join(folder, 'watchglass', 'known-logs.json');
}

async function readKnownLogs(path: string): Promise<Record<string, KnownLog>> {
  let text: string;
  try {
    text = await readFile(path, 'utf8');
  } catch (error) {
    if (systemCodeOf(error) === 'ENOENT') return {};
    throw error;
  }
  try {
    return JSON.parse(text) as Record<string, KnownLog>;
  } catch (error) {
    throw new CliError('file-unreadable', `${path} is not JSON`, {
      cause: error,
      remedy: 'Give --vkey; or remove the file, and the keys are learnt anew.',
    });
  }
}

async function writeKnownLogs(path: string, known: Record<string, KnownLog>): Promise<void> {
  await mkdir(dirname(path), { recursive: true, mode: 0o700 });
  const beside = `${path}.${process.pid}`;
  await writeFile(beside, `${JSON.stringify(known, null, 2)}\n`, { mode: 0o600 });
  await rename(beside, path);
}
