/**
 * Makes the golden log of which something was shredded, once: `node test/golden/make-shredded.ts DIR`. Two months of a clinic; the access events of the first
 * one are shredded, one hold keeps some of them, and another hold was released.
 */
import { createHash } from 'node:crypto';
import { cp, mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { type Event, encodeEvent, minimise, parseTenantId, uuidv7 } from '../../packages/record/src/index.ts';
import type { AppendItem, Ledger } from '../../packages/server/src/ledger/ledger.ts';
import { openLedger } from '../../packages/server/src/ledger/open-ledger.ts';
import { hashPlan } from '../../packages/server/src/ledger/shred-survey.ts';
import { TurningKeys } from '../../packages/server/src/ledger/turning-keys.fixture.ts';
import { drawnWorld } from './drawn-world.ts';

const [target = ''] = process.argv.slice(2);
if (target === '') throw new Error('usage: node test/golden/make-shredded.ts DIR');
const work = `${target}.work`;
await rm(work, { recursive: true, force: true });

let nowMs = Date.UTC(2026, 0, 31, 23, 54);
let sent = 0;
const world = drawnWorld('shredded', () => nowMs);
const clinic = parseTenantId('clinic');
const kinds = ['api', 'data', 'auth', 'api', 'review'] as const;

function item(): AppendItem {
  sent++;
  const received = new Date(nowMs).toISOString();
  const event = minimise({
    v: 1,
    id: uuidv7(nowMs, world.random.bytes(10)),
    time: received,
    tenant: clinic,
    emitter: { id: 'gateway-clinic', seq: sent },
    kind: kinds[sent % kinds.length] as Event['kind'],
    action: 'read',
    outcome: { status: 'success' },
    actor: { id: `person-${sent % 4}`, type: 'human' },
    exposure: { patients: [{ id: `wg-pt-00000${sent % 6}` }], count: 1 },
  });
  const digest = createHash('sha256').update(encodeEvent(event)).digest('hex');
  return { event, envelope: { received, submitter: 'key:golden', intake: 'http', digest } };
}

async function open(): Promise<Ledger> {
  const keys = new TurningKeys(world, join(work, 'keys'));
  const ledger = await openLedger({
    dir: join(work, 'ledger'),
    keysDir: join(work, 'keys'),
    originBase: 'watchglass.example',
    world,
    heartbeatMs: 0,
    ...keys.options,
  });
  keys.of(ledger);
  return ledger;
}

for (let month = 0; month < 2; month++) {
  const ledger = await open();
  await ledger.addTenant(clinic);
  for (let round = 0; round < 6; round++) {
    nowMs += 20_000;
    await ledger.append(clinic, Array.from({ length: 5 + round }, item));
  }
  await ledger[Symbol.asyncDispose]();
  nowMs += 31 * 86_400_000;
}
const ledger = await open();
await ledger.append(clinic, [item()]);
const terms = {
  v: 1,
  matter: 'case 1',
  reason: 'litigation',
  by: 'p-1',
  added: new Date(nowMs).toISOString(),
} as const;
await ledger.ending.addHold(clinic, { ...terms, criteria: { patient: 'wg-pt-000003' } });
const gone = await ledger.ending.addHold(clinic, { ...terms, criteria: { actor: 'person-1' }, matter: 'case 2' });
const surveys = await ledger.ending.survey(clinic, (unit) => unit.retentionClass === 'access' && unit.epoch === 672);
const units = surveys.map((survey) => ({ ...survey, days: 30 }));
await ledger.ending.shred(clinic, { units, plan: hashPlan(clinic, units), people: ['p-1', 'p-2'] });
await ledger.ending.releaseHold(clinic, gone.id, ['p-1', 'p-2']);
await rm(target, { recursive: true, force: true });
await mkdir(target, { recursive: true });
await ledger[Symbol.asyncDispose]();
for (const name of ['ledger', 'keys']) await cp(join(work, name), join(target, name), { recursive: true });
await rm(work, { recursive: true, force: true });
