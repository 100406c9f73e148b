/** The screens and their URLs. Search members that may hold PHI travel in the fragment: see state/private-location.ts. */
import {
  type AnyRouter,
  createBrowserHistory,
  createRootRoute,
  createRoute,
  createRouter,
  type HistoryLocation,
  redirect,
} from '@tanstack/react-router';
import { ExplorerPage } from './explorer/explorer-page.tsx';
import { LedgerPage } from './ledger/ledger-page.tsx';
import { NotFoundScreen } from './shell/not-found-screen.tsx';
import { Shell } from './shell/shell.tsx';
import { parseSearch, readExplorerState, writeSearch } from './state/explorer-state.ts';
import { hidePrivate, showPrivate } from './state/private-location.ts';
import { ErrorScreen } from './ui/message-screen.tsx';

export function createConsoleRouter(): AnyRouter {
  const root = createRootRoute({ component: Shell, notFoundComponent: NotFoundScreen });
  const home = createRoute({
    getParentRoute: () => root,
    path: '/',
    beforeLoad: () => {
      throw redirect({ to: '/explorer' });
    },
  });
  const explorer = createRoute({
    getParentRoute: () => root,
    path: '/explorer',
    validateSearch: readExplorerState,
    component: ExplorerPage,
  });
  const ledger = createRoute({ getParentRoute: () => root, path: '/ledger', component: LedgerPage });
  return createRouter({
    routeTree: root.addChildren([home, explorer, ledger]),
    history: createBrowserHistory({ parseLocation: readLocation, createHref: hidePrivate }),
    parseSearch,
    stringifySearch: writeSearch,
    defaultErrorComponent: ({ error, reset }) => <ErrorScreen error={error} onRetry={reset} />,
  });
}

/** The location bar, as the router shall see it. */
function readLocation(): HistoryLocation {
  const { pathname, search, hash } = window.location;
  const href = showPrivate(`${pathname}${search}${hash}`);
  const asked = href.indexOf('?');
  const state = window.history.state ?? { __TSR_index: 0, key: 'first', __TSR_key: 'first' };
  return { href, pathname, search: asked < 0 ? '' : href.slice(asked), hash: '', state };
}
