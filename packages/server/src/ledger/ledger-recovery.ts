/**
 * From recovered files to logs that can be written: keys, the tree over archive and journal, ids and emitters that are
 * remembered, and the head, which must extend what was signed. What doesn't fit is told, and nothing is signed then.
 */
import { dirname } from 'node:path';
import {
  type Frontier,
  type LeafType,
  openNote,
  parseCheckpoint,
  parseTenantId,
  type Signer,
  type TenantId,
} from '@watchglass/record';
import {
  HeldCopies,
  type Keyrings,
  type ParsedGroup,
  parseBlockHeader,
  RecordReader,
  SeedKeeper,
  ShreddedUnits,
} from '@watchglass/record/reader';
import type { Disk } from '../world/disk.ts';
import type { World } from '../world/world.ts';
import { finishKeys, type StoredRotation, verifiersOf } from './checkpoint-keys.ts';
import { openCosigned } from './cosigned.ts';
import { EmitterCoverage } from './emitter-coverage.ts';
import { LedgerError } from './errors.ts';
import { isHarmless } from './fail-stop-disk.ts';
import { faultOf } from './files-recovery.ts';
import type { IdWindow, RememberedEmitters } from './id-window.ts';
import type { KnownIds } from './known-ids.ts';
import type { CosignedHead, LedgerReport } from './ledger.ts';
import { LogSeals, type SealPlace } from './sealing.ts';
import type { StorageDriver, StoredLog, TileNode } from './storage.ts';
import { type Head, type RecordedStatements, TenantLog } from './tenant-log.ts';
import { TreeReader } from './tree-reader.ts';

export interface LedgerPlace {
  readonly world: World;
  /** `DIR/ledger`. */
  readonly dir: string;
  /** The disk that isn't written to after it failed. */
  readonly disk: Disk;
  readonly keysDir: string;
  /** Beside the ledger: up to which epoch each log says itself that it was sealed. */
  readonly sealingDir: string;
  readonly driver: StorageDriver;
  readonly keyrings: Keyrings;
  readonly ids: KnownIds;
  readonly window: IdWindow;
  readonly report: (line: LedgerReport) => void;
  /** The logs that are open, by tenant: filled here. */
  readonly logs: Map<string, TenantLog>;
  readonly trees: Map<string, TreeReader>;
}

export interface NewLog {
  readonly tenant: TenantId;
  readonly origin: string;
  readonly signers: readonly Signer[];
  readonly lastRotation: StoredRotation | undefined;
  readonly coverage: EmitterCoverage;
  readonly frontier: Frontier;
  readonly head: Head;
  readonly leafType: LeafType;
}

/** @throws LedgerError `corrupt` where `succeed` (succeed.ts) was cut off: half of the keys may have moved */
export async function assertNotSucceeding(disk: Disk, ledgerDir: string): Promise<void> {
  if ((await disk.size(`${dirname(ledgerDir)}/succession.json`)) === undefined) return;
  throw new LedgerError(
    'corrupt',
    'a successor ledger was begun here and not finished; run watchglass ledger succeed again, which finishes it',
  );
}

/** Opens every log the driver holds. @returns why the ledger must be read-only, if it must */
export async function recoverLogs(place: LedgerPlace): Promise<string | undefined> {
  const fault = await recover(place);
  if (fault !== undefined) await keepSigned(place);
  return fault;
}

/** Where nothing may be signed any more, what was signed stays what is shown. A log whose checkpoint doesn't hold shows none. */
async function keepSigned(place: LedgerPlace): Promise<void> {
  for (const log of place.logs.values()) {
    // What can't be read is a fault that was told already.
    const text = await place.driver.checkpoint(log.tenant).catch(() => undefined);
    if (
      text === undefined ||
      log.head.checkpoint !== '' ||
      (await compareCheckpoint(place, log, text).catch(String)) !== undefined
    )
      continue;
    const { size, root } = parseCheckpoint(text);
    log.head = { size: Number(size), root, checkpoint: text };
  }
}

async function recover(place: LedgerPlace): Promise<string | undefined> {
  const { driver, window, logs } = place;
  const remembered = await window.emitters();
  let fault: string | undefined;
  for (const [tenant, stored] of driver.tenants()) {
    try {
      await openLog(place, parseTenantId(tenant), stored, remembered);
    } catch (error) {
      const wrong = faultOf(error);
      if (wrong === undefined) throw error;
      fault = wrong;
    }
  }
  fault = driver.fault ?? fault;
  if (fault !== undefined) return fault;
  await recallIds(place);
  fault = await replay(place, remembered?.group ?? -1);
  if (fault !== undefined) return fault;
  for (const log of logs.values()) {
    try {
      fault = await checkHead(place, log);
    } catch (error) {
      fault = faultOf(error);
      if (fault === undefined) throw error;
    }
    if (fault !== undefined) return fault;
  }
  return undefined;
}

async function openLog(
  place: LedgerPlace,
  tenant: TenantId,
  { origin, leafType = 1, archivedSize: size }: StoredLog,
  remembered: RememberedEmitters | undefined,
): Promise<void> {
  const { driver } = place;
  const { signers, last } = await finishKeys(sealPlaceOf(place), { tenant, origin });
  const snapshot = remembered?.tenants.get(tenant);
  const coverage = new EmitterCoverage(snapshot === undefined && size > 0, snapshot);
  const { frontier, nodes } = await new TreeReader(driver, tenant, leafType).frontier(size);
  driver.addTileNodes(tenant, nodes);
  const head: Head = { size, root: frontier.root(), checkpoint: '' };
  await addLog(place, { tenant, origin, signers, lastRotation: last, coverage, frontier, head, leafType });
}

/** Makes a log known to readers and writers. */
export async function addLog(place: LedgerPlace, log: NewLog): Promise<void> {
  const { world, dir, driver, keyrings, logs, trees } = place;
  const { tenant, origin } = log;
  const seals = await LogSeals.open(sealPlaceOf(place), log);
  const newest = driver.newestEpoch(tenant);
  if (newest > seals.epoch) throw unsealed(tenant, newest, seals.epoch);
  const recorded = await readRecorded(place, tenant);
  const seeds = new SeedKeeper(origin, keyrings.of(tenant), (name) => driver.seed(tenant, name));
  const units = await ShreddedUnits.read(driver.files, `${dir}/${tenant}`);
  const held = new HeldCopies(driver.files, `${dir}/${tenant}`, origin, keyrings.of(tenant));
  await held.load();
  const remains = { units, held };
  const records = new RecordReader(driver.files, driver.blocks(tenant), seeds, remains);
  trees.set(tenant, new TreeReader(driver, tenant, log.leafType));
  const lastEventMs = world.clock.monotonicMs();
  logs.set(tenant, new TenantLog({ ...log, seals, recorded, number: logs.size, records, remains, lastEventMs }));
}

export function sealPlaceOf({ world, disk, keysDir, driver }: LedgerPlace): SealPlace {
  return { disk, random: world.random, keysDir, driver };
}

function unsealed(tenant: string, newest: number, open: number): LedgerError {
  return new LedgerError(
    'corrupt',
    `${tenant} has events of epoch ${newest}, and epoch ${open} before it has no seal: older seals were restored; restore the newest`,
  );
}

async function readRecorded({ disk, sealingDir }: LedgerPlace, tenant: string): Promise<RecordedStatements> {
  const bytes = await disk.readFile(`${sealingDir}/${tenant}`);
  const match = /^epoch (\d{1,10})\nrotation (\d{1,10})\n$/.exec(Buffer.from(bytes ?? []).toString('utf8'));
  return match === null ? { epoch: undefined, rotation: 0 } : { epoch: Number(match[1]), rotation: Number(match[2]) };
}

async function recallIds({ world, driver, window, logs, ids, report }: LedgerPlace): Promise<void> {
  const fault = await window.recall(world.clock.now(), driver.nextGroup, (known) => {
    const log = logs.get(known.tenant);
    // What lies past the archive comes from the journal.
    if (log !== undefined) knowIds(ids, log, known.ids, known.firstIndex, log.frontier.size);
    ids.tick(known.receivedMs);
  });
  if (fault !== undefined) report({ level: 'warn', message: fault });
}

function knowIds(ids: KnownIds, log: TenantLog, bytes: Uint8Array, firstIndex: number, end: number): void {
  const count = Math.min(bytes.length / 16, end - firstIndex);
  for (let i = 0; i < count; i++) {
    if (ids.find(log.number, bytes, i * 16) < 0) ids.add(log.number, bytes, i * 16, firstIndex + i);
  }
}

/** Builds the tree over the journal and compares every group's root. */
async function replay({ world, driver, logs, ids }: LedgerPlace, emittersKnownTo: number): Promise<string | undefined> {
  const nowMs = world.clock.now();
  let fault: string | undefined;
  await driver.replay((group: ParsedGroup) => {
    for (const part of group.tenants) {
      const log = logs.get(part.tenant);
      if (log === undefined || fault !== undefined) return;
      const nodes: TileNode[] = [];
      log.frontier.appendCommitments(part.commitments, (level, n, hash) => nodes.push({ level, n, hash }));
      driver.addTileNodes(part.tenant, nodes);
      const root = log.frontier.root();
      if (Buffer.compare(root, part.rootAfter) !== 0) {
        fault = `the root that group ${group.number} states for ${part.tenant} is not the root of its leaves; run watchglass verify`;
        return;
      }
      log.head = { size: log.frontier.size, root, checkpoint: '' };
      knowIds(ids, log, part.ids, part.sizeBefore, log.frontier.size);
      for (const block of part.blocks) {
        const { epoch } = parseBlockHeader(block);
        if (epoch > log.epoch) fault = unsealed(part.tenant, epoch, log.epoch).message;
      }
      if (group.number <= emittersKnownTo) continue;
      for (const run of part.runs) log.coverage.arrived(run.emitter, run.firstSeq, run.count, nowMs);
    }
  });
  return fault;
}

/** The stored checkpoint must be one of ours, of this tree or of one that it extends; then the head is signed. */
async function checkHead(place: LedgerPlace, log: TenantLog): Promise<string | undefined> {
  const { driver, report, trees } = place;
  const { size, root } = log.head;
  const { last } = log.seals;
  if (last.size <= size) {
    const sealed = last.size === size ? root : await (trees.get(log.tenant) as TreeReader).root(last.size);
    if (Buffer.compare(sealed, last.root) !== 0)
      return `the seal of epoch ${last.epoch} of ${log.tenant} states another root for ${last.size} leaves than the files do; run watchglass verify`;
  }
  const text = await driver.checkpoint(log.tenant);
  if (text === undefined) {
    report({
      level: 'warn',
      message: `the checkpoint of ${log.tenant} was lost in a power failure; it was signed again from the log`,
    });
  } else {
    const fault = await compareCheckpoint(place, log, text);
    if (fault !== undefined) return fault;
  }
  const rolledBack = await recallCosigned(place, log);
  if (rolledBack !== undefined) return rolledBack;
  // Before anything is signed or sealed: what an earlier process had begun to seal is sealed as it was.
  await log.seals.finish(log.head).catch((error: unknown) => {
    // Where there is no room it is tried again before the next append.
    if (!isHarmless(error)) throw error;
    report({ level: 'warn', message: `an epoch of ${log.tenant} could not be sealed yet: ${String(error)}` });
  });
  const head = log.sign(size, root);
  if (head.checkpoint !== text) await driver.putCheckpoint(log.tenant, head.checkpoint);
  log.publish(head);
  return undefined;
}

/** What witnesses cosigned must be of this tree, too: a checkpoint of theirs that the files don't reach is a rollback. */
async function recallCosigned({ driver, trees }: LedgerPlace, log: TenantLog): Promise<string | undefined> {
  const { tenant } = log;
  const { size, root } = log.head;
  const text = await driver.cosigned(tenant);
  if (text === undefined) return undefined;
  let cosigned: CosignedHead & { readonly root: Uint8Array };
  try {
    cosigned = openCosigned(text, log);
  } catch (error) {
    const why = error instanceof Error ? error.message : 'unreadable';
    return `ledger/${tenant}/cosigned is not a cosigned checkpoint of this log (${why}); restore it from its backup, or remove it and let the witnesses tell`;
  }
  if (cosigned.size > size)
    return `witnesses cosigned ${cosigned.size} leaves of ${tenant}, the files hold ${size}: an older copy was restored, or files were cut off; restore the newest copy (docs/witnesses.md, "Behind a witness")`;
  const expected = cosigned.size === size ? root : await (trees.get(tenant) as TreeReader).root(cosigned.size);
  if (Buffer.compare(expected, cosigned.root) !== 0)
    return `witnesses cosigned another root for ${cosigned.size} leaves of ${tenant} than the files have; run watchglass verify`;
  log.cosigned = cosigned;
  return undefined;
}

async function compareCheckpoint(
  { driver, trees }: LedgerPlace,
  log: TenantLog,
  text: string,
): Promise<string | undefined> {
  const { tenant, origin } = log;
  const { size, root } = log.head;
  let stored: { readonly size: bigint; readonly root: Uint8Array; readonly origin: string };
  try {
    stored = parseCheckpoint(openNote(text, verifiersOf(log.signers, log.lastRotation)).text);
  } catch (error) {
    const why = error instanceof Error ? error.message : 'unreadable';
    return `ledger/${tenant}/checkpoint is not signed by this log's key (${why}); restore it from its backup`;
  }
  if (stored.origin !== origin) return `ledger/${tenant}/checkpoint is of the log ${stored.origin}`;
  const storedSize = Number(stored.size);
  if (storedSize > size) {
    return `the checkpoint of ${tenant} covers ${storedSize} leaves, the files hold ${size}: an older copy was restored, or files were cut off`;
  }
  if (storedSize < (driver.tenants().get(tenant)?.archivedSize ?? 0)) {
    return `the checkpoint of ${tenant} covers ${storedSize} leaves, fewer than the archive: an older copy of it was restored`;
  }
  const expected = storedSize === size ? root : await (trees.get(tenant) as TreeReader).root(storedSize);
  if (Buffer.compare(expected, stored.root) !== 0) {
    return `the checkpoint of ${tenant} states another root for ${storedSize} leaves than the files do; run watchglass verify`;
  }
  return undefined;
}
