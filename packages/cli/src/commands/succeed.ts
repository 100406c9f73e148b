/**
 * `watchglass ledger succeed`: leaves a ledger that is behind what others remember of it, and begins one that goes on from it. The old one stays beside it, to be
 * verified; what it took after its recovery point is lost with it, and that is said.
 */
import { resolve } from 'node:path';
import { defaultDataDir } from '../connection.ts';
import { type Io, note, printJson, printLine } from '../io.ts';
import { localError } from './rotate-checkpoint.ts';

export async function succeedLedger(
  options: { readonly json?: boolean; readonly data?: string },
  io: Io,
): Promise<void> {
  const dataDir = resolve(io.cwd, options.data ?? defaultDataDir);
  const { succeedLocalLedger } = await import('@watchglass/server');
  const done = await succeedLocalLedger({ dataDir, report: ({ message }) => note(io, `  ${message}`) }).catch(
    (error: unknown) => {
      throw localError(error, dataDir);
    },
  );
  if (options.json === true) {
    printJson(io, done);
    return;
  }
  for (const { tenant, origin, predecessor, size, recovery, vkey } of done.logs) {
    printLine(io, `${tenant}: ${origin} goes on from ${predecessor}, left at ${size} events`);
    printLine(io, `  recovery point ${recovery ?? 'not known'}: what was received later is not in it`);
    printLine(io, `  verifier key ${vkey}`);
  }
  note(
    io,
    `The old ledger is ${done.ledgerDir}; verify it as any other. Senders that kept what they sent may send it again.`,
  );
  note(io, 'Give the new keys to whoever pinned the old ones, and keep the first seals of the new logs.');
}
