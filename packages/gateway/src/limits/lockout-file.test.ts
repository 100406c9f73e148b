/** Lock-outs across restarts: what is kept, what a damaged file means, and that the file doesn't grow without end. */
import assert from 'node:assert/strict';
import { appendFile, mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, it } from 'node:test';

import { Lockout } from './lockout.ts';
import { LockoutFile } from './lockout-file.ts';

const hourMs = 3_600_000;
const settings = { failuresMax: 3, windowMs: hourMs, blockMs: hourMs, blockMsMax: 4 * hourMs, keysMax: 1_000 };

let folder: string;
let file: string;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'watchglass-lockouts-'));
  file = join(folder, 'lockouts');
});
afterEach(() => rm(folder, { recursive: true }));

/** One life of a process. */
async function live<T>(use: (lockout: Lockout, kept: LockoutFile) => T | Promise<T>): Promise<T> {
  await using kept = await LockoutFile.open({
    file,
    waryMs: settings.blockMsMax,
    onFault: () => assert.fail('could not be kept'),
  });
  const lockout: Lockout = new Lockout(settings, {
    kept,
    onNews({ kind, key }) {
      const block = lockout.keptOf(key);
      if (kind === 'begin' && block !== undefined) kept.add(block);
    },
  });
  kept.from(() => lockout.kept());
  return await use(lockout, kept);
}

function fail(lockout: Lockout, key: string, times: number = settings.failuresMax): void {
  for (let count = 0; count < times; count++) lockout.fail(key);
}

describe('lock-outs', () => {
  it('go on after a restart for as long as they had left, and grow from there', async () => {
    await live((lockout) => fail(lockout, 'a'));
    await live((lockout) => {
      const leftMs = lockout.blockedMs('a');
      assert.ok(leftMs > hourMs - 60_000 && leftMs <= hourMs, String(leftMs));
      assert.equal(lockout.blockedMs('b'), 0);
      assert.equal(lockout.blockedCount, 1);
    });
    const [line = ''] = (await readFile(file, 'utf8')).split('\n');
    const over = { ...(JSON.parse(line) as object), untilMs: Date.now() - 1 };
    await writeFile(file, `${JSON.stringify(over)}\n`);
    await live((lockout) => {
      assert.equal(lockout.blockedMs('a'), 0);
      fail(lockout, 'a');
      assert.ok(lockout.blockedMs('a') > hourMs);
    });
    assert.equal((await stat(file)).mode & 0o777, 0o600);
  });

  it('last no longer than they may where the clock was set back', async () => {
    const farMs = Date.now() + 1_000 * hourMs;
    const block = { key: 'a', blockMs: hourMs, blocksCount: 1, untilMs: farMs, forgetMs: farMs };
    await writeFile(file, `${JSON.stringify(block)}\n`);
    await live((lockout) => assert.ok(lockout.blockedMs('a') <= settings.blockMsMax));
  });

  it('are kept as far as they were written when a crash tore off the end', async () => {
    await live((lockout) => fail(lockout, 'a'));
    await appendFile(file, '{"key":"b","blockMs":36');
    await live((lockout, { damaged }) => {
      assert.equal(damaged, false);
      assert.ok(lockout.blockedMs('a') > 0);
      fail(lockout, 'b', 1);
      assert.equal(lockout.blockedMs('b'), 0);
    });
  });

  it('take one failure for enough where their file is damaged, also after another restart', async () => {
    await live((lockout) => fail(lockout, 'a'));
    await appendFile(file, 'not a line of it\n');
    await live((lockout, { damaged }) => {
      assert.equal(damaged, true);
      assert.ok(lockout.blockedMs('a') > 0);
      fail(lockout, 'b', 1);
      assert.ok(lockout.blockedMs('b') > 0);
    });
    await live((lockout, { damaged }) => {
      assert.equal(damaged, false);
      fail(lockout, 'c', 1);
      assert.ok(lockout.blockedMs('c') > 0);
    });
  });

  it('keep a file that is bounded by who is locked out', async () => {
    for (let round = 0; round < 6; round++)
      await live((lockout) => {
        for (let n = 0; n < 2_000; n++) fail(lockout, `key ${n}`);
      });
    const lines = (await readFile(file, 'utf8')).split('\n').length - 1;
    // Of 12,000: twice who is known, some to spare, and what comes at once.
    assert.ok(lines <= 2 * settings.keysMax + 1_000 + 2_000, String(lines));
  });
});
