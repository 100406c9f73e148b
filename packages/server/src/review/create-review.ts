/**
 * Review over the real parts: indexes find, the ledger reads, `render` shows.
 */
import { formatProof, hashLeaf, type TenantId } from '@watchglass/record';
import { ServerError } from '../errors.ts';
import type { Filters } from '../indexes/filters.ts';
import { LedgerError } from '../ledger/errors.ts';
import { type Cursor, formatCursor, parseCursor } from './cursor.ts';
import { peopleNamed, peopleOf } from './people-of.ts';
import { namesOf, parseSearchQuery, parseSummaryQuery } from './query.ts';
import { readEntries } from './read-entries.ts';
import { renderRecord } from './render.ts';
import type { Asked, Review, ReviewDeps, ReviewEvent, SearchPage, SummaryPage } from './review.ts';
import { targetsOf } from './targets-of.ts';

/** Events handed out at once by a tail. */
const tailEventsMax = 200;

export function createReview({ ledger, indexes, staff }: ReviewDeps): Review {
  const askedBy = <Answer>(tenant: TenantId, filters: Filters, answer: Answer): Asked<Answer> => ({
    answer,
    filters: namesOf(filters),
    targets: targetsOf(filters, indexes.pseudonyms(tenant)),
  });

  return {
    async search(tenant, input, signal) {
      const { filters, cursor, limit } = parseSearchQuery(input);
      const names = indexes.pseudonyms(tenant);
      const from = cursor === undefined ? undefined : parseCursor(cursor, filters, names);
      const before = from?.before ?? ledger.head(tenant).size;
      const found = await indexes.find(
        tenant,
        { filters, before, limit, ...(from === undefined ? { countBelow: before } : {}) },
        signal,
      );
      const counted: Omit<Cursor, 'before'> = from ?? {
        count: found.count ?? 0,
        countTruncated: found.countTruncated ?? false,
      };
      const entries = await readEntries(ledger, tenant, found.indexes);
      const events = entries.map(({ index, m }) => renderRecord(index, m, { names, whole: false }));
      const page: SearchPage = {
        events,
        people: peopleOf(tenant, events, staff),
        next: found.next === undefined ? null : formatCursor({ ...counted, before: found.next }, filters, names),
        count: counted.count,
        ...(counted.countTruncated ? { countTruncated: true } : {}),
        ...(found.unindexed === 0 ? {} : { unindexed: found.unindexed }),
      };
      return askedBy(tenant, filters, page);
    },

    async summary(tenant, input, signal) {
      const { filters, buckets } = parseSummaryQuery(input);
      const below = ledger.head(tenant).size;
      const { count, fromMs, toMs, stepMs, series, facets, truncated, unindexed } = await indexes.summarise(
        tenant,
        { filters, below, bucketsMax: buckets },
        signal,
      );
      const page: SummaryPage = {
        count,
        from: new Date(fromMs).toISOString(),
        to: new Date(toMs).toISOString(),
        stepMs,
        series: series.map(({ timeMs, ...counts }) => ({ time: new Date(timeMs).toISOString(), ...counts })),
        facets,
        people: peopleNamed(
          tenant,
          (facets.actor ?? []).map(({ value }) => value),
          staff,
        ),
        ...(truncated ? { truncated: true } : {}),
        ...(unindexed === 0 ? {} : { unindexed }),
      };
      return askedBy(tenant, filters, page);
    },

    async read(tenant, index) {
      const { m, leaf } = await found(() => ledger.open(tenant, index));
      const event = renderRecord(index, m, { names: indexes.pseudonyms(tenant), whole: true });
      const people = peopleOf(tenant, [event], staff);
      const cosigned = ledger.cosigned(tenant);
      const witnessed = cosigned !== undefined && index < cosigned.size ? cosigned.witnesses : 0;
      return { ...event, leaf: Buffer.from(hashLeaf(leaf)).toString('base64'), witnessed, people };
    },

    async prove(tenant, index, withOpening) {
      const { hashes, checkpoint } = await found(() => ledger.prove(tenant, index));
      if (!withOpening) return formatProof({ index: BigInt(index), hashes, checkpoint });
      const { r, m } = await found(() => ledger.open(tenant, index));
      return formatProof({ extra: Buffer.concat([r, m]), index: BigInt(index), hashes, checkpoint });
    },

    async *tail(tenant, signal) {
      const names = indexes.pseudonyms(tenant);
      let position = ledger.head(tenant).size;
      while (!signal.aborted) {
        try {
          await ledger.grown(tenant, position, signal);
        } catch (error) {
          if (signal.aborted) return;
          throw error;
        }
        const entries = await ledger.read(tenant, position, tailEventsMax);
        position = (entries.at(-1)?.index ?? position - 1) + 1;
        yield entries.map(({ index, m }): ReviewEvent => {
          const event = renderRecord(index, m, { names, whole: false });
          return { ...event, people: peopleOf(tenant, [event], staff) };
        });
      }
    },
  };
}

async function found<Value>(ask: () => Promise<Value>): Promise<Value> {
  try {
    return await ask();
  } catch (cause) {
    if (cause instanceof LedgerError && cause.code === 'not-found') {
      throw new ServerError('not-found', 'expected the index of an event in this log; `watchglass search` finds them', {
        cause,
      });
    }
    throw cause;
  }
}
