/**
 * Verification of a ledger at rest: every block opened, every commitment and the whole tree derived again. The limit is one
 * thread that does AES-256-GCM, zstd and three SHA-256 an event on the same bytes, and nothing else.
 */
import { createCipheriv, createDecipheriv, hash, randomBytes } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { constants, zstdCompressSync, zstdDecompressSync } from 'node:zlib';
import { parseTenantId } from '@watchglass/record';
import { verifyLedger } from '@watchglass/record/reader';
import type { EncodedBatch } from '../packages/server/src/ledger/ledger.ts';
import { openLedger } from '../packages/server/src/ledger/open-ledger.ts';
import { realWorld } from '../packages/server/src/world/real-world.ts';
import { EventSource, recordBytes } from './encoded-events.ts';
import { median, type Spent, stopwatch } from './stopwatch.ts';

const eventsPerSecondMin = 300_000;
const eventsMax = 1_000_000;
const batchEvents = 1000;
const tenant = parseTenantId('bench');

export async function run({
  seconds,
  log,
}: {
  readonly seconds: number;
  readonly log: (line: string) => void;
}): Promise<Record<string, number>> {
  const dir = await mkdtemp(join(tmpdir(), 'watchglass-bench-'));
  try {
    const place = { ledgerDir: join(dir, 'ledger'), keysDir: join(dir, 'keys') };
    const events = await fill(place, Math.min(eventsMax, seconds * 25_000));
    log(`a ledger of ${events} events of ${recordBytes} bytes was written`);
    let calls = 0;
    const turns: { readonly all: Spent; readonly limit: number }[] = [];
    for (let turn = 0; turn < 3; turn++) {
      const spent = stopwatch();
      const report = await verifyLedger({ ...place, onProgress: () => calls++ });
      const all = spent(events);
      // The ledger's own events come on top.
      if (!report.intact || (report.tenants[0]?.opened ?? 0) < events)
        throw new Error(`the ledger is not intact: ${JSON.stringify(report.findings.slice(0, 3))}`);
      turns.push({ all, limit: limitRate(Math.max(300, seconds * 20)) });
    }
    const rate = Math.max(...turns.map(({ all }) => all.perSecond));
    const share = median(turns.map(({ all, limit }) => all.perSecond / limit));
    const treeAt = performance.now();
    await verifyLedger({ ledgerDir: place.ledgerDir });
    const treeRate = (events / (performance.now() - treeAt)) * 1000;
    log(
      `verified ${turns.length} times with ${calls} reports of progress; ${Math.round(100 * share)} % of the limit of one thread`,
    );
    log(
      `verification of everything, target ${eventsPerSecondMin}/s: ${rate >= eventsPerSecondMin ? 'reached' : 'MISSED'}`,
    );
    return {
      'events verified per s, best turn': rate,
      'events verified per s, median': median(turns.map(({ all }) => all.perSecond)),
      'processor µs an event, all threads': median(turns.map(({ all }) => all.cpuUs)),
      'events verified without keys per s': treeRate,
      'limit of one thread per s': median(turns.map(({ limit }) => limit)),
      'share of the limit': share,
      'events in the ledger': events,
      'resident memory MB': process.memoryUsage().rss / 1e6,
    };
  } finally {
    await rm(dir, { recursive: true, force: true });
  }
}

async function fill({ ledgerDir, keysDir }: { ledgerDir: string; keysDir: string }, count: number): Promise<number> {
  const ledger = await openLedger({
    dir: ledgerDir,
    keysDir,
    originBase: 'watchglass.example',
    world: realWorld(),
    heartbeatMs: 0,
  });
  await ledger.addTenant(tenant);
  const source = new EventSource(tenant, Date.now());
  let left = Math.ceil(count / batchEvents);
  const events = left * batchEvents;
  const caller = async (): Promise<void> => {
    let batch: EncodedBatch | undefined;
    while (left-- > 0) {
      batch = source.batch(batchEvents, batch);
      await ledger.appendEncoded(tenant, batch);
    }
  };
  await Promise.all(Array.from({ length: 32 }, caller));
  await ledger[Symbol.asyncDispose]();
  return events;
}

function limitRate(ms: number): number {
  const count = 2048;
  const { records } = new EventSource(tenant, Date.now()).batch(count);
  const key = randomBytes(32);
  const nonce = new Uint8Array(12);
  const packed = zstdCompressSync(records, { params: { [constants.ZSTD_c_compressionLevel]: 1 } });
  const sealed = createCipheriv('aes-256-gcm', key, nonce).update(packed);
  const input = Buffer.alloc(92 + recordBytes);
  const leaf = Buffer.alloc(34);
  const pair = Buffer.alloc(65);
  let done = 0;
  const startedAt = performance.now();
  while (performance.now() - startedAt < ms) {
    const plain = zstdDecompressSync(createDecipheriv('aes-256-gcm', key, nonce).update(sealed));
    for (let i = 0; i < count; i++) {
      input.set(plain.subarray(i * recordBytes, (i + 1) * recordBytes), 92);
      hash('sha256', input, 'binary');
      hash('sha256', leaf, 'binary');
      hash('sha256', pair, 'binary');
    }
    done += count;
  }
  return (done / (performance.now() - startedAt)) * 1000;
}
