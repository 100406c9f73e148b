/**
 * From recovered files to logs that can be written: keys, the tree over archive and journal, ids and emitters that are
 * remembered, and the head, which must extend what was signed. What doesn't fit is told, and nothing is signed then.
 */
import {
  type Frontier,
  formatVerifierKey,
  openNote,
  parseCheckpoint,
  parseTenantId,
  type Signer,
  type TenantId,
} from '@watchglass/record';
import { type Kek, type ParsedGroup, parseBlockHeader, RecordReader, SeedKeeper } from '@watchglass/record/reader';
import type { World } from '../world/world.ts';
import { openCosigned } from './cosigned.ts';
import { EmitterCoverage } from './emitter-coverage.ts';
import { LedgerError } from './errors.ts';
import { faultOf } from './files-recovery.ts';
import type { IdWindow, RememberedEmitters } from './id-window.ts';
import { openCheckpointKey } from './key-files.ts';
import type { KnownIds } from './known-ids.ts';
import type { CosignedHead, LedgerReport } from './ledger.ts';
import type { StorageDriver, TileNode } from './storage.ts';
import { type Head, TenantLog } from './tenant-log.ts';
import { TreeReader } from './tree-reader.ts';

export interface LedgerPlace {
  readonly world: World;
  readonly keysDir: string;
  readonly driver: StorageDriver;
  readonly kek: Kek;
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
  readonly signer: Signer;
  readonly vkey: string;
  readonly coverage: EmitterCoverage;
  readonly frontier: Frontier;
  readonly head: Head;
  readonly epoch: number;
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
  for (const [tenant, { origin, archivedSize }] of driver.tenants()) {
    try {
      await openLog(place, parseTenantId(tenant), origin, archivedSize, remembered);
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
    fault = await checkHead(place, log);
    if (fault !== undefined) return fault;
  }
  return undefined;
}

async function openLog(
  place: LedgerPlace,
  tenant: TenantId,
  origin: string,
  size: number,
  remembered: RememberedEmitters | undefined,
): Promise<void> {
  const { world, keysDir, driver } = place;
  const signer = await openCheckpointKey(world, keysDir, tenant, origin, false);
  const vkey = formatVerifierKey(signer);
  if ((await driver.vkey(tenant)) !== vkey) {
    throw new LedgerError(
      'corrupt',
      `ledger/${tenant}/vkey is not the verifier key of keys/${tenant}.checkpoint-key; restore both from their backup`,
    );
  }
  const snapshot = remembered?.tenants.get(tenant);
  const coverage = new EmitterCoverage(snapshot === undefined && size > 0, snapshot);
  const { frontier, nodes } = await new TreeReader(driver, tenant).frontier(size);
  driver.addTileNodes(tenant, nodes);
  const head: Head = { size, root: frontier.root(), checkpoint: '' };
  addLog(place, { tenant, origin, signer, vkey, coverage, frontier, head, epoch: driver.newestEpoch(tenant) });
}

/** Makes a log known to readers and writers. */
export function addLog({ world, driver, kek, logs, trees }: LedgerPlace, log: NewLog): void {
  const { tenant, origin } = log;
  const seeds = new SeedKeeper(origin, kek, (name) => driver.seed(tenant, name));
  const records = new RecordReader(driver.files, driver.blocks(tenant), seeds);
  trees.set(tenant, new TreeReader(driver, tenant));
  logs.set(tenant, new TenantLog({ ...log, number: logs.size, records, lastEventMs: world.clock.monotonicMs() }));
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
      for (const block of part.blocks) log.epoch = Math.max(log.epoch, parseBlockHeader(block).epoch);
      if (group.number <= emittersKnownTo) continue;
      for (const run of part.runs) log.coverage.arrived(run.emitter, run.firstSeq, run.count, nowMs);
    }
  });
  return fault;
}

/** The stored checkpoint must be one of ours, of this tree or of one that it extends; then the head is signed. */
async function checkHead(place: LedgerPlace, log: TenantLog): Promise<string | undefined> {
  const { driver, report } = place;
  const { size, root } = log.head;
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
  const { tenant, origin, vkey } = log;
  const { size, root } = log.head;
  let stored: { readonly size: bigint; readonly root: Uint8Array; readonly origin: string };
  try {
    stored = parseCheckpoint(openNote(text, [vkey]).text);
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
