/** The Explorer's state, read from and written to the URL. */
import { useNavigate, useSearch } from '@tanstack/react-router';
import { useCallback, useMemo } from 'react';
import { changeState, type ExplorerState, readExplorerState, writeSearch } from './explorer-state.ts';
import { hidePrivate } from './private-location.ts';

export type StateChange = { readonly [K in keyof ExplorerState]?: ExplorerState[K] | undefined };

export interface ExplorerStateHandle {
  readonly state: ExplorerState;
  /** A step that Back undoes; `replace` for moves that are not worth one. */
  readonly change: (change: StateChange, options?: { readonly replace?: boolean }) => void;
  readonly set: (state: ExplorerState) => void;
}

export function useExplorerState(): ExplorerStateHandle {
  const search: Record<string, unknown> = useSearch({ strict: false });
  const navigate = useNavigate();
  const state = useMemo(() => readExplorerState(search), [search]);
  const go = useCallback(
    (next: ExplorerState, replace: boolean) => {
      void navigate({ to: '/explorer', search: { ...next } as never, replace });
    },
    [navigate],
  );
  const change = useCallback<ExplorerStateHandle['change']>(
    (changed, options) => go(changeState(state, changed), options?.replace ?? false),
    [go, state],
  );
  const set = useCallback((next: ExplorerState) => go(next, false), [go]);
  return { state, change, set };
}

/** The address of a state, as the location bar will show it. */
export function explorerAddress(state: ExplorerState): string {
  return hidePrivate(`/explorer${writeSearch({ ...state })}`);
}
