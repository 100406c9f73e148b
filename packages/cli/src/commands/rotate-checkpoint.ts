/**
 * `watchglass keys rotate-checkpoint TENANT`: another key signs the log's checkpoints from now on, with the old one beside it until `--end-overlap`; or, with
 * `--compromised`, instead of it at once. Works on an installation whose server is stopped; the change is an event of the log.
 */
import { resolve } from 'node:path';
import type { KeyChange } from '@watchglass/server';
import { defaultDataDir } from '../connection.ts';
import { CliError, messageOf } from '../errors.ts';
import { type Io, note, printJson, printLine } from '../io.ts';

export interface RotateCheckpointOptions {
  readonly json?: boolean;
  readonly data?: string;
  readonly compromised?: boolean;
  readonly trusted?: number;
  readonly endOverlap?: boolean;
  readonly addMlDsa44?: boolean;
}

export async function rotateCheckpoint(tenant: string, options: RotateCheckpointOptions, io: Io): Promise<void> {
  const change = changeOf(options);
  const dataDir = resolve(io.cwd, options.data ?? defaultDataDir);
  const { changeLocalKey } = await import('@watchglass/server');
  const { vkeys, statement } = await changeLocalKey(
    { dataDir, report: ({ message }) => note(io, `  ${message}`) },
    { tenant, change },
  ).catch((error: unknown) => {
    throw localError(error, dataDir);
  });
  if (options.json === true) {
    const { number, kind, size, trusted } = statement ?? {};
    printJson(io, {
      tenant,
      vkeys,
      ...(statement === undefined ? {} : { statement: { number, kind, size, trusted } }),
    });
    return;
  }
  printLine(io, `${tenant}: checkpoints are signed by`);
  for (const vkey of vkeys) printLine(io, `  ${vkey.length > 200 ? `${vkey.slice(0, 60)}… (ML-DSA-44)` : vkey}`);
  note(io, whatNext(change, statement?.trusted));
}

function changeOf({ compromised, trusted, endOverlap, addMlDsa44 }: RotateCheckpointOptions): KeyChange {
  const asked = [compromised, endOverlap, addMlDsa44].filter((one) => one === true).length;
  if (asked > 1)
    throw new CliError('usage', 'expected at most one of --compromised, --end-overlap and --add-ml-dsa-44');
  if (trusted !== undefined && compromised !== true)
    throw new CliError('usage', '--trusted goes with --compromised: up to which size the old key is to be believed');
  if (compromised === true) return { kind: 'compromised', ...(trusted === undefined ? {} : { trusted }) };
  if (endOverlap === true) return { kind: 'end-overlap' };
  return addMlDsa44 === true ? { kind: 'add-ml-dsa-44' } : { kind: 'planned' };
}

function whatNext(change: KeyChange, trusted: number | undefined): string {
  switch (change.kind) {
    case 'planned':
      return '  Give the new key to whoever pinned the old one; when they have it: watchglass keys rotate-checkpoint --end-overlap. Verifiers that know the old key follow by themselves.';
    case 'compromised':
      return `  Tell whoever pinned the old key, by another way than this log, what the new one is. What the old key alone signed above ${trusted ?? 0} leaves is not to be believed.`;
    case 'end-overlap':
      return '  The key that was replaced signs no more; verifiers that know it follow to the new one.';
    case 'add-ml-dsa-44':
      return '  Every checkpoint has a second signature from now on.';
    default:
      return change satisfies never;
  }
}

/** What a ledger on this machine refuses, in words of the command line. */
export function localError(error: unknown, dataDir: string): unknown {
  const code = error instanceof Error && 'code' in error ? error.code : undefined;
  if (error instanceof CliError || typeof code !== 'string' || /^E[A-Z]+$/.test(code)) return error;
  if (code === 'locked')
    return new CliError('already-running', `a server runs on ${dataDir}`, {
      cause: error,
      remedy: 'Stop it, do this again, and start it.',
    });
  if (code === 'unknown-tenant' || code === 'tenant-invalid' || code === 'ledger-unreadable')
    return new CliError('no-installation', messageOf(error), { cause: error });
  return new CliError('key-change-failed', messageOf(error), { cause: error });
}
