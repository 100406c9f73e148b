/** The seals, keys and checkpoint of a log behind a URL, checked by the same code as those in a directory; and a key trusted earlier, followed to the one that signs now. */
import { parseCheckpoint } from '@watchglass/record';
import { type LedgerFiles, type VerifiedStatements, verifyStatements } from '@watchglass/record/reader';
import type { Client } from '../client.ts';
import { CliError } from '../errors.ts';

export interface LogName {
  readonly tenant: string;
  readonly origin: string;
}

const dir = '/log';

export async function verifyRemoteStatements(asked: {
  readonly client: Client;
  readonly log: LogName;
  readonly checkpoint: string;
  readonly vkey: string | undefined;
  readonly seal?: Uint8Array | undefined;
  readonly signal: AbortSignal;
}): Promise<VerifiedStatements> {
  const { client, log, checkpoint, vkey, seal, signal } = asked;
  return verifyStatements({
    files: filesOf(client, signal),
    dir,
    tenant: log.tenant,
    origin: log.origin,
    checkpoint,
    size: sizeOf(checkpoint),
    nowMs: Date.now(),
    ...(vkey === undefined ? {} : { vkey }),
    ...(seal === undefined ? {} : { seal }),
  });
}

/**
 * The key that signs a log now, found from one that was trusted earlier.
 *
 * @throws CliError `not-intact` where no statement leads there, or one on the way says that a key was stolen
 */
export async function followKey(client: Client, log: LogName, trusted: string, signal: AbortSignal): Promise<string> {
  const checkpoint = await client.getText(`${dir}/${log.tenant}/checkpoint`, signal);
  const { findings, vkey } = await verifyRemoteStatements({ client, log, checkpoint, vkey: trusted, signal });
  const [finding] = findings;
  if (finding !== undefined || vkey === undefined)
    throw new CliError(
      'not-intact',
      `the key of ${log.tenant} cannot be followed to the one that signs now: ${finding?.message ?? 'there is none'}`,
      { remedy: 'The server now names another key than the one trusted so far: find out why before anything else.' },
    );
  return vkey;
}

function sizeOf(checkpoint: string): number {
  try {
    return Number(parseCheckpoint(checkpoint).size);
  } catch {
    return 0;
  }
}

/** What a log says of itself, as files: paths are those of the server, a folder is a list of numbers. */
function filesOf(client: Client, signal: AbortSignal): LedgerFiles {
  const missing = (error: unknown): undefined => {
    if (error instanceof CliError && error.status === 404) return undefined;
    throw error;
  };
  return {
    readFile: (path) => client.get(path, signal).catch(missing),
    async list(path) {
      const text = await client.getText(path, signal).catch(missing);
      try {
        const list: unknown = JSON.parse(text ?? '[]');
        if (Array.isArray(list)) return list.map(String);
      } catch {
        // Told below.
      }
      // A name that no statement has: it is found.
      return ['?'];
    },
    open: () => Promise.reject(new TypeError('statements are read whole')),
    size: async (path) => (await client.get(path, signal).catch(missing))?.length,
  };
}
