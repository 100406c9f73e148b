/** An outcome as a shape and a word; the colour only repeats them. */
import type { OutcomeStatus } from '@watchglass/record';
import type { ReactElement } from 'react';
import { outcomeLabels } from '../text/labels.ts';
import { classNames } from './class-names.ts';

const inks: Readonly<Record<OutcomeStatus, string>> = {
  success: 'text-ink-2',
  denied: 'text-amber',
  failed: 'text-ink',
  error: 'text-red',
};

const marks: Readonly<Record<OutcomeStatus, string>> = {
  success: 'text-bar',
  denied: 'text-amber-mark',
  failed: 'text-bar-failed',
  error: 'text-red-mark',
};

/** Dot, bar across a ring, triangle, square with a cross. */
export function OutcomeShape({ status }: { readonly status: OutcomeStatus }): ReactElement {
  return (
    <svg viewBox="0 0 12 12" className={classNames('size-3 shrink-0', marks[status])} aria-hidden="true">
      {status === 'success' && <circle cx="6" cy="6" r="3.5" fill="currentColor" />}
      {status === 'denied' && (
        <g fill="none" stroke="currentColor" strokeWidth="1.8">
          <circle cx="6" cy="6" r="4.300" />
          <path d="M3 9l6-6" />
        </g>
      )}
      {status === 'failed' && <path d="M6 1.500 11 10.500H1z" fill="currentColor" />}
      {status === 'error' && (
        <g>
          <rect x="1" y="1" width="10" height="10" rx="2" fill="currentColor" />
          <path d="m4 4 4 4m0-4-4 4" stroke="var(--surface)" strokeWidth="1.500" strokeLinecap="round" />
        </g>
      )}
    </svg>
  );
}

export interface OutcomeProps {
  readonly status: OutcomeStatus;
  /** Not an outcome yet: what was about to happen. */
  readonly intent?: boolean;
  /** Only the shape, with the word in its title, while the container is small. */
  readonly tight?: boolean;
}

export function Outcome({ status, intent = false, tight = false }: OutcomeProps): ReactElement {
  const word = tight ? 'sr-only @3xl:not-sr-only' : undefined;
  if (intent) {
    return (
      <span title="Intent" className="inline-flex items-center gap-1.5 text-ink-3">
        <svg viewBox="0 0 12 12" className="size-3 shrink-0" aria-hidden="true">
          <circle cx="6" cy="6" r="3" fill="none" stroke="currentColor" strokeWidth="1.2" />
        </svg>
        <span className={word}>Intent</span>
      </span>
    );
  }
  return (
    <span title={outcomeLabels[status]} className={classNames('inline-flex items-center gap-1.5', inks[status])}>
      <OutcomeShape status={status} />
      <span className={word}>{outcomeLabels[status]}</span>
    </span>
  );
}
