import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { type TestContext, test } from 'node:test';
import { type EventKind, parseTenantId, retentionClassOf } from '@watchglass/record';
import { keyringOf, localKek, sharedKeyring } from '@watchglass/record/reader';
import type { StoredEntry } from '../ledger/ledger.ts';
import { realWorld } from '../world/real-world.ts';
import type { Indexes, IndexReport } from './indexes.ts';
import { openIndexes } from './open-indexes.ts';

const clinic = parseTenantId('clinic');

/** A log in memory whose months pass at once: what follows a ledger, and nothing of how it stores. */
class MemoryLog {
  readonly entries: StoredEntry[] = [];
  readonly #waiting: Set<() => void> = new Set();
  epoch = 0;
  /** What of it was shredded. */
  isGone: (entry: StoredEntry) => boolean = () => false;

  add(kind: EventKind, patient: string, count = 1): void {
    for (let i = 0; i < count; i++) {
      const event = {
        time: new Date(Date.parse('2027-01-01T00:00:00Z') + this.entries.length * 1_000).toISOString(),
        kind,
        action: 'read',
        operation: 'read',
        outcome: { status: 'success' },
        actor: { id: 'u' },
        targets: [{ type: 'Patient', id: patient }],
      };
      const m = new TextEncoder().encode(
        JSON.stringify({ received: event.time, submitter: 'self', intake: 'self', digest: '', event }),
      );
      this.entries.push({ index: this.entries.length, m, retentionClass: retentionClassOf(kind), epoch: this.epoch });
    }
    for (const wake of this.#waiting) wake();
  }

  tenants(): readonly (typeof clinic)[] {
    return [clinic];
  }

  head(): { size: number; root: Uint8Array; checkpoint: string } {
    return { size: this.entries.length, root: new Uint8Array(32), checkpoint: '' };
  }

  async read(_tenant: unknown, from: number, max: number): Promise<readonly StoredEntry[]> {
    return this.entries
      .slice(from)
      .filter((entry) => !this.isGone(entry))
      .slice(0, max);
  }

  grown(_tenant: unknown, size: number, signal: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      const wake = (): void => {
        if (this.entries.length <= size) return;
        this.#waiting.delete(wake);
        resolve();
      };
      this.#waiting.add(wake);
      signal.addEventListener('abort', () => reject(signal.reason), { once: true });
      wake();
    });
  }
}

function begin(context: TestContext): {
  dir: string;
  open: (log: MemoryLog, reports?: IndexReport[]) => Promise<Indexes>;
} {
  const dir = mkdtempSync(join(tmpdir(), 'indexes-'));
  context.after(() => rmSync(dir, { recursive: true, force: true }));
  const keyrings = sharedKeyring(keyringOf(localKek(new Uint8Array(32).fill(7))));
  return {
    dir: join(dir, 'index', 'clinic'),
    open: (log, reports = []) =>
      openIndexes({
        dir: join(dir, 'index'),
        keysDir: join(dir, 'keys'),
        ledger: log,
        keyrings,
        world: realWorld(),
        report: (line) => reports.push(line),
      }),
  };
}

const countOf = async (indexes: Indexes, log: MemoryLog, patient: string): Promise<number | undefined> => {
  await indexes.reached(clinic, log.entries.length, AbortSignal.timeout(60_000));
  const size = log.entries.length;
  return (await indexes.find(clinic, { filters: { patient }, before: size, limit: 5, countBelow: size })).count;
};

/** Entries in the file at a path, by a connection of its own; undefined when it can't be read. */
function rowsIn(path: string): number | undefined {
  try {
    const database = new DatabaseSync(path, { readOnly: true });
    try {
      return Number(database.prepare('SELECT count(*) AS rows FROM event').get()?.rows);
    } finally {
      database.close();
    }
  } catch {
    return undefined;
  }
}

function threeMonths(): MemoryLog {
  const log = new MemoryLog();
  for (const epoch of [0, 1, 2]) {
    log.epoch = epoch;
    log.add('api', 'a', 2_500);
    log.add('auth', 'b', 3);
    log.add('api', 'b', 10);
  }
  return log;
}

test('a search goes over all epochs and classes, each with a file and a key of its own', async (context) => {
  const { dir, open } = begin(context);
  const log = threeMonths();
  await using indexes = await open(log);
  assert.equal(await countOf(indexes, log, 'a'), 7_500);
  assert.equal(await countOf(indexes, log, 'b'), 39);
  const names = readdirSync(dir);
  for (const epoch of [0, 1, 2])
    for (const one of ['access', 'security'])
      for (const ending of ['sqlite', 'token-key'])
        assert.ok(names.includes(`${one}-${epoch}.${ending}`), `${one}-${epoch}.${ending}`);
});

for (const missing of [
  'access-0.sqlite',
  'access-1.sqlite',
  'access-2.sqlite',
  'security-1.sqlite',
  'access-1.token-key',
  'oversight-0.sqlite',
]) {
  test(`without ${missing} nothing is missing or counted twice after a start`, async (context) => {
    const { dir, open } = begin(context);
    const log = threeMonths();
    {
      await using indexes = await open(log);
      await countOf(indexes, log, 'a');
    }
    rmSync(join(dir, missing));
    log.add('api', 'b', 2);
    await using indexes = await open(log);
    assert.equal(await countOf(indexes, log, 'a'), 7_500);
    assert.equal(await countOf(indexes, log, 'b'), 41);
  });
}

test('a file that is damaged is built again', async (context) => {
  const { dir, open } = begin(context);
  const log = threeMonths();
  {
    await using indexes = await open(log);
    await countOf(indexes, log, 'a');
  }
  writeFileSync(join(dir, 'access-1.sqlite'), 'not a database at all, but long enough to look like one'.repeat(100));
  const reports: IndexReport[] = [];
  await using indexes = await open(log, reports);
  assert.equal(await countOf(indexes, log, 'a'), 7_500);
  assert.ok(reports.some(({ level }) => level === 'warn'));
});

for (const [what, harm] of [
  ['deleted', (path: string) => rmSync(path)],
  ['damaged', (path: string) => writeFileSync(path, readFileSync(path).fill(0x5a, 4_096))],
  ['deleted with its directory', (path: string) => rmSync(join(path, '..'), { recursive: true })],
] as const) {
  test(`a file that is ${what} while it is in use is built again, and searches see the new one`, async (context) => {
    const { dir, open } = begin(context);
    const log = threeMonths();
    await using indexes = await open(log);
    assert.equal(await countOf(indexes, log, 'a'), 7_500);
    harm(join(dir, 'access-1.sqlite'));
    const deadline = AbortSignal.timeout(60_000);
    // New entries make the writer meet the damage, questions make the reader meet it.
    do {
      deadline.throwIfAborted();
      log.add('api', 'c');
      await indexes.reached(clinic, log.entries.length, deadline);
    } while (
      rowsIn(join(dir, 'access-1.sqlite')) !== 2_510 ||
      (await countOf(indexes, log, 'a').catch(() => 0)) !== 7_500
    );
    assert.equal(await countOf(indexes, log, 'b'), 39);
    assert.equal(indexes.status()[0]?.failure, undefined);
  });
}

test('an index of another log, or of a later state of this one, is built again', async (context) => {
  const { open } = begin(context);
  const log = threeMonths();
  {
    await using indexes = await open(log);
    await countOf(indexes, log, 'a');
  }
  const restored = new MemoryLog();
  restored.add('api', 'other', 20);
  {
    await using indexes = await open(restored);
    assert.equal(await countOf(indexes, restored, 'a'), 0);
    assert.equal(await countOf(indexes, restored, 'other'), 20);
  }
  const another = new MemoryLog();
  another.add('api', 'third', 30);
  await using indexes = await open(another);
  assert.equal(await countOf(indexes, another, 'other'), 0);
  assert.equal(await countOf(indexes, another, 'third'), 30);
});

test('following goes on by itself after a failure, and says what is wrong meanwhile', async (context) => {
  const { open } = begin(context);
  const log = new MemoryLog();
  const whole = log.read.bind(log);
  let failures = 2;
  log.read = async (tenant, from, max) => {
    if (failures-- > 0) throw new Error('the disk is full');
    return await whole(tenant, from, max);
  };
  const reports: IndexReport[] = [];
  await using indexes = await open(log, reports);
  log.add('api', 'a', 5);
  assert.equal(await countOf(indexes, log, 'a'), 5);
  assert.equal(reports.filter(({ level }) => level === 'error').length, 2);
  assert.equal(indexes.status()[0]?.failure, undefined);
});

test('what is shredded goes from the index with its token key, and what a hold keeps of it is found again', async (context) => {
  const { dir, open } = begin(context);
  const log = new MemoryLog();
  log.add('api', 'p-1', 3);
  log.add('auth', 'p-1', 2);
  log.add('api', 'p-2', 1);
  log.epoch = 1;
  log.add('api', 'p-1', 2);
  const reports: IndexReport[] = [];
  const indexes = await open(log, reports);
  await indexes.reached(clinic, 8);
  const find = async (patient: string): Promise<readonly number[]> =>
    (await indexes.find(clinic, { filters: { patient }, before: 8, limit: 10 })).indexes;
  assert.deepEqual(await find('p-1'), [7, 6, 4, 3, 2, 1, 0]);
  const key = readFileSync(join(dir, 'access-0.token-key'));
  log.isGone = ({ retentionClass, epoch, index }) => retentionClass === 'access' && epoch === 0 && index !== 5;
  await indexes.forget(clinic, { retentionClass: 'access', epoch: 0 });
  await indexes.reached(clinic, 8);
  assert.deepEqual(await find('p-1'), [7, 6, 4, 3]);
  assert.deepEqual(await find('p-2'), [5]);
  assert.notDeepEqual(readFileSync(join(dir, 'access-0.token-key')), key);
  assert.deepEqual(reports, []);
  // All that is left of the log is gone, and then it grows.
  log.isGone = ({ index }) => index < 8;
  for (const unit of [0, 1].flatMap((epoch) =>
    (['access', 'security'] as const).map((retentionClass) => ({ retentionClass, epoch })),
  ))
    await indexes.forget(clinic, unit);
  await indexes.reached(clinic, 8);
  assert.deepEqual(await find('p-1'), []);
  log.add('api', 'p-1');
  await indexes.reached(clinic, 9);
  assert.deepEqual((await indexes.find(clinic, { filters: { patient: 'p-1' }, before: 9, limit: 10 })).indexes, [8]);
  await indexes[Symbol.asyncDispose]();
  // The next start finds what it left.
  const again = await open(log, reports);
  await again.reached(clinic, 9);
  assert.deepEqual((await again.find(clinic, { filters: { patient: 'p-1' }, before: 9, limit: 10 })).indexes, [8]);
  await again[Symbol.asyncDispose]();
  assert.deepEqual(reports, []);
});

test('what is shredded goes from the disk of a tenant that is not followed, too, with what a crash left of its key', async (context) => {
  const { dir, open } = begin(context);
  const indexes = await open(new MemoryLog());
  const other = parseTenantId('other');
  mkdirSync(join(dir, '../other'), { recursive: true });
  for (const name of ['access-9.sqlite', 'access-9.sqlite-wal', 'access-9.token-key', 'access-9.token-key.tmp'])
    writeFileSync(join(dir, '../other', name), 'x');
  writeFileSync(join(dir, '../other/access-10.sqlite'), 'x');
  await indexes.forget(other, { retentionClass: 'access', epoch: 9 });
  assert.deepEqual(readdirSync(join(dir, '../other')), ['access-10.sqlite']);
  await indexes[Symbol.asyncDispose]();
});
