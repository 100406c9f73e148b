/**
 * Makes the golden log whose journal has a masked segment (docs/format.md, "Group and journal"), once: `node test/golden/make-masked.ts DIR`. It is left as a killed
 * process leaves it: what the process before it wrote is in the archive, the rest in a segment; and two event ids look like the beginning of a group.
 */
import { createHash } from 'node:crypto';
import { cp, mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { encodeEvent, minimise, parseTenantId, type TenantId, uuidv7 } from '../../packages/record/src/index.ts';
import type { AppendItem } from '../../packages/server/src/ledger/ledger.ts';
import { openLedger } from '../../packages/server/src/ledger/open-ledger.ts';
import { drawnWorld } from './drawn-world.ts';

const [target = ''] = process.argv.slice(2);
if (target === '') throw new Error('usage: node test/golden/make-masked.ts DIR');
const work = `${target}.work`;
await rm(work, { recursive: true, force: true });

let nowMs = Date.UTC(2026, 2, 10, 8, 0);
const world = drawnWorld('masked', () => nowMs);
const tenants = ['clinic', 'hospital-2'].map(parseTenantId);
const seqs = new Map<TenantId, number>();

function item(tenant: TenantId, id: string = uuidv7(nowMs, world.random.bytes(10))): AppendItem {
  const seq = (seqs.get(tenant) ?? 0) + 1;
  seqs.set(tenant, seq);
  const received = new Date(nowMs).toISOString();
  const event = minimise({
    v: 1,
    id,
    time: received,
    tenant,
    emitter: { id: `gateway-${tenant}`, seq },
    kind: seq % 5 === 0 ? 'auth' : 'api',
    action: 'read',
    outcome: { status: 'success' },
    actor: { id: `person-${seq % 4}`, type: 'human' },
  });
  const digest = createHash('sha256').update(encodeEvent(event)).digest('hex');
  return { event, envelope: { received, submitter: 'key:golden', intake: 'http', digest } };
}

const [clinic, hospital] = tenants as [TenantId, TenantId];
for (let start = 0; start < 2; start++) {
  const ledger = await openLedger({
    dir: join(work, 'ledger'),
    keysDir: join(work, 'keys'),
    originBase: 'watchglass.example',
    world,
    heartbeatMs: 0,
  });
  for (const tenant of tenants) await ledger.addTenant(tenant);
  for (let round = 0; round < 10; round++) {
    nowMs += 1_000;
    await ledger.append(
      clinic,
      Array.from({ length: 1 + ((round * 7) % 9) }, () => item(clinic)),
    );
    if (round === 4) await ledger.append(clinic, [item(clinic, `57474731-0000-7000-8000-00000000000${start}`)]);
    if (round % 3 === 1) await ledger.append(hospital, [item(hospital)]);
  }
  if (start === 1) {
    await rm(target, { recursive: true, force: true });
    await mkdir(target, { recursive: true });
    for (const name of ['ledger', 'keys']) await cp(join(work, name), join(target, name), { recursive: true });
  }
  await ledger[Symbol.asyncDispose]();
  nowMs += 30_000;
}
await rm(work, { recursive: true, force: true });
