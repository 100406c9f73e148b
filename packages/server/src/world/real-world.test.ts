import assert from 'node:assert/strict';
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { realDisk } from './real-disk.ts';
import { realClock, realRandom } from './real-world.ts';

async function withDirectory(run: (dir: string) => Promise<void>): Promise<void> {
  const dir = await mkdtemp(join(tmpdir(), 'watchglass-world-'));
  try {
    await run(dir);
  } finally {
    await rm(dir, { recursive: true, force: true });
  }
}

test('a file is written at positions, read as far as it goes, and truncated', () =>
  withDirectory(async (dir) => {
    const file = await realDisk.open(`${dir}/a`, 'append');
    assert.equal(await file.write(Buffer.from('hello'), 0), 5);
    await file.write(Buffer.from('world'), 6);
    await file.datasync();
    const into = Buffer.alloc(20);
    assert.equal(await file.read(into, 6), 5);
    assert.equal(into.toString('latin1', 0, 5), 'world');
    await file.truncate(5);
    assert.equal(await file.size(), 5);
    await file.close();
    assert.equal((await realDisk.readFile(`${dir}/a`))?.length, 5);
    await assert.rejects(realDisk.open(`${dir}/a`, 'create'), { code: 'EEXIST' });
    await assert.rejects(realDisk.open(`${dir}/b`, 'read'), { code: 'ENOENT' });
  }));

test('a replaced file is whole, private, and leaves no temporary file', () =>
  withDirectory(async (dir) => {
    for (const durable of [true, false]) {
      await realDisk.replace(`${dir}/a`, Buffer.from(`durable ${durable}`), { durable });
      assert.equal(Buffer.from((await realDisk.readFile(`${dir}/a`)) ?? []).toString(), `durable ${durable}`);
    }
    assert.equal((await stat(`${dir}/a`)).mode & 0o777, 0o600);
    await realDisk.replace(`${dir}/b`, Buffer.from('b'), { temporary: `${dir}/elsewhere`, mode: 0o644 });
    assert.deepEqual(await realDisk.list(dir), ['a', 'b']);
  }));

test('what is missing is undefined, empty, or nothing to remove', () =>
  withDirectory(async (dir) => {
    assert.equal(await realDisk.readFile(`${dir}/none`), undefined);
    assert.equal(await realDisk.size(`${dir}/none`), undefined);
    assert.deepEqual(await realDisk.list(`${dir}/none`), []);
    await realDisk.remove(`${dir}/none`);
    await realDisk.makeDirectory(`${dir}/x/y`);
    await realDisk.makeDirectory(`${dir}/x/y`);
    assert.deepEqual(await realDisk.list(`${dir}/x`), ['y/']);
    await realDisk.removeTree(`${dir}/x`);
    assert.deepEqual(await realDisk.list(dir), []);
  }));

const holder = `
  const { realDisk } = await import(process.argv[2]);
  const held = await realDisk.lock(process.argv[3]);
  process.send(held !== undefined);
  process.on('message', () => {});
`;

test('a lock keeps others out, in this process and in another, until it is released or its process is killed', () =>
  withDirectory(async (dir) => {
    const path = `${dir}/lock`;
    const mine = await realDisk.lock(path);
    assert.ok(mine !== undefined);
    assert.equal(await realDisk.lock(path), undefined);
    assert.equal((await stat(path)).size, 0);
    const script = join(dir, 'holder.mjs');
    await realDisk.replace(script, Buffer.from(holder));
    const start = async (): Promise<{ held: unknown; kill: () => Promise<void> }> => {
      const child = fork(script, [new URL('./real-disk.ts', import.meta.url).href, path], { stdio: 'inherit' });
      const [held] = await once(child, 'message');
      const kill = async (): Promise<void> => {
        const gone = once(child, 'exit');
        child.kill('SIGKILL');
        await gone;
      };
      return { held, kill };
    };
    const refused = await start();
    assert.equal(refused.held, false);
    await refused.kill();
    mine.release();
    const theirs = await start();
    assert.equal(theirs.held, true);
    assert.equal(await realDisk.lock(path), undefined);
    await theirs.kill();
    (await realDisk.lock(path))?.release();
    assert.equal((await stat(path)).size, 0);
  }));

test('a sleep ends early, with the reason of its signal', async () => {
  const stop = new AbortController();
  const sleeping = realClock.sleep(60_000, stop.signal);
  stop.abort(new Error('enough'));
  await assert.rejects(sleeping, /enough/);
  await realClock.sleep(1);
});

test('timers run, and cancelled ones do not', async () => {
  let ran = 0;
  realClock.after(1, () => ran++).cancel();
  const timer = realClock.every(1, () => ran++);
  // Timers of the clock don't keep a process alive; a sleep does.
  while (ran < 3) await realClock.sleep(1);
  timer.cancel();
  const before = ran;
  await realClock.sleep(10);
  assert.equal(ran, before);
});

test('random bytes are as many as asked for', () => {
  assert.equal(realRandom.bytes(33).length, 33);
});
