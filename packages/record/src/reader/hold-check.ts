/**
 * Checks legal holds: their files are laid out as they should be, every copy opens the commitment at its index, and what a shred says was kept is there,
 * unless the log says that the hold was released. What the log says of itself (a shred, a hold) must have its files.
 */
import { equalBytes } from '../bytes.ts';
import { openHeld, openHoldTerms, parseHeldHeader, parseHoldTerms } from '../codec/hold-copy.ts';
import { isKeeperFault } from '../codec/kek.ts';
import { heldFileName, holdIdPattern, parseHeldName, parseUnitName, type Unit, unitName } from '../codec/names.ts';
import { type OpenedEvent, parseReleased } from '../codec/shred-record.ts';
import { parseWrappedSecret } from '../codec/wrapped-secret.ts';
import { originHashOf } from '../commitment.ts';
import { RecordError } from '../errors.ts';
import type { Event } from '../event.ts';
import type { CommitmentStore } from './commitment-store.ts';
import type { FindingCode } from './findings.ts';
import { framesOf, holdSeed } from './held-copies.ts';
import { type CheckedShreds, opensCommitment, ownEventOf } from './shred-check.ts';
import { endOf, readWhole } from './shredded-units.ts';
import type { TenantCheck } from './tenant-check.ts';

interface HoldsCheck {
  readonly check: TenantCheck;
  readonly commitments: CommitmentStore;
  readonly held: number;
  readonly shreds: CheckedShreds;
}

/** The holds there are, and how many shredded events they keep readable. */
export interface CheckedHolds {
  readonly holds: ReadonlySet<string>;
  readonly released: ReadonlySet<string>;
  readonly kept: number;
}

export async function checkHolds(parts: HoldsCheck): Promise<CheckedHolds> {
  const { check, shreds } = parts;
  const { files, ledgerDir, tenant, findings } = check;
  const dir = `${ledgerDir}/${tenant}`;
  const holds = new Set<string>();
  const released = new Set<string>();
  /** By hold and unit. */
  const counts = new Map<string, number>();
  for (const name of await files.list(`${dir}/holds`)) {
    const hold = name.slice(0, -1);
    if (!name.endsWith('/') || !holdIdPattern.test(hold)) {
      findings.add('file-unknown', `${tenant}/holds/${name}`, 'expected directories of holds only');
      continue;
    }
    const entries = await files.list(`${dir}/holds/${hold}`);
    // A hold is there once its terms are: before, the process ended while it was being added.
    if (entries.includes('released') && (await isReleased(parts, hold))) released.add(hold);
    else if (entries.includes('terms')) holds.add(hold);
    await checkEntries(parts, { hold, entries, isReleased: released.has(hold), counts });
  }
  let kept = 0;
  for (const { record } of shreds.byUnit.values()) {
    for (const [hold, events] of record.terms.held) {
      if (released.has(hold)) continue;
      const got = counts.get(`${hold} ${unitName(record.terms)}`) ?? 0;
      kept += got;
      if (got !== events)
        findings.add(
          'hold-missing',
          `${tenant}/${heldFileName(hold, record.terms)}`,
          `the shred says that this hold keeps ${events} events of it, and ${got} are there`,
        );
    }
  }
  return { holds, released, kept };
}

async function checkEntries(
  parts: HoldsCheck,
  hold: {
    readonly hold: string;
    readonly entries: readonly string[];
    readonly isReleased: boolean;
    readonly counts: Map<string, number>;
  },
): Promise<void> {
  const { check } = parts;
  const { tenant, findings, notes } = check;
  for (const entry of hold.entries) {
    const place = `${tenant}/holds/${hold.hold}/${entry}`;
    const unit = parseHeldName(entry);
    if (entry === 'released') continue;
    if (unit === undefined && entry !== 'seed' && entry !== 'terms') {
      findings.add('file-unknown', place, 'no hold has such a file');
    } else if (hold.isReleased) {
      notes.push(`${place} is left of a hold that was released; the next start of the server removes it`);
    } else {
      await guarded(check, place, () =>
        unit === undefined ? checkSmall(parts, hold.hold, entry) : checkCopies(parts, { ...hold, unit, place }),
      );
    }
  }
}

/** The seed and the terms. */
async function checkSmall({ check }: HoldsCheck, hold: string, entry: string): Promise<void> {
  const { files, ledgerDir, tenant, log, keys } = check;
  const dir = `${ledgerDir}/${tenant}`;
  const bytes = (await files.readFile(`${dir}/holds/${hold}/${entry}`)) ?? new Uint8Array(0);
  const seed = (): Promise<Uint8Array> | undefined =>
    keys === undefined ? undefined : holdSeed(files, { dir, origin: log.origin, hold, keys });
  if (entry === 'seed') {
    parseWrappedSecret(bytes);
    await seed();
    return;
  }
  const header = parseHoldTerms(bytes);
  if (header.hold !== hold || !equalBytes(header.originHash, originHashOf(log.origin)))
    throw new RecordError('hold-malformed', 'the terms are of another hold or log');
  const opened = await seed();
  if (opened !== undefined) openHoldTerms(bytes, opened);
}

async function checkCopies(
  { check, commitments, held, shreds }: HoldsCheck,
  at: { readonly hold: string; readonly unit: Unit; readonly place: string; readonly counts: Map<string, number> },
): Promise<void> {
  const { files, ledgerDir, tenant, log, keys, findings } = check;
  const dir = `${ledgerDir}/${tenant}`;
  const seed = keys === undefined ? undefined : await holdSeed(files, { dir, origin: log.origin, hold: at.hold, keys });
  const bounds = shreds.of(at.unit)?.bounds;
  let count = 0;
  let end = 0;
  for (const { copy, whole } of framesOf((await readWhole(files, `${ledgerDir}/${at.place}`)) ?? new Uint8Array(0))) {
    check.signal?.throwIfAborted();
    if (!whole) throw new RecordError('hold-malformed', 'the CRC of a copy is wrong: it was damaged');
    const header = parseHeldHeader(copy);
    if (
      header.hold !== at.hold ||
      unitName(header) !== unitName(at.unit) ||
      !equalBytes(header.originHash, originHashOf(log.origin))
    )
      throw new RecordError('hold-malformed', 'a copy is of another hold, class, epoch or log than its place');
    for (const range of header.ranges) {
      if (range.first < end || (bounds !== undefined && endOf(bounds, range.first) < range.first + range.count))
        findings.add('hold-malformed', at.place, 'a copy holds indexes that the shred did not take, or one twice', {
          index: range.first,
        });
      end = range.first + range.count;
      count += range.count;
    }
    if (seed === undefined) continue;
    for (const event of openHeld(copy, header, seed))
      if (!(await opensCommitment({ commitments, held, origin: log.origin, leafType: log.leaf ?? 1 }, event)))
        findings.add('hold-tampered', at.place, 'the copy does not open the commitment stored for its index', {
          index: event.index,
        });
  }
  at.counts.set(`${at.hold} ${unitName(at.unit)}`, count);
}

/** Whether the log says that a hold was released. */
async function isReleased({ check, commitments, held }: HoldsCheck, hold: string): Promise<boolean> {
  const { files, ledgerDir, tenant, log, findings } = check;
  const place = `${tenant}/holds/${hold}/released`;
  let event: OpenedEvent | undefined;
  await guarded(check, place, async () => {
    event = parseReleased((await files.readFile(`${ledgerDir}/${place}`)) ?? new Uint8Array(0));
  });
  if (event === undefined) return false;
  const said = ownEventOf(event.m);
  const isIt =
    (await opensCommitment({ commitments, held, origin: log.origin, leafType: log.leaf ?? 1 }, event)) &&
    said?.tenant === tenant &&
    said.operation === 'hold-released' &&
    said.targets?.[0]?.type === 'Hold' &&
    said.targets[0].id === hold;
  if (!isIt)
    findings.add('shred-unproven', place, 'the log does not say that this hold was released', { index: event.index });
  return isIt;
}

async function guarded({ findings }: TenantCheck, place: string, work: () => Promise<void>): Promise<void> {
  try {
    await work();
  } catch (error) {
    if (!(error instanceof RecordError) || isKeeperFault(error)) throw error;
    findings.add(findingOf(error), place, error.message);
  }
}

function findingOf({ code }: RecordError): FindingCode {
  if (code === 'hold-tampered' || code === 'seed-malformed') return code;
  if (code === 'seed-refused' || code === 'kek-unknown' || code === 'kek-lost') return 'seed-refused';
  return 'hold-malformed';
}

/** Units that the log says were shredded, and holds that it says were added: found while blocks are opened. */
export class OwnClaims {
  readonly shredded: Map<string, number> = new Map();
  readonly held: Map<string, number> = new Map();

  note(index: number, { operation, targets }: Event): void {
    const id = targets?.[0]?.id;
    if (id === undefined) return;
    if (operation === 'shred-completed') this.shredded.set(id, index);
    if (operation === 'hold-added') this.held.set(id, index);
  }

  compare({ findings, tenant, log }: TenantCheck, shreds: CheckedShreds, { holds, released }: CheckedHolds): void {
    for (const [name, index] of this.shredded) {
      const unit = parseUnitName(name);
      const shred = unit === undefined ? undefined : shreds.of(unit);
      const place = `${tenant}/shreds/${name}`;
      if (shred?.isDone === true || shreds.unproven.has(name)) continue;
      if (shred === undefined) findings.add('shred-missing', place, 'the log says that this was shredded', { index });
      // The record follows the event at once: a crash between them leaves the event in the journal.
      else if (index < log.size)
        findings.add(
          'shred-unproven',
          place,
          'the log says that this shred is over, and its record does not: start the server once; where that does not mend it, the record was edited',
          { index },
        );
    }
    for (const [hold, index] of this.held)
      if (!holds.has(hold) && !released.has(hold))
        findings.add('shred-missing', `${tenant}/holds/${hold}`, 'the log says that there is this hold', { index });
  }
}
