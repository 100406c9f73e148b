/**
 * What a large log costs: start-up, a proof of one event, memory and disk, with `--events` events of 512 bytes (ten million take some minutes
 * to write). Proofs are asked for by a server that has just started: nothing of what they need is in its caches.
 */
import { mkdtemp, readdir, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { hashLeaf, parseCheckpoint, parseTenantId, verifyInclusion } from '@watchglass/record';
import type { EncodedBatch, Ledger, OpenLedgerOptions } from '../packages/server/src/ledger/ledger.ts';
import { openLedger } from '../packages/server/src/ledger/open-ledger.ts';
import { realWorld } from '../packages/server/src/world/real-world.ts';
import { EventSource } from './encoded-events.ts';
import { quantile } from './stopwatch.ts';

const eventsUsual = 1_000_000;
const batchEvents = 1000;
const callsAtOnce = 32;
const startMsMax = 3_000;
const proofMsMax = 20;
const proofs = 200;
const tenant = parseTenantId('bench');

export async function run({
  log,
  events = eventsUsual,
}: {
  readonly log: (line: string) => void;
  readonly events?: number | undefined;
}): Promise<Record<string, number>> {
  const dir = await mkdtemp(join(tmpdir(), 'watchglass-bench-'));
  try {
    const place = {
      dir: join(dir, 'ledger'),
      keysDir: join(dir, 'keys'),
      originBase: 'watchglass.example',
      heartbeatMs: 0,
      world: realWorld(),
    };
    await fill(place, events, log);
    const afterStop = await started(place);
    const proofMs = await provedMs(afterStop.ledger);
    const rssMb = process.memoryUsage().rss / 1e6;
    // Without an orderly end what was written last is in the journal, and is read and hashed again at the next start.
    await append(afterStop.ledger, 60_000);
    await afterStop.ledger[Symbol.asyncDispose]();
    const bytes = await bytesBelow(place.dir);
    const [p50, p99] = [quantile(proofMs, 0.5), quantile(proofMs, 0.99)];
    const verdict = (reached: boolean): string => (reached ? 'reached' : 'MISSED');
    log(`start-up with ${events} events, target < ${startMsMax} ms: ${verdict(afterStop.ms < startMsMax)}`);
    log(`proof of one of ${events} events, target < ${proofMsMax} ms: ${verdict(p99 < proofMsMax)}`);
    return {
      'events in the ledger': events,
      'start-up ms': afterStop.ms,
      'proof of one event, p50 ms': p50,
      'proof of one event, p99 ms': p99,
      'proof of one event, max ms': Math.max(...proofMs),
      'ledger/ bytes an event': bytes / (events + 60_000),
      'resident memory MB': rssMb,
    };
  } finally {
    await rm(dir, { recursive: true, force: true });
  }
}

async function fill(place: OpenLedgerOptions, events: number, log: (line: string) => void): Promise<void> {
  const ledger = await openLedger(place);
  await ledger.addTenant(tenant);
  const startedMs = performance.now();
  const part = Math.max(batchEvents, Math.floor(events / 10));
  for (let done = 0; done < events; done += part) {
    await append(ledger, Math.min(part, events - done));
    log(`${Math.min(done + part, events)} events written, ${Math.round((performance.now() - startedMs) / 1000)} s`);
  }
  await ledger[Symbol.asyncDispose]();
}

async function append(ledger: Ledger, events: number): Promise<void> {
  const source = new EventSource(tenant, Date.now());
  let left = events;
  const caller = async (): Promise<void> => {
    let batch: EncodedBatch | undefined;
    while (left > 0) {
      const count = Math.min(batchEvents, left);
      left -= count;
      batch = source.batch(count, batch);
      await ledger.appendEncoded(tenant, batch);
    }
  };
  await Promise.all(Array.from({ length: callsAtOnce }, caller));
}

async function started(place: OpenLedgerOptions): Promise<{ readonly ledger: Ledger; readonly ms: number }> {
  const startedMs = performance.now();
  const ledger = await openLedger(place);
  return { ledger, ms: performance.now() - startedMs };
}

/** Inclusion proofs of events all over the log, checked; only the making of them is timed. */
async function provedMs(ledger: Ledger): Promise<number[]> {
  const { size, root } = parseCheckpoint(ledger.head(tenant).checkpoint);
  const took: number[] = [];
  for (let i = 0; i < proofs; i++) {
    const index = Math.floor(((i + 0.5) / proofs) * Number(size));
    const startedMs = performance.now();
    const { hashes } = await ledger.prove(tenant, index);
    took.push(performance.now() - startedMs);
    const { leaf } = await ledger.open(tenant, index);
    await verifyInclusion({ leafHash: hashLeaf(leaf), index: BigInt(index), size, proof: hashes, root });
  }
  return took;
}

async function bytesBelow(dir: string): Promise<number> {
  let bytes = 0;
  for (const entry of await readdir(dir, { recursive: true, withFileTypes: true }))
    if (entry.isFile()) bytes += (await stat(join(entry.parentPath, entry.name))).size;
  return bytes;
}
