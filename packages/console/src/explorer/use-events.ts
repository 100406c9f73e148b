/**
 * What the Explorer asks the server: pages of events and their counts over time, for one moment (`asOfMs`) until
 * somebody refreshes. Each request is a record in the ledger, so none is repeated in the background.
 */
import { keepPreviousData, type UseQueryResult, useInfiniteQuery, useQuery } from '@tanstack/react-query';
import { useMemo } from 'react';
import { type EventPage, type ListedEvent, type Summary, searchEvents, summariseEvents } from '../api/client.ts';
import type { EventQuery } from '../state/explorer-state.ts';
import { learnPeople } from '../state/known-people.ts';

const pageSize = 100;
const bucketsMax = 96;
const refetchNeverGcMs = 5 * 60_000;

export interface EventList {
  readonly events: readonly ListedEvent[];
  readonly count: number;
  readonly countTruncated: boolean;
  /** Entries of the log that can't be found yet. */
  readonly unindexed: number;
  readonly hasOlder: boolean;
}

export interface EventListHandle {
  readonly list: EventList | undefined;
  readonly error: unknown;
  /** The list shown is of an earlier question. */
  readonly stale: boolean;
  readonly loadingOlder: boolean;
  readonly olderError: unknown;
  readonly loadOlder: () => void;
  readonly retry: () => void;
}

export function useEventList(tenant: string, query: EventQuery, asOfMs: number): EventListHandle {
  const result = useInfiniteQuery({
    queryKey: ['events', query, asOfMs],
    queryFn: async ({ pageParam, signal }) => {
      const cursor = pageParam === undefined ? {} : { cursor: pageParam };
      const page = await searchEvents(query, { ...cursor, limit: pageSize }, signal);
      if (page.people) learnPeople(tenant, page.people);
      return page;
    },
    initialPageParam: undefined as string | undefined,
    getNextPageParam: (page: EventPage) => page.next ?? undefined,
    placeholderData: keepPreviousData,
    gcTime: refetchNeverGcMs,
  });
  const pages = result.data?.pages;
  const list = useMemo<EventList | undefined>(() => {
    const first = pages?.[0];
    if (!first) return undefined;
    return {
      events: pages.flatMap((page) => page.events),
      count: first.count,
      countTruncated: first.countTruncated ?? false,
      unindexed: first.unindexed ?? 0,
      hasOlder: pages.at(-1)?.next !== null,
    };
  }, [pages]);
  return {
    list,
    error: pages ? undefined : result.error,
    stale: result.isPlaceholderData,
    loadingOlder: result.isFetchingNextPage,
    olderError: result.isFetchNextPageError ? result.error : undefined,
    loadOlder: () => {
      if (result.hasNextPage && !result.isFetching) void result.fetchNextPage();
    },
    retry: () => void result.refetch(),
  };
}

export function useSummary(tenant: string, query: EventQuery, asOfMs: number): UseQueryResult<Summary> {
  return useQuery({
    queryKey: ['summary', query, asOfMs],
    queryFn: async ({ signal }) => {
      const summary = await summariseEvents(query, bucketsMax, signal);
      if (summary.people) learnPeople(tenant, summary.people);
      return summary;
    },
    placeholderData: keepPreviousData,
    gcTime: refetchNeverGcMs,
  });
}
