/** Power cuts at every operation of the disk, again and again: what was acknowledged is there, and no number is given twice. */
import assert from 'node:assert/strict';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';

import { PowerCutDisk, seeded } from './power-cut.fixture.ts';
import { event, openTestSpool, readAll, temporaryFolder } from './spool.fixture.ts';
import type { Spool } from './spool.ts';

let folder: { readonly path: string; remove(): Promise<void> };

before(async () => {
  folder = await temporaryFolder();
  // The lock stands on the real disk.
  await mkdir(join(folder.path, 'spool'), { recursive: true });
});
after(() => folder.remove());

/** What was promised to whoever appends, and to the server, over all lives of one spool. */
interface Promised {
  /** seq → id of everything that was acknowledged to who appended it. */
  readonly ids: Map<number, string>;
  sentUpTo: number;
}

async function live(spool: Spool, promised: Promised, random: () => number): Promise<void> {
  for (let turn = 0; turn < 40; turn++) {
    const events = Array.from({ length: 1 + Math.floor(random() * 4) }, () =>
      event({ targetsCount: Math.floor(random() * 200) }),
    );
    const { firstSeq } = await spool.append(events);
    for (const [position, { id }] of events.entries()) promised.ids.set(firstSeq + position, id);
    if (random() < 0.4) {
      const batch = await spool.read({ eventsMax: 6, bytesMax: 1_000_000 });
      if (batch === undefined) continue;
      const last = batch.firstSeq + batch.lines.length - 1;
      // The server has it from here on, whether or not the acknowledgement gets noted.
      promised.sentUpTo = Math.max(promised.sentUpTo, last);
      await spool.ack(last);
    }
  }
}

async function verify(spool: Spool, promised: Promised): Promise<void> {
  const found = await readAll(spool);
  assert.deepEqual(
    found.map(({ seq }) => seq),
    found.map((_, position) => (found[0]?.seq ?? 0) + position),
    'numbers without a gap',
  );
  assert.ok((found[0]?.seq ?? promised.sentUpTo + 1) <= promised.sentUpTo + 1, 'nothing unsent is missing');
  const ids = new Map(found.map(({ seq, id }) => [seq, id]));
  for (const [seq, id] of promised.ids) {
    assert.ok(seq <= spool.status.lastSeq, 'the number is not given again');
    if (seq > promised.sentUpTo) assert.equal(ids.get(seq), id, `seq ${seq} is there`);
  }
}

async function cutAgainAndAgain(seed: number): Promise<void> {
  const random = seeded(seed);
  const power = new PowerCutDisk(random);
  const promised: Promised = { ids: new Map(), sentUpTo: 0 };
  for (let life = 0; life < 4; life++) {
    power.operationsLeft = Math.floor(random() * 150);
    const spool = await openTestSpool(folder.path, { disk: power.disk, maxBytes: 1024 * 1024 }).catch(() => undefined);
    if (spool !== undefined) {
      await live(spool, promised, random).catch((error: unknown) => {
        if (power.operationsLeft > 0) throw error;
      });
      power.operationsLeft = 0;
      await spool[Symbol.asyncDispose]().catch(() => undefined);
    }
    power.restart();
    const after = await openTestSpool(folder.path, { disk: power.disk, maxBytes: 1024 * 1024 });
    await verify(after, promised);
    await after[Symbol.asyncDispose]();
  }
}

describe('a spool on a disk that loses its power', () => {
  it('has everything that was acknowledged, in order, under its number', async () => {
    for (let seed = 1; seed <= 80; seed++) {
      await cutAgainAndAgain(seed).catch((cause: unknown) => {
        throw new Error(`seed ${seed}`, { cause });
      });
    }
  });
});
