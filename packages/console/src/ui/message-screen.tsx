/** A designed screen for empty, refused and broken: what happened, what is safe, what to do. */
import type { ReactElement, ReactNode } from 'react';
import { ConsoleError } from '../errors.ts';
import { Button } from './button.tsx';

export interface MessageScreenProps {
  readonly title: string;
  readonly children: ReactNode;
  readonly mark?: ReactNode;
  readonly actions?: ReactNode;
}

export function MessageScreen({ title, children, mark, actions }: MessageScreenProps): ReactElement {
  return (
    <div className="mx-auto flex max-w-xl flex-col items-start gap-3 px-6 py-16">
      {mark}
      <h2 className="text-lg font-semibold text-ink">{title}</h2>
      <div className="flex w-full flex-col gap-3 text-base text-ink-2">{children}</div>
      {actions && <div className="mt-2 flex flex-wrap gap-2">{actions}</div>}
    </div>
  );
}

export function ErrorScreen({
  error,
  onRetry,
}: {
  readonly error: unknown;
  readonly onRetry?: () => void;
}): ReactElement {
  const known = error instanceof ConsoleError ? error : undefined;
  return (
    <div role="alert">
      <MessageScreen
        title={known?.title ?? 'Something went wrong in the console'}
        mark={<span className="rounded bg-red-wash px-2 py-0.5 text-xs font-medium text-red">Error</span>}
        actions={
          onRetry && (
            <Button tone="plain" onClick={onRetry}>
              Try again
            </Button>
          )
        }
      >
        <p>
          {known?.message ??
            'The ledger is not affected: the console only reads. Reload the page; if it stays, report what you did.'}
        </p>
        {known && <p className="label mono">{known.code}</p>}
      </MessageScreen>
    </div>
  );
}
