/**
 * The ledger alone, in this process, on a temporary directory: durable, encrypted, committed appends of 512-byte events. Turns of the
 * ledger, of the limit of one thread (limit.ts) and of others' stores (`--competitors`, rivals.ts) alternate on events of the same kind;
 * ratios are medians over the turns, rates the best turn, which is the one that the rest of the machine disturbed least.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseTenantId } from '@watchglass/record';
import { verifyLedger } from '@watchglass/record/reader';
import type { EncodedBatch, Ledger } from '../packages/server/src/ledger/ledger.ts';
import { openLedger } from '../packages/server/src/ledger/open-ledger.ts';
import { realWorld } from '../packages/server/src/world/real-world.ts';
import { EventSource, recordBytes } from './encoded-events.ts';
import { limitTurn } from './limit.ts';
import { callEvents, openRivals, type Rival } from './rivals.ts';
import { median, quantile, type Spent, stopwatch } from './stopwatch.ts';

const encodedPerSecondMin = 150_000;
const shareMin = 0.6;
const rivalFactorMin = 10;
const pacedPerSecond = 5_000;
const pacedP50MsMax = 5;
const pacedP99MsMax = 25;
const rssMbMax = 400;
const batchEvents = 1000;
/** Enough that one group fills while another is on its way to the disk. */
const callsAtOnce = 40;
const turnBatches = 80;
const tenant = parseTenantId('bench');

export async function run({
  seconds,
  log,
  competitors,
}: {
  readonly seconds: number;
  readonly log: (line: string) => void;
  readonly competitors: boolean;
}): Promise<Record<string, number>> {
  const dir = await mkdtemp(join(tmpdir(), 'watchglass-bench-'));
  const rivals = competitors ? await openRivals(join(dir, 'rivals'), log) : [];
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
    const batches = Array.from({ length: turnBatches }, () => source.batch(batchEvents));
    await encodedTurn(ledger, source, batches);
    await encodedTurn(ledger, source, batches);
    const paced = await pacedTurn(ledger, source, Math.max(2000, seconds * 150));
    const turns = await alternate({ ledger, source, batches, rivals, dir, ms: seconds * 600 });
    const { events, groups } = ledger.statistics();
    const loadRssMb = rssMb;
    await ledger[Symbol.asyncDispose]();
    const report = await verifyLedger({ ledgerDir: place.dir, keysDir: place.keysDir });
    if (!report.intact || report.tenants[0]?.size !== events)
      throw new Error(`the ledger is not intact: ${JSON.stringify(report.findings.slice(0, 3))}`);
    log(`${events} events in ${groups} groups of this run are intact`);
    const encoded = Math.max(...turns.map(({ encoded: { perSecond } }) => perSecond));
    const share = median(turns.map(({ encoded: { perSecond }, limit }) => perSecond / limit.perSecond));
    const [p50, p99] = [quantile(paced, 0.5), quantile(paced, 0.99)];
    const verdict = (reached: boolean): string => (reached ? 'reached' : 'MISSED');
    log(
      `durable encrypted appends of ${recordBytes}-byte events, target ${encodedPerSecondMin}/s: ${verdict(encoded >= encodedPerSecondMin)}`,
    );
    log(`share of the limit of one thread, target ${shareMin}: ${verdict(share >= shareMin)}`);
    log(
      `latency at ${pacedPerSecond} events/s, target p50 < ${pacedP50MsMax} ms, p99 < ${pacedP99MsMax} ms: ${verdict(p50 < pacedP50MsMax && p99 < pacedP99MsMax)}`,
    );
    log(`resident memory under load, target < ${rssMbMax} MB: ${verdict(loadRssMb < rssMbMax)}`);
    const figures: Record<string, number> = {
      'appends of encoded events per s, best turn': encoded,
      'appends of encoded events per s, median': median(turns.map((turn) => turn.encoded.perSecond)),
      'appends of events per s, best turn': Math.max(...turns.map((turn) => turn.objects.perSecond)),
      'limit of one thread per s, best turn': Math.max(...turns.map((turn) => turn.limit.perSecond)),
      'share of the limit (encoded)': share,
      'processor µs an encoded event, all threads': median(turns.map((turn) => turn.encoded.cpuUs)),
      'processor µs an encoded event, main thread': median(turns.map((turn) => turn.encoded.mainUs)),
      'processor µs an event of the limit': median(turns.map((turn) => turn.limit.cpuUs)),
      'at 5,000 events/s, append p50 ms': p50,
      'at 5,000 events/s, append p99 ms': p99,
      'resident memory max MB': loadRssMb,
      'events in the ledger': events,
    };
    if (rivals.length > 0)
      figures['in calls of 100 events, best turn'] = Math.max(...turns.map(({ calls }) => calls?.perSecond ?? 0));
    for (const { name } of rivals) {
      const factor = median(
        turns.map((turn) => (turn.calls?.perSecond ?? 0) / (turn.rivals.get(name)?.perSecond ?? 0)),
      );
      figures[`${name}, events per s, best turn`] = Math.max(
        ...turns.map((turn) => turn.rivals.get(name)?.perSecond ?? 0),
      );
      figures[`times ${name}`] = factor;
      log(`against ${name}, target ${rivalFactorMin} ×: ${factor.toFixed(1)} ×, ${verdict(factor >= rivalFactorMin)}`);
    }
    return figures;
  } finally {
    clearInterval(watch);
    for (const rival of rivals) await rival.close();
    await rm(dir, { recursive: true, force: true });
  }
}

interface Turn {
  readonly encoded: Spent;
  readonly objects: Spent;
  readonly limit: Spent;
  /** The ledger in calls as the rivals get them. */
  readonly calls: Spent | undefined;
  readonly rivals: ReadonlyMap<string, Spent>;
}

async function alternate({
  ledger,
  source,
  batches,
  rivals,
  dir,
  ms,
}: {
  readonly ledger: Ledger;
  readonly source: EventSource;
  readonly batches: EncodedBatch[];
  readonly rivals: readonly Rival[];
  readonly dir: string;
  readonly ms: number;
}): Promise<Turn[]> {
  const turns: Turn[] = [];
  const startedAt = performance.now();
  while (turns.length < 3 || performance.now() - startedAt < ms) {
    const before = ledger.statistics();
    const encoded = await encodedTurn(ledger, source, batches);
    const after = ledger.statistics();
    const groupEvents = Math.round((after.events - before.events) / (after.groups - before.groups));
    const groups = Math.round((turnBatches * batchEvents) / groupEvents);
    const limit = limitTurn({ path: join(dir, 'limit'), source, groupEvents, groups });
    const objects = await objectsTurn(ledger, source);
    const others = new Map<string, Spent>();
    const calls = rivals.length > 0 ? await callsTurn(ledger, source) : undefined;
    for (const rival of rivals) others.set(rival.name, await rivalTurn(rival, source));
    turns.push({ encoded, objects, limit, calls, rivals: others });
  }
  return turns;
}

/** Batches encoded beforehand, from callers that each wait for their answer before they send the next. */
async function encodedTurn(ledger: Ledger, source: EventSource, batches: EncodedBatch[]): Promise<Spent> {
  for (const [at, batch] of batches.entries()) batches[at] = source.batch(batchEvents, batch);
  let next = 0;
  const caller = async (): Promise<void> => {
    for (let batch = batches[next++]; batch !== undefined; batch = batches[next++])
      await ledger.appendEncoded(tenant, batch);
  };
  const spent = stopwatch();
  await Promise.all(Array.from({ length: callsAtOnce }, caller));
  return spent(batches.length * batchEvents);
}

/** Encoded events in calls of a hundred from four hundred callers, each of which waits for its answer. */
async function callsTurn(ledger: Ledger, source: EventSource): Promise<Spent> {
  const batches = Array.from({ length: 600 }, () => source.batch(callEvents));
  const spent = stopwatch();
  const caller = async (): Promise<void> => {
    for (let batch = batches.pop(); batch !== undefined; batch = batches.pop())
      await ledger.appendEncoded(tenant, batch);
  };
  await Promise.all(Array.from({ length: 400 }, caller));
  return spent(600 * callEvents);
}

async function rivalTurn(rival: Rival, source: EventSource): Promise<Spent> {
  const calls = Array.from({ length: rival.turnCalls }, () => {
    const text = Buffer.from(source.batch(callEvents).records).toString('latin1');
    return Array.from({ length: callEvents }, (_, at) => text.slice(at * recordBytes, (at + 1) * recordBytes));
  });
  const spent = stopwatch();
  for (const events of calls) await rival.append(events);
  return spent(rival.turnCalls * callEvents);
}

/** Events as objects, in calls of a hundred, made beforehand: their encoding is part of the append. */
async function objectsTurn(ledger: Ledger, source: EventSource): Promise<Spent> {
  const calls = Array.from({ length: 100 }, () => source.items(100));
  const spent = stopwatch();
  const caller = async (): Promise<void> => {
    for (let items = calls.pop(); items !== undefined; items = calls.pop()) await ledger.append(tenant, items);
  };
  await Promise.all(Array.from({ length: callsAtOnce }, caller));
  return spent(10_000);
}

/**
 * Single events at a steady rate, whether earlier ones were answered or not: how long each answer takes, from the moment the event was due. They are
 * made when they are due, as they would arrive: thousands made beforehand would be the collector's work, and stop everything for it.
 */
async function pacedTurn(ledger: Ledger, source: EventSource, ms: number): Promise<number[]> {
  const tookMs: number[] = [];
  const answers: Promise<void>[] = [];
  const count = Math.round((ms / 1000) * pacedPerSecond);
  const startedMs = performance.now();
  for (let sent = 0; sent < count; ) {
    const due = Math.min(count, Math.floor(((performance.now() - startedMs) / 1000) * pacedPerSecond));
    for (; sent < due; sent++) {
      const dueMs = startedMs + (sent / pacedPerSecond) * 1000;
      const answer = ledger.append(tenant, source.items(1));
      answers.push(answer.then(() => void tookMs.push(performance.now() - dueMs)));
    }
    await sleep(1);
  }
  await Promise.all(answers);
  return tookMs;
}
