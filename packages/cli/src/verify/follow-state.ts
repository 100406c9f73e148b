/**
 * What a follower remembers, in a directory of its own: a file a log with its key and its newest verified checkpoint. A checkpoint is durable
 * (file and directory fsynced) before it is reported, so that a follower that was restarted can't be shown an older log than it has told of.
 */
import { mkdir, open, readdir, readFile, rename } from 'node:fs/promises';
import { join } from 'node:path';
import { CliError, messageOf, systemCodeOf } from '../errors.ts';
import type { KeyMemory } from './follow-keys.ts';

export interface Remembered extends KeyMemory {
  readonly url: string;
  readonly tenant: string;
  readonly origin: string;
  /** When the log was first seen. RFC 3339, UTC. */
  readonly since: string;
  /** The newest verified signed checkpoint. */
  readonly checkpoint?: string;
  /** When the log was last seen to have grown. RFC 3339, UTC. */
  readonly grewAt: string;
}

/** The logs remembered of this server, by tenant. */
export async function readRemembered(dir: string, url: string): Promise<Map<string, Remembered>> {
  await mkdir(dir, { recursive: true, mode: 0o700 });
  const logs = new Map<string, Remembered>();
  for (const name of await readdir(dir)) {
    if (!name.endsWith('.json')) continue;
    const log = parseRemembered(await readFile(join(dir, name), 'utf8'), join(dir, name));
    if (log.url === url) logs.set(log.tenant, log);
  }
  return logs;
}

export async function remember(dir: string, log: Remembered): Promise<void> {
  await writeDurably(dir, `${nameOf(log)}.json`, `${JSON.stringify(log, null, 2)}\n`);
}

/** Keeps a contradicting checkpoint: together with the remembered one it convicts the log. The same one is kept once. */
export async function keepEvidence(dir: string, log: Remembered, code: string, note: string): Promise<string> {
  const digest = Buffer.from(await crypto.subtle.digest('SHA-256', new TextEncoder().encode(note))).toString('hex');
  const name = `${nameOf(log)}.${code}.${digest.slice(0, 16)}.checkpoint`;
  await writeDurably(dir, name, note);
  return join(dir, name);
}

function nameOf({ url, tenant }: Remembered): string {
  return `${encodeURIComponent(url.replace(/^https?:\/\//, ''))}-${encodeURIComponent(tenant)}`;
}

async function writeDurably(dir: string, name: string, text: string): Promise<void> {
  const path = join(dir, name);
  const beside = `${path}.${process.pid}`;
  try {
    const file = await open(beside, 'w', 0o600);
    try {
      await file.writeFile(text);
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(beside, path);
    const folder = await open(dir, 'r');
    try {
      await folder.sync();
    } finally {
      await folder.close();
    }
  } catch (error) {
    throw new CliError('file-unreadable', `${path} cannot be written (${systemCodeOf(error) ?? messageOf(error)})`, {
      cause: error,
      remedy: 'Name a directory that can be written with --state DIR.',
    });
  }
}

function parseRemembered(text: string, path: string): Remembered {
  try {
    const value = JSON.parse(text) as Partial<Record<keyof Remembered, unknown>>;
    const wanted = ['url', 'tenant', 'origin', 'vkey', 'since', 'grewAt'] as const;
    if (wanted.every((key) => typeof value[key] === 'string')) return value as unknown as Remembered;
  } catch {
    // Said below, as for what is JSON but no state.
  }
  throw new CliError('file-unreadable', `${path} is not the state of a monitor`, {
    remedy: 'Restore it from a copy; without it this log is learnt anew, and what it showed before is forgotten.',
  });
}
