/**
 * A thin moving line over content that answers an earlier question while the new answer is awaited. What is under it
 * stays as legible as before: dimmed text would fall below the contrast that people need to read it.
 */
import type { ReactElement } from 'react';

export function AwaitedLine(): ReactElement {
  return (
    <div role="status" className="pointer-events-none absolute inset-x-0 top-0 z-20 h-0.5 overflow-hidden">
      <span className="sr-only">The new answer is awaited.</span>
      <span aria-hidden="true" className="awaited block h-full bg-accent" />
    </div>
  );
}
