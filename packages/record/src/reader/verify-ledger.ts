/**
 * Verification of a whole ledger directory, offline or beside a running server: everything is derived again, as docs/format.md has
 * it under "What a verifier does". It trusts the verifier key or the checkpoint it is given; without either it proves self-consistency only.
 */
import { tryDecodeUtf8 } from '../bytes.ts';
import { type Checkpoint, parseCheckpoint } from '../checkpoint.ts';
import type { KekFinder, Keyrings } from '../codec/kek.ts';
import { parseSegmentName } from '../codec/names.ts';
import { RecordError } from '../errors.ts';
import { formatVerifierKey, parseVerifierKey } from '../note-key.ts';
import { type Policy, parsePolicy } from '../policy.ts';
import { parseSeal, type Seal } from '../seal.ts';
import { type Finding, Findings } from './findings.ts';
import { guardedFiles } from './guarded-files.ts';
import { type LedgerFiles, nodeFiles } from './ledger-files.ts';
import { localKeys } from './local-keys.ts';
import { type Snapshot, sizeOf, takeSnapshot } from './snapshot.ts';
import { type CheckedSuccession, isVouchedFor } from './succession-check.ts';
import type { OpenTimestamp } from './tenant-check.ts';
import { type VerifiedTenant, verifyTenant } from './verify-tenant.ts';

export interface VerifyOptions {
  /** `DIR/ledger`. */
  readonly ledgerDir: string;
  /** `DIR/keys`; without local keys in it (and without `keyrings`) commitments, tree and signatures are verified, and contents aren't opened. */
  readonly keysDir?: string;
  /** Where keys are kept elsewhere: instead of the local ones. */
  readonly keyrings?: Keyrings<KekFinder>;
  /** Only this one. */
  readonly tenant?: string;
  /** The verifier key to trust, of the log it names. */
  readonly vkey?: string;
  /** Text of a checkpoint seen before: the log must extend it. */
  readonly checkpoint?: string;
  /** Bytes of a seal kept from earlier: the log must have it, and so everything before it. */
  readonly seal?: Uint8Array;
  /** Now, ms since 1970; the machine's clock unless said. Only to say how old the newest seal is. */
  readonly nowMs?: number;
  /** Text of a trust policy (c2sp.org/tlog-policy): each of its logs, or every log where it names none, must have a checkpoint that its quorum cosigned. */
  readonly policy?: string;
  /** Also parses every record and holds it against its block; contents are opened either way. */
  readonly full?: boolean;
  /** Verifies timestamps (RFC 3161), which needs more than this package has; without it their place and size are checked only, and a note says so. */
  readonly openTimestamp?: OpenTimestamp;
  readonly onProgress?: (progress: { readonly done: number; readonly total: number }) => void;
  readonly signal?: AbortSignal;
  readonly files?: LedgerFiles;
}

export interface VerifyReport {
  /** No findings. */
  readonly intact: boolean;
  readonly tenants: readonly VerifiedTenant[];
  /** At most 1,000. */
  readonly findings: readonly Finding[];
  readonly findingCount: number;
  /** A key, checkpoint, seal or policy from elsewhere was given: otherwise this proves self-consistency only. */
  readonly pinned: boolean;
  /** Whether records were opened: false without the key-encryption key. */
  readonly opened: boolean;
  /** Left-overs of an interrupted archiving or of a group that never became durable; they count for nothing. */
  readonly notes: readonly string[];
}

/**
 * @throws {RecordError} `ledger-unreadable` when there is no ledger, `argument-invalid` for a malformed key or checkpoint; `kek-refused`,
 * `kek-throttled`, `kek-unreachable`, `kek-malformed`, `unwrap-forbidden` when the keeper of a key doesn't let us look, which says nothing of the ledger
 * @example
 * const report = await verifyLedger({ ledgerDir: 'data/ledger', keysDir: 'data/keys', vkey });
 * if (!report.intact) for (const { place, message } of report.findings) console.log(place, message);
 */
export async function verifyLedger(options: VerifyOptions): Promise<VerifyReport> {
  const { ledgerDir } = options;
  const findings = new Findings();
  const files = guardedFiles(options.files ?? nodeFiles, ledgerDir, findings);
  const notes: string[] = [];
  const remembered = options.checkpoint === undefined ? undefined : parseRemembered(options.checkpoint);
  const pinnedName = options.vkey === undefined ? undefined : parseVerifierKey(options.vkey).name;
  const rememberedSeal = options.seal === undefined ? undefined : parseRememberedSeal(options.seal);
  const policy = options.policy === undefined ? undefined : parseGivenPolicy(options.policy);
  const given = [options.vkey, remembered, rememberedSeal];
  const pinned = given.some((one) => one !== undefined) || (policy?.quorum.kind ?? 'none') !== 'none';
  const keyrings = options.keyrings ?? (await readKeys(options.files ?? nodeFiles, options.keysDir));
  const snapshot = await snapshotOf(files, ledgerDir, findings);
  const tenants: VerifiedTenant[] = [];
  const successions: CheckedSuccession[] = [];
  const report = (): VerifyReport => ({
    intact: findings.count === 0,
    tenants,
    findings: findings.list,
    findingCount: findings.count,
    pinned,
    opened: keyrings !== undefined,
    notes,
  });
  if (snapshot === undefined) return report();
  await checkTop(files, ledgerDir, snapshot, findings, notes);
  const wanted = [...snapshot.manifest.tenants].filter(
    ([tenant]) => options.tenant === undefined || tenant === options.tenant,
  );
  if (options.tenant !== undefined && wanted.length === 0)
    findings.add('log-missing', 'manifest', `there is no log of ${options.tenant}`);
  const policyLogs = new Map(policy?.logs.map(({ verifier }) => [verifier.name, formatVerifierKey(verifier)]));
  const progress = progressOf(
    snapshot,
    wanted.map(([tenant]) => tenant),
    options.onProgress,
  );
  for (const [tenant, log] of wanted) {
    const { verified, succession } = await verifyTenant({
      files,
      ledgerDir,
      snapshot,
      tenant,
      log,
      keys: keyrings?.of(tenant),
      pinnedKey: pinnedName === log.origin ? options.vkey : policyLogs.get(log.origin),
      policy: policyLogs.size === 0 || policyLogs.has(log.origin) ? policy : undefined,
      openTimestamp: options.openTimestamp,
      remembered: remembered?.origin === log.origin ? remembered : undefined,
      rememberedText: options.checkpoint,
      rememberedSeal: rememberedSeal?.origin === log.origin ? options.seal : undefined,
      nowMs: options.nowMs ?? Date.now(),
      full: options.full === true,
      threads: options.files === undefined,
      findings,
      notes,
      signal: options.signal,
      progress,
    });
    tenants.push(verified);
    if (succession !== undefined) successions.push(succession);
  }
  const named = new Set([pinnedName, remembered?.origin, rememberedSeal?.origin, ...policyLogs.keys()]);
  for (const [, { origin }] of wanted) named.delete(origin);
  named.delete(undefined);
  for (const origin of named as Set<string>)
    checkNamed(origin, { findings, successions, vkey: origin === pinnedName ? options.vkey : undefined });
  return report();
}

/** A log that a key, checkpoint, seal or policy is of, and that isn't here: at most another one goes on from it, which its pinned key must have signed. */
function checkNamed(
  origin: string,
  {
    findings,
    successions,
    vkey,
  }: { findings: Findings; successions: readonly CheckedSuccession[]; vkey: string | undefined },
): void {
  const succession = successions.find(({ predecessor }) => predecessor.origin === origin);
  if (succession === undefined)
    findings.add(
      'log-missing',
      'manifest',
      `there is no log ${origin}, which the key, checkpoint, seal or policy given is of`,
    );
  else if (vkey !== undefined && !isVouchedFor(succession, vkey))
    findings.add(
      'succession-invalid',
      succession.place,
      `the pinned key of ${origin} did not sign that ${succession.succession.origin} goes on from it: ask the operator by another way than this log, and pin the successor's key`,
    );
}

async function snapshotOf(files: LedgerFiles, dir: string, findings: Findings): Promise<Snapshot | undefined> {
  try {
    return await takeSnapshot(files, dir);
  } catch (error) {
    if (!(error instanceof RecordError)) throw error;
    if (error.code === 'manifest-malformed') findings.add('manifest-malformed', 'manifest', error.message);
    else if (findings.count > 0) return undefined;
    else if ((await files.size(`${dir}/lock`)) !== undefined || (await files.list(`${dir}/journal`)).length > 0)
      findings.add('file-missing', 'manifest', error.message);
    else throw error;
    return undefined;
  }
}

/** The directory itself and the journal: nothing that no ledger has, and no group out of order. */
async function checkTop(
  files: LedgerFiles,
  dir: string,
  snapshot: Snapshot,
  findings: Findings,
  notes: string[],
): Promise<void> {
  const known = new Set([
    'journal/',
    'lock',
    'manifest',
    ...[...snapshot.manifest.tenants.keys()].map((tenant) => `${tenant}/`),
  ]);
  for (const name of await files.list(dir))
    if (known.has(name)) continue;
    else if (name.endsWith('/') && (await isUnfinished(files, dir, name)))
      notes.push(`${name} is of a log that was being added when the process ended; it holds no event`);
    else findings.add('file-unknown', name, 'no ledger has such a file, and the manifest names no such log');
  const lockBytes = await files.size(`${dir}/lock`);
  if (lockBytes === undefined) findings.add('file-missing', 'lock', 'the lock file is missing');
  else if (lockBytes > 0) findings.add('lock-not-empty', 'lock', `expected no bytes, got ${lockBytes}`);
  for (const name of await files.list(`${dir}/journal`)) {
    if (parseSegmentName(name) === undefined)
      findings.add('file-unknown', `journal/${name}`, 'it is not a journal segment');
  }
  if (snapshot.fault !== undefined) findings.add(snapshot.fault.code, snapshot.fault.place, snapshot.fault.message);
  for (const { group, place } of snapshot.groups) {
    for (const { tenant } of group.tenants) {
      if (!snapshot.manifest.tenants.has(tenant))
        findings.add(
          'journal-malformed',
          place,
          `group ${group.number} holds events of ${tenant}, which the manifest does not name`,
        );
    }
  }
  if (snapshot.leftovers.length > 0)
    notes.push(`${snapshot.leftovers.length} journal segments are archived and wait to be removed`);
  if (snapshot.tornBytes > 0)
    notes.push(
      `the journal ends in ${snapshot.tornBytes} bytes of a group that is being written or never became durable`,
    );
}

/** A log is named in the manifest last: until then its directory holds at most a key and the checkpoint of the empty tree. */
async function isUnfinished(files: LedgerFiles, dir: string, name: string): Promise<boolean> {
  for (const entry of await files.list(`${dir}/${name}`)) {
    if (entry === 'seals/') {
      const [seal, more] = await files.list(`${dir}/${name}seals`);
      if (more !== undefined || (seal !== undefined && !(await isFirstSeal(files, `${dir}/${name}seals/${seal}`))))
        return false;
    } else if (/^(blocks|commitments|seeds|tile)\/$/.test(entry)) {
      if ((await files.list(`${dir}/${name}${entry}`)).length > 0) return false;
    } else if (entry === 'checkpoint') {
      const bytes = await files.readFile(`${dir}/${name}checkpoint`);
      if (sizeOf(bytes === undefined ? undefined : tryDecodeUtf8(bytes)) !== 0) return false;
    } else if (
      (entry !== 'predecessor' && entry !== 'vkey') ||
      (entry === 'vkey' && !isKey(await files.readFile(`${dir}/${name}vkey`)))
    )
      return false;
  }
  return true;
}

async function isFirstSeal(files: LedgerFiles, path: string): Promise<boolean> {
  try {
    return parseSeal((await files.readFile(path)) ?? new Uint8Array(0)).size === 0;
  } catch {
    return false;
  }
}

function isKey(bytes: Uint8Array | undefined): boolean {
  try {
    return parseVerifierKey((tryDecodeUtf8(bytes ?? new Uint8Array(0)) ?? '').trimEnd()).name.length > 0;
  } catch {
    return false;
  }
}

function parseRemembered(text: string): Checkpoint {
  try {
    return parseCheckpoint(text);
  } catch (cause) {
    throw new RecordError('argument-invalid', `the remembered checkpoint cannot be read: ${messageOf(cause)}`, {
      cause,
    });
  }
}

function parseRememberedSeal(bytes: Uint8Array): Seal {
  try {
    return parseSeal(bytes);
  } catch (cause) {
    throw new RecordError('argument-invalid', `the remembered seal cannot be read: ${messageOf(cause)}`, { cause });
  }
}

function parseGivenPolicy(text: string): Policy {
  try {
    return parsePolicy(text);
  } catch (cause) {
    throw new RecordError('argument-invalid', `the policy cannot be read: ${messageOf(cause)}`, { cause });
  }
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : 'malformed';
}

async function readKeys(files: LedgerFiles, keysDir: string | undefined): Promise<Keyrings<KekFinder> | undefined> {
  return keysDir === undefined ? undefined : localKeys(files, keysDir);
}

function progressOf(
  snapshot: Snapshot,
  tenants: readonly string[],
  told: VerifyOptions['onProgress'],
): (events: number) => void {
  let total = 0;
  for (const tenant of tenants) total += snapshot.manifest.tenants.get(tenant)?.size ?? 0;
  for (const { group } of snapshot.groups)
    for (const part of group.tenants) if (tenants.includes(part.tenant)) total += part.count;
  let done = 0;
  return (events) => {
    done += events;
    told?.({ done: Math.min(done, total), total });
  };
}
