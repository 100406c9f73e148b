/** A key of the keyboard. */
import type { ReactElement } from 'react';

export function Kbd({ children }: { readonly children: string }): ReactElement {
  return (
    <kbd className="inline-flex h-5 min-w-5 items-center justify-center rounded border border-line-strong bg-surface px-1 font-sans text-2xs text-ink-2">
      {children}
    </kbd>
  );
}
