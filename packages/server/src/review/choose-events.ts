/**
 * Which events of a log match: by the index, or by opening every record of the log. Either way all of them, oldest first, and what was looked at is said, so that
 * nobody takes silence for completeness.
 */
import { type BundleQuery, bundleEventsMax, type TenantId } from '@watchglass/record';
import { ServerError } from '../errors.ts';
import type { Filters } from '../indexes/filters.ts';
import type { Indexes } from '../indexes/indexes.ts';
import type { Ledger } from '../ledger/ledger.ts';
import type { World } from '../world/world.ts';
import { type BundleRequest, tooMany } from './bundle-request.ts';

const pageEvents = 500;
/** Records read at once. */
const scanEvents = 2_000;
/** The index is usually milliseconds behind; it is waited for so long. */
const indexWaitMs = 5_000;

export interface ChooseDeps {
  readonly ledger: Pick<Ledger, 'head' | 'read'>;
  readonly indexes: Pick<Indexes, 'find' | 'reached' | 'matcher'>;
  readonly world: World;
}

export interface ChosenEvents {
  /** Ascending, at least one. */
  readonly indexes: readonly number[];
  readonly how: Omit<BundleQuery, 'filters'>;
}

/** @throws ServerError `not-found` where nothing matches, `bundle-too-large`, `unavailable` */
export async function chooseEvents(
  deps: ChooseDeps,
  tenant: TenantId,
  events: BundleRequest['events'],
  signal: AbortSignal,
): Promise<ChosenEvents> {
  const { size } = deps.ledger.head(tenant);
  if (events.kind === 'chosen') {
    const last = events.indexes.at(-1) ?? 0;
    if (last >= size)
      throw new ServerError('not-found', `expected indexes below the size ${size} of the log; search finds them`);
    return { indexes: events.indexes, how: { how: 'chosen', size, unindexed: 0 } };
  }
  const chosen = events.scan
    ? await scan(deps, tenant, { filters: events.filters, size }, signal)
    : await find(deps, tenant, { filters: events.filters, size }, signal);
  if (chosen.indexes.length === 0)
    throw new ServerError('not-found', 'no event of the log matches; a bundle needs at least one');
  return chosen;
}

interface Asked {
  readonly filters: Filters;
  /** Events looked at. */
  readonly size: number;
}

async function find(deps: ChooseDeps, tenant: TenantId, asked: Asked, signal: AbortSignal): Promise<ChosenEvents> {
  const { filters, size } = asked;
  await indexed(deps, tenant, size, signal);
  const indexes: number[] = [];
  let unindexed = 0;
  let before: number | undefined = size;
  while (before !== undefined) {
    const found = await deps.indexes.find(tenant, { filters, before, limit: pageEvents }, signal);
    indexes.push(...found.indexes);
    // Entries that came in since are not asked for; those that were there and aren't indexed are.
    unindexed = Math.max(unindexed, found.unindexed - (deps.ledger.head(tenant).size - size));
    if (indexes.length > bundleEventsMax) throw tooMany();
    before = found.next;
  }
  return { indexes: indexes.reverse(), how: { how: 'index', size, unindexed } };
}

async function indexed(deps: ChooseDeps, tenant: TenantId, size: number, signal: AbortSignal): Promise<void> {
  const late = new AbortController();
  const timer = deps.world.clock.after(indexWaitMs, () => late.abort(new Error('the index is behind')));
  try {
    await deps.indexes.reached(tenant, size, AbortSignal.any([signal, late.signal]));
  } catch (error) {
    // Then the bundle says how much of the log the index lacked.
    if (!late.signal.aborted || signal.aborted) throw error;
  } finally {
    timer.cancel();
  }
}

async function scan(deps: ChooseDeps, tenant: TenantId, asked: Asked, signal: AbortSignal): Promise<ChosenEvents> {
  const { filters, size } = asked;
  const matches = deps.indexes.matcher(tenant, filters);
  const indexes: number[] = [];
  for (let from = 0; from < size; ) {
    signal.throwIfAborted();
    const entries = await deps.ledger.read(tenant, from, Math.min(scanEvents, size - from));
    const last = entries.at(-1);
    // What is left was shredded.
    if (last === undefined) break;
    for (const { index, m } of entries) if (matches(m)) indexes.push(index);
    if (indexes.length > bundleEventsMax) throw tooMany();
    from = last.index + 1;
    // Other requests have their turn between two chunks.
    await deps.world.clock.sleep(0, signal);
  }
  return { indexes, how: { how: 'scan', size, unindexed: 0 } };
}
