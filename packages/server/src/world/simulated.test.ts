/** The simulated world keeps the promises of disk.ts and world.ts, and breaks what they don't promise. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { SimClock, SimDisk, type SimMishap, type SimProcess, SimRandom } from './simulated.ts';

const seeds = 60;

/** What `read` gives after a power failure, over many seeds. */
async function afterPowerFailures<T>(
  write: (disk: SimDisk) => Promise<void>,
  read: (process: SimProcess) => Promise<T>,
): Promise<Set<string>> {
  const found = new Set<string>();
  for (let seed = 1; seed <= seeds; seed++) {
    const disk = new SimDisk(new SimRandom(seed));
    await write(disk);
    disk.losePower();
    found.add(JSON.stringify(await read(disk.process())));
  }
  return found;
}

async function textOf(process: SimProcess, path: string): Promise<string | undefined> {
  const bytes = await process.readFile(path);
  return bytes === undefined ? undefined : Buffer.from(bytes).toString('latin1');
}

async function put(process: SimProcess, path: string, text: string, at = 0): Promise<void> {
  const file = await process.open(path, 'append');
  await file.write(Buffer.from(text), at);
}

test('what was synced, bytes and name, is there after every power failure', async () => {
  const found = await afterPowerFailures(
    async (disk) => {
      const process = disk.process();
      await process.makeDirectory('/a/b');
      await process.replace('/a/b/file', Buffer.from('whole'));
    },
    (process) => textOf(process, '/a/b/file'),
  );
  assert.deepEqual([...found], ['"whole"']);
});

test('bytes that were not synced are lost, there, or zeros; and a kill loses none of them', async () => {
  const write = async (disk: SimDisk): Promise<void> => {
    const process = disk.process();
    await process.makeDirectory('/a');
    await process.replace('/a/file', Buffer.from('old '));
    await put(process, '/a/file', 'new', 4);
    process.kill();
    assert.equal(await textOf(disk.process(), '/a/file'), 'old new');
  };
  const found = await afterPowerFailures(write, (process) => textOf(process, '/a/file'));
  assert.deepEqual([...found].sort(), ['"old "', '"old \\u0000\\u0000\\u0000"', '"old new"']);
});

test('a long write is torn at sectors, and later sectors may be stored without earlier ones', async () => {
  const long = 'x'.repeat(4 * 512);
  const found = await afterPowerFailures(
    async (disk) => {
      const process = disk.process();
      await process.makeDirectory('/a');
      await process.replace('/a/file', Buffer.alloc(0));
      await put(process, '/a/file', long);
    },
    async (process) => (await textOf(process, '/a/file'))?.match(/.{512}/gs)?.map((sector) => sector[0] ?? ''),
  );
  assert.ok(found.size > 5);
  assert.ok([...found].some((sectors) => /\\u0000".*"x"/.test(sectors)));
});

test('a name that was not synced leads to the old file or to the new one', async () => {
  const found = await afterPowerFailures(
    async (disk) => {
      const process = disk.process();
      await process.makeDirectory('/a');
      await process.replace('/a/file', Buffer.from('old'));
      await process.replace('/a/next', Buffer.from('new'));
      await process.rename('/a/next', '/a/file');
    },
    async (process) => [await textOf(process, '/a/file'), await process.list('/a')],
  );
  assert.deepEqual([...found].sort(), ['["new",["file"]]', '["old",["file","next"]]']);
});

test('what a failed sync was asked for is seen, and is not stored by the next one', async () => {
  const mishap: SimMishap = { at: 1, fault: 'EIO', among: ['datasync', '/a/file'] };
  const found = await afterPowerFailures(
    async (disk) => {
      const process = disk.process([mishap]);
      await process.makeDirectory('/a');
      const file = await process.open('/a/file', 'append');
      await file.datasync();
      await process.syncDirectory('/a');
      await file.write(Buffer.from('bytes'), 0);
      await assert.rejects(file.datasync(), { code: 'EIO' });
      assert.match(process.failedSync ?? '', /datasync/);
      assert.equal(await textOf(process, '/a/file'), 'bytes');
      await file.datasync();
    },
    (process) => textOf(process, '/a/file'),
  );
  assert.ok(found.has('""') && found.has('"bytes"'), [...found].join(' '));
});

test('a directory that a killed process made, and did not sync, is made durable by the next that asks for it', async () => {
  const found = await afterPowerFailures(
    async (disk) => {
      const process = disk.process([{ at: 1, fault: 'dies' }]);
      void process.makeDirectory('/a/b/c');
      await process.died;
      const next = disk.process();
      await next.makeDirectory('/a/b/c');
      await next.replace('/a/b/c/file', Buffer.from('whole'));
    },
    (process) => textOf(process, '/a/b/c/file'),
  );
  assert.deepEqual([...found], ['"whole"']);
});

test('a dead process is answered no more, and its lock is free', async () => {
  const disk = new SimDisk(new SimRandom(1));
  const process = disk.process([{ at: 3, fault: 'dies' }]);
  await process.makeDirectory('/a');
  assert.ok((await process.lock('/a/lock')) !== undefined);
  assert.equal(await disk.process().lock('/a/lock'), undefined);
  void process.replace('/a/file', Buffer.from('1'));
  await process.died;
  assert.ok(process.dead);
  assert.ok((await disk.process().lock('/a/lock')) !== undefined);
});

test('a full disk takes what fits into blocks that are there, and nothing else, and then it takes all again', async () => {
  const disk = new SimDisk(new SimRandom(1));
  const process = disk.process([{ at: 0, fault: 'full', among: ['write', '/a/file +7'] }]);
  await process.makeDirectory('/a');
  const file = await process.open('/a/file', 'append');
  await file.write(Buffer.from('123456'), 0);
  await file.write(Buffer.from('1234567'), 0);
  await assert.rejects(file.write(Buffer.alloc(5000), 0), { code: 'ENOSPC' });
  await assert.rejects(process.open('/a/other', 'create'), { code: 'ENOSPC' });
  for (let at = 0; at < 12; at++) await file.datasync();
  await process.open('/a/other', 'create');
});

test('a short write says how much it took', async () => {
  const disk = new SimDisk(new SimRandom(5));
  const process = disk.process([{ at: 0, fault: 'short', among: ['write', ''] }]);
  await process.makeDirectory('/a');
  const file = await process.open('/a/file', 'append');
  const count = await file.write(Buffer.alloc(1000, 1), 0);
  assert.ok(count > 0 && count < 1000);
  assert.equal(await file.size(), count);
});

test('the wall clock steps without the monotonic one, and timers go by the latter', async () => {
  const clock = new SimClock(1_000_000);
  let ran = 0;
  clock.every(1000, () => ran++);
  const sleeping = clock.sleep(2500);
  clock.step(-500_000);
  assert.deepEqual([clock.now(), clock.monotonicMs(), ran], [500_000, 0, 0]);
  clock.advance(1000);
  clock.advance(2000);
  await sleeping;
  assert.equal(ran, 2);
  clock.dropTimers();
  clock.advance(10_000);
  assert.equal(ran, 2);
  await assert.rejects(clock.sleep(1, AbortSignal.abort(new Error('enough'))), /enough/);
});

test('a seed gives the same numbers again, and another seed others', () => {
  const draw = (seed: number): string => {
    const random = new SimRandom(seed);
    return `${Buffer.from(random.bytes(16)).toString('hex')} ${random.between(1, 6)} ${Buffer.from(random.fork().bytes(8)).toString('hex')}`;
  };
  assert.equal(draw(7), draw(7));
  assert.notEqual(draw(7), draw(8));
  const random = new SimRandom(3);
  const thrown = Array.from({ length: 6000 }, () => random.weighted({ a: 1, b: 2, c: 0 }));
  const share = thrown.filter((name) => name === 'a').length / thrown.length;
  assert.ok(Math.abs(share - 1 / 3) < 0.03 && !thrown.includes('c'), `${share}`);
});
