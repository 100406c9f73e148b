/**
 * The frame of every screen: asks who is signed in, shows the sign-in where nobody is, and otherwise navigation, the
 * state of the ledger, and the screen. Only screens that exist are listed.
 */
import { Link, Outlet } from '@tanstack/react-router';
import { Command, ListTree, Rows3 } from 'lucide-react';
import { type ReactElement, useRef, useState } from 'react';
import { LedgerBanner } from '../ledger/ledger-banner.tsx';
import { LedgerChip } from '../ledger/ledger-chip.tsx';
import { Kbd } from '../ui/kbd.tsx';
import { ErrorScreen } from '../ui/message-screen.tsx';
import { Skeleton } from '../ui/skeleton.tsx';
import { CommandPalette } from './command-palette.tsx';
import { HelpDialog } from './help-dialog.tsx';
import { Logo } from './logo.tsx';
import { PersonMenu } from './person-menu.tsx';
import { SessionProvider, type SignedIn, signInFailure, useSessionQuery } from './session.tsx';
import { useKeys } from './shortcuts.ts';
import { SignInScreen } from './sign-in-screen.tsx';
import { TenantMenu } from './tenant-menu.tsx';

export function Shell(): ReactElement {
  const session = useSessionQuery();
  const wasSignedIn = useRef(false);
  if (session.data?.kind === 'signed-in') {
    wasSignedIn.current = true;
    return (
      <SessionProvider session={session.data}>
        <Frame session={session.data} />
      </SessionProvider>
    );
  }
  if (session.data)
    return <SignInScreen demo={session.data.demo} expired={wasSignedIn.current} failure={signInFailure()} />;
  if (session.error) {
    return (
      <main>
        <ErrorScreen error={session.error} onRetry={() => void session.refetch()} />
      </main>
    );
  }
  return <FrameSkeleton />;
}

/** Another screen of the same tenant, and nothing else of where one was. */
const keepTenant = ({ tenant }: { readonly tenant?: string }): object => (tenant === undefined ? {} : { tenant });

const screens = [
  { to: '/explorer', name: 'Explorer', icon: Rows3, right: 'search' },
  { to: '/ledger', name: 'Ledger', icon: ListTree, right: 'status' },
] as const;

function Frame({ session }: { readonly session: SignedIn }): ReactElement {
  const [palette, setPalette] = useState(false);
  const [help, setHelp] = useState(false);
  useKeys([
    [
      'mod+k',
      (event) => {
        event.preventDefault();
        setPalette(true);
      },
    ],
    ['?', () => setHelp(true)],
  ]);
  const listed = screens.filter((screen) => session.person.rights.includes(screen.right));
  return (
    <div className="flex h-full flex-col md:grid md:grid-cols-[208px_minmax(0,1fr)]">
      <button
        type="button"
        className="sr-only focus:not-sr-only focus:absolute focus:left-2 focus:top-2 focus:z-50 focus:rounded-md focus:bg-surface focus:px-3 focus:py-2"
        onClick={() => document.getElementById('content')?.focus()}
      >
        Skip to content
      </button>
      <header className="flex items-center gap-2 border-line border-b bg-page px-3 py-2 md:h-full md:flex-col md:items-stretch md:gap-4 md:border-r md:border-b-0 md:px-3 md:py-4">
        <div className="flex items-center justify-between md:px-2">
          <Logo />
          {session.demo && (
            <span className="ml-2 rounded border border-line-strong px-1.5 text-2xs text-ink-3">Demo</span>
          )}
        </div>
        {session.tenants.length > 1 && <TenantMenu tenants={session.tenants} own={session.tenant} />}
        <nav aria-label="Screens" className="ml-auto flex gap-0.5 md:ml-0 md:flex-col">
          {listed.map(({ to, name, icon: Icon }) => (
            <Link
              key={to}
              to={to}
              search={keepTenant as never}
              aria-label={name}
              className="flex h-8 items-center gap-2 rounded-md px-2 font-medium text-ink-2 hover:bg-hover hover:text-ink aria-[current=page]:bg-accent-wash aria-[current=page]:text-accent"
            >
              <Icon className="size-4" aria-hidden="true" />
              <span className="hidden md:inline">{name}</span>
            </Link>
          ))}
        </nav>
        <div className="flex items-center gap-1 md:mt-auto md:flex-col md:items-stretch md:gap-2">
          <div className="hidden md:block">
            <LedgerChip />
          </div>
          <button
            type="button"
            onClick={() => setPalette(true)}
            className="flex h-8 items-center gap-2 rounded-md px-2 text-ink-2 hover:bg-hover hover:text-ink"
          >
            <Command className="size-4" aria-hidden="true" />
            <span className="sr-only flex-1 text-left md:not-sr-only">Commands</span>
            <span className="hidden md:inline" aria-hidden="true">
              <Kbd>⌘K</Kbd>
            </span>
          </button>
          <PersonMenu person={session.person} onHelp={() => setHelp(true)} />
        </div>
      </header>
      <div className="flex min-h-0 min-w-0 flex-1 flex-col md:h-full">
        <LedgerBanner />
        <main id="content" tabIndex={-1} className="flex min-h-0 flex-1 flex-col outline-none">
          <Outlet />
        </main>
      </div>
      <CommandPalette open={palette} onOpenChange={setPalette} onHelp={() => setHelp(true)} />
      <HelpDialog open={help} onOpenChange={setHelp} />
    </div>
  );
}

function FrameSkeleton(): ReactElement {
  return (
    <main
      aria-busy="true"
      aria-label="Loading"
      className="flex h-full flex-col md:grid md:grid-cols-[208px_minmax(0,1fr)]"
    >
      <div className="flex flex-col gap-4 border-line border-b px-4 py-4 md:border-r md:border-b-0">
        <Skeleton className="h-6 w-32" />
        <Skeleton className="hidden h-8 w-full md:block" />
      </div>
      <div className="flex flex-col gap-4 p-6">
        <Skeleton className="h-8 w-full" />
        <Skeleton className="h-32 w-full" />
        {[1, 2, 3, 4, 5, 6].map((n) => (
          <Skeleton key={n} className="h-6 w-full" />
        ))}
      </div>
    </main>
  );
}
