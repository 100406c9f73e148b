/**
 * What the record says held against what each client was told, over disks that are slow and fill up, and processes that are killed at any moment: whoever was answered is on record, and of whoever
 * was refused nothing on record says alone that an answer left.
 */
import assert from 'node:assert/strict';
import { cpSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';

import type { Event } from '@watchglass/record';
import { openSpool, realDisk, type Spool, type SpoolDisk } from '@watchglass/sdk';

import { doubtCorrections } from './corrections.ts';
import type { EventDraftFacts } from './event-draft.ts';
import { Recorder } from './recorder.ts';

const deadlineMs = 10;
const recordsCount = 60;

/** Numbers between 0 and 1, the same for the same seed. */
function seeded(seed: number): () => number {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state / 4_294_967_296;
  };
}

/** Slow now and then, and full now and then. */
function moody(random: () => number): { readonly disk: SpoolDisk; begun: boolean; killed: boolean } {
  const mood = { begun: false, killed: false, slow: false, full: false };
  const assertAlive = (): void => {
    if (mood.killed) throw new Error('killed');
  };
  const disk: SpoolDisk = {
    ...realDisk,
    freeBytes: () => Number.POSITIVE_INFINITY,
    async create(path) {
      assertAlive();
      const file = await realDisk.create(path);
      return {
        ...file,
        linked: () => true,
        truncate: (size) => file.truncate(size),
        close: () => file.close(),
        async write(bytes, position) {
          assertAlive();
          if (random() < 0.3) mood.slow = random() < 0.5;
          mood.full = mood.begun && random() < (mood.full ? 0.6 : 0.08);
          if (mood.full) throw Object.assign(new Error('full'), { code: 'ENOSPC' });
          await file.write(bytes, position);
        },
        async datasync() {
          assertAlive();
          if (mood.slow) await sleep(random() * 4 * deadlineMs);
          assertAlive();
        },
      };
    },
  };
  return Object.assign(mood, { disk });
}

const draft = (id: string): EventDraftFacts => ({
  id,
  time: new Date().toISOString(),
  kind: 'api',
  action: 'read',
  operation: 'read',
  outcome: { status: 'success', code: 200 },
  actor: { id: 'person-1', type: 'human' },
  targets: [{ type: 'Patient', id: '1', patient: '1' }],
  request: { method: 'GET', route: '/fhir/Patient/{id}', status: 200 },
});

const open = (folder: string, disk: SpoolDisk): Promise<Spool> =>
  openSpool({
    dir: folder,
    keyFile: `${folder}.key`,
    maxBytes: 8 * 1024 * 1024,
    emitterId: 'g',
    stallMs: deadlineMs,
    disk,
  });

interface Told {
  readonly answered: Set<string>;
  readonly refused: Set<string>;
}

/** Requests until the process is killed; what stood on the disk then. */
async function liveAndDie(folder: string, random: () => number): Promise<Told> {
  const mood = moody(random);
  const spool = await open(join(folder, 'spool'), mood.disk);
  mood.begun = true;
  const recorder = new Recorder({ spool, mode: 'strict', deadlineMs });
  const told: Told = { answered: new Set(), refused: new Set() };
  const waiting: Promise<void>[] = [];
  const killAt = Math.floor(random() * recordsCount);
  for (let count = 0; count <= killAt; count++) {
    const id = recorder.newId(Date.now());
    const recording = recorder.record([draft(id)], undefined, { code: 503, reason: 'audit-unavailable' });
    waiting.push(
      recording.then(({ kind }) => {
        if (!mood.killed) told[kind === 'durable' ? 'answered' : 'refused'].add(id);
      }),
    );
    if (random() < 0.6) await sleep(random() * deadlineMs);
    // Long enough for a full disk to be tried again.
    if (random() < 0.02) await sleep(600);
  }
  mood.killed = true;
  cpSync(join(folder, 'spool'), join(folder, 'after'), { recursive: true });
  cpSync(join(folder, 'spool.key'), join(folder, 'after.key'));
  await Promise.all(waiting);
  await spool[Symbol.asyncDispose]().catch(() => undefined);
  return told;
}

/** Everything on record, once the next process has begun. */
async function eventsAfter(folder: string): Promise<readonly Event[]> {
  await using spool = await open(join(folder, 'after'), realDisk);
  const recorder = new Recorder({ spool, mode: 'strict', deadlineMs: 60_000 });
  await recorder.recordDurably(doubtCorrections(spool.takeLastGroup()));
  const batch = await spool.read({ eventsMax: 10_000, bytesMax: 8 * 1024 * 1024 });
  return (batch?.lines ?? []).map((line) => JSON.parse(line) as Event);
}

async function check(seed: number): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), 'watchglass-answers-'));
  try {
    const told = await liveAndDie(folder, seeded(seed));
    const events = await eventsAfter(folder);
    const ids = new Set(events.map(({ id }) => id));
    assert.equal(ids.size, events.length, 'no event twice');
    for (const id of told.answered) assert.ok(ids.has(id), 'an answer has its event');
    const corrected = events.flatMap(({ completes }) => completes ?? []);
    assert.equal(new Set(corrected).size, corrected.length, 'no event is completed twice');
    for (const id of corrected) assert.ok(ids.has(id), 'what is completed is there');
    const isCorrected = new Set(corrected);
    for (const { id, outcome } of events)
      if (outcome.status === 'success' && !told.answered.has(id))
        assert.ok(isCorrected.has(id), 'refused, but on record');
    for (const { completes, outcome } of events)
      if (outcome.code === 503) assert.ok(!told.answered.has(completes ?? ''), 'answered, but taken back');
  } catch (cause) {
    throw new Error(`seed ${seed}`, { cause });
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

describe('the record and what clients were told', () => {
  it('agree over slow and full disks and any moment of a kill', async () => {
    for (let first = 1; first <= 120; first += 60)
      await Promise.all(Array.from({ length: 60 }, (_, position) => check(first + position)));
  });
});
