/** The child of ledger-kill.test.ts: appends to a ledger without pause and prints a line for each answer, until it is killed. */
import { createHash } from 'node:crypto';
import { writeSync } from 'node:fs';
import { encodeEvent, minimise, parseTenantId, uuidv7 } from '../../packages/record/src/index.ts';
import { LedgerError } from '../../packages/server/src/ledger/errors.ts';
import type { Appended, AppendItem } from '../../packages/server/src/ledger/ledger.ts';
import { openLedger } from '../../packages/server/src/ledger/open-ledger.ts';
import { realRandom, realWorld } from '../../packages/server/src/world/real-world.ts';

const [dir = '', round = '0'] = process.argv.slice(2);
const tenant = parseTenantId('clinic');
const ledger = await openLedger({
  dir: `${dir}/ledger`,
  keysDir: `${dir}/keys`,
  originBase: 'watchglass.example',
  world: realWorld(),
  heartbeatMs: 0,
  segmentBytesMax: 64 * 1024,
});
if (ledger.state.kind === 'read-only') {
  writeSync(2, `read-only: ${ledger.state.reason}\n`);
  process.exit(1);
}
await ledger.addTenant(tenant);
let seq = 0;
const writers = Array.from({ length: 8 }, async (_, writer) => {
  for (;;) {
    const items = Array.from({ length: 1 + ((seq + writer) % 40) }, next);
    const { receipts } = await append(items);
    // One line, one write: the reader sees whole answers only.
    writeSync(1, `${receipts.map(({ id, index }) => `${id} ${index}`).join(' ')}\n`);
  }
});
await Promise.all(writers);

/** No room is no failure: what was refused is sent again. */
async function append(items: AppendItem[]): Promise<Appended> {
  for (;;) {
    try {
      return await ledger.append(tenant, items);
    } catch (error) {
      if (!(error instanceof LedgerError) || error.code !== 'storage-full') throw error;
    }
  }
}

function next(): AppendItem {
  const received = new Date().toISOString();
  seq++;
  const event = minimise({
    v: 1,
    id: uuidv7(Date.now(), realRandom.bytes(10)),
    time: received,
    tenant,
    emitter: { id: `round-${round}`, seq },
    kind: seq % 9 === 0 ? 'review' : 'api',
    action: 'read',
    outcome: { status: 'success' },
    actor: { id: 'load', type: 'service' },
  });
  const digest = createHash('sha256').update(encodeEvent(event)).digest('hex');
  return { event, envelope: { received, submitter: 'self', intake: 'self', digest } };
}
