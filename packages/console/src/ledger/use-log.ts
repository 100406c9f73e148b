/** The proven state of the shown tenant's log, checked again every ten seconds while somebody looks. */
import { type UseQueryResult, useQuery } from '@tanstack/react-query';
import { useSearch } from '@tanstack/react-router';
import { fetchCheckpoint } from '../api/client.ts';
import { fetchStatements } from '../api/statements.ts';
import type { TileReader } from '../proof/growth.ts';
import { type LogState, watchLog } from '../proof/log-watch.ts';
import { createTileReader } from '../proof/tile-cache.ts';
import { useSession } from '../shell/session.tsx';
import { noteCheck } from './check-history.ts';

const checkEveryMs = 10_000;
const readers = new Map<string, TileReader>();

/** The tenant named in the URL where the person may see it, otherwise their own. */
export function useTenant(): string {
  const { tenant, tenants } = useSession();
  const search: Record<string, unknown> = useSearch({ strict: false });
  return tenants.find((known) => known === search.tenant) ?? tenant;
}

export function tileReaderOf(tenant: string): TileReader {
  const reader = readers.get(tenant) ?? createTileReader(tenant);
  readers.set(tenant, reader);
  return reader;
}

export function useLog(): UseQueryResult<LogState> {
  const tenant = useTenant();
  const { vkeys } = useSession();
  const statedKey = vkeys[tenant];
  return useQuery({
    queryKey: ['log', tenant, statedKey],
    enabled: statedKey !== undefined,
    refetchInterval: checkEveryMs,
    queryFn: async ({ signal }) => {
      const state = await watchLog({
        tenant,
        statedKey: statedKey ?? '',
        store: localStorage,
        fetchCheckpoint: () => fetchCheckpoint(tenant, signal),
        fetchStatements: () => fetchStatements(tenant, (statedKey ?? '').split('+')[0] ?? '', signal),
        readTile: tileReaderOf(tenant),
        now: new Date().toISOString(),
      });
      noteCheck(tenant, state);
      return state;
    },
  });
}
