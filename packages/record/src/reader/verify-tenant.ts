/** Verifies one log of a snapshot: keys, checkpoint, blocks, tree, and that nothing else lies in its directory. */
import { crc32 } from 'node:zlib';
import { encodeHex, equalBytes } from '../bytes.ts';
import type { Checkpoint } from '../checkpoint.ts';
import { blockBytesMax, blockBytesMin } from '../codec/block.ts';
import type { GroupTenant } from '../codec/group.ts';
import type { ManifestTenant } from '../codec/manifest.ts';
import { type ArchiveName, commitmentsPerFile, parseArchiveName } from '../codec/names.ts';
import { originHashOf } from '../commitment.ts';
import { Committer } from '../committer.ts';
import { RecordError } from '../errors.ts';
import type { StoredRecord } from '../event.ts';
import { openNote } from '../note.ts';
import type { Verifier } from '../note-key.ts';
import { hashRotation } from '../rotation.ts';
import { uuidBytes } from '../uuid.ts';
import { type BlockChecker, checkBlock } from './block-check.ts';
import { frameHeaderBytes } from './block-index.ts';
import { CommitmentStore, storedCommitments } from './commitment-store.ts';
import { checkCosigned, type Witnessed } from './cosigned-check.ts';
import { checkNames, checkSeeds } from './directory-check.ts';
import type { Finding } from './findings.ts';
import { checkHolds, OwnClaims } from './hold-check.ts';
import { type ReadableFile, readRange } from './ledger-files.ts';
import { checkSuccessionSaid } from './own-event-check.ts';
import { SeedKeeper } from './seed-keeper.ts';
import { accountFor, checkShreds } from './shred-check.ts';
import { type PlacedGroup, readCheckpoints, sizeOf } from './snapshot.ts';
import { checkStatements } from './statements.ts';
import { type CheckedSuccession, checkSuccession, type Predecessor } from './succession-check.ts';
import type { TenantCheck } from './tenant-check.ts';
import { checkTimestamps, listTimestamps, type Timestamps } from './timestamp-check.ts';
import { beginTree, treeBesideLeavesMin } from './tree-beside.ts';
import type { StatedRoot, WantedRoot } from './tree-check.ts';

export interface VerifiedTenant {
  readonly tenant: string;
  readonly origin: string;
  readonly size: number;
  /** Hex. */
  readonly root: string;
  /** Records decrypted and compared with what the tree commits to. */
  readonly opened: number;
  /** Leaves whose records were shredded, with the evidence in the log: their commitments are left. */
  readonly shredded: number;
  /** How many of those a legal hold keeps readable. */
  readonly held: number;
  /** The newest checkpoint with cosignatures, where there is one. */
  readonly witnessed?: Witnessed;
  /** Checkpoints that an authority stamped with its time. */
  readonly timestamps?: Timestamps;
  readonly findings: readonly Finding[];
  /** Of a successor log: what it goes on from. */
  readonly predecessor?: Predecessor;
}

interface JournalPart {
  readonly part: GroupTenant;
  readonly placed: PlacedGroup;
}

export async function verifyTenant(
  asked: TenantCheck,
): Promise<{ readonly verified: VerifiedTenant; readonly succession: CheckedSuccession | undefined }> {
  const before = asked.findings.list.length;
  const check = { ...asked, log: await possibleLog(asked) };
  const { tenant, log, findings, files, ledgerDir } = check;
  const dir = `${ledgerDir}/${tenant}`;
  const parts = journalParts(check);
  const held = parts.reduce((size, { part }) => size + part.count, log.size);
  const {
    checkpoint,
    keys,
    epochs,
    rotations,
    stated: statedElsewhere,
  } = await checkStatements(check, held, check.snapshot.checkpoints.get(tenant));
  await checkSizes(check, parts, held, checkpoint);
  await checkRemembered(check, keys.all, held);
  const cosigned = keys.all.length === 0 ? undefined : checkCosigned(check, keys.all, held);
  await checkCommitmentFiles(check);
  await checkLonger(check, held);
  const succession = await checkSuccession(check, keys.all[0]);
  const tail = parts.map(({ part }) => ({ first: part.sizeBefore, commitments: part.commitments }));
  const commitments = new CommitmentStore(files, dir, log, tail);
  const seeds =
    check.keys === undefined
      ? undefined
      : new SeedKeeper(log.origin, check.keys, (name) => files.readFile(`${dir}/seeds/${name}`));
  const shreds = await checkShreds(check, commitments, held);
  const claims = new OwnClaims();
  const checker: BlockChecker = {
    tenant,
    originHash: originHashOf(log.origin),
    leafType: log.leaf ?? 1,
    findings,
    commitments,
    epochs,
    rotationHashes: rotations.map(({ bytes }) => hashRotation(bytes)),
    successionHash: succession?.hash,
    successionSeen: false,
    ends: new Map(),
    seen: new Uint8Array(Math.ceil(held / 8)),
    seeds,
    parseRecords: check.full,
    committer: new Committer(),
    isGoing: (unit) => shreds.of(unit)?.isDone === false,
    claims,
    opened: 0,
  };
  const stated: (StatedRoot | WantedRoot)[] = [
    ...statedElsewhere,
    ...parts.map(({ part, placed }) => ({
      size: part.sizeBefore + part.count,
      root: part.rootAfter,
      place: placed.place,
      who: `group ${placed.group.number}`,
    })),
  ];
  if (checkpoint !== undefined)
    stated.push({ ...checkpointRoot(checkpoint), place: `${tenant}/checkpoint`, who: 'the checkpoint' });
  if (check.remembered !== undefined)
    stated.push({
      ...checkpointRoot(check.remembered),
      place: `${tenant}/checkpoint`,
      who: 'the remembered checkpoint',
    });
  if (cosigned !== undefined) stated.push(cosigned.stated);
  const timestamps = await listTimestamps(check, held);
  stated.push(...timestamps.wanted);
  const opensBlocks = seeds !== undefined;
  const tree = beginTree(
    {
      files,
      dir,
      ledgerDir,
      tenant,
      leafType: log.leaf ?? 1,
      log,
      tail,
      findings,
      commitments,
      size: held,
      archivedSize: log.size,
      stated,
      signal: check.signal,
      progress: opensBlocks ? () => undefined : check.progress,
    },
    check.threads && opensBlocks && held >= treeBesideLeavesMin,
  );
  await checkBlockFiles(check, checker);
  for (const entry of parts) await checkJournalPart(check, checker, entry);
  if (seeds !== undefined) checkSuccessionSaid(checker, held);
  await accountFor(check, shreds, checker.seen);
  const holds = await checkHolds({ check, commitments, held, shreds });
  claims.compare(check, shreds, holds);
  tellMissing(check, checker.seen, held);
  const { tiles, root: derivedRoot } = await tree();
  const stamped = await checkTimestamps(check, timestamps);
  await checkSeeds(check, checker.isGoing);
  await checkNames(check, tiles);
  const size = checkpoint === undefined ? held : Number(checkpoint.size);
  const root = checkpoint === undefined ? derivedRoot : encodeHex(checkpoint.root);
  const verified = {
    tenant,
    origin: log.origin,
    size,
    root,
    opened: checker.opened,
    shredded: shreds.leaves,
    held: holds.kept,
    ...(cosigned === undefined ? {} : { witnessed: cosigned.witnessed }),
    ...(stamped === undefined ? {} : { timestamps: stamped }),
    findings: findings.list.slice(before),
  };
  return succession === undefined
    ? { verified, succession }
    : { verified: { ...verified, predecessor: succession.predecessor }, succession };
}

/** A manifest may claim any size: memory and time are spent only on what there are files for. */
async function possibleLog({ files, ledgerDir, tenant, log, findings }: TenantCheck): Promise<ManifestTenant> {
  let possible = 0;
  for (const name of log.files.keys()) {
    if (parseArchiveName(name)?.kind !== 'commitments') continue;
    if (((await files.size(`${ledgerDir}/${tenant}/${name}`)) ?? 0) > 0) possible += commitmentsPerFile;
  }
  if (log.size <= possible) return log;
  findings.add(
    'manifest-malformed',
    'manifest',
    `it counts ${log.size} archived leaves of ${tenant}; the commitment files it names that are there hold at most ${possible}`,
  );
  return { ...log, size: possible };
}

function checkpointRoot({ size, root }: Checkpoint): { size: number; root: Uint8Array } {
  return { size: Number(size), root };
}

/** The tenant's parts of the journal, as far as they follow each other. */
function journalParts({ snapshot, tenant, log, findings }: TenantCheck): JournalPart[] {
  const parts: JournalPart[] = [];
  let size = log.size;
  for (const placed of snapshot.groups) {
    for (const part of placed.group.tenants) {
      if (part.tenant !== tenant) continue;
      if (part.sizeBefore !== size) {
        findings.add(
          'journal-malformed',
          placed.place,
          `group ${placed.group.number} begins at ${part.sizeBefore} leaves of ${tenant}, ${size} come before it`,
        );
        return parts;
      }
      parts.push({ part, placed });
      size += part.count;
    }
  }
  return parts;
}

/** The checkpoint must cover all but the very last group: it is stored before the next one is written. */
async function checkSizes(
  check: TenantCheck,
  parts: readonly JournalPart[],
  held: number,
  checkpoint: Checkpoint | undefined,
): Promise<void> {
  if (checkpoint === undefined) return;
  const { tenant, log, findings, files, ledgerDir, snapshot } = check;
  const place = `${tenant}/checkpoint`;
  const size = Number(checkpoint.size);
  if (size > held) {
    findings.add(
      'checkpoint-ahead',
      place,
      `the checkpoint covers ${size} leaves, the files hold ${held}: the log was cut off or an older copy was restored`,
    );
    return;
  }
  if (size < log.size) {
    findings.add(
      'checkpoint-behind',
      place,
      `the checkpoint covers ${size} leaves, the archive holds ${log.size}: an older checkpoint was restored`,
    );
    return;
  }
  const last = snapshot.groups[snapshot.groups.length - 1]?.group.number;
  const mustCover = parts
    .filter(({ placed }) => placed.group.number !== last)
    .reduce((end, { part }) => Math.max(end, part.sizeBefore + part.count), log.size);
  if (size >= mustCover) return;
  // The journal was read after the checkpoint: a writer at work has stored a newer one meanwhile.
  const now = sizeOf((await readCheckpoints(files, ledgerDir, [`${tenant}/`])).get(tenant)) ?? 0;
  if (now < mustCover) {
    findings.add(
      'checkpoint-behind',
      place,
      `the checkpoint covers ${now} leaves, groups up to ${mustCover} were written before the last: an older checkpoint was restored, or a power failure took the newest; in that case start the server once`,
    );
  }
}

async function checkRemembered(
  { remembered, rememberedText, findings, tenant, log }: TenantCheck,
  keys: readonly Verifier[],
  held: number,
): Promise<void> {
  if (remembered === undefined) return;
  const place = `${tenant}/checkpoint`;
  try {
    if (keys.length > 0 && rememberedText?.includes('\n\n') === true) openNote(rememberedText, keys);
  } catch (error) {
    if (!(error instanceof RecordError)) throw error;
    findings.add(
      'key-mismatch',
      `${tenant}/vkey`,
      `the remembered checkpoint is not signed by a key of this log: ${error.message}`,
    );
  }
  if (Number(remembered.size) > held) {
    findings.add(
      'rollback',
      place,
      `the remembered checkpoint covers ${remembered.size} leaves of ${log.origin}, the files hold ${held}: an older copy was restored`,
    );
  }
}

async function checkCommitmentFiles({ files, ledgerDir, tenant, log, findings }: TenantCheck): Promise<void> {
  const count = Math.ceil(log.size / commitmentsPerFile);
  const counted = new Set<number>();
  for (const [name, bytes] of log.files) {
    const place = `${tenant}/${name}`;
    const got = await files.size(`${ledgerDir}/${place}`);
    if (got === undefined) findings.add('file-missing', place, `the manifest counts ${bytes} bytes of it`);
    else if (got < bytes) findings.add('file-short', place, `expected at least ${bytes} bytes, got ${got}`);
    const parsed = parseArchiveName(name);
    if (parsed?.kind !== 'commitments') continue;
    counted.add(parsed.number);
    const expected = Math.min(commitmentsPerFile, log.size - parsed.number * commitmentsPerFile) * 32;
    if (parsed.number >= count || bytes !== expected)
      findings.add(
        'manifest-malformed',
        'manifest',
        `it counts ${bytes} bytes of ${place} for ${log.size} archived leaves`,
      );
  }
  for (let number = 0; number < count; number++) {
    if (!counted.has(number))
      findings.add('manifest-malformed', 'manifest', `it does not name commitment file ${number} of ${tenant}`);
  }
}

/**
 * Archiving stores commitments of groups that are in the journal: a commitment behind all of them is one of a log that was longer, whose
 * manifest and checkpoint were put back together.
 */
async function checkLonger({ files, ledgerDir, tenant, findings }: TenantCheck, held: number): Promise<void> {
  const stored = await storedCommitments(files, `${ledgerDir}/${tenant}`);
  if (stored <= held) return;
  const now = sizeOf((await readCheckpoints(files, ledgerDir, [`${tenant}/`])).get(tenant)) ?? 0;
  if (stored <= now) return; // a writer at work has gone on meanwhile
  findings.add(
    'rollback',
    `${tenant}/commitments`,
    `there are commitments of ${stored} leaves, manifest and journal know of ${held}: older copies of the manifest and of other files were restored`,
  );
}

/** Block files in the order of their indexes within a class. */
function blockFilesOf(
  log: ManifestTenant,
): { name: string; counted: number; parsed: ArchiveName & { kind: 'blocks' } }[] {
  const found = [...log.files].flatMap(([name, counted]) => {
    const parsed = parseArchiveName(name);
    return parsed?.kind === 'blocks' ? [{ name, counted, parsed }] : [];
  });
  return found.sort((a, b) => a.parsed.epoch - b.parsed.epoch || a.parsed.number - b.parsed.number);
}

async function checkBlockFiles(check: TenantCheck, checker: BlockChecker): Promise<void> {
  const { files, ledgerDir, tenant, log, findings, signal } = check;
  for (const { name, counted, parsed } of blockFilesOf(log)) {
    const place = `${tenant}/${name}`;
    const bytes = Math.min(counted, (await files.size(`${ledgerDir}/${place}`)) ?? 0);
    if (bytes === 0) continue;
    check.signal?.throwIfAborted();
    const file = await files.open(`${ledgerDir}/${place}`, 'read');
    try {
      for (let at = 0, block = 0; at < bytes; block++) {
        signal?.throwIfAborted();
        const frame = await readFrame(file, at, bytes);
        if (frame === undefined) {
          findings.add(
            'block-damaged',
            place,
            `block ${block} at byte ${at} has a length that no block has, or runs past the end of the file: its length was changed or the file was cut`,
            { block },
          );
          break;
        }
        at += frameHeaderBytes + frame.block.length;
        if (crc32(frame.block) !== frame.crc) {
          findings.add('block-damaged', place, `the CRC of block ${block} is wrong: it was damaged`, { block });
          continue;
        }
        check.progress(
          await checkBlock(checker, frame.block, {
            place,
            block,
            from: 0,
            end: log.size,
            retentionClass: parsed.retentionClass,
            epoch: parsed.epoch,
          }),
        );
      }
    } finally {
      await file.close();
    }
  }
}

async function readFrame(
  file: ReadableFile,
  at: number,
  end: number,
): Promise<{ readonly crc: number; readonly block: Uint8Array } | undefined> {
  if (end - at < frameHeaderBytes) return undefined;
  const head = await readRange(file, at, frameHeaderBytes);
  if (head.length < frameHeaderBytes) return undefined;
  const view = new DataView(head.buffer, head.byteOffset, head.length);
  const length = view.getUint32(0);
  // A longer one is no block, and isn't given memory; nor is a shorter one, of which a file of zeros would have no end.
  if (length > end - at - frameHeaderBytes || length > blockBytesMax || length < blockBytesMin) return undefined;
  const block = await readRange(file, at + frameHeaderBytes, length);
  return block.length === length ? { crc: view.getUint32(4), block } : undefined;
}

/** A group says in the clear which ids and sequence numbers it holds: the records must say the same. */
async function checkJournalPart(
  check: TenantCheck,
  checker: BlockChecker,
  { part, placed }: JournalPart,
): Promise<void> {
  const { findings } = check;
  const { place, group } = placed;
  const tell = (index: number, message: string): void =>
    findings.add('record-mismatch', place, `group ${group.number}: ${message}`, { index });
  const seqs = seqsOf(part);
  if (seqs === undefined)
    findings.add(
      'journal-malformed',
      place,
      `the emitter runs of group ${group.number} do not name each of its events once`,
    );
  let newestMs = 0;
  const visit = (index: number, { received, event }: StoredRecord): void => {
    const at = index - part.sizeBefore;
    newestMs = Math.max(newestMs, Date.parse(received));
    if (!equalBytes(uuidBytes(event.id), part.ids.subarray(at * 16, at * 16 + 16)))
      tell(index, 'it states another event id than the record');
    const run = seqs?.[at];
    if (run !== undefined && (run.emitter !== event.emitter.id || run.seq !== event.emitter.seq))
      tell(index, 'it states another emitter or sequence number than the record');
  };
  for (const [block, bytes] of part.blocks.entries()) {
    check.signal?.throwIfAborted();
    const end = part.sizeBefore + part.count;
    check.progress(await checkBlock(checker, bytes, { place, block, from: part.sizeBefore, end }, visit));
  }
  if (newestMs > group.receivedMs) tell(part.sizeBefore, 'a record was received after the time the group states');
}

function seqsOf(part: GroupTenant): { emitter: string; seq: number }[] | undefined {
  const seqs: { emitter: string; seq: number }[] = [];
  for (const { emitter, firstSeq, firstIndex, count } of part.runs) {
    if (firstIndex !== part.sizeBefore + seqs.length || seqs.length + count > part.count) return undefined;
    for (let i = 0; i < count; i++) seqs.push({ emitter, seq: firstSeq + i });
  }
  return seqs.length === part.count ? seqs : undefined;
}

/** Runs of indexes that no block holds. */
function tellMissing({ findings, tenant }: TenantCheck, seen: Uint8Array, size: number): void {
  let from = -1;
  for (let index = 0; index <= size; index++) {
    if ((index & 7) === 0 && from < 0 && seen[index >>> 3] === 0xff && index + 8 <= size) {
      index += 7;
      continue;
    }
    const missing = index < size && ((seen[index >>> 3] as number) & (1 << (index & 7))) === 0;
    if (missing && from < 0) from = index;
    if (!missing && from >= 0) {
      findings.add(
        'index-missing',
        `${tenant}/blocks`,
        `no block holds ${index - from === 1 ? `index ${from}` : `the indexes ${from} to ${index - 1}`}`,
        { index: from },
      );
      from = -1;
    }
  }
}
