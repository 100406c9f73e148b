/**
 * What must hold of shreds and holds at the end of a history: nothing is gone that two people didn't approve, and nothing is gone without the event that says so;
 * what is said to be gone can't be read, and its seeds and blocks are on no disk; what a hold keeps opens still, and is gone with the last of its holds.
 */
import { decode } from '../../packages/record/src/index.ts';
import { parseUnitName, unitName } from '../../packages/record/src/reader.ts';
import { LedgerError } from '../../packages/server/src/ledger/errors.ts';
import type { Ledger } from '../../packages/server/src/ledger/ledger.ts';
import type { SimDisk } from '../../packages/server/src/world/simulated.ts';
import { type GoneEvent, isAbout, type LogModel, type ShredModel, Violation } from './model.ts';

/** @returns indexes that can't be read, and are rightly gone */
export async function checkEnded(
  ledger: Ledger,
  log: LogModel,
  disk: SimDisk,
  dir: string,
): Promise<ReadonlySet<number>> {
  const { tenant } = log;
  await checkHolds(ledger, log);
  const gone = new Set<number>();
  const said = new Map(ledger.ending.shredded(tenant).map((one) => [unitName(one), one.evidence]));
  for (const unit of said.keys())
    if (!log.shreds.has(unit)) throw new Violation(`${unit} of ${tenant} is shredded, and nobody approved it`);
  for (const shred of log.shreds.values()) {
    if (!said.has(shred.unit)) {
      if (shred.answered) throw new Violation(`the shred of ${shred.unit} of ${tenant} was answered and isn't there`);
      continue;
    }
    await checkEvidence(ledger, log, shred, said.get(shred.unit));
    for (const one of shred.events.values()) {
      const isThere = await isReadable(ledger, log, one.index);
      if (!isThere) gone.add(one.index);
      const wanted = mustBeReadable(log, shred, one);
      if (wanted !== undefined && wanted !== isThere)
        throw new Violation(
          `index ${one.index} of ${tenant}, in ${shred.unit}, ${wanted ? 'is held and can’t be read' : 'is shredded, and can be read'}`,
        );
    }
    checkFilesGone(disk, `${dir}/${tenant}`, shred.unit);
  }
  return gone;
}

async function checkEvidence(
  ledger: Ledger,
  log: LogModel,
  shred: ShredModel,
  evidence: number | undefined,
): Promise<void> {
  const { tenant } = log;
  if (evidence === undefined) throw new Violation(`the shred of ${shred.unit} of ${tenant} has no end`);
  // It may have gone itself, with a class and epoch that were approved later.
  const isLeft = await isReadable(ledger, log, evidence);
  if (!isLeft && ![...log.shreds.values()].some(({ events }) => events.has(evidence)))
    throw new Violation(`the evidence of ${shred.unit} of ${tenant} can’t be read`);
  const event = isLeft ? decode((await ledger.open(tenant, evidence)).m).event : undefined;
  if (event !== undefined && event.operation !== 'shred-completed')
    throw new Violation(`the evidence of ${shred.unit} of ${tenant} is an event ${event.operation}`);
}

/** Undefined where it depends on what was never answered. */
function mustBeReadable(log: LogModel, shred: ShredModel, event: GoneEvent): boolean | undefined {
  const about = log.holds.filter((hold) => isAbout(hold, event));
  if (about.every(({ released }) => released === 'yes')) return false;
  return about.some((hold) => shred.holds.includes(hold) && hold.released === 'no') ? true : undefined;
}

async function checkHolds(ledger: Ledger, log: LogModel): Promise<void> {
  const on = new Set((await ledger.ending.holds(log.tenant)).map(({ id }) => id));
  for (const { id, released } of log.holds) {
    if (id === undefined) continue;
    if (released === 'no' && !on.has(id)) throw new Violation(`hold ${id} of ${log.tenant} was answered and is gone`);
    if (released === 'yes' && on.has(id)) throw new Violation(`hold ${id} of ${log.tenant} was released and is on`);
  }
}

async function isReadable(ledger: Ledger, { tenant }: LogModel, index: number): Promise<boolean> {
  try {
    return (await ledger.open(tenant, index)).m.length > 0;
  } catch (error) {
    if (error instanceof LedgerError && error.code === 'shredded') return false;
    throw error;
  }
}

function checkFilesGone(disk: SimDisk, dir: string, unit: string): void {
  for (const [path] of disk.names.files()) {
    const [, folder, name] =
      new RegExp(`^${dir}/(seeds|blocks)/(.*?)(-[0-9a-f]{32}\\.json|-\\d{6}\\.wgb)$`).exec(path) ?? [];
    const of = name === undefined ? undefined : parseUnitName(name);
    if (of !== undefined && unitName(of) === unit)
      throw new Violation(`${unit} is shredded, and ${path} is there (${folder})`);
  }
}
