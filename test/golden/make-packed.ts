/**
 * Makes the golden log with packed blocks (docs/format.md, "Packed records"), once: `node test/golden/make-packed.ts DIR`. Its events come as every kind of
 * sender sends them, and hold everything that is packed and what only looks like it.
 */
import { createHash } from 'node:crypto';
import { cp, mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { type Event, encodeEventText, minimise, parseTenantId, uuidv7 } from '../../packages/record/src/index.ts';
import type { AppendItem } from '../../packages/server/src/ledger/ledger.ts';
import { openLedger } from '../../packages/server/src/ledger/open-ledger.ts';
import { drawnWorld } from './drawn-world.ts';

const [target = ''] = process.argv.slice(2);
if (target === '') throw new Error('usage: node test/golden/make-packed.ts DIR');
const work = `${target}.work`;
await rm(work, { recursive: true, force: true });

let nowMs = Date.UTC(2026, 1, 10, 8, 0);
let sent = 0;
const world = drawnWorld('packed', () => nowMs);
const clinic = parseTenantId('clinic');

/** What only looks like something to be packed, or is at the edge of it. */
const odd = [
  'c0ffee0',
  'C0FFEE0123456789ABCDEF0123456789',
  '0123456789abcde',
  '0123456789abcdef',
  '0123456789abcdef0',
  '01234567-89ab-cdef-0123-456789abcdeg',
  '01234567-89AB-cdef-0123-456789abcdef',
  'x01234567-89ab-cdef-0123-456789abcdefx',
  'Zoë Ågren ﷽ 🏥',
  'a'.repeat(64),
  'b'.repeat(700),
  '"digest":"',
];

/** What a sender of each kind sends. The last one sends what nobody can tell from the event. */
const senders: readonly ((event: Event) => string)[] = [
  encodeEventText,
  ({ emitter, ...rest }) => `{"emitter":${JSON.stringify(emitter)},${encodeEventText(rest).slice(1)}`,
  ({ emitter, tenant: _tenant, ...rest }) => `{"emitter":${JSON.stringify(emitter)},${encodeEventText(rest).slice(1)}`,
  (event) => JSON.stringify(event, undefined, 2),
];

function item(): AppendItem {
  sent++;
  const received = new Date(nowMs).toISOString();
  const hex = (bytes: number): string => Buffer.from(world.random.bytes(bytes)).toString('hex');
  const event = minimise({
    v: 1,
    id: uuidv7(nowMs, world.random.bytes(10)),
    time: received,
    tenant: clinic,
    emitter: { id: sent % 7 === 0 ? 'sdk:ehr-2' : 'gateway-clinic', seq: sent },
    kind: sent % 5 === 0 ? 'auth' : 'api',
    action: 'read',
    outcome: { status: 'success' },
    actor: { id: `person-${sent % 4}`, type: 'human' },
    request: { method: 'GET', traceparent: `00-${hex(16)}-${hex(8)}-00`, id: uuidv7(nowMs, world.random.bytes(10)) },
    changes: [{ path: '/note', op: 'replace', before: odd[sent % odd.length] ?? '', after: hex(20) }],
  });
  const text = (senders[sent % senders.length] as (event: Event) => string)(event);
  const digest = createHash('sha256').update(text).digest('hex');
  return { event, envelope: { received, submitter: 'key:golden', intake: 'http', digest } };
}

const ledger = await openLedger({
  dir: join(work, 'ledger'),
  keysDir: join(work, 'keys'),
  originBase: 'watchglass.example',
  world,
  heartbeatMs: 0,
});
await ledger.addTenant(clinic);
for (let round = 0; round < 16; round++) {
  nowMs += 10_000;
  await ledger.append(clinic, Array.from({ length: 1 + ((round * 5) % 7) }, item));
}
await ledger[Symbol.asyncDispose]();
await rm(target, { recursive: true, force: true });
await mkdir(target, { recursive: true });
for (const name of ['ledger', 'keys']) await cp(join(work, name), join(target, name), { recursive: true });
await rm(work, { recursive: true, force: true });
