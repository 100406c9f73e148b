/**
 * A log's keys change, with something going wrong at every disk operation of it: the process dies, the power fails, the disk is full or gives an error. The
 * next process signs with keys that agree with the statements, what was answered holds, and verify finds nothing.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseTenantId } from '../../packages/record/src/index.ts';
import { verifyLedger } from '../../packages/record/src/reader.ts';
import { LedgerError } from '../../packages/server/src/ledger/errors.ts';
import { items, placeAt, ToldClock } from '../../packages/server/src/ledger/ledger.fixture.ts';
import type { KeyChange, Ledger } from '../../packages/server/src/ledger/ledger.ts';
import { openLedger } from '../../packages/server/src/ledger/open-ledger.ts';
import { CrashDisk, type Fault, seeded } from './crash-disk.fixture.ts';

const seed = Number(process.env.WATCHGLASS_SEED ?? 20260314);
const budgetMs = Number(process.env.WATCHGLASS_CRASH_MS ?? 12_000);
const clinic = parseTenantId('clinic');
const dir = '/data/ledger';
const keysDir = '/data/keys';

interface Run {
  readonly disk: CrashDisk;
  readonly clock: ToldClock;
  readonly random: (below: number) => number;
  /** Newest checkpoint that was answered. */
  checkpoint: string | undefined;
  /** The key the log began with. */
  vkey: string | undefined;
  /** Verifier keys after the newest change that was answered. */
  vkeys: number | undefined;
  /** Operations before the first change. */
  before: number;
}

function open({ disk, clock, random }: Run): Promise<Ledger> {
  return openLedger({
    dir,
    keysDir,
    originBase: 'watchglass.example',
    world: { disk, clock, random: { bytes: (count) => Uint8Array.from({ length: count }, () => random(256)) } },
    heartbeatMs: 0,
    idEntriesMax: 4096,
  });
}

function newRun(disk: CrashDisk, randomSeed: number): Run {
  const clock = new ToldClock();
  return {
    disk,
    clock,
    random: seeded(randomSeed),
    checkpoint: undefined,
    vkey: undefined,
    vkeys: undefined,
    before: 0,
  };
}

async function tolerate(work: PromiseLike<unknown>): Promise<void> {
  try {
    await work;
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? String(error.code) : '';
    if (!(error instanceof LedgerError) && !/^E[A-Z]+$/.test(code)) throw error;
  }
}

async function append(run: Run, ledger: Ledger): Promise<void> {
  const { checkpoint } = await ledger.append(clinic, items({ ...placeAt('/nowhere'), clock: run.clock }, 1));
  if (!run.disk.dead) run.checkpoint = checkpoint;
}

async function change(run: Run, ledger: Ledger, wanted: KeyChange): Promise<void> {
  await ledger.changeCheckpointKey(clinic, wanted);
  if (!run.disk.dead) run.vkeys = ledger.vkeys(clinic).length;
}

async function script(run: Run): Promise<void> {
  const ledger = await open(run);
  try {
    await tolerate(ledger.addTenant(clinic));
    await tolerate(append(run, ledger));
    run.vkey = ledger.vkey(clinic);
    run.before = run.disk.operations;
    await tolerate(change(run, ledger, { kind: 'planned' }));
    await tolerate(append(run, ledger));
    await tolerate(change(run, ledger, { kind: 'end-overlap' }));
    await tolerate(change(run, ledger, { kind: 'add-ml-dsa-44' }));
    await tolerate(append(run, ledger));
  } finally {
    await tolerate(ledger[Symbol.asyncDispose]());
  }
}

async function statementsOn(disk: CrashDisk): Promise<Map<string, Uint8Array>> {
  const found = new Map<string, Uint8Array>();
  for (const name of await disk.list(`${dir}/clinic/rotations`)) {
    const bytes = await disk.readFile(`${dir}/clinic/rotations/${name}`);
    if (bytes !== undefined) found.set(name, bytes);
  }
  return found;
}

/** The next process: a change that was answered holds, a statement that was seen stays, another change goes through, and verify finds nothing. */
async function checkAfter(disk: CrashDisk, run: Run, at: number): Promise<void> {
  const seen = await statementsOn(disk);
  const next = newRun(disk, seed + at + 1);
  const ledger = await open(next);
  assert.deepEqual(ledger.state, { kind: 'writable' });
  await ledger.addTenant(clinic);
  if (run.vkeys !== undefined) assert.ok(seen.size >= 1);
  for (const [name, bytes] of seen)
    assert.deepEqual((await statementsOn(disk)).get(name), bytes, `statement ${name} changed`);
  await append(next, ledger);
  await ledger.changeCheckpointKey(clinic, { kind: 'compromised' });
  await append(next, ledger);
  const vkey = ledger.vkey(clinic);
  await ledger[Symbol.asyncDispose]();
  assert.deepEqual(
    (await disk.list(keysDir)).filter((name) => name.includes('.next')),
    [],
  );
  const options = { ledgerDir: dir, keysDir, files: disk, full: true, vkey };
  const remembered = run.checkpoint === undefined ? {} : { checkpoint: run.checkpoint };
  assert.deepEqual((await verifyLedger({ ...options, ...remembered })).findings, []);
}

/** What verify may say of a change that was cut off, before the next start finishes it. */
const halfWay = new Set(['rotation-unfinished']);

async function trial(at: number, fault: Fault, power: boolean): Promise<void> {
  const disk = new CrashDisk();
  disk.failAt(at, fault);
  const run = newRun(disk, seed);
  await Promise.race([tolerate(script(run)), disk.died]);
  const after = power ? disk.afterPowerFailure(seeded(seed + at)) : disk.afterKill();
  try {
    if (!power && (await after.size(`${dir}/manifest`)) !== undefined) {
      const pinned = run.vkey === undefined ? {} : { vkey: run.vkey };
      const { findings } = await verifyLedger({ ledgerDir: dir, keysDir, files: after, ...pinned });
      assert.deepEqual(
        findings.filter(({ code }) => !halfWay.has(code)),
        [],
        'verify before the next start',
      );
    }
    await checkAfter(after, { ...run }, at);
  } catch (error) {
    const what = `${fault}${power ? ', then the power fails' : ''}, at operation ${at}: ${disk.trace[at]}, seed ${seed}`;
    throw new Error(`${what}: ${error instanceof Error ? error.message.replaceAll(/\s+/g, ' ') : String(error)}`, {
      cause: error,
    });
  }
}

const variants: readonly { readonly fault: Fault; readonly power: boolean }[] = [
  { fault: 'dies', power: false },
  { fault: 'dies-half-way', power: false },
  { fault: 'dies', power: true },
  { fault: 'dies-half-way', power: true },
  { fault: 'ENOSPC', power: false },
  { fault: 'full', power: true },
  { fault: 'EIO', power: true },
];

for (const { fault, power } of variants) {
  test(`${fault}${power ? ' and a power failure' : ''} at every disk operation of a change of keys leaves keys, statements and signatures that agree`, {
    timeout: 120_000,
  }, async (t) => {
    const whole = newRun(new CrashDisk(), seed);
    await script(whole);
    await checkAfter(whole.disk.afterKill(), whole, 0);
    const ends = performance.now() + budgetMs / variants.length;
    const stride = 7;
    let tried = 0;
    const failed: string[] = [];
    for (let first = 0; first < stride; first++) {
      for (let at = whole.before + first; at < whole.disk.operations && performance.now() < ends; at += stride) {
        tried++;
        await trial(at, fault, power).catch((error: Error) => failed.push(error.message));
      }
    }
    t.diagnostic(`${tried} of ${whole.disk.operations - whole.before} operations tried, seed ${seed}`);
    assert.deepEqual(failed, []);
  });
}
