/** The verdict on one event: fetched, checked and remembered for as long as the page lives. */
import { type UseQueryResult, useQuery } from '@tanstack/react-query';
import { fetchProof, type ListedEvent } from '../api/client.ts';
import { tileReaderOf } from '../ledger/use-log.ts';
import type { Verdict } from '../proof/check-proof.ts';
import { verifyEvent } from '../proof/verify-event.ts';
import type { SealState } from '../ui/seal.tsx';

const pendingAgainMs = 2000;

export function useVerdict(tenant: string, shown: ListedEvent | undefined): UseQueryResult<Verdict> {
  return useQuery<Verdict>({
    queryKey: ['proof', tenant, shown?.index, shown],
    enabled: shown !== undefined,
    gcTime: Number.POSITIVE_INFINITY,
    refetchInterval: (query) => (query.state.data?.kind === 'pending' ? pendingAgainMs : false),
    queryFn: async ({ signal }) => {
      if (!shown) throw new Error('a proof is of an event');
      const proof = await fetchProof(tenant, shown.index, signal);
      return verifyEvent({ tenant, shown, proof, store: localStorage, readTile: tileReaderOf(tenant) });
    },
  });
}

export function sealOfVerdict(verdict: Verdict): SealState {
  switch (verdict.kind) {
    case 'sealed':
      return verdict.opening.kind === 'equal' ? 'sealed' : 'position';
    case 'pending':
      return 'pending';
    case 'not-intact':
      return 'not-intact';
    default:
      return verdict satisfies never;
  }
}
