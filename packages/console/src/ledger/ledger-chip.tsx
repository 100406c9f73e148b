/** The state of the ledger in the corner of every screen. */
import { Link } from '@tanstack/react-router';
import type { ReactElement } from 'react';
import { useSession } from '../shell/session.tsx';
import { formatClock } from '../time/format.ts';
import { SealShape } from '../ui/seal.tsx';
import { Skeleton } from '../ui/skeleton.tsx';
import { Tip } from '../ui/tip.tsx';
import { describeLog } from './log-words.ts';
import { useLog, useTenant } from './use-log.ts';

export function LedgerChip(): ReactElement | null {
  const log = useLog();
  const tenant = useTenant();
  const { vkeys } = useSession();
  if (vkeys[tenant] === undefined) {
    return (
      <Link
        to="/ledger"
        search={{ tenant } as never}
        className="flex items-start gap-2 rounded-md px-2 py-1.5 hover:bg-hover"
      >
        <SealShape state="not-intact" className="mt-0.5" />
        <span className="font-medium text-red text-xs">The log is not open</span>
      </Link>
    );
  }
  if (log.isPending) return log.fetchStatus === 'idle' ? null : <Skeleton className="mx-2 h-8" />;
  if (!log.data) {
    return (
      <p className="flex items-center gap-2 px-2 text-ink-3 text-xs">
        <SealShape state="unchecked" />
        The checkpoint could not be read.
      </p>
    );
  }
  const words = describeLog(log.data);
  return (
    <Tip text={words.text} side="right">
      <Link to="/ledger" className="flex items-start gap-2 rounded-md px-2 py-1.5 hover:bg-hover">
        <SealShape state={words.seal} className="mt-0.5" />
        <span className="min-w-0">
          <span className={`block truncate font-medium text-xs ${words.seal === 'sealed' ? 'text-ink' : 'text-red'}`}>
            {words.title}
          </span>
          <span className="block truncate text-2xs text-ink-3">at {formatClock(log.data.checkedAt, 'local')}</span>
        </span>
      </Link>
    </Tip>
  );
}
