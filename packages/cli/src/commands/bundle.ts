/**
 * `watchglass bundle`: asks the server for a bundle of evidence, checks it here against a key that does not come with it, and only then keeps it. The making is an
 * event in the log before the file leaves the server.
 */
import { writeFile } from 'node:fs/promises';
import { resolve } from 'node:path';
import { bundleEventsMax } from '@watchglass/record';
import { openClient } from '../client.ts';
import { type ConnectionOptions, findConnection } from '../connection.ts';
import { CliError, systemCodeOf } from '../errors.ts';
import { type Io, note, paint, printJson, printLine } from '../io.ts';
import { sayTrust, trustedKey } from '../known-logs.ts';
import { openProgress } from '../progress.ts';
import { checkBundle, printBundle } from '../verify/bundle-check.ts';
import { onlyLog } from '../verify/remote-log.ts';
import { type Filters, queryOf } from './search.ts';

/** Opening every record of a large log takes its time. */
const waitMsMax = 60 * 60_000;

export interface BundleOptions extends ConnectionOptions, Filters {
  readonly json?: boolean;
  readonly purpose: string;
  readonly reason: string;
  readonly scan?: boolean;
  readonly withhold: readonly string[];
  readonly vkey?: string;
  readonly out?: string;
}

export async function bundle(
  ranges: readonly (readonly [first: number, last: number])[],
  options: BundleOptions,
  io: Io,
): Promise<void> {
  const body = bodyOf(ranges, options);
  const connection = await findConnection(options, io);
  await using client = openClient(connection, waitMsMax);
  const log = await onlyLog(client, options.tenant, io.signal);
  const offered = (await client.getText(`/log/${log.tenant}/vkey`, io.signal)).trim();
  const key = await trustedKey({ given: options.vkey, offered, connection, tenant: log.tenant, io });
  const progress = await openProgress(io, options.scan === true ? 'Opening every record' : 'Making', 'bundle');
  let bytes: Uint8Array;
  try {
    progress.update(0, 1);
    bytes = await client.postForFile('/v1/bundles', { ...body, tenant: log.tenant }, io.signal);
  } finally {
    progress.end();
  }
  const report = await checkBundle(bytes, { vkey: key.vkey, keyOf: async () => undefined });
  const out =
    options.out ?? `evidence-${log.tenant}-${(report.contents?.made ?? '').replaceAll(/[-:]|\.\d+/g, '')}.html`;
  if (!report.intact) printBundle(out, report, { json: options.json === true }, io);
  await keep(resolve(io.cwd, out), bytes);
  if (options.json === true) {
    printJson(io, {
      intact: true,
      file: out,
      events: report.events.length,
      maker: report.maker?.index,
      vkey: key.vkey,
    });
    return;
  }
  printLine(io, `${paint(io, io.stdout, 'green', '✔ made')}: ${report.events.length} events are in ${out}`);
  note(io, `  It was checked here (${sayTrust(key)}), and its making is event ${report.maker?.index} of the log.`);
  note(io, `  Open it in a browser, or: watchglass verify ${out} --vkey ${key.vkey}`);
}

function bodyOf(ranges: readonly (readonly [number, number])[], options: BundleOptions): Record<string, unknown> {
  const { tenant: _tenant, ...filters } = queryOf(options);
  const matching = Object.keys(filters).length > 0;
  if (matching === ranges.length > 0)
    throw new CliError('usage', 'expected indexes of events, or filters, one of them', {
      remedy: 'Name events (`watchglass bundle 417 420-431 …`), or what to look for (`--patient ID`, `--actor ID`).',
    });
  const count = ranges.reduce((sum, [first, last]) => sum + last - first + 1, 0);
  if (count > bundleEventsMax) throw new CliError('usage', `expected at most ${bundleEventsMax} events, got ${count}`);
  return {
    purpose: options.purpose,
    reason: options.reason,
    ...(matching ? { filters } : { indexes: ranges }),
    ...(options.scan === true ? { scan: true } : {}),
    ...(options.withhold.length === 0 ? {} : { withhold: options.withhold }),
  };
}

/** Openings are patients' data: only for whoever asked. Nothing is replaced. */
async function keep(path: string, bytes: Uint8Array): Promise<void> {
  try {
    await writeFile(path, bytes, { mode: 0o600, flag: 'wx' });
  } catch (error) {
    if (systemCodeOf(error) === 'EEXIST')
      throw new CliError('already-exists', `${path} is there already`, { remedy: 'Name another file with --out.' });
    throw error;
  }
}
