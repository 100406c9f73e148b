/**
 * Reading a ledger's files back at start. What fits together is given to the driver; what doesn't is a fault, told and
 * left as it is. Only two things are changed, and only when nothing is wrong: a torn last group is cut off, its bytes kept
 * in `quarantine/`, and left-overs of an interrupted archiving are removed.
 *
 * What is read may be in the system's memory only: the process before may have been killed before its sync returned, or its sync
 * may have failed. So what is found is made durable before anything is built on it, signed or answered.
 */
import { crc32 } from 'node:zlib';
import { parseCheckpoint, RecordError, type RetentionClass } from '@watchglass/record';
import {
  emptyManifest,
  encodeManifest,
  type Manifest,
  type ManifestTenant,
  parseArchiveName,
  parseManifest,
  parseSegmentName,
  segmentHeaderBytes,
  storedCommitments,
} from '@watchglass/record/reader';
import type { Disk } from '../world/disk.ts';
import { LedgerError } from './errors.ts';
import { isHarmless } from './fail-stop-disk.ts';
import { FilesLog } from './files-log.ts';
import type { Segment } from './journal.ts';
import { type JournalScan, scanJournal } from './journal-scan.ts';
import type { LedgerReport } from './ledger.ts';

export interface FilesPlace {
  readonly disk: Disk;
  /** `DIR/ledger`. */
  readonly dir: string;
  /** Beside it, on the same file system. */
  readonly workDir: string;
  readonly nowMs: number;
  readonly report: (line: LedgerReport) => void;
}

export interface RecoveredFiles {
  manifest: Manifest;
  readonly logs: Map<string, FilesLog>;
  /** Complete segments, oldest first. */
  segments: Segment[];
  nextGroup: number;
  fault: string | undefined;
}

export async function recoverFiles(place: FilesPlace): Promise<RecoveredFiles> {
  const found: RecoveredFiles = {
    manifest: emptyManifest,
    logs: new Map(),
    segments: [],
    nextGroup: 0,
    fault: undefined,
  };
  try {
    found.fault =
      (await readManifest(place, found)) ?? (await checkArchive(place, found)) ?? (await readJournal(place, found));
  } catch (error) {
    const fault = faultOf(error);
    if (fault === undefined) throw error;
    found.fault = fault;
  }
  if (found.fault === undefined) await removeLeftovers(place, found.manifest);
  return found;
}

/** What an error says is wrong with the files; undefined where it isn't the files, but something that may pass. */
export function faultOf(error: unknown): string | undefined {
  if (error instanceof LedgerError || error instanceof RecordError) return error.message;
  if (isHarmless(error) || !(error instanceof Error && 'code' in error && /^E[A-Z]+$/.test(String(error.code))))
    return undefined;
  return `the system refuses to read the files of the ledger (${error.message}); restore them, or mend the disk`;
}

async function readManifest({ disk, dir, workDir }: FilesPlace, found: RecoveredFiles): Promise<string | undefined> {
  const bytes = await disk.readFile(`${dir}/manifest`);
  if (bytes === undefined) {
    const names = (await disk.list(dir)).filter((name) => name !== 'lock' && name !== 'journal/');
    if (names.length > 0 || (await disk.list(`${dir}/journal`)).length > 0) {
      return 'the manifest is missing, but other files of a ledger are there; restore it from its backup';
    }
    await disk.replace(`${dir}/manifest`, encodeManifest(emptyManifest), { temporary: `${workDir}/tmp/manifest` });
    return undefined;
  }
  found.manifest = parseManifest(bytes);
  // Segments below its group are removed: a power failure must not bring the manifest before it back.
  await disk.syncDirectory(dir);
  for (const [tenant, { origin, size }] of found.manifest.tenants) {
    const log = { disk, dir: `${dir}/${tenant}`, tmpDir: `${workDir}/tmp`, origin, archivedSize: size };
    found.logs.set(tenant, await FilesLog.open(log));
  }
  return undefined;
}

async function checkArchive(
  { disk, dir }: FilesPlace,
  { manifest, logs }: RecoveredFiles,
): Promise<string | undefined> {
  for (const [tenant, { size, files }] of manifest.tenants) {
    let commitments = 0;
    for (const [name, bytes] of files) {
      const got = (await disk.size(`${dir}/${tenant}/${name}`)) ?? 0;
      if (got < bytes)
        return `expected ${tenant}/${name} with at least ${bytes} bytes, got ${got}; restore it from its backup`;
      if (parseArchiveName(name)?.kind === 'commitments') commitments += bytes;
    }
    if (commitments !== size * 32)
      return `the manifest names ${commitments / 32} commitments of ${tenant} for ${size} archived leaves`;
    for (const { name, retentionClass, bytes } of blockFilesOf({ files })) {
      await logs.get(tenant)?.blocks.addFile(retentionClass, `${dir}/${tenant}/${name}`, bytes);
    }
  }
  return undefined;
}

async function readJournal(place: FilesPlace, found: RecoveredFiles): Promise<string | undefined> {
  const { disk, dir, nowMs } = place;
  const sizes = new Map([...found.manifest.tenants].map(([tenant, { size }]) => [tenant, size]));
  const scan = await scanJournal(disk, `${dir}/journal`, found.manifest.group, nowMs, (group, segment) => {
    for (const [at, part] of group.tenants.entries()) {
      const size = sizes.get(part.tenant);
      if (size === undefined) return `the manifest doesn't name the log of ${part.tenant}`;
      if (size !== part.sizeBefore)
        return `expected ${part.tenant} to have ${size} leaves before it, got ${part.sizeBefore}`;
      sizes.set(part.tenant, size + part.count);
      found.logs.get(part.tenant)?.add(part, group.blockPositions[at] ?? [], segment.path);
    }
    return undefined;
  });
  found.nextGroup = scan.nextGroup;
  if (scan.fault !== undefined) return scan.fault;
  for (const [tenant, size] of sizes) {
    const stored = checkpointSize(await readCheckpoint(disk, dir, tenant));
    if (stored !== undefined && stored > size) {
      return `the checkpoint of ${tenant} covers ${stored} leaves, the files hold ${size}: files were cut off or an older copy was restored`;
    }
    // Archiving was at work on groups of the journal only. More than that is what is left of a longer log, and must not be removed.
    const archived = await storedCommitments(disk, `${dir}/${tenant}`);
    if (archived > size) {
      return `there are commitments of ${archived} leaves of ${tenant}, manifest and journal know of ${size}: older copies of them were restored; restore the newest of all files`;
    }
  }
  if (scan.torn !== undefined) await cut(place, scan.torn);
  if (scan.last !== undefined) await storeAgain(disk, scan.last);
  await disk.syncDirectory(`${dir}/journal`);
  found.segments = scan.segments.filter((segment) => segment.lastGroup >= segment.firstGroup);
  return undefined;
}

/**
 * Groups before the last are durable: the last was written after that. It is written once more and not only synced, since after a failed sync the
 * system holds its pages for stored (Linux marks them clean), and the next sync has nothing to do.
 */
async function storeAgain(disk: Disk, { path, from, to, crc }: NonNullable<JournalScan['last']>): Promise<void> {
  const file = await disk.open(path, 'append');
  try {
    const bytes = Buffer.allocUnsafe(to - from);
    const got = await file.read(bytes, from);
    // Over what is stored goes only what is whole: a disk that misreads just now would have us destroy it.
    if (got !== bytes.length || crc32(bytes) !== crc)
      throw new LedgerError('corrupt', `${path} reads otherwise than a moment before; check the disk`);
    for (let at = 0; at < bytes.length; ) {
      const count = await file.write(bytes.subarray(at), from + at);
      if (count === 0) throw new LedgerError('storage-full', `the disk takes no bytes for ${path}; free some`);
      at += count;
    }
    await file.datasync();
  } finally {
    await file.close();
  }
}

/**
 * The text of a stored checkpoint. Written without an fsync: after a power failure a file of no bytes, or one with zeros in place of some,
 * is one that was never written; and so is one that ends inside a line: on a full disk it is written over the old one, and the length is stored apart from the bytes.
 */
export async function readCheckpoint(disk: Disk, dir: string, tenant: string): Promise<string | undefined> {
  const bytes = await disk.readFile(`${dir}/${tenant}/checkpoint`);
  if (bytes === undefined || bytes.length === 0 || bytes.includes(0) || bytes.at(-1) !== 0x0a) return undefined;
  return Buffer.from(bytes).toString('utf8');
}

/** The size a checkpoint's text states, its signature not looked at; undefined when it states none. */
export function checkpointSize(text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  try {
    return Number(parseCheckpoint(text).size);
  } catch {
    return undefined;
  }
}

/** Keeps the bytes of a group that never became durable aside, then takes them off. */
async function cut(
  { disk, dir, workDir, nowMs, report }: FilesPlace,
  torn: NonNullable<JournalScan['torn']>,
): Promise<void> {
  const name = torn.path.slice(torn.path.lastIndexOf('/') + 1);
  await disk.makeDirectory(`${workDir}/quarantine`);
  await disk.replace(`${workDir}/quarantine/${name}-${torn.position}-${nowMs}.bin`, torn.bytes);
  if (torn.position <= segmentHeaderBytes) {
    await disk.remove(torn.path);
    await disk.syncDirectory(`${dir}/journal`);
  } else {
    await truncate(disk, torn.path, torn.position);
  }
  report({
    level: 'warn',
    message:
      'a group that was being written when the process ended was never acknowledged; it was cut off and its bytes kept in quarantine/',
    details: { segment: name, position: torn.position, bytes: torn.bytes.length },
  });
}

/** What an interrupted archiving left: nothing counts it, and nothing may hide in it. */
async function removeLeftovers({ disk, dir }: FilesPlace, manifest: Manifest): Promise<void> {
  for (const name of await disk.list(`${dir}/journal`)) {
    const first = parseSegmentName(name);
    if (first !== undefined && first < manifest.group) await disk.remove(`${dir}/journal/${name}`);
  }
  for (const [tenant, { files }] of manifest.tenants) {
    for (const folder of ['blocks', 'commitments']) {
      for (const entry of await disk.list(`${dir}/${tenant}/${folder}`)) {
        const name = `${folder}/${entry}`;
        if (parseArchiveName(name) === undefined) continue;
        const path = `${dir}/${tenant}/${name}`;
        const counted = files.get(name);
        if (counted === undefined) await disk.remove(path);
        else if (((await disk.size(path)) ?? 0) > counted) await truncate(disk, path, counted);
      }
    }
  }
}

async function truncate(disk: Disk, path: string, bytes: number): Promise<void> {
  const file = await disk.open(path, 'append');
  try {
    await file.truncate(bytes);
    await file.datasync();
  } finally {
    await file.close();
  }
}

/** Block files in the order of their indexes: by epoch and number within a class. */
export function blockFilesOf({
  files,
}: Pick<ManifestTenant, 'files'>): { name: string; retentionClass: RetentionClass; epoch: number; bytes: number }[] {
  const found = [...files].flatMap(([name, bytes]) => {
    const parsed = parseArchiveName(name);
    return parsed?.kind === 'blocks' ? [{ name, bytes, ...parsed }] : [];
  });
  return found.sort((a, b) => a.epoch - b.epoch || a.number - b.number);
}
