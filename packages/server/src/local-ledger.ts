/**
 * The ledger of a data directory on which no server runs, for what an operator does to it by hand: change a checkpoint key, begin a successor. The lock keeps a
 * server out meanwhile, and the other way round.
 */
import { join } from 'node:path';
import { parseTenantId, type Rotation } from '@watchglass/record';
import { checkKeysDirectory } from './access/key-file.ts';
import { LedgerError } from './ledger/errors.ts';
import { openStoredKeyrings } from './ledger/kek/open-keyrings.ts';
import type { KeyChange, LedgerReport } from './ledger/ledger.ts';
import { openLedger } from './ledger/open-ledger.ts';
import { type SucceededLog, succeed } from './ledger/succeed.ts';
import { realWorld } from './world/real-world.ts';

export interface LocalLedgerOptions {
  readonly dataDir: string;
  readonly report?: (line: LedgerReport) => void;
}

export interface ChangedKey {
  readonly tenant: string;
  /** The verifier keys that sign now, the newest first. */
  readonly vkeys: readonly string[];
  /** On the key that came, if one did. */
  readonly statement: Rotation | undefined;
}

/**
 * Changes the keys that sign a log's checkpoints.
 *
 * @throws LedgerError `locked` while a server runs, `read-only`, `unknown-tenant`, `key-change-refused`
 */
export async function changeLocalKey(
  { dataDir, report }: LocalLedgerOptions,
  asked: { readonly tenant: string; readonly change: KeyChange },
): Promise<ChangedKey> {
  const world = realWorld();
  const keysDir = join(dataDir, 'keys');
  await checkKeysDirectory(world, keysDir);
  await using stack = new AsyncDisposableStack();
  const ledger = stack.use(
    await openLedger({
      dir: join(dataDir, 'ledger'),
      keysDir,
      // The configuration isn't known here: keys stay where they are kept.
      keyrings: async (mayMake) => stack.use(await openStoredKeyrings(world, keysDir, mayMake, process.env)),
      // No log is added here.
      originBase: '',
      world,
      heartbeatMs: 0,
      ...(report === undefined ? {} : { report }),
    }),
  );
  const tenant = parseTenantId(asked.tenant);
  if (ledger.tenants().length === 0 && ledger.state.kind === 'writable')
    throw new LedgerError(
      'unknown-tenant',
      `there is no log in ${dataDir}; name the data directory of an installation`,
    );
  const statement = await ledger.changeCheckpointKey(tenant, asked.change);
  return { tenant, vkeys: ledger.vkeys(tenant), statement };
}

/**
 * Begins a ledger that goes on from the one that is there, and leaves that one as it is.
 *
 * @throws LedgerError `locked` while a server runs, `corrupt`; RecordError `ledger-unreadable`, `manifest-malformed`
 */
export async function succeedLocalLedger({
  dataDir,
  report,
}: LocalLedgerOptions): Promise<{ readonly ledgerDir: string; readonly logs: readonly SucceededLog[] }> {
  const world = realWorld();
  await checkKeysDirectory(world, join(dataDir, 'keys'));
  return succeed({ dataDir, world, env: process.env, ...(report === undefined ? {} : { report }) });
}
