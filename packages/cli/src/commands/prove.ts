/**
 * `watchglass prove INDEX`: fetches the proof of one event and checks it here, against a key that does not come with it: the one given
 * with `--vkey`, or the one remembered for this log. Exit code 3 when it does not hold.
 */
import { writeFile } from 'node:fs/promises';
import { resolve } from 'node:path';
import { hashLeaf, parseCheckpoint, parseProof, RecordError } from '@watchglass/record';
import { type Client, openClient } from '../client.ts';
import { type ConnectionOptions, findConnection } from '../connection.ts';
import { CliError, messageOf } from '../errors.ts';
import { type Io, note, paint, printJson, printLine } from '../io.ts';
import { firstKey, sayTrust, trustedKey } from '../known-logs.ts';
import { checkProof, type ProvenEntry, sayProven } from '../verify/proof-check.ts';
import { fetchLeafData, onlyLog } from '../verify/remote-log.ts';
import { followKey, type LogName } from '../verify/remote-statements.ts';

export interface ProveOptions extends ConnectionOptions {
  readonly json?: boolean;
  readonly vkey?: string;
  readonly out?: string;
}

export async function prove(index: number, options: ProveOptions, io: Io): Promise<void> {
  const connection = await findConnection(options, io);
  await using client = openClient(connection);
  const log = await onlyLog(client, options.tenant, io.signal);
  const offered = firstKey(await client.getText(`/log/${log.tenant}/vkey`, io.signal));
  const trusted = await trustedKey({ given: options.vkey, offered, connection, tenant: log.tenant, io });
  // Another key may have taken its place: then the log's statements lead from one to the other.
  const vkey = trusted.vkey === offered ? offered : await followKey(client, log, trusted.vkey, io.signal);
  const key = { ...trusted, vkey };
  const text = await client.getText(`/v1/events/${index}/proof?tenant=${log.tenant}`, io.signal);
  const proven = await check({ text, index, log, vkey: key.vkey, offered, client, signal: io.signal });
  if (options.out !== undefined) await writeFile(resolve(io.cwd, options.out), text);

  if (options.json === true) {
    printJson(io, {
      intact: true,
      tenant: log.tenant,
      ...proven,
      vkey: key.vkey,
      key: key.how,
      sentence: sayProven(proven),
    });
    return;
  }
  printLine(io, `${paint(io, io.stdout, 'green', '✔ proven')}: ${sayProven(proven)}`);
  note(io, `  (${sayTrust(key)})`);
  if (options.out !== undefined) {
    note(
      io,
      `  The proof is in ${options.out}; anybody can check it: watchglass verify ${options.out} --vkey ${key.vkey}`,
    );
  }
}

async function check(asked: {
  readonly text: string;
  readonly index: number;
  readonly log: LogName;
  readonly vkey: string;
  readonly offered: string;
  readonly client: Client;
  readonly signal: AbortSignal;
}): Promise<ProvenEntry> {
  const { text, index, log, client, signal } = asked;
  try {
    const proof = parseProof(text);
    if (proof.index !== BigInt(index)) {
      throw new CliError('not-intact', `expected the proof of event ${index}, got that of ${proof.index}`);
    }
    if (proof.extra !== undefined) return checkProof(text, { vkey: asked.vkey });
    // Without the right to open, what is proven is the commitment in the public tree.
    const size = Number(parseCheckpoint(proof.checkpoint).size);
    const leafData = await fetchLeafData(client, log, { index, size }, signal);
    return checkProof(text, { vkey: asked.vkey, leafHash: hashLeaf(leafData) });
  } catch (error) {
    if (!(error instanceof RecordError)) throw error;
    const changed = asked.vkey !== asked.offered;
    throw new CliError('not-intact', `event ${index} of ${log.tenant} is not proven: ${messageOf(error)}`, {
      cause: error,
      remedy: changed
        ? 'The server now names another key than the one trusted so far: find out why before anything else.'
        : 'Keep the proof (--out FILE with the same command), and run watchglass verify.',
    });
  }
}
