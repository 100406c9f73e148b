/**
 * The ledger with something going wrong at every single disk operation of a scripted run: the process dies before or inside it, the power
 * fails, the disk is full, or it gives an error. Afterwards every acknowledged event is there once, at its index; what wasn't
 * acknowledged is taken when it is sent again; the last checkpoint that was answered is extended; and verify finds nothing.
 */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { test } from 'node:test';
import {
  decode,
  type Event,
  encodeEvent,
  minimise,
  parseTenantId,
  type TenantId,
} from '../../packages/record/src/index.ts';
import { verifyLedger } from '../../packages/record/src/reader.ts';
import { LedgerError } from '../../packages/server/src/ledger/errors.ts';
import { ToldClock } from '../../packages/server/src/ledger/ledger.fixture.ts';
import type { AppendItem, Ledger } from '../../packages/server/src/ledger/ledger.ts';
import { openLedger } from '../../packages/server/src/ledger/open-ledger.ts';
import { CrashDisk, type Fault, seeded } from './crash-disk.fixture.ts';

const seed = Number(process.env.WATCHGLASS_SEED ?? 20260314);
/** The whole run is tried at every operation within this time; a slow machine leaves some out, evenly. */
const budgetMs = Number(process.env.WATCHGLASS_CRASH_MS ?? 12_000);
const startMs = Date.UTC(2026, 2, 31, 23, 50);
const intoNextMonthMs = 20 * 60_000;
const place = { dir: '/data/ledger', keysDir: '/data/keys', originBase: 'watchglass.example' };
const clinic = parseTenantId('clinic');
const other = parseTenantId('other');

interface Run {
  readonly disk: CrashDisk;
  readonly clock: ToldClock;
  /** What was answered: id → index, by tenant. */
  readonly acknowledged: Map<TenantId, Map<string, number>>;
  readonly checkpoints: Map<TenantId, string>;
  readonly sent: Map<TenantId, AppendItem[]>;
  random: (below: number) => number;
}

function newRun(disk: CrashDisk): Run {
  return {
    disk,
    clock: new ToldClock(startMs),
    acknowledged: new Map([
      [clinic, new Map()],
      [other, new Map()],
    ]),
    checkpoints: new Map(),
    sent: new Map([
      [clinic, []],
      [other, []],
    ]),
    random: seeded(seed),
  };
}

function open({ disk, clock, random }: Run): Promise<Ledger> {
  return openLedger({
    ...place,
    world: { disk, clock, random: { bytes: (count) => Uint8Array.from({ length: count }, () => random(256)) } },
    heartbeatMs: 0,
    segmentBytesMax: 3000,
    idEntriesMax: 4096,
  });
}

/** The events of the run are the same in every run: the number of the event gives its id. */
function newItems(run: Run, tenant: TenantId, count: number, kind: Event['kind'] = 'api'): AppendItem[] {
  const sent = run.sent.get(tenant) as AppendItem[];
  const made = Array.from({ length: count }, (_, i) => {
    const seq = sent.length + i + 1;
    const received = new Date(run.clock.now()).toISOString();
    const event = minimise({
      v: 1,
      id:
        `01990000-0000-7000-8000-${(tenant === clinic ? 0 : 0x10000) + seq}`.padEnd(36, '0').slice(0, 24) +
        seq.toString(16).padStart(12, '0'),
      time: received,
      tenant,
      emitter: { id: 'gateway-1', seq },
      kind,
      action: 'read',
      operation: 'read',
      outcome: { status: 'success', code: 200 },
      actor: { id: `person-${seq % 7}`, type: 'human' },
    });
    const digest = createHash('sha256').update(encodeEvent(event)).digest('hex');
    return { event, envelope: { received, submitter: 'key:test', intake: 'http', digest } } as AppendItem;
  });
  sent.push(...made);
  return made;
}

async function append(run: Run, ledger: Ledger, tenant: TenantId, items: AppendItem[]): Promise<void> {
  const { receipts, checkpoint } = await ledger.append(tenant, items);
  if (run.disk.dead) return;
  const acknowledged = run.acknowledged.get(tenant) as Map<string, number>;
  for (const { id, index } of receipts) {
    assert.equal(acknowledged.get(id) ?? index, index, 'an event was answered with two indexes');
    acknowledged.set(id, index);
  }
  run.checkpoints.set(tenant, checkpoint);
}

/** What a ledger may answer when its disk fails; anything else is a fault of ours. */
async function tolerate(work: PromiseLike<unknown>): Promise<void> {
  try {
    await work;
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? String(error.code) : '';
    if (!(error instanceof LedgerError) && !/^E[A-Z]+$/.test(code)) throw error;
  }
}

async function settle(): Promise<void> {
  for (let i = 0; i < 60; i++) await new Promise((resolve) => setImmediate(resolve));
}

/** Two processes, one after the other: several tenants and classes, repeats, archiving beside appends and at the end, a month that ends. */
async function script(run: Run): Promise<void> {
  await tolerate(firstProcess(run));
  await tolerate(secondProcess(run));
}

async function firstProcess(run: Run): Promise<void> {
  const ledger = await open(run);
  try {
    await tolerate(ledger.addTenant(clinic));
    const first = newItems(run, clinic, 3);
    await tolerate(append(run, ledger, clinic, first));
    await Promise.all([
      tolerate(append(run, ledger, clinic, newItems(run, clinic, 4))),
      tolerate(append(run, ledger, clinic, newItems(run, clinic, 1, 'review'))),
      tolerate(append(run, ledger, clinic, first)),
    ]);
    await tolerate(ledger.addTenant(other));
    run.clock.advance(60_000);
    await Promise.all([
      tolerate(append(run, ledger, clinic, newItems(run, clinic, 2, 'auth'))),
      tolerate(append(run, ledger, other, newItems(run, other, 2))),
    ]);
    run.clock.advance(60_000);
    await settle();
    await tolerate(append(run, ledger, clinic, newItems(run, clinic, 6)));
    await tolerate(append(run, ledger, other, newItems(run, other, 1)));
  } finally {
    await tolerate(ledger[Symbol.asyncDispose]());
  }
}

async function secondProcess(run: Run): Promise<void> {
  const ledger = await open(run);
  try {
    await tolerate(ledger.addTenant(clinic));
    await tolerate(ledger.addTenant(other));
    await tolerate(append(run, ledger, clinic, (run.sent.get(clinic) ?? []).slice(2, 9)));
    await tolerate(append(run, ledger, clinic, newItems(run, clinic, 3)));
    run.clock.advance(intoNextMonthMs);
    await settle();
    await Promise.all([
      tolerate(append(run, ledger, other, newItems(run, other, 2, 'review'))),
      tolerate(append(run, ledger, clinic, newItems(run, clinic, 2))),
    ]);
  } finally {
    await tolerate(ledger[Symbol.asyncDispose]());
  }
}

function verify(disk: CrashDisk, checkpoint?: string): ReturnType<typeof verifyLedger> {
  return verifyLedger({
    ledgerDir: place.dir,
    keysDir: place.keysDir,
    files: disk,
    full: true,
    ...(checkpoint === undefined ? {} : { checkpoint }),
  });
}

/** The next process, on a disk that works: what was acknowledged is there, what wasn't is taken, and all of it verifies. */
async function checkAfter(before: Run, disk: CrashDisk): Promise<void> {
  const run: Run = { ...before, disk, random: seeded(seed + 1) };
  const ledger = await open(run);
  assert.deepEqual(ledger.state, { kind: 'writable' });
  const sizes = new Map<TenantId, number>();
  for (const [tenant, sent] of run.sent) {
    await ledger.addTenant(tenant);
    const { size } = ledger.head(tenant);
    const stored = new Map<string, number>();
    for (const { index, m } of await ledger.read(tenant, 0, 1000)) {
      const { id } = decode(m).event;
      assert.equal(stored.get(id), undefined, `event ${id} is stored twice`);
      stored.set(id, index);
    }
    assert.equal(stored.size, size);
    for (const [id, index] of run.acknowledged.get(tenant) ?? []) {
      assert.equal(stored.get(id), index, `acknowledged event ${id} of ${tenant}`);
    }
    for (const item of sent) {
      const { receipts } = await ledger.append(tenant, [item]);
      const known = stored.get(item.event.id);
      assert.equal(receipts[0]?.duplicate, known !== undefined, `sent again: ${item.event.id}`);
      if (known !== undefined) assert.equal(receipts[0]?.index, known);
    }
    sizes.set(tenant, ledger.head(tenant).size);
  }
  await ledger[Symbol.asyncDispose]();
  for (const tenant of run.sent.keys()) {
    const report = await verify(disk, run.checkpoints.get(tenant));
    assert.deepEqual(report.findings, []);
    assert.equal(report.tenants.find((log) => log.tenant === tenant)?.opened, sizes.get(tenant));
  }
}

async function trial(at: number, fault: Fault, power: boolean): Promise<void> {
  const disk = new CrashDisk();
  disk.failAt(at, fault);
  const run = newRun(disk);
  await Promise.race([script(run), disk.died]);
  // The script of a dead process may still turn for a while: what it answered and sent until now is what counts.
  const frozen: Run = {
    ...run,
    clock: new ToldClock(run.clock.now()),
    acknowledged: new Map([...run.acknowledged].map(([tenant, ids]) => [tenant, new Map(ids)])),
    checkpoints: new Map(run.checkpoints),
    sent: new Map([...run.sent].map(([tenant, sent]) => [tenant, [...sent]])),
  };
  const what = `${fault}${power ? ', then the power fails' : ''}, at operation ${at}: ${disk.trace[at]}, seed ${seed}`;
  try {
    const after = power ? disk.afterPowerFailure(seeded(seed + at)) : disk.afterKill();
    if (!power && (await after.size(`${place.dir}/manifest`)) !== undefined) {
      assert.deepEqual((await verify(after)).findings, [], 'verify before the next start');
    }
    await checkAfter(frozen, after);
  } catch (error) {
    throw new Error(`${what}: ${error instanceof Error ? error.message.replaceAll(/\s+/g, ' ') : String(error)}`, {
      cause: error,
    });
  }
}

async function operationsOfTheRun(): Promise<number> {
  const disk = new CrashDisk();
  const run = newRun(disk);
  await script(run);
  assert.equal(run.acknowledged.get(clinic)?.size, run.sent.get(clinic)?.length);
  await checkAfter(run, disk.afterKill());
  return disk.operations;
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
  test(`${fault}${power ? ' and a power failure' : ''} at every disk operation loses nothing that was acknowledged`, {
    timeout: 120_000,
  }, async (t) => {
    const operations = await operationsOfTheRun();
    const ends = performance.now() + budgetMs / variants.length;
    // Far apart first, so that a slow machine leaves out evenly.
    const stride = 17;
    let tried = 0;
    const failed: string[] = [];
    for (let first = 0; first < stride; first++) {
      for (let at = (first * 7) % stride; at < operations && performance.now() < ends; at += stride) {
        tried++;
        await trial(at, fault, power).catch((error: Error) => failed.push(error.message));
      }
    }
    t.diagnostic(`${tried} of ${operations} operations tried, seed ${seed}`);
    assert.deepEqual(failed, []);
  });
}
