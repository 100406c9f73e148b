/** A watch glass, seen from the side, with what it holds. */
import type { ReactElement } from 'react';

export function Logo(): ReactElement {
  return (
    <span className="inline-flex items-center gap-2">
      <svg viewBox="0 0 24 24" className="size-6 text-accent" fill="none" aria-hidden="true">
        <path
          d="M3 8h18M3 8c0 5.500 4 9.500 9 9.500S21 13.500 21 8"
          stroke="currentColor"
          strokeWidth="1.800"
          strokeLinecap="round"
        />
        <circle cx="12" cy="12" r="1.900" fill="currentColor" />
      </svg>
      <span className="text-base font-semibold tracking-tight text-ink">Watchglass</span>
    </span>
  );
}
