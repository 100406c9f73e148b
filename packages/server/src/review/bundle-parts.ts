/**
 * What a bundle has besides opened events: those whose content was shredded, with the evidence of it, and what the log states of its keys where it had more than one.
 * A shred that isn't over has no evidence yet: events of it are refused.
 */
import {
  type BundleStatements,
  evidenceCharsMax,
  hashLeaf,
  parseRotation,
  parseSeal,
  type ShreddedEvent,
  type ShredEvidence,
  type TenantId,
} from '@watchglass/record';
import { isInRanges, parseRanges, shredTermsText } from '@watchglass/record/reader';
import { ServerError } from '../errors.ts';
import { LedgerError } from '../ledger/errors.ts';
import type { Ledger } from '../ledger/ledger.ts';
import { tooMany } from './bundle-request.ts';
import type { OpenedEvent } from './show-fields.ts';

type Reading = Pick<Ledger, 'open' | 'leafAt' | 'shreds' | 'statements' | 'resource'>;

export interface ReadEvents {
  readonly opened: readonly OpenedEvent[];
  readonly shredded: readonly ShreddedEvent[];
  readonly shreds: readonly ShredEvidence[];
}

/** @throws ServerError `bundle-too-large`, `shredded` */
export async function readEvents(
  ledger: Reading,
  tenant: TenantId,
  indexes: readonly number[],
  signal: AbortSignal,
): Promise<ReadEvents> {
  const opened: OpenedEvent[] = [];
  const gone: number[] = [];
  let bytes = 0;
  for (const index of indexes) {
    signal.throwIfAborted();
    const event = await ledger.open(tenant, index).catch(undefinedWhenShredded);
    if (event === undefined) {
      gone.push(index);
      continue;
    }
    const { r, m, leaf } = event;
    bytes += m.length;
    if (bytes > evidenceCharsMax) throw tooMany();
    // m is a view into a block, which would stay in memory for it.
    opened.push({ index, leaf: hashLeaf(leaf), r, m: m.slice() });
  }
  return { opened, ...(await evidenceOf(ledger, tenant, gone)) };
}

/** How many events of the log have gone, as its shreds say. */
export async function shreddedEvents(ledger: Pick<Ledger, 'shreds'>, tenant: TenantId): Promise<number> {
  return (await ledger.shreds(tenant)).reduce((sum, { record }) => sum + record.terms.events, 0);
}

async function evidenceOf(
  ledger: Reading,
  tenant: TenantId,
  gone: readonly number[],
): Promise<Pick<ReadEvents, 'shredded' | 'shreds'>> {
  if (gone.length === 0) return { shredded: [], shreds: [] };
  const all = (await ledger.shreds(tenant)).map((one) => ({ ...one, bounds: parseRanges(one.ranges) }));
  const used: typeof all = [];
  const shredded: ShreddedEvent[] = [];
  for (const index of gone) {
    const shred = all.find(({ bounds }) => isInRanges(index, bounds));
    if (shred?.record.done === undefined)
      throw new ServerError(
        'shredded',
        `event ${index} is being shredded, and the log doesn't say yet that it is over; leave it out, or ask again later`,
      );
    if (!used.includes(shred)) used.push(shred);
    shredded.push({ index, leaf: hashLeaf(await ledger.leafAt(tenant, index)), shred: used.indexOf(shred) });
  }
  const shreds: ShredEvidence[] = [];
  for (const { record, ranges } of used) {
    const { index, r, m } = record.done as OpenedEvent;
    const leaf = hashLeaf(await ledger.leafAt(tenant, index));
    shreds.push({
      terms: shredTermsText(record.terms),
      ranges,
      done: { index, leaf, r, m: Buffer.from(m).toString('utf8') },
    });
  }
  return { shredded, shreds };
}

/** Rotations and, of the seals, those that lead to the keys that signed them; undefined where the log had one key always. */
export async function statementsOf(
  ledger: Pick<Ledger, 'statements' | 'resource'>,
  tenant: TenantId,
): Promise<BundleStatements | undefined> {
  const rotations = await textsOf(ledger, tenant, 'rotations');
  const last = rotations.at(-1);
  if (last === undefined) return undefined;
  const { epoch } = parseRotation(Buffer.from(last));
  const seals = await textsOf(ledger, tenant, 'seals');
  return { rotations, seals: seals.filter((seal) => parseSeal(Buffer.from(seal)).epoch < epoch) };
}

async function textsOf(
  ledger: Pick<Ledger, 'statements' | 'resource'>,
  tenant: TenantId,
  folder: 'rotations' | 'seals',
): Promise<string[]> {
  const texts: string[] = [];
  for (const number of await ledger.statements(tenant, folder)) {
    const bytes = await ledger.resource(tenant, `${folder}/${number}`);
    texts.push(Buffer.from(bytes ?? []).toString('utf8'));
  }
  return texts;
}

function undefinedWhenShredded(error: unknown): undefined {
  if (error instanceof LedgerError && error.code === 'shredded') return undefined;
  throw error;
}
