/**
 * A shred with something going wrong at every single disk operation of it: the process dies before or inside it, the power fails, the disk is full or gives an
 * error. Whatever it was, verify finds nothing, before the next start and after it; after it the class and epoch are either as they were or gone,
 * with the evidence in the log; what the hold is about can be read; and nothing else is lost.
 */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { test } from 'node:test';
import { type Event, encodeEvent, minimise, parseTenantId } from '../../packages/record/src/index.ts';
import { verifyLedger } from '../../packages/record/src/reader.ts';
import { LedgerError } from '../../packages/server/src/ledger/errors.ts';
import { ToldClock } from '../../packages/server/src/ledger/ledger.fixture.ts';
import type { AppendItem, Ledger } from '../../packages/server/src/ledger/ledger.ts';
import { openLedger } from '../../packages/server/src/ledger/open-ledger.ts';
import { hashPlan } from '../../packages/server/src/ledger/shred-survey.ts';
import { TurningKeys } from '../../packages/server/src/ledger/turning-keys.fixture.ts';
import { CrashDisk, type Fault, seeded } from './crash-disk.fixture.ts';

const seed = Number(process.env.WATCHGLASS_SEED ?? 20260314);
/** As in ledger-crash.test.ts. */
const budgetMs = Number(process.env.WATCHGLASS_CRASH_MS ?? 12_000);
const startMs = Date.UTC(2026, 2, 14);
/** What is over is decided above the ledger: two months later do, and leave fewer epochs to seal. */
const laterMs = startMs + 65 * 86_400_000;
const march = 674;
const clinic = parseTenantId('clinic');
const eventsOfThePast = 16;

interface Opened {
  readonly ledger: Ledger;
  readonly keys: TurningKeys;
}

let sent = 0;

async function open(disk: CrashDisk, nowMs: number, random = seeded(seed)): Promise<Opened> {
  const clock = new ToldClock(nowMs);
  const bytes = (count: number): Uint8Array => Uint8Array.from({ length: count }, () => random(256));
  const world = { disk, clock, random: { bytes } };
  const keys = new TurningKeys(world, '/data/keys');
  const ledger = await openLedger({
    dir: '/data/ledger',
    keysDir: '/data/keys',
    originBase: 'watchglass.example',
    world,
    ...keys.options,
    heartbeatMs: 0,
    idEntriesMax: 4096,
  });
  keys.of(ledger);
  return { ledger, keys };
}

function item(nowMs: number, kind: Event['kind'], patient: string): AppendItem {
  sent++;
  const received = new Date(nowMs).toISOString();
  const event = minimise({
    v: 1,
    id: `01990000-0000-7000-8000-${sent.toString(16).padStart(12, '0')}`,
    time: received,
    tenant: clinic,
    emitter: { id: 'gateway-1', seq: sent },
    kind,
    action: 'read',
    outcome: { status: 'success' },
    actor: { id: 'person-1', type: 'human' },
    exposure: { patients: [{ id: patient }] },
  });
  const digest = createHash('sha256').update(encodeEvent(event)).digest('hex');
  return { event, envelope: { received, submitter: 'key:test', intake: 'http', digest } };
}

/** Two months of two classes; the last event of every four is about the patient that the hold names. */
async function past(): Promise<CrashDisk> {
  sent = 0;
  const disk = new CrashDisk();
  for (const nowMs of [startMs, startMs + 31 * 86_400_000]) {
    const { ledger } = await open(disk, nowMs);
    await ledger.addTenant(clinic);
    for (let i = 0; i < 2; i++)
      await ledger.append(clinic, [
        item(nowMs, 'api', 'wg-pt-1'),
        item(nowMs, 'review', 'wg-pt-1'),
        item(nowMs, 'api', 'wg-pt-1'),
        item(nowMs, 'api', 'wg-pt-7'),
      ]);
    await ledger[Symbol.asyncDispose]();
  }
  return disk.afterKill();
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

interface Told {
  hold: string | undefined;
  shredded: boolean;
}

async function script(disk: CrashDisk, told: Told): Promise<void> {
  const { ledger } = await open(disk, laterMs, seeded(seed + 7));
  try {
    const hold = await ledger.ending.addHold(clinic, {
      v: 1,
      criteria: { patient: 'wg-pt-7' },
      matter: 'case 1',
      reason: 'litigation',
      by: 'p-1',
      added: new Date(laterMs).toISOString(),
    });
    if (!disk.dead) told.hold = hold.id;
    const surveys = await ledger.ending.survey(
      clinic,
      (unit) => unit.retentionClass === 'access' && unit.epoch === march,
    );
    const units = surveys.map((survey) => ({ ...survey, days: 2192 }));
    await ledger.ending.shred(clinic, { units, plan: hashPlan(clinic, units), people: ['p-1', 'p-2'] });
    if (!disk.dead) told.shredded = true;
  } finally {
    await tolerate(ledger[Symbol.asyncDispose]());
  }
}

const verify = (disk: CrashDisk): ReturnType<typeof verifyLedger> =>
  verifyLedger({ ledgerDir: '/data/ledger', keysDir: '/data/keys', files: disk, full: true });

async function isReadable(ledger: Ledger, index: number): Promise<boolean> {
  try {
    return (await ledger.open(clinic, index)).m.length > 0;
  } catch (error) {
    if (error instanceof LedgerError && error.code === 'shredded') return false;
    throw error;
  }
}

/** The next process, on a disk that works. */
async function checkAfter(disk: CrashDisk, told: Told): Promise<void> {
  const { ledger } = await open(disk, laterMs + 60_000, seeded(seed + 1));
  assert.deepEqual(ledger.state, { kind: 'writable' });
  await ledger.ending.resume();
  assert.deepEqual(ledger.ending.unfinished(clinic), []);
  const gone = ledger.ending.shredded(clinic).length === 1;
  if (told.shredded) assert.ok(gone, 'a shred that was answered isn’t there');
  const holds = await ledger.ending.holds(clinic);
  if (told.hold !== undefined)
    assert.ok(
      holds.some(({ id }) => id === told.hold),
      'a hold that was answered is gone',
    );
  for (let index = 0; index < eventsOfThePast; index++) {
    const isAccess = index % 4 !== 1;
    const isHeld = index % 4 === 3;
    const isTaken = index < 8 && isAccess && !(isHeld && (holds.length > 0 || !gone));
    assert.equal(
      await isReadable(ledger, index),
      !(gone && isTaken),
      `index ${index}, ${gone ? 'shredded' : 'not shredded'}`,
    );
  }
  const { size } = ledger.head(clinic);
  await ledger.append(clinic, [item(laterMs + 60_000, 'api', 'wg-pt-2')]);
  assert.equal(ledger.head(clinic).size, size + 1);
  await ledger[Symbol.asyncDispose]();
  const report = await verify(disk);
  assert.deepEqual(report.findings, []);
  assert.equal(report.tenants[0]?.shredded, gone ? 6 : 0);
  assert.equal(report.tenants[0]?.held, gone ? 2 : 0);
}

async function trial(at: number, fault: Fault, power: boolean): Promise<void> {
  const disk = (await past()).afterKill();
  disk.failAt(at, fault);
  const told: Told = { hold: undefined, shredded: false };
  await Promise.race([tolerate(script(disk, told)), disk.died]);
  const frozen = { ...told };
  const what = `${fault}${power ? ', then the power fails' : ''}, at operation ${at}: ${disk.trace[at]}, seed ${seed}`;
  try {
    const after = power ? disk.afterPowerFailure(seeded(seed + at)) : disk.afterKill();
    if (!power) {
      const { findings } = await verify(after);
      // Where there was no room for the last line of the record, and the ledger closed in good order: the next start writes it.
      const told = findings.filter(({ code }) => fault !== 'ENOSPC' || code !== 'shred-unproven');
      assert.deepEqual(told, [], 'verify before the next start');
    }
    await checkAfter(after, frozen);
  } catch (error) {
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
  { fault: 'EIO', power: true },
];

for (const { fault, power } of variants) {
  test(`${fault}${power ? ' and a power failure' : ''} at every disk operation of a shred leaves it before or over`, {
    timeout: 120_000,
  }, async (t) => {
    const whole = (await past()).afterKill();
    const told: Told = { hold: undefined, shredded: false };
    await script(whole, told);
    assert.ok(told.shredded);
    const { operations } = whole;
    await checkAfter(whole.afterKill(), told);
    const ends = performance.now() + budgetMs / variants.length;
    const stride = 11;
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
