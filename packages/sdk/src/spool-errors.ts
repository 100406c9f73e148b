/** What a spool says where it takes nothing: why, and what to do. */
import { SdkError } from './errors.ts';

export function diskFull(cause?: unknown): SdkError {
  return new SdkError(
    'spool-full',
    'expected room on the disk under the spool, got none; free some: it goes on by itself',
    cause === undefined ? {} : { cause },
  );
}

/** A disk that hangs is known by the commit that doesn't come back. */
export function diskStalled(stallMs: number): SdkError {
  return new SdkError(
    'spool-stalled',
    `expected the disk under the spool to answer within ${stallMs} ms; check the disk`,
  );
}

export function spoolFailed(dir: string, reason: string, cause?: unknown): SdkError {
  return new SdkError(
    'spool-failed',
    `expected the spool in ${dir} to take events, but ${reason}; check the disk and restart`,
    cause === undefined ? {} : { cause },
  );
}

export function spoolClosed(): SdkError {
  return new SdkError('spool-closed', 'expected an open spool, got a closed one');
}

export function isFull(error: unknown): boolean {
  const code = (error as NodeJS.ErrnoException | undefined)?.code;
  return code === 'ENOSPC' || code === 'EDQUOT' || code === 'EFBIG';
}
