/**
 * `watchglass verify DIR|URL|FILE`: everything derived again, and a line a finding. A directory is read without any server, beside a
 * running one if need be; a URL is a running server's public log; a file is a proof or a bundle of evidence. Exit code 3 when something is not what was written.
 */
import { existsSync } from 'node:fs';
import { readdir, readFile, stat } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import {
  formatVerifierKey,
  looksLikeBundle,
  openWitnessed,
  type Policy,
  parseCheckpoint,
  parseProof,
  parseSeal,
  RecordError,
} from '@watchglass/record';
import type { OpenTimestamp } from '@watchglass/record/reader';
import type { OfflineKeys } from '@watchglass/server';
import { type Client, openClient } from '../client.ts';
import { type Connection, defaultDataDir, findConnection } from '../connection.ts';
import { CliError, messageOf, systemCodeOf } from '../errors.ts';
import { type Io, note, paint, printJson, printLine } from '../io.ts';
import { firstKey, parseGivenKey, trustedKey } from '../known-logs.ts';
import { openProgress } from '../progress.ts';
import { checkBundle, printBundle } from '../verify/bundle-check.ts';
import { verifyPredecessors } from '../verify/predecessors.ts';
import { checkProof, sayProven } from '../verify/proof-check.ts';
import { listLogs, verifyRemoteLog } from '../verify/remote-log.ts';
import type { LogName } from '../verify/remote-statements.ts';
import { type Finding, printVerification, type VerifiedTenant } from '../verify/report.ts';
import { parseGivenPolicy, witnessedRemotely } from '../verify/witnessed.ts';

export interface VerifyOptions {
  readonly json?: boolean;
  readonly vkey?: string;
  readonly checkpoint?: string;
  readonly seal?: string;
  readonly predecessors?: boolean;
  readonly policy?: string;
  readonly tsaCa?: string;
  readonly full?: boolean;
  readonly tenant?: string;
  readonly ca?: string;
  readonly leaf?: string;
  /** Says who keeps the keys. */
  readonly config?: string;
}

export async function verify(what: string | undefined, options: VerifyOptions, io: Io): Promise<void> {
  const target = what ?? defaultDataDir;
  if (/^https?:\/\//.test(target)) return verifyServer(target, options, io);
  const path = resolve(io.cwd, target);
  const kind = await stat(path).catch((error: unknown) => {
    throw new CliError('file-unreadable', `${target} cannot be read (${systemCodeOf(error) ?? messageOf(error)})`, {
      cause: error,
      remedy: 'Name a data directory, the URL of a server, or a proof.',
    });
  });
  return kind.isDirectory() ? verifyDirectory(path, options, io) : verifyProofFile(path, target, options, io);
}

async function verifyDirectory(dir: string, options: VerifyOptions, io: Io): Promise<void> {
  const ledgerDir = existsSync(join(dir, 'ledger')) ? join(dir, 'ledger') : dir;
  const keysDir = join(dirname(ledgerDir), 'keys');
  const vkey = options.vkey === undefined ? undefined : parseGivenKey(options.vkey);
  const { isKeeperFault, verifyLedger } = await import('@watchglass/record/reader');
  await using keys = await keysOf(keysDir, options.config, io);
  const openTimestamp = await timestampOpener(ledgerDir, options, io);
  const progress = await openProgress(io, 'Verifying', 'events');
  try {
    const report = await verifyLedger({
      ledgerDir,
      ...(keys === undefined ? {} : { keyrings: keys }),
      signal: io.signal,
      onProgress: ({ done, total }) => progress.update(done, total),
      ...(openTimestamp === undefined ? {} : { openTimestamp }),
      ...(existsSync(keysDir) ? { keysDir } : {}),
      ...(options.tenant === undefined ? {} : { tenant: options.tenant }),
      ...(vkey === undefined ? {} : { vkey }),
      ...(options.full === undefined ? {} : { full: options.full }),
      ...(options.checkpoint === undefined ? {} : { checkpoint: await readText(options.checkpoint, io) }),
      ...(options.seal === undefined ? {} : { seal: Buffer.from(await readText(options.seal, io)) }),
      ...(options.policy === undefined ? {} : { policy: await readText(options.policy, io) }),
    });
    const older =
      options.predecessors === false
        ? { tenants: [], findings: [], notes: [] }
        : await verifyPredecessors({
            ledgerDir,
            keysDir: existsSync(keysDir) ? keysDir : undefined,
            report,
            full: options.full === true,
            signal: io.signal,
          });
    progress.end();
    if (options.json !== true) for (const line of [...report.notes, ...older.notes]) note(io, `  note: ${line}`);
    const whole = {
      ...report,
      intact: report.intact && older.findings.length === 0,
      tenants: [...report.tenants, ...older.tenants],
      findings: [...report.findings, ...older.findings],
      findingCount: report.findingCount + older.findings.length,
      notes: [...report.notes, ...older.notes],
    };
    printVerification(dir, whole, { json: options.json === true }, io);
  } catch (error) {
    if (!(error instanceof RecordError)) throw error;
    const code =
      error.code === 'argument-invalid' ? 'usage' : isKeeperFault(error) ? 'keys-unavailable' : 'file-unreadable';
    throw new CliError(code, error.message, {
      cause: error,
      ...(code === 'keys-unavailable'
        ? {
            remedy:
              'This says nothing of the ledger. Without the keys (a copy of `ledger/` alone) everything but the contents is verified.',
          }
        : {}),
    });
  } finally {
    progress.end();
  }
}

/** Keys kept elsewhere, as the configuration or `keys/keyring.json` says; undefined where the local ones in the directory do. */
async function keysOf(keysDir: string, config: string | undefined, io: Io): Promise<OfflineKeys | undefined> {
  if (config === undefined && !existsSync(join(keysDir, 'keyring.json'))) return undefined;
  const { openOfflineKeys, readConfig } = await import('@watchglass/server');
  const keys = config === undefined ? undefined : (await readConfig(resolve(io.cwd, config))).keys;
  return openOfflineKeys({ keysDir, ...(keys === undefined ? {} : { keys }) });
}

/** What verifies timestamps is loaded where there are any: nothing else here needs the server's code. */
async function timestampOpener(
  ledgerDir: string,
  { tsaCa }: VerifyOptions,
  io: Io,
): Promise<OpenTimestamp | undefined> {
  const logs = await readdir(ledgerDir).catch(() => []);
  if (tsaCa === undefined && !logs.some((name) => existsSync(join(ledgerDir, name, 'timestamps')))) return undefined;
  const { LedgerError, openTimestamp, readRoots } = await import('@watchglass/server');
  try {
    const roots = tsaCa === undefined ? [] : readRoots(await readText(tsaCa, io));
    return (response, message) => openTimestamp(response, { message, roots });
  } catch (error) {
    if (!(error instanceof LedgerError)) throw error;
    throw new CliError('usage', `--tsa-ca: ${error.message}`, { cause: error });
  }
}

async function verifyServer(url: string, options: VerifyOptions, io: Io): Promise<void> {
  const connection: Connection = await findConnection(
    { server: url, ...(options.ca === undefined ? {} : { ca: options.ca }) },
    io,
  );
  await using client = openClient({ ...connection, token: undefined });
  const logs = await listLogs(client, options.tenant, io.signal);
  const trust = await trustOf(options, logs, io);
  const tenants: VerifiedTenant[] = [];
  const findings: Finding[] = [];
  let pinned = true;
  const progress = await openProgress(io, 'Verifying', 'events');
  try {
    for (const log of logs) {
      const onProgress = (done: number, total: number): void => progress.update(done, total);
      const one = await verifyServerLog({ client, connection, log, trust, onProgress, io });
      tenants.push(one.tenant);
      findings.push(...one.findings);
      if (options.json !== true) for (const line of one.notes) note(io, `  note: ${line}`);
      pinned &&= one.pinned;
    }
  } finally {
    progress.end();
  }
  const result = { intact: findings.length === 0, tenants, findings, pinned };
  printVerification(connection.url, result, { json: options.json === true }, io);
}

/** What was given to hold a server's logs against. */
interface Trusted {
  readonly remembered: ReturnType<typeof readCheckpoint> | undefined;
  readonly seal: ReturnType<typeof readSeal> | undefined;
  readonly policy: Policy | undefined;
  /** For the log it names; where there is one log only, for that. */
  readonly vkey: string | undefined;
  readonly only: boolean;
}

/** @throws CliError `usage` where something is of a log that the server hasn't */
async function trustOf(options: VerifyOptions, logs: readonly LogName[], io: Io): Promise<Trusted> {
  const remembered =
    options.checkpoint === undefined
      ? undefined
      : readCheckpoint(await readText(options.checkpoint, io), options.checkpoint);
  const seal = options.seal === undefined ? undefined : readSeal(await readText(options.seal, io), options.seal);
  for (const [given, file] of [[remembered, options.checkpoint] as const, [seal, options.seal] as const])
    if (given !== undefined && !logs.some(({ origin }) => origin === given.origin))
      throw new CliError('usage', `the server has no log ${given.origin}, which ${file} is of`);
  const policy = await policyOf(options, io);
  const vkey = options.vkey === undefined ? undefined : parseGivenKey(options.vkey);
  if (vkey !== undefined && logs.length > 1 && !logs.some(({ origin }) => vkey.startsWith(`${origin}+`)))
    throw new CliError(
      'usage',
      `the server has no log that --vkey is of: ${logs.map(({ origin }) => origin).join(', ')}`,
    );
  return { remembered, seal, policy, vkey, only: logs.length === 1 };
}

async function verifyServerLog(parts: {
  readonly client: Client;
  readonly connection: Connection;
  readonly log: LogName;
  readonly trust: Trusted;
  readonly onProgress: (done: number, total: number) => void;
  readonly io: Io;
}): Promise<{ tenant: VerifiedTenant; findings: Finding[]; notes: readonly string[]; pinned: boolean }> {
  const { client, connection, log, trust, onProgress, io } = parts;
  const { policy, vkey } = trust;
  const offered = firstKey(await client.getText(`/log/${log.tenant}/vkey`, io.signal));
  const named = policy?.logs.find(({ verifier }) => verifier.name === log.origin);
  const stated = named === undefined ? undefined : formatVerifierKey(named.verifier);
  const given = (trust.only || vkey?.startsWith(`${log.origin}+`) === true ? vkey : undefined) ?? stated;
  const key = await trustedKey({ given, offered, connection, tenant: log.tenant, io });
  const isAsked = policy !== undefined && (policy.logs.length === 0 || named !== undefined);
  const cosigned = isAsked
    ? await witnessedRemotely(client, log, { policy, vkey: key.vkey }, io.signal)
    : { findings: [] };
  const older = trust.remembered?.origin === log.origin ? trust.remembered : undefined;
  const seal = trust.seal?.origin === log.origin ? trust.seal.bytes : undefined;
  const isPinnedKey = key.how === 'given' || key.how === 'remembered';
  const { size, root, findings, notes } = await verifyRemoteLog({
    client,
    log,
    vkey: key.vkey,
    pinned: isPinnedKey,
    seal,
    remembered: older,
    cosigned: cosigned.stated,
    onProgress,
    signal: io.signal,
  });
  const { witnessed } = cosigned;
  return {
    tenant: { ...log, size, root, opened: 0, ...(witnessed === undefined ? {} : { witnessed }) },
    findings: [...cosigned.findings, ...findings],
    notes,
    pinned:
      isPinnedKey ||
      seal !== undefined ||
      older !== undefined ||
      (witnessed !== undefined && policy?.quorum.kind !== 'none'),
  };
}

async function policyOf({ policy }: VerifyOptions, io: Io): Promise<Policy | undefined> {
  return policy === undefined ? undefined : parseGivenPolicy(await readText(policy, io), policy);
}

function readCheckpoint(text: string, file: string): { origin: string; size: number; root: Uint8Array } {
  try {
    const { origin, size, root } = parseCheckpoint(text);
    return { origin, size: Number(size), root };
  } catch (error) {
    if (!(error instanceof RecordError)) throw error;
    throw new CliError('usage', `${file} is not a checkpoint: ${error.message}`, { cause: error });
  }
}

function readSeal(text: string, file: string): { readonly origin: string; readonly bytes: Uint8Array } {
  const bytes = Buffer.from(text);
  try {
    return { origin: parseSeal(bytes).origin, bytes };
  } catch (error) {
    if (!(error instanceof RecordError)) throw error;
    throw new CliError('usage', `${file} is not a seal: ${error.message}`, { cause: error });
  }
}

async function verifyProofFile(path: string, shown: string, options: VerifyOptions, io: Io): Promise<void> {
  const bytes = await readBytes(path, io);
  const text = new TextDecoder().decode(bytes);
  if (looksLikeBundle(text)) return verifyBundleFile(bytes, shown, options, io);
  if (!text.startsWith('c2sp.org/tlog-proof@')) {
    throw new CliError('usage', `${shown} is neither a data directory nor a tlog-proof or a bundle of evidence`, {
      remedy:
        'Name a data directory, the URL of a server, or a file that `watchglass prove --out FILE` or `watchglass bundle` wrote.',
    });
  }
  try {
    const vkey = options.vkey === undefined ? await keyBeside(text, io) : parseGivenKey(options.vkey);
    if (parseProof(text).extra === undefined && options.leaf === undefined) {
      throw new CliError('usage', 'the proof carries no opening, so it needs the leaf it is about', {
        remedy: 'Give --leaf HASH (base64; it stands in the receipt and in what `prove --json` prints).',
      });
    }
    const leafHash = options.leaf === undefined ? undefined : parseLeaf(options.leaf);
    const proven = checkProof(text, { vkey, ...(leafHash === undefined ? {} : { leafHash }) });
    const policy = await policyOf(options, io);
    if (policy !== undefined && !openWitnessed(parseProof(text).checkpoint, policy, [vkey]).quorum)
      throw new RecordError('note-unverified', 'its checkpoint lacks the cosignatures that the policy asks for');
    if (options.json === true) printJson(io, { intact: true, ...proven, sentence: sayProven(proven) });
    else printLine(io, `${paint(io, io.stdout, 'green', '✔ proven')}: ${sayProven(proven)}`);
  } catch (error) {
    if (!(error instanceof RecordError)) throw error;
    if (options.json === true)
      printJson(io, { intact: false, findings: [{ code: error.code, place: shown, message: error.message }] });
    throw new CliError('not-intact', `${shown} does not hold: ${error.message}`, { cause: error });
  }
}

async function verifyBundleFile(bytes: Uint8Array, shown: string, options: VerifyOptions, io: Io): Promise<void> {
  const given = options.vkey === undefined ? undefined : parseGivenKey(options.vkey);
  const checkpoint = options.checkpoint === undefined ? undefined : await readText(options.checkpoint, io);
  const policy = await policyOf(options, io);
  const progress = await openProgress(io, 'Verifying', 'bytes');
  try {
    progress.update(0, bytes.length);
    const report = await checkBundle(bytes, {
      vkey: given,
      keyOf: (origin) => keyHere(origin, io),
      ...(policy === undefined ? {} : { policy }),
      ...(checkpoint === undefined ? {} : { checkpoint }),
    });
    progress.end();
    printBundle(shown, report, { json: options.json === true }, io);
  } finally {
    progress.end();
  }
}

/** The key of a log of an installation in this folder. */
async function keyHere(origin: string, io: Io): Promise<string | undefined> {
  const ledger = join(io.cwd, defaultDataDir, 'ledger');
  for (const entry of await readdir(ledger).catch(() => [])) {
    const vkey = await readFile(join(ledger, entry, 'vkey'), 'utf8').catch(() => '');
    if (!vkey.startsWith(`${origin}+`)) continue;
    note(io, `Using the key of ${origin} from ${join(defaultDataDir, 'ledger', entry, 'vkey')}.`);
    return firstKey(vkey);
  }
  return undefined;
}

/** The key of an installation in this folder whose log the proof is of; a proof alone brings no key that could be believed. */
async function keyBeside(proof: string, io: Io): Promise<string> {
  const { origin } = parseCheckpoint(parseProof(proof).checkpoint);
  const known = await keyHere(origin, io);
  if (known !== undefined) return known;
  throw new CliError('usage', `a key is needed to check a proof of ${origin}`, {
    remedy: 'Give --vkey with the verifier key of the log, from whom you trust for it.',
  });
}

function parseLeaf(text: string): Uint8Array {
  const bytes = Buffer.from(text, 'base64');
  if (bytes.length !== 32) throw new CliError('usage', 'expected --leaf as 32 bytes in base64');
  return bytes;
}

async function readText(path: string, io: Io): Promise<string> {
  return new TextDecoder().decode(await readBytes(path, io));
}

async function readBytes(path: string, io: Io): Promise<Uint8Array> {
  try {
    return await readFile(resolve(io.cwd, path));
  } catch (error) {
    throw new CliError('file-unreadable', `${path} cannot be read (${systemCodeOf(error) ?? messageOf(error)})`, {
      cause: error,
    });
  }
}
