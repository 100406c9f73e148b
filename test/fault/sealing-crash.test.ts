/**
 * A month ends, and the one after it stays empty, with something going wrong at every disk operation around it: the process dies, the power fails,
 * the disk is full or gives an error. However the clock stands when the next process begins, every epoch gets one seal, a seal that was seen is the
 * one that stays, no key is left that has sealed, and verify finds nothing.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseSeal, parseTenantId } from '../../packages/record/src/index.ts';
import { verifyLedger } from '../../packages/record/src/reader.ts';
import { LedgerError } from '../../packages/server/src/ledger/errors.ts';
import { items, placeAt, ToldClock } from '../../packages/server/src/ledger/ledger.fixture.ts';
import type { Ledger } from '../../packages/server/src/ledger/ledger.ts';
import { openLedger } from '../../packages/server/src/ledger/open-ledger.ts';
import type { Disk } from '../../packages/server/src/world/disk.ts';
import { CrashDisk, type Fault, seeded } from './crash-disk.fixture.ts';

const seed = Number(process.env.WATCHGLASS_SEED ?? 20260314);
const budgetMs = Number(process.env.WATCHGLASS_CRASH_MS ?? 12_000);
const startMs = Date.UTC(2026, 2, 31, 23, 50);
const twoMonthsMs = 45 * 24 * 3_600_000;
const clinic = parseTenantId('clinic');
const march = 674;
const dir = '/data/ledger';
const keysDir = '/data/keys';

interface Run {
  readonly disk: CrashDisk;
  readonly clock: ToldClock;
  readonly random: (below: number) => number;
  /** Seals that were signed, by path: in this process and those after it. */
  readonly signed: Map<string, Set<string>>;
  /** Newest checkpoint that was answered. */
  checkpoint: string | undefined;
  /** Operations before the boundary. */
  before: number;
}

/** Notes every seal that is signed and about to be stored, stored or not: no key may ever sign two. */
function noting(disk: CrashDisk, signed: Map<string, Set<string>>): Disk {
  return new Proxy<Disk>(disk, {
    get(target, name: keyof Disk) {
      if (name !== 'replace') {
        const member = target[name];
        return typeof member === 'function' ? member.bind(target) : member;
      }
      return (path: string, bytes: Uint8Array, options: Parameters<Disk['replace']>[2]) => {
        if (path.includes('/seals/') && !disk.dead)
          signed.set(path, (signed.get(path) ?? new Set()).add(Buffer.from(bytes).toString('utf8')));
        return target.replace(path, bytes, options);
      };
    },
  });
}

function open({ disk, clock, random, signed }: Run): Promise<Ledger> {
  return openLedger({
    dir,
    keysDir,
    originBase: 'watchglass.example',
    world: {
      disk: noting(disk, signed),
      clock,
      random: { bytes: (count) => Uint8Array.from({ length: count }, () => random(256)) },
    },
    heartbeatMs: 0,
    idEntriesMax: 4096,
  });
}

function newRun(disk: CrashDisk, nowMs: number, randomSeed: number): Run {
  const random = seeded(randomSeed);
  return { disk, clock: new ToldClock(nowMs), random, signed: new Map(), checkpoint: undefined, before: 0 };
}

async function tolerate(work: PromiseLike<unknown>): Promise<void> {
  try {
    await work;
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? String(error.code) : '';
    if (!(error instanceof LedgerError) && !/^E[A-Z]+$/.test(code)) throw error;
  }
}

async function append(run: Run, ledger: Ledger, count: number): Promise<void> {
  const { checkpoint } = await ledger.append(clinic, items({ ...placeAt('/nowhere'), clock: run.clock }, count));
  if (!run.disk.dead) run.checkpoint = checkpoint;
}

async function script(run: Run): Promise<void> {
  await tolerate(
    (async () => {
      const ledger = await open(run);
      try {
        await tolerate(ledger.addTenant(clinic));
        await tolerate(append(run, ledger, 3));
        run.before = run.disk.operations;
        run.clock.advance(twoMonthsMs);
        await tolerate(append(run, ledger, 2));
        // What had no room, or came too early, is tried again.
        run.clock.advance(10_000);
        await tolerate(append(run, ledger, 1));
      } finally {
        await tolerate(ledger[Symbol.asyncDispose]());
      }
    })(),
  );
}

async function sealsOn(disk: CrashDisk): Promise<Map<string, Uint8Array>> {
  const seals = new Map<string, Uint8Array>();
  for (const name of await disk.list(`${dir}/clinic/seals`)) {
    const bytes = await disk.readFile(`${dir}/clinic/seals/${name}`);
    if (bytes !== undefined) seals.set(name, bytes);
  }
  return seals;
}

async function findingsOn(disk: CrashDisk, checkpoint?: string): Promise<unknown[]> {
  const remembered = checkpoint === undefined ? {} : { checkpoint };
  return [...(await verifyLedger({ ledgerDir: dir, keysDir, files: disk, full: true, ...remembered })).findings];
}

/** The next process, its clock right, or back in the month that ended. */
async function checkAfter(disk: CrashDisk, run: Run, nowMs: number, at: number): Promise<void> {
  const seen = await sealsOn(disk);
  const signed = new Map([...run.signed].map(([path, texts]) => [path, new Set(texts)]));
  const next = { ...newRun(disk, nowMs, seed + at + 1), signed };
  const ledger = await open(next);
  assert.deepEqual(ledger.state, { kind: 'writable' });
  await ledger.addTenant(clinic);
  await append(next, ledger, 1);
  next.clock.advance(startMs + twoMonthsMs - next.clock.now() + 1);
  await append(next, ledger, 1);
  await ledger[Symbol.asyncDispose]();
  const seals = await sealsOn(disk);
  assert.deepEqual([...seals.keys()].map(Number).sort(), [march - 1, march, march + 1]);
  for (const [name, bytes] of seen) assert.deepEqual(seals.get(name), bytes, `the seal of epoch ${name} changed`);
  for (const [path, texts] of signed) assert.equal(texts.size, 1, `${path} was signed with ${texts.size} contents`);
  const keys = (await disk.list(keysDir)).filter((name) => /epoch-key-\d+$/.test(name));
  assert.deepEqual(keys, [`clinic.epoch-key-${march + 2}`]);
  const sizes = [...seals.values()].map((bytes) => parseSeal(bytes).size);
  assert.equal(sizes[0], 0);
  assert.deepEqual(await findingsOn(disk, run.checkpoint), []);
}

async function trial(at: number, fault: Fault, power: boolean): Promise<void> {
  const disk = new CrashDisk();
  disk.failAt(at, fault);
  const run = newRun(disk, startMs, seed);
  await Promise.race([script(run), disk.died]);
  const frozen = { ...run };
  const after = power ? disk.afterPowerFailure(seeded(seed + at)) : disk.afterKill();
  try {
    if (!power && (await after.size(`${dir}/manifest`)) !== undefined)
      assert.deepEqual(await findingsOn(after), [], 'verify before the next start');
    await checkAfter(after.afterKill(), frozen, startMs + twoMonthsMs, at);
    await checkAfter(after, frozen, startMs, at);
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
  test(`${fault}${power ? ' and a power failure' : ''} at every disk operation around the end of a month leaves one seal an epoch`, {
    timeout: 120_000,
  }, async (t) => {
    const whole = newRun(new CrashDisk(), startMs, seed);
    await script(whole);
    await checkAfter(whole.disk.afterKill(), whole, startMs, 0);
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
