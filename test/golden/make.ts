/**
 * Makes a golden log of the current format version, once, when a format is born: `node test/golden/make.ts DIR`. A golden log is
 * never made again; it must verify for ever.
 */
import { createHash } from 'node:crypto';
import { cp, mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import {
  type Event,
  encodeEvent,
  minimise,
  parseTenantId,
  type TenantId,
  uuidv7,
} from '../../packages/record/src/index.ts';
import type { AppendItem } from '../../packages/server/src/ledger/ledger.ts';
import { openLedger } from '../../packages/server/src/ledger/open-ledger.ts';
import { drawnWorld } from './drawn-world.ts';

const [target = ''] = process.argv.slice(2);
if (target === '') throw new Error('usage: node test/golden/make.ts DIR');
const work = `${target}.work`;
await rm(work, { recursive: true, force: true });

let nowMs = Date.UTC(2026, 0, 31, 23, 54);
const world = drawnWorld('golden', () => nowMs);
const tenants = ['clinic', 'hospital-2'].map(parseTenantId);
const seqs = new Map<string, number>();

for (let start = 0; start < 3; start++) {
  // No server ran in March: it is sealed empty.
  if (start === 2) nowMs = Date.UTC(2026, 3, 2, 8, 30);
  const ledger = await openLedger({
    dir: join(work, 'ledger'),
    keysDir: join(work, 'keys'),
    originBase: 'watchglass.example',
    world,
    heartbeatMs: 0,
  });
  for (const tenant of tenants) await ledger.addTenant(tenant);
  if (start === 1) {
    await ledger.changeCheckpointKey(tenants[0] as TenantId, { kind: 'planned' });
    await ledger.changeCheckpointKey(tenants[1] as TenantId, { kind: 'add-ml-dsa-44' });
  }
  if (start === 2) {
    await ledger.changeCheckpointKey(tenants[0] as TenantId, { kind: 'end-overlap' });
    await ledger.changeCheckpointKey(tenants[0] as TenantId, { kind: 'planned' });
  }
  for (let round = 0; round < 12; round++) {
    nowMs += 20_000;
    const [clinic, hospital] = tenants as [(typeof tenants)[0], (typeof tenants)[0]];
    await ledger.append(
      clinic,
      Array.from({ length: 1 + ((round * 7) % 9) }, () => item(clinic)),
    );
    if (round % 4 === 1) await ledger.append(hospital, [item(hospital)]);
  }
  if (start === 2) {
    // Last, so that the others draw what they always drew: a log whose leaves are of type 0x02.
    const research = parseTenantId('research');
    await ledger.addTenant(research, 2);
    for (let round = 0; round < 3; round++) await ledger.append(research, [item(research), item(research)]);
    // As a killed process leaves it: the archive of two runs, and groups in the journal.
    await rm(target, { recursive: true, force: true });
    await mkdir(target, { recursive: true });
    for (const name of ['ledger', 'keys']) await cp(join(work, name), join(target, name), { recursive: true });
  }
  await ledger[Symbol.asyncDispose]();
}
await rm(work, { recursive: true, force: true });

function item(tenant: (typeof tenants)[0]): AppendItem {
  const emitter = `gateway-${tenant}`;
  const seq = (seqs.get(emitter) ?? 0) + 1;
  seqs.set(emitter, seq);
  const received = new Date(nowMs).toISOString();
  const kinds = ['api', 'api', 'auth', 'api', 'review', 'data'] as const;
  const facts: Partial<Event> =
    seq % 3 === 0
      ? {
          exposure: {
            patients: [{ id: `wg-pt-${String(seq % 50).padStart(6, '0')}`, classes: ['results'] }],
            count: 1,
          },
        }
      : {};
  const event = minimise({
    v: 1,
    id: uuidv7(nowMs, world.random.bytes(10)),
    time: received,
    tenant,
    emitter: { id: emitter, seq },
    kind: kinds[seq % kinds.length] ?? 'api',
    action: 'read',
    operation: 'read',
    outcome: { status: seq % 11 === 0 ? 'denied' : 'success', code: seq % 11 === 0 ? 403 : 200 },
    actor: { id: `person-${seq % 5}`, type: 'human', roles: ['nurse'] },
    ...facts,
  });
  const digest = createHash('sha256').update(encodeEvent(event)).digest('hex');
  return { event, envelope: { received, submitter: 'key:golden', intake: 'http', digest } };
}
