/**
 * Leaves a ledger as it is, and begins another one that goes on from it: the way on when files are behind what a witness or somebody else remembers, and so
 * nothing may be signed in them any more. The old ledger moves to `ledger.<number>` beside the new one and stays verifiable; each log of the new one has an
 * origin of its own, and says in its first record which head the old one was left with, and its recovery point.
 *
 * What is to be is durable first, in `succession.json`: cut off anywhere, it is finished by doing it again, and until then no ledger opens here.
 */
import {
  parseSignerKey,
  parseTenantId,
  parseVerifierKey,
  type Signer,
  type Succession,
  signSuccession,
} from '@watchglass/record';
import { readHeldHeads } from '@watchglass/record/reader';
import type { World } from '../world/world.ts';
import { LedgerError } from './errors.ts';
import { type OpenedKeyrings, openStoredKeyrings } from './kek/open-keyrings.ts';
import type { ProviderDeps } from './kek/provider.ts';
import type { LedgerReport, Successor } from './ledger.ts';
import { openLedger } from './open-ledger.ts';

export interface SucceededLog {
  readonly tenant: string;
  readonly origin: string;
  readonly predecessor: string;
  /** Of the old log. */
  readonly size: number;
  /** Received time of the old log's last record; undefined where it has none or it can't be opened. */
  readonly recovery: string | undefined;
  /** The new log's verifier key. */
  readonly vkey: string;
}

interface Plan {
  readonly v: 1;
  /** Of the directory that the old ledger moves to. */
  readonly number: number;
  readonly logs: readonly PlannedLog[];
}

interface PlannedLog {
  readonly tenant: string;
  readonly origin: string;
  readonly predecessor: string;
  readonly size: number;
  /** Base64. */
  readonly root: string;
  readonly key: string;
  readonly recovery?: string;
  readonly checkpoint?: string;
}

/**
 * @param dataDir has `ledger/` and `keys/`; no server may run on it
 * @throws LedgerError `locked`, `corrupt`; RecordError `ledger-unreadable`, `manifest-malformed`
 */
export async function succeed(options: {
  readonly dataDir: string;
  readonly world: World;
  /** For credentials of keys that are kept elsewhere. */
  readonly env?: ProviderDeps['env'];
  readonly report?: (line: LedgerReport) => void;
}): Promise<{ readonly ledgerDir: string; readonly logs: readonly SucceededLog[] }> {
  const { dataDir, world, env } = options;
  await using keyrings = await openStoredKeyrings(world, `${dataDir}/keys`, false, env);
  const plan = (await readPlan(world, dataDir)) ?? (await makePlan(world, dataDir, keyrings));
  const oldDir = `${dataDir}/ledger.${plan.number}`;
  const oldKeysDir = `${dataDir}/keys/ledger.${plan.number}`;
  await moveLedger(world, dataDir, oldDir);
  await moveKeys(world, dataDir, oldKeysDir, plan);
  // What is made from the ledger is of the old one.
  for (const name of ['dedupe', 'index', 'sealing']) await world.disk.removeTree(`${dataDir}/${name}`);
  await moveWitnessMemory(world, dataDir, plan);
  const oldSigners = new Map<string, Signer>();
  for (const { tenant } of plan.logs) {
    const signer = await readSigner(world, `${oldKeysDir}/${tenant}.checkpoint-key`);
    if (signer !== undefined) oldSigners.set(tenant, signer);
  }
  const successors = new Map(plan.logs.map((log) => [log.tenant, successorOf(log, oldSigners.get(log.tenant))]));
  const done: SucceededLog[] = [];
  {
    await using ledger = await openLedger({
      dir: `${dataDir}/ledger`,
      keysDir: `${dataDir}/keys`,
      keyrings: async () => keyrings,
      originBase: '',
      successors,
      world,
      heartbeatMs: 0,
      isSuccession: true,
      ...(options.report === undefined ? {} : { report: options.report }),
    });
    for (const { tenant, origin, predecessor, size, recovery } of plan.logs) {
      const id = parseTenantId(tenant);
      await ledger.addTenant(id);
      done.push({ tenant, origin, predecessor, size, recovery, vkey: ledger.vkey(id) });
    }
  }
  await world.disk.remove(planPath(dataDir));
  await world.disk.syncDirectory(dataDir);
  return { ledgerDir: oldDir, logs: done };
}

function planPath(dataDir: string): string {
  return `${dataDir}/succession.json`;
}

async function readPlan(world: World, dataDir: string): Promise<Plan | undefined> {
  const bytes = await world.disk.readFile(planPath(dataDir));
  return bytes === undefined ? undefined : (JSON.parse(Buffer.from(bytes).toString('utf8')) as Plan);
}

async function makePlan(world: World, dataDir: string, keyrings: OpenedKeyrings): Promise<Plan> {
  const ledgerDir = `${dataDir}/ledger`;
  const lock = await world.disk.lock(`${ledgerDir}/lock`);
  if (lock === undefined) throw new LedgerError('locked', `a server writes the ledger in ${ledgerDir}; stop it first`);
  try {
    const heads = await readHeldHeads({ ledgerDir, keysDir: `${dataDir}/keys`, keyrings, files: world.disk });
    if (heads.length === 0) throw new LedgerError('corrupt', `${ledgerDir} has no log; there is nothing to go on from`);
    const taken = (await world.disk.list(dataDir)).flatMap((name) => /^ledger\.(\d{1,6})\/$/.exec(name)?.[1] ?? []);
    const number = Math.max(0, ...taken.map(Number)) + 1;
    const logs = heads.map((head): PlannedLog => {
      const { tenant, origin, size, root, vkey, lastReceived, checkpoint } = head;
      return {
        tenant,
        origin: nextOrigin(origin, tenant),
        predecessor: origin,
        size,
        root: Buffer.from(root).toString('base64'),
        key: vkey,
        ...(lastReceived === undefined ? {} : { recovery: lastReceived }),
        ...(checkpoint === undefined ? {} : { checkpoint }),
      };
    });
    const plan: Plan = { v: 1, number, logs };
    await world.disk.replace(planPath(dataDir), Buffer.from(`${JSON.stringify(plan)}\n`));
    return plan;
  } finally {
    lock.release();
  }
}

/** `…/clinic` goes on as `…/clinic/2`, that as `…/clinic/3`. */
function nextOrigin(origin: string, tenant: string): string {
  const match = new RegExp(`^(.*/${tenant})/(\\d{1,6})$`).exec(origin);
  return match === null ? `${origin}/2` : `${match[1]}/${Number(match[2]) + 1}`;
}

async function moveLedger({ disk }: World, dataDir: string, oldDir: string): Promise<void> {
  if ((await disk.size(`${oldDir}/manifest`)) !== undefined) return;
  await disk.rename(`${dataDir}/ledger`, oldDir);
  await disk.syncDirectory(dataDir);
}

/** Keys of the old logs sign nothing any more; who trusts them must still be able to check what they signed that they go on elsewhere. */
async function moveKeys({ disk }: World, dataDir: string, oldKeysDir: string, plan: Plan): Promise<void> {
  const keysDir = `${dataDir}/keys`;
  await disk.makeDirectory(oldKeysDir);
  for (const name of await disk.list(keysDir)) {
    const log = plan.logs.find(
      ({ tenant }) => /^\.(checkpoint-key|epoch-key-\d+)/.test(name.slice(tenant.length)) && name.startsWith(tenant),
    );
    if (log === undefined) continue;
    const bytes = await disk.readFile(`${keysDir}/${name}`);
    const owner = /^PRIVATE\+KEY\+([^+]+)\+/.exec(Buffer.from(bytes ?? []).toString('utf8'))?.[1];
    // What the new log has already stays.
    if (owner !== log.predecessor && owner?.startsWith(`${log.predecessor}/epoch/`) !== true) continue;
    await disk.rename(`${keysDir}/${name}`, `${oldKeysDir}/${name}`);
  }
  await disk.syncDirectory(oldKeysDir);
  await disk.syncDirectory(keysDir);
}

/** What is remembered of the witnesses is about the old logs: held against a new one, which is shorter, it would end all writing in it. It stays as a proof. */
async function moveWitnessMemory({ disk }: World, dataDir: string, { number }: Plan): Promise<void> {
  const names = await disk.list(`${dataDir}/witnesses`);
  if (names.length === 0) return;
  const kept = `${dataDir}/witnesses.${number}`;
  await disk.makeDirectory(kept);
  for (const name of names) await disk.rename(`${dataDir}/witnesses/${name}`, `${kept}/${name}`);
  await disk.syncDirectory(kept);
  await disk.syncDirectory(`${dataDir}/witnesses`);
}

async function readSigner({ disk }: World, path: string): Promise<Signer | undefined> {
  const bytes = await disk.readFile(path);
  return bytes === undefined ? undefined : parseSignerKey(Buffer.from(bytes).toString('utf8').split('\n')[0] ?? '');
}

function successorOf(log: PlannedLog, old: Signer | undefined): Successor {
  const { origin, predecessor, size, recovery, checkpoint } = log;
  const succession: Succession = {
    origin,
    predecessor,
    size,
    root: Buffer.from(log.root, 'base64'),
    key: parseVerifierKey(log.key),
    recovery,
    checkpoint,
  };
  // A key that isn't the one the log showed last says nothing about it.
  const signsToo = old !== undefined && Buffer.compare(old.publicKey, succession.key.publicKey) === 0;
  return { origin, statement: (signer) => signSuccession(succession, signsToo ? [signer, old] : [signer]) };
}
