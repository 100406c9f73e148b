/** Who is signed in, for every screen below; and the way to the sign-in and back to the same URL. */
import { type UseQueryResult, useQuery, useQueryClient } from '@tanstack/react-query';
import { createContext, type ReactElement, type ReactNode, useContext, useEffect } from 'react';
import { fetchSession, onSignedOut, type Session, signInAddress } from '../api/client.ts';
import { hidePrivate } from '../state/private-location.ts';

export type SignedIn = Extract<Session, { kind: 'signed-in' }>;

const SessionContext = createContext<SignedIn | undefined>(undefined);

export function SessionProvider({
  session,
  children,
}: {
  readonly session: SignedIn;
  readonly children: ReactNode;
}): ReactElement {
  return <SessionContext value={session}>{children}</SessionContext>;
}

export function useSession(): SignedIn {
  const session = useContext(SessionContext);
  if (!session) throw new Error('useSession belongs below SessionProvider');
  return session;
}

/** Asks once, again when the window is looked at, and again when any answer says that the session ended. */
export function useSessionQuery(): UseQueryResult<Session> {
  const client = useQueryClient();
  useEffect(() => onSignedOut(() => void client.invalidateQueries({ queryKey: ['session'] })), [client]);
  return useQuery({
    queryKey: ['session'],
    queryFn: ({ signal }) => fetchSession(signal),
    refetchOnWindowFocus: 'always',
    retry: 1,
  });
}

const returnKey = 'watchglass.return';

/** Goes to the sign-in. What the URL hides in its fragment is kept in this tab and not sent along. */
export function goToSignIn(): void {
  const { pathname, search, hash } = window.location;
  const here = hidePrivate(`${pathname}${search}`);
  sessionStorage.setItem(
    returnKey,
    `${here.split('#', 1)[0]}${hash || (here.includes('#') ? `#${here.split('#')[1]}` : '')}`,
  );
  window.location.assign(signInAddress(here.split('#', 1)[0] ?? '/'));
}

let failure: string | undefined;

/** The code of docs/errors.md with which the server sent the browser back from a sign-in that failed. */
export function signInFailure(): string | undefined {
  return failure;
}

/** Puts back what `goToSignIn` kept: the fragment, or after a sign-in that failed all of it. Call before the router starts. */
export function restoreLocation(): void {
  const kept = sessionStorage.getItem(returnKey);
  sessionStorage.removeItem(returnKey);
  const { pathname, search, hash } = window.location;
  failure = new URLSearchParams(search).get('signin') ?? undefined;
  if (failure !== undefined) {
    window.history.replaceState(window.history.state, '', kept ?? pathname);
    return;
  }
  if (kept !== null && hash === '' && kept.split('#', 1)[0] === `${pathname}${search}`) {
    window.history.replaceState(window.history.state, '', kept);
  }
}
