/** Signed out: one way in, and what it means to come in. The URL stays, so signing in comes back to it. */
import type { ReactElement } from 'react';
import { buttonClass } from '../ui/button.tsx';
import { Logo } from './logo.tsx';
import { goToSignIn } from './session.tsx';

/** Codes of the server with which a sign-in comes back (docs/errors.md), in words; the sentence says what to do. */
const failures: Readonly<Record<string, string>> = {
  'sign-in-failed':
    'The way through the identity provider took too long, began in another browser, or was not let through. Begin again here.',
  unavailable: 'The identity provider does not answer. Try again in a moment.',
  'rate-limited': 'Too many attempts. Wait a minute, then try again.',
  'read-only': 'The ledger takes no records, and nobody comes in without one. Ask whoever runs this server.',
  'storage-full': 'The disk of the ledger is full, and nobody comes in without a record. Ask whoever runs this server.',
};

export interface SignInScreenProps {
  readonly demo: boolean;
  /** Somebody was signed in until now. */
  readonly expired: boolean;
  /** The code with which the last attempt came back. */
  readonly failure: string | undefined;
}

export function SignInScreen({ demo, expired, failure }: SignInScreenProps): ReactElement {
  return (
    <main className="grid min-h-full place-items-center bg-page px-4 py-12">
      <div className="flex w-full max-w-sm flex-col gap-6">
        <Logo />
        <div className="flex flex-col gap-4 rounded-xl bg-surface p-6 shadow-panel">
          <h1 className="text-xl font-semibold tracking-tight">{expired ? 'Your session has ended' : 'Sign in'}</h1>
          <p className="text-base text-ink-2">
            {expired
              ? 'Sign in again to go on where you were: filters, range and the open event are kept.'
              : 'The audit trail of who touched patient data, and the proof that nobody changed it.'}
          </p>
          {failure !== undefined && !expired && (
            <p role="alert" className="rounded-md bg-amber-wash px-3 py-2 text-amber">
              <strong className="font-semibold">You are not signed in.</strong>{' '}
              {failures[failure] ??
                'The server could not let you in. Begin again here; if it stays, ask whoever runs it.'}
            </p>
          )}
          <a
            href="/auth/login"
            className={buttonClass('primary')}
            onClick={(event) => {
              event.preventDefault();
              goToSignIn();
            }}
          >
            Sign in
          </a>
          <p className="text-xs text-ink-3">What you look at here is recorded too, before you see it.</p>
        </div>
        {demo && (
          <p className="text-xs text-ink-3">
            This is the demo. The people to sign in as stand in <span className="mono text-ink-2">demo.json</span> in
            its data directory; try the privacy officer.
          </p>
        )}
      </div>
    </main>
  );
}
