/**
 * The ledger alone, in this process, on a temporary directory: durable, encrypted, committed appends of 512-byte events. The limit is
 * what one thread reaches that does zstd + AES-256-GCM + three SHA-256 an event and one write and fdatasync a group on the
 * same bytes, and nothing else; both are measured in turns, and the share is what to quote.
 */
import { createCipheriv, hash, randomBytes } from 'node:crypto';
import { closeSync, fdatasyncSync, openSync, writeSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { constants, zstdCompressSync } from 'node:zlib';
import { parseTenantId } from '@watchglass/record';
import { verifyLedger } from '@watchglass/record/reader';
import type { Ledger } from '../packages/server/src/ledger/ledger.ts';
import { openLedger } from '../packages/server/src/ledger/open-ledger.ts';
import { realWorld } from '../packages/server/src/world/real-world.ts';
import { EventSource, recordBytes } from './encoded-events.ts';

const appendsPerSecondMin = 40_000;
const rssMbMax = 400;
const batchEvents = 1000;
const callsAtOnce = 16;
const tenant = parseTenantId('bench');

export async function run({
  seconds,
  log,
}: {
  readonly seconds: number;
  readonly log: (line: string) => void;
}): Promise<Record<string, number>> {
  const dir = await mkdtemp(join(tmpdir(), 'watchglass-bench-'));
  let rssMb = 0;
  const watch = setInterval(() => {
    rssMb = Math.max(rssMb, process.memoryUsage().rss / 1e6);
  }, 100);
  try {
    const place = {
      dir: join(dir, 'ledger'),
      keysDir: join(dir, 'keys'),
      originBase: 'watchglass.example',
      heartbeatMs: 0,
    };
    const ledger = await openLedger({ ...place, world: realWorld() });
    await ledger.addTenant(tenant);
    const source = new EventSource(tenant, Date.now());
    const turnMs = Math.max(300, (seconds * 1000) / 16);
    const singles = await singlesTurn(ledger, source, turnMs);
    await encodedTurn(ledger, source, turnMs);
    const encoded: number[] = [];
    const objects: number[] = [];
    const limits: number[] = [];
    for (let turn = 0; turn < 4; turn++) {
      const before = ledger.statistics();
      encoded.push(await encodedTurn(ledger, source, turnMs));
      const after = ledger.statistics();
      const groupEvents = Math.round((after.events - before.events) / (after.groups - before.groups));
      limits.push(limitTurn(join(dir, 'limit'), source, groupEvents, turnMs));
      objects.push(await objectsTurn(ledger, source, turnMs));
    }
    const { events, groups } = ledger.statistics();
    const loadRssMb = rssMb;
    await ledger[Symbol.asyncDispose]();
    const openedAt = performance.now();
    const again = await openLedger({ ...place, world: realWorld() });
    const openMs = performance.now() - openedAt;
    await again[Symbol.asyncDispose]();
    const report = await verifyLedger({ ledgerDir: place.dir, keysDir: place.keysDir });
    if (!report.intact || report.tenants[0]?.size !== events)
      throw new Error(`the ledger is not intact: ${JSON.stringify(report.findings.slice(0, 3))}`);
    const [encodedRate, objectRate, limit] = [median(encoded), median(objects), median(limits)];
    log(
      `${events} events in ${groups} groups of this run are intact; ${Math.round((100 * encodedRate) / limit)} % of the limit of one thread`,
    );
    log(
      `durable encrypted appends of ${recordBytes}-byte events, target ${appendsPerSecondMin}/s: ${objectRate >= appendsPerSecondMin ? 'reached' : 'MISSED'}`,
    );
    log(`resident memory under load, target < ${rssMbMax} MB: ${loadRssMb < rssMbMax ? 'reached' : 'MISSED'}`);
    return {
      'appends of events per s': objectRate,
      'appends of encoded events per s': encodedRate,
      'limit of one thread per s': limit,
      'share of the limit (encoded)': encodedRate / limit,
      'share of the limit (events)': objectRate / limit,
      'single append p50 ms': quantile(singles, 0.5),
      'single append p99 ms': quantile(singles, 0.99),
      'resident memory max MB': loadRssMb,
      'start-up ms': openMs,
      'events in the ledger': events,
    };
  } finally {
    clearInterval(watch);
    await rm(dir, { recursive: true, force: true });
  }
}

/** Encoded batches from sixteen callers that each wait for their answer; making the bytes is included. */
async function encodedTurn(ledger: Ledger, source: EventSource, ms: number): Promise<number> {
  const startedAt = performance.now();
  let count = 0;
  const caller = async (): Promise<void> => {
    while (performance.now() - startedAt < ms) {
      await ledger.appendEncoded(tenant, source.batch(batchEvents));
      count += batchEvents;
    }
  };
  await Promise.all(Array.from({ length: callsAtOnce }, caller));
  return (count / (performance.now() - startedAt)) * 1000;
}

/** Events as objects, in calls of a hundred, made beforehand: their encoding is part of the append. */
async function objectsTurn(ledger: Ledger, source: EventSource, ms: number): Promise<number> {
  let spentMs = 0;
  let count = 0;
  while (spentMs < ms) {
    const calls = Array.from({ length: 100 }, () => source.items(100));
    const startedAt = performance.now();
    const caller = async (): Promise<void> => {
      for (let items = calls.pop(); items !== undefined; items = calls.pop()) {
        await ledger.append(tenant, items);
        count += items.length;
      }
    };
    await Promise.all(Array.from({ length: callsAtOnce }, caller));
    spentMs += performance.now() - startedAt;
  }
  return (count / spentMs) * 1000;
}

/** One event at a time from 64 callers: how long an answer takes. */
async function singlesTurn(ledger: Ledger, source: EventSource, ms: number): Promise<number[]> {
  const startedAt = performance.now();
  const took: number[] = [];
  const caller = async (): Promise<void> => {
    while (performance.now() - startedAt < ms) {
      const items = source.items(1);
      const before = performance.now();
      await ledger.append(tenant, items);
      took.push(performance.now() - before);
    }
  };
  await Promise.all(Array.from({ length: 64 }, caller));
  return took;
}

/** What nobody can go below on one thread: the same bytes compressed, sealed, hashed and made durable, and nothing else. */
function limitTurn(path: string, source: EventSource, groupEvents: number, ms: number): number {
  const { records } = source.batch(groupEvents);
  const key = randomBytes(32);
  const leaf = Buffer.alloc(34);
  const pair = Buffer.alloc(65);
  const input = Buffer.alloc(92 + recordBytes);
  const file = openSync(path, 'w');
  let count = 0;
  const startedAt = performance.now();
  while (performance.now() - startedAt < ms) {
    for (let i = 0; i < groupEvents; i++) {
      input.set(records.subarray(i * recordBytes, (i + 1) * recordBytes), 92);
      hash('sha256', input, 'binary');
      hash('sha256', leaf, 'binary');
      hash('sha256', pair, 'binary');
    }
    const parts: Buffer[] = [];
    for (let at = 0; at < records.length; at += 1 << 20) {
      const packed = zstdCompressSync(records.subarray(at, at + (1 << 20)), {
        params: { [constants.ZSTD_c_compressionLevel]: 1 },
      });
      const cipher = createCipheriv('aes-256-gcm', key, randomBytes(12));
      parts.push(cipher.update(packed));
      cipher.final();
    }
    // Commitments and ids stand in the journal too.
    writeSync(file, Buffer.concat([...parts, Buffer.alloc(groupEvents * 48)]));
    fdatasyncSync(file);
    count += groupEvents;
  }
  const rate = (count / (performance.now() - startedAt)) * 1000;
  closeSync(file);
  return rate;
}

function median(values: readonly number[]): number {
  return quantile(values, 0.5);
}

function quantile(values: readonly number[], q: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(q * sorted.length))] ?? 0;
}
