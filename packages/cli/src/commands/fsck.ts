/**
 * `watchglass fsck DIR`: what the records of an installation mean, and whether its working state is what they say. Changes nothing, runs beside a server; exit
 * code 3 where something makes no sense. Bytes, hashes and signatures are `verify`'s.
 */
import { existsSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { RecordError } from '@watchglass/record';
import type { KekFinder, Keyrings, MeaningFinding } from '@watchglass/record/reader';
import type { FsckReport } from '@watchglass/server';
import { defaultDataDir } from '../connection.ts';
import { CliError } from '../errors.ts';
import { type Io, note, paint, printJson, printLine } from '../io.ts';
import { openProgress } from '../progress.ts';
import { grouped } from '../verify/report.ts';

export interface FsckCommandOptions {
  readonly json?: boolean;
  readonly tenant?: string;
  /** Says who keeps the keys. */
  readonly config?: string;
}

export async function fsck(what: string | undefined, options: FsckCommandOptions, io: Io): Promise<void> {
  const dir = resolve(io.cwd, what ?? defaultDataDir);
  const isInstallation = existsSync(join(dir, 'ledger'));
  const dataDir = isInstallation ? dir : dirname(dir);
  const server = await import('@watchglass/server');
  const { isKeeperFault, localKeys, nodeFiles } = await import('@watchglass/record/reader');
  await using stack = new AsyncDisposableStack();
  const keysDir = join(dataDir, 'keys');
  let keyrings: Keyrings<KekFinder> | undefined;
  const progress = await openProgress(io, 'Checking', 'events');
  try {
    if (options.config !== undefined || existsSync(join(keysDir, 'keyring.json'))) {
      const { config } = options;
      const keys = config === undefined ? undefined : (await server.readConfig(resolve(io.cwd, config))).keys;
      keyrings = stack.use(await server.openOfflineKeys({ keysDir, ...(keys === undefined ? {} : { keys }) }));
    } else keyrings = await localKeys(nodeFiles, keysDir);
    const report = await server.fsck({
      dataDir,
      keyrings,
      ...(isInstallation ? {} : { ledgerDir: dir }),
      ...(options.tenant === undefined ? {} : { tenant: options.tenant }),
      onProgress: (done, total) => progress.update(done, total),
      signal: io.signal,
    });
    progress.end();
    print(what ?? defaultDataDir, report, options.json === true, io);
  } catch (error) {
    if (!(error instanceof RecordError)) throw error;
    throw new CliError(isKeeperFault(error) ? 'keys-unavailable' : 'file-unreadable', error.message, {
      cause: error,
      remedy: isKeeperFault(error)
        ? 'This says nothing of the ledger; look after the keeper of the keys.'
        : 'Name the data directory of an installation; watchglass verify says what is wrong with its bytes.',
    });
  } finally {
    progress.end();
  }
}

function print(what: string, report: FsckReport, json: boolean, io: Io): void {
  if (json) printJson(io, report);
  else {
    for (const { tenant, size, checked } of report.tenants) {
      const events = `${grouped(size)} events`;
      printLine(io, `  ${tenant.padEnd(16)} ${events.padStart(18)}, ${grouped(checked)} looked at`);
    }
    for (const finding of report.findings)
      printLine(
        io,
        `  ${paint(io, io.stdout, 'red', '✘')} ${placeOf(finding)}: expected ${finding.expected}, got ${finding.got} [${finding.code}]`,
      );
    if (report.findingCount > report.findings.length)
      printLine(io, `  and ${grouped(report.findingCount - report.findings.length)} more`);
    for (const one of report.skipped) note(io, `  not looked at: ${one}`);
    if (report.sound) printLine(io, verdictOf(what, report, io));
  }
  if (report.sound) return;
  throw new CliError(
    'not-intact',
    `${what} is not sound: ${grouped(report.findingCount)} ${report.findingCount === 1 ? 'finding' : 'findings'}`,
    {
      remedy: 'docs/completeness.md says what each means; keep a copy as it is before anything is mended.',
    },
  );
}

function verdictOf(what: string, { tenants, compared, skipped }: FsckReport, io: Io): string {
  if (skipped.length > 0 && tenants.every(({ checked }) => checked === 0))
    return `${paint(io, io.stdout, 'yellow', 'nothing found')}: no record of ${what} could be opened.`;
  const left = skipped.length === 0 ? '' : ', as far as it could be looked at';
  const verdict = paint(io, io.stdout, 'green', '✔ sound');
  return `${verdict}: what ${what} holds makes sense, and ${grouped(compared)} values of its state are what the log says${left}.`;
}

function placeOf({ tenant, index, place }: MeaningFinding): string {
  const at = index === undefined ? '' : `index ${index}`;
  return [tenant, place, at].filter((part) => part !== undefined && part !== '').join(', ') || 'the installation';
}
