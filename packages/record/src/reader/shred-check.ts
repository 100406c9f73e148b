/**
 * Checks what shreds left of a log: the records, the indexes they name, and the two events of the log that each stands on, opened against their
 * commitments, so without any key. What a record without such an event says counts for nothing: its indexes are then missing.
 */
import { createHash } from 'node:crypto';
import { equalBytes, tryDecodeUtf8 } from '../bytes.ts';
import { parseRanges } from '../codec/index-ranges.ts';
import {
  parseArchiveName,
  parseUnitName,
  shredFileName,
  shredRangesName,
  type Unit,
  unitName,
} from '../codec/names.ts';
import { parseSeedFile } from '../codec/seed-file.ts';
import { hashShredTerms, type OpenedEvent, parseShredRecord, type ShredRecord } from '../codec/shred-record.ts';
import { commit, type LeafType, originHashOf } from '../commitment.ts';
import { RecordError } from '../errors.ts';
import type { StoredRecord } from '../event.ts';
import { commitFields } from '../field-commitment.ts';
import type { CommitmentStore } from './commitment-store.ts';
import { readWhole } from './shredded-units.ts';
import type { TenantCheck } from './tenant-check.ts';

/** A shred that the log itself claims. */
export interface CheckedShred {
  readonly record: ShredRecord;
  /** Firsts and ends of its ranges. */
  readonly bounds: Float64Array;
  readonly isDone: boolean;
}

export class CheckedShreds {
  readonly byUnit: Map<string, CheckedShred> = new Map();
  /** Units of records that aren't proven: told already. */
  readonly unproven: Set<string> = new Set();
  /** Shredded leaves. */
  leaves = 0;

  of(unit: Unit): CheckedShred | undefined {
    return this.byUnit.get(unitName(unit));
  }
}

/** Before the blocks are checked. @param held leaves there are */
export async function checkShreds(
  check: TenantCheck,
  commitments: CommitmentStore,
  held: number,
): Promise<CheckedShreds> {
  const { files, ledgerDir, tenant, findings, notes } = check;
  const found = new CheckedShreds();
  const names = await files.list(`${ledgerDir}/${tenant}/shreds`);
  for (const name of names) {
    const place = `${tenant}/shreds/${name}`;
    const unit = parseUnitName(name.endsWith('.ranges') ? name.slice(0, -7) : name);
    if (unit === undefined) {
      findings.add('file-unknown', place, 'expected records of shreds and their ranges only');
      continue;
    }
    if (name.endsWith('.ranges')) {
      if (!names.includes(unitName(unit)))
        notes.push(`${place} is of a shred that was being prepared when the process ended; nothing of it was touched`);
      continue;
    }
    try {
      await checkShred(check, { unit, commitments, held, found });
    } catch (error) {
      if (!(error instanceof RecordError)) throw error;
      findings.add('shred-malformed', place, error.message);
      found.unproven.add(unitName(unit));
    }
  }
  return found;
}

async function checkShred(
  check: TenantCheck,
  {
    unit,
    commitments,
    held,
    found,
  }: {
    readonly unit: Unit;
    readonly commitments: CommitmentStore;
    readonly held: number;
    readonly found: CheckedShreds;
  },
): Promise<void> {
  const { files, ledgerDir, tenant, log, findings, notes } = check;
  const place = `${tenant}/${shredFileName(unit)}`;
  const bytes = await files.readFile(`${ledgerDir}/${place}`);
  if (bytes === undefined) throw new RecordError('shred-malformed', 'expected the record of a shred');
  const record = parseShredRecord(bytes);
  const { terms, begun, done } = record;
  if (terms.origin !== log.origin || unitName(terms) !== unitName(unit))
    throw new RecordError('shred-malformed', 'the record is of another log, class or epoch than its name says');
  const ranges = await readWhole(files, `${ledgerDir}/${tenant}/${shredRangesName(unit)}`);
  const bounds = parseRanges(ranges ?? new Uint8Array(0));
  let events = 0;
  for (let at = 0; at < bounds.length; at += 2) events += (bounds[at + 1] as number) - (bounds[at] as number);
  const last = (bounds[bounds.length - 1] as number) - 1;
  if (
    createHash('sha256')
      .update(ranges as Uint8Array)
      .digest('hex') !== terms.ranges ||
    events !== terms.events ||
    bounds[0] !== terms.first ||
    last !== terms.last ||
    last >= held
  )
    throw new RecordError('shred-malformed', 'the ranges beside it are not those it names');
  if (begun === undefined) {
    notes.push(
      `${place} is of a shred that was approved and has not begun; the next start of the server goes on with it`,
    );
    return;
  }
  const opened = { check, commitments, held, record, place };
  if (!(await isProven(opened, begun, 'shred-begun'))) {
    found.unproven.add(unitName(unit));
    return;
  }
  const isDone = done !== undefined && (await isProven(opened, done, 'shred-completed'));
  if (done === undefined)
    notes.push(`${place}: the shred has begun and is not over; the next start of the server goes on with it`);
  else if (isDone && done.index <= begun.index)
    findings.add('shred-unproven', place, 'the event that ends the shred comes before the one that begins it');
  found.byUnit.set(unitName(unit), { record, bounds, isDone });
}

/** Whether an event of the log says what the record says. */
async function isProven(
  opened: {
    readonly check: TenantCheck;
    readonly commitments: CommitmentStore;
    readonly held: number;
    readonly record: ShredRecord;
    readonly place: string;
  },
  event: OpenedEvent,
  operation: string,
): Promise<boolean> {
  const { check, commitments, held, record, place } = opened;
  const refuse = (why: string): false => {
    check.findings.add('shred-unproven', place, why, { index: event.index });
    return false;
  };
  if (!(await opensCommitment({ commitments, held, origin: check.log.origin, leafType: check.log.leaf ?? 1 }, event)))
    return refuse(`the event ${operation} in it does not open the commitment stored at its index`);
  const said = ownEventOf(event.m);
  if (
    said?.tenant !== check.tenant ||
    said.operation !== operation ||
    said.targets?.[0]?.type !== 'Shred' ||
    said.targets[0].id !== unitName(record.terms) ||
    said.changes?.find(({ path }) => path === '/terms')?.after !== hashShredTerms(record.terms)
  )
    return refuse(`the event at that index is not the event ${operation} of this record`);
  return true;
}

/** Whether an opened event is the one that the log commits to at its index. */
export async function opensCommitment(
  log: {
    readonly commitments: CommitmentStore;
    readonly held: number;
    readonly origin: string;
    readonly leafType: LeafType;
  },
  { index, r, m }: OpenedEvent,
): Promise<boolean> {
  if (index >= log.held) return false;
  const stored = await log.commitments.from(index, index + 1);
  const opening = { originHash: originHashOf(log.origin), index, r, m };
  return equalBytes(stored, log.leafType === 1 ? commit(opening) : commitFields(opening));
}

/** An event of the ledger's own; the events of anybody else prove nothing. */
export function ownEventOf(m: Uint8Array): StoredRecord['event'] | undefined {
  try {
    const { submitter, event } = JSON.parse(tryDecodeUtf8(m) ?? '') as StoredRecord;
    return submitter === 'self' && event.kind === 'system' && event.site === 'ledger' ? event : undefined;
  } catch {
    return undefined;
  }
}

/** After the blocks were checked: their indexes are accounted for, and nothing of them lies there again. */
export async function accountFor(check: TenantCheck, shreds: CheckedShreds, seen: Uint8Array): Promise<void> {
  for (const { record, bounds, isDone } of shreds.byUnit.values()) {
    const place = `${check.tenant}/${shredFileName(record.terms)}`;
    let again = 0;
    for (let at = 0; at < bounds.length; at += 2) {
      for (let index = bounds[at] as number; index < (bounds[at + 1] as number); index++) {
        const bit = 1 << (index & 7);
        if (((seen[index >>> 3] as number) & bit) !== 0) again++;
        seen[index >>> 3] = (seen[index >>> 3] as number) | bit;
      }
    }
    shreds.leaves += record.terms.events;
    if (isDone && again > 0)
      check.findings.add('shred-undone', place, `blocks hold ${again} of the indexes that were shredded`);
    if (isDone) await checkGone(check, record.terms);
  }
}

async function checkGone({ files, ledgerDir, tenant, findings }: TenantCheck, unit: Unit): Promise<void> {
  const dir = `${ledgerDir}/${tenant}`;
  for (const entry of await files.list(`${dir}/blocks`)) {
    const parsed = parseArchiveName(`blocks/${entry}`);
    if (parsed?.kind === 'blocks' && unitName(parsed) === unitName(unit))
      findings.add(
        'shred-undone',
        `${tenant}/blocks/${entry}`,
        'it is a block file of a class and epoch that were shredded',
      );
  }
  for (const entry of await files.list(`${dir}/seeds`)) {
    if (!entry.startsWith(`${unitName(unit)}-`)) continue;
    const bytes = await files.readFile(`${dir}/seeds/${entry}`);
    if (bytes !== undefined && isSeedOf(bytes, unit))
      findings.add('shred-undone', `${tenant}/seeds/${entry}`, 'it is a seed of a class and epoch that were shredded');
  }
}

function isSeedOf(bytes: Uint8Array, unit: Unit): boolean {
  try {
    return unitName(parseSeedFile(bytes)) === unitName(unit);
  } catch {
    return false; // told where all seeds are checked
  }
}
