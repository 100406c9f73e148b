/**
 * The seal of an event: what this browser can say about its place in the ledger. Green is kept for what was proven
 * here; `covered` says only that a checked checkpoint reaches past the event.
 */
import type { ReactElement } from 'react';
import { classNames } from './class-names.ts';

export type SealState = 'sealed' | 'position' | 'covered' | 'pending' | 'not-intact' | 'checking' | 'unchecked';

export const sealWords: Readonly<Record<SealState, string>> = {
  sealed: 'Sealed',
  position: 'Position sealed',
  covered: 'Covered',
  pending: 'Pending',
  'not-intact': 'Not intact',
  checking: 'Checking',
  unchecked: 'Not checked',
};

export const sealMeanings: Readonly<Record<SealState, string>> = {
  sealed: 'Proven in this browser: the ledger holds exactly this event.',
  position: 'Proven in this browser: the ledger holds an event here. Its content is not opened to your role.',
  covered: 'A checked checkpoint reaches past this event. Open it to prove it.',
  pending: 'No checkpoint covers this event yet.',
  'not-intact': 'The proof of this event does not hold.',
  checking: 'The proof is being checked.',
  unchecked: 'Nothing is proven here: neither this event nor the checkpoint over it.',
};

const inks: Readonly<Record<SealState, string>> = {
  sealed: 'text-green',
  position: 'text-green',
  covered: 'text-ink-3',
  pending: 'text-ink-3',
  'not-intact': 'text-red',
  checking: 'text-ink-3',
  unchecked: 'text-ink-3',
};

/** A ring with a tick (filled when sealed), a dashed ring, or a broken square. */
export function SealShape({
  state,
  className,
}: {
  readonly state: SealState;
  readonly className?: string;
}): ReactElement {
  const sealed = state === 'sealed';
  return (
    <svg
      viewBox="0 0 16 16"
      fill="none"
      className={classNames('size-4 shrink-0', inks[state], className)}
      aria-hidden="true"
    >
      {state === 'not-intact' ? (
        <>
          <path d="M5.200 1.500h5.600l3.700 3.700v5.600l-3.700 3.700H5.200l-3.700-3.700V5.200z" fill="currentColor" />
          <path d="m5.500 5.500 5 5m0-5-5 5" stroke="var(--surface)" strokeWidth="1.600" strokeLinecap="round" />
        </>
      ) : (
        <>
          <circle
            cx="8"
            cy="8"
            r="6.200"
            fill={sealed ? 'currentColor' : 'none'}
            stroke="currentColor"
            strokeWidth="1.300"
            strokeDasharray={
              state === 'pending' || state === 'checking' || state === 'unchecked' ? '2.300 2.600' : undefined
            }
          />
          {(sealed || state === 'position') && (
            <path
              d="m5.200 8.200 1.900 1.900 3.700-4"
              stroke={sealed ? 'var(--surface)' : 'currentColor'}
              strokeWidth="1.600"
              strokeLinecap="round"
              strokeLinejoin="round"
            />
          )}
          {state === 'covered' && <circle cx="8" cy="8" r="1.800" fill="currentColor" />}
        </>
      )}
    </svg>
  );
}

export function Seal({ state }: { readonly state: SealState }): ReactElement {
  return (
    <span
      className={classNames('inline-flex items-center gap-1.5 font-medium', inks[state])}
      title={sealMeanings[state]}
    >
      <SealShape state={state} />
      {sealWords[state]}
    </span>
  );
}
