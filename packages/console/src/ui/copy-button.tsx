/** Copies a text and says that it did. */
import { Check, Copy } from 'lucide-react';
import { type ReactElement, useEffect, useState } from 'react';
import { classNames } from './class-names.ts';

const confirmationMs = 1600;

export interface CopyButtonProps {
  readonly text: string;
  /** What is copied, for the label: `Copy <what>`. */
  readonly what: string;
  readonly className?: string;
}

export function CopyButton({ text, what, className }: CopyButtonProps): ReactElement {
  const [copied, setCopied] = useState(false);
  useEffect(() => {
    if (!copied) return;
    const timer = setTimeout(() => setCopied(false), confirmationMs);
    return () => clearTimeout(timer);
  }, [copied]);
  const copy = (): void => {
    navigator.clipboard.writeText(text).then(
      () => setCopied(true),
      () => setCopied(false),
    );
  };
  return (
    <button
      type="button"
      onClick={copy}
      aria-label={copied ? 'Copied' : `Copy ${what}`}
      title={copied ? 'Copied' : `Copy ${what}`}
      className={classNames(
        'inline-flex size-6 shrink-0 items-center justify-center rounded text-ink-3 hover:bg-hover hover:text-ink',
        className,
      )}
    >
      {copied ? <Check className="size-3.5" aria-hidden="true" /> : <Copy className="size-3.5" aria-hidden="true" />}
      <span role="status" className="sr-only">
        {copied ? 'Copied' : ''}
      </span>
    </button>
  );
}
