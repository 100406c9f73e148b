import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { getEventListeners, once } from 'node:events';
import { appendFile, chmod, open, readdir, readFile, rm, stat, truncate, unlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';

import { SdkError, type SdkErrorCode } from './errors.ts';
import { event, FaultyDisk, openTestSpool, readAll, systemError, temporaryFolder } from './spool.fixture.ts';
import { openSpool } from './spool.ts';

let folder: { readonly path: string; remove(): Promise<void> };

beforeEach(async () => {
  folder = await temporaryFolder();
});
afterEach(() => folder.remove());

function coded(code: SdkErrorCode): (error: unknown) => boolean {
  return (error) => error instanceof SdkError && error.code === code;
}

async function segments(): Promise<string[]> {
  const directory = join(folder.path, 'spool', 'segments');
  return (await readdir(directory))
    .filter((name) => name.endsWith('.wgs'))
    .sort()
    .map((name) => join(directory, name));
}

async function newestSegment(): Promise<string> {
  const [...paths] = await segments();
  return paths.at(-1)!;
}

describe('a spool', () => {
  it('gives each event the next seq and reads them back in order', async () => {
    const spool = await openTestSpool(folder.path);
    const events = [event(), event(), event()];
    assert.deepEqual(await spool.append(events.slice(0, 2)), { firstSeq: 1, lastSeq: 2 });
    assert.deepEqual(await spool.append(events.slice(2)), { firstSeq: 3, lastSeq: 3 });
    assert.deepEqual(
      await readAll(spool),
      events.map(({ id }, position) => ({ id, seq: position + 1, emitter: 'test' })),
    );
    await spool[Symbol.asyncDispose]();
  });

  it('writes everything that arrives together with one write and one datasync', async () => {
    const faulty = new FaultyDisk();
    const spool = await openTestSpool(folder.path, { disk: faulty.disk });
    const [writes, datasyncs] = [faulty.writeCount, faulty.datasyncCount];
    await Promise.all(Array.from({ length: 200 }, () => spool.append([event()])));
    assert.equal(faulty.writeCount - writes, 1);
    assert.equal(faulty.datasyncCount - datasyncs, 1);
    await spool[Symbol.asyncDispose]();
  });

  it('goes on after a restart where it ended, with everything that was not acknowledged', async () => {
    const first = await openTestSpool(folder.path);
    await first.append([event(), event(), event()]);
    await first.ack(1);
    await first[Symbol.asyncDispose]();
    const second = await openTestSpool(folder.path);
    assert.deepEqual(
      (await readAll(second)).map(({ seq }) => seq),
      [2, 3],
    );
    assert.deepEqual(await second.append([event()]), { firstSeq: 4, lastSeq: 4 });
    assert.deepEqual(
      (await readAll(second)).map(({ seq }) => seq),
      [2, 3, 4],
    );
    await second[Symbol.asyncDispose]();
  });

  it('never gives a seq twice, also when it was emptied and opened many times without an event', async () => {
    const first = await openTestSpool(folder.path);
    await first.append([event(), event()]);
    await first.ack(2);
    await first[Symbol.asyncDispose]();
    for (let i = 0; i < 3; i++) await (await openTestSpool(folder.path))[Symbol.asyncDispose]();
    // What was written last stays until something follows it.
    assert.equal((await segments()).length, 2);
    await rm(join(folder.path, 'spool', 'acked'));
    const last = await openTestSpool(folder.path);
    // Without the mark it would be sent once more.
    assert.equal(last.status.waitingCount, 2);
    assert.deepEqual(await last.append([event()]), { firstSeq: 3, lastSeq: 3 });
    await last[Symbol.asyncDispose]();
  });

  it('keeps nothing readable on disk', async () => {
    const spool = await openTestSpool(folder.path);
    await spool.append([event({ operation: 'unmistakable-operation' })]);
    await spool[Symbol.asyncDispose]();
    for (const path of await segments()) assert.equal((await readFile(path)).includes('unmistakable'), false);
    assert.equal((await stat(join(folder.path, 'spool.key'))).mode & 0o777, 0o600);
    assert.equal((await stat(await newestSegment())).mode & 0o777, 0o600);
  });

  it('lets one process in', async () => {
    const spool = await openTestSpool(folder.path);
    await assert.rejects(openTestSpool(folder.path), coded('spool-locked'));
    await spool[Symbol.asyncDispose]();
    assert.equal((await stat(join(folder.path, 'spool', 'lock'))).size, 0);
    await (await openTestSpool(folder.path))[Symbol.asyncDispose]();
  });

  it('refuses a key file that others can read, and one of another length', async () => {
    const keyFile = join(folder.path, 'spool.key');
    await writeFile(keyFile, new Uint8Array(32), { mode: 0o600 });
    await chmod(keyFile, 0o644);
    await assert.rejects(openTestSpool(folder.path), coded('key-file'));
    await chmod(keyFile, 0o600);
    await writeFile(keyFile, new Uint8Array(31));
    await assert.rejects(openTestSpool(folder.path), coded('key-file'));
  });

  it('reads what is no longer in memory from its sealed segments', async () => {
    const spool = await openTestSpool(folder.path, { maxBytes: 32 * 1024 * 1024 });
    for (let i = 0; i < 40; i++) await spool.append(Array.from({ length: 25 }, () => event({ targetsCount: 100 })));
    assert.ok((await segments()).length > 1);
    const seqs: number[] = [];
    for (;;) {
      const batch = await spool.read({ eventsMax: 333, bytesMax: 1024 * 1024 });
      if (batch === undefined) break;
      seqs.push(...batch.lines.map((line) => (JSON.parse(line) as { emitter: { seq: number } }).emitter.seq));
      await spool.ack(batch.firstSeq + batch.lines.length - 1);
    }
    assert.deepEqual(
      seqs,
      Array.from({ length: 1_000 }, (_, n) => n + 1),
    );
    assert.equal((await segments()).length, 1);
    await spool[Symbol.asyncDispose]();
  });
});

describe('a spool on disk', () => {
  it('is read again from where it was asked, however far reading came before', async () => {
    const before = await openTestSpool(folder.path);
    for (let i = 0; i < 6; i++) await before.append([event(), event()]);
    await before[Symbol.asyncDispose]();
    const spool = await openTestSpool(folder.path);
    const first = await readAll(spool);
    assert.deepEqual(
      first.map(({ seq }) => seq),
      Array.from({ length: 12 }, (_, n) => n + 1),
    );
    assert.deepEqual(await readAll(spool), first);
    await spool.ack(3);
    assert.deepEqual(await readAll(spool), first.slice(3));
    await spool[Symbol.asyncDispose]();
  });

  it('never holds a group that would be taken for a torn one', async () => {
    const spool = await openTestSpool(folder.path, { maxBytes: 32 * 1024 * 1024 });
    const many = Array.from({ length: 200 }, () => event({ targetsCount: 400 }));
    await assert.rejects(spool.append([...many, ...many]), coded('event-too-large'));
    await spool.append(many);
    await spool.append([event()]);
    await spool[Symbol.asyncDispose]();
    const again = await openTestSpool(folder.path, { maxBytes: 32 * 1024 * 1024 });
    assert.deepEqual([again.status.lastSeq, again.status.cutBytes], [201, 0]);
    await again[Symbol.asyncDispose]();
  });

  it('leaves nothing on the signal of who waited for events', async () => {
    const spool = await openTestSpool(folder.path);
    const { signal } = new AbortController();
    for (let i = 0; i < 5; i++) {
      const waiting = spool.waitForEvents(signal);
      await spool.append([event()]);
      await waiting;
      await spool.ack(spool.status.lastSeq);
    }
    assert.equal(getEventListeners(signal, 'abort').length, 0);
    await spool[Symbol.asyncDispose]();
  });
});

describe('the bound of a spool', () => {
  it('holds for reservations and events, and room comes back with acknowledgement', async () => {
    const spool = await openTestSpool(folder.path, { maxBytes: 1024 * 1024 });
    const reservation = spool.reserve(900_000);
    assert.throws(() => spool.reserve(200_000), coded('spool-full'));
    reservation.release();
    reservation.release();
    assert.equal(spool.status.reservedBytes, 0);
    const fill = async (): Promise<void> => {
      for (;;) await spool.append([event({ targetsCount: 200 })]);
    };
    await assert.rejects(fill(), coded('spool-full'));
    assert.ok(spool.status.usedBytes <= 1024 * 1024);
    await spool.ack(spool.status.lastSeq);
    await spool.append([event()]);
    assert.ok(spool.status.usedBytes < 300_000);
    await spool[Symbol.asyncDispose]();
  });

  it('counts what is on its way to the disk', async () => {
    const faulty = new FaultyDisk();
    const spool = await openTestSpool(folder.path, { maxBytes: 1024 * 1024, disk: faulty.disk });
    const hang = Promise.withResolvers<void>();
    faulty.hang = hang.promise;
    const half = Array.from({ length: 45 }, () => event({ targetsCount: 400 }));
    const under = spool.append(half);
    // Its group is taken and being written.
    while (faulty.writeCount < 2) await new Promise((resolve) => setImmediate(resolve));
    const refused = assert.rejects(spool.append(half), coded('spool-full'));
    hang.resolve();
    await under;
    await refused;
    assert.ok(spool.status.usedBytes <= 1024 * 1024);
    await spool[Symbol.asyncDispose]();
  });

  it('lets an event use the room that was reserved for it', async () => {
    const spool = await openTestSpool(folder.path, { maxBytes: 1024 * 1024 });
    const reservation = spool.reserve(1_000_000);
    const many = Array.from({ length: 8 }, () => event({ targetsCount: 200 }));
    await assert.rejects(spool.append(many), coded('spool-full'));
    await spool.append(many, { reservation });
    reservation.release();
    await spool[Symbol.asyncDispose]();
  });

  it('counts a file system that is nearly full as full', async () => {
    const faulty = new FaultyDisk();
    const spool = await openTestSpool(folder.path, { disk: faulty.disk, freeBytesMin: 1_000_000 });
    faulty.freeBytes = 1_010_000;
    assert.throws(() => spool.reserve(65_536), coded('spool-full'));
    await spool[Symbol.asyncDispose]();
  });
});

describe('a failing disk', () => {
  it('when full refuses the group, keeps nothing of it, and heals by itself', async () => {
    const faulty = new FaultyDisk();
    const spool = await openTestSpool(folder.path, { disk: faulty.disk });
    await spool.append([event()]);
    faulty.writeError = systemError('ENOSPC');
    await assert.rejects(spool.append([event()]), coded('spool-full'));
    assert.deepEqual(spool.status.state, { kind: 'full' });
    assert.throws(() => spool.reserve(1), coded('spool-full'));
    faulty.writeError = undefined;
    while (spool.status.state.kind === 'full') await new Promise((resolve) => setTimeout(resolve, 20));
    assert.deepEqual(await spool.append([event()]), { firstSeq: 2, lastSeq: 2 });
    await spool[Symbol.asyncDispose]();
    const again = await openTestSpool(folder.path);
    assert.deepEqual(
      (await readAll(again)).map(({ seq }) => seq),
      [1, 2],
    );
    assert.equal(again.status.cutBytes, 0);
    await again[Symbol.asyncDispose]();
  });

  it('that fails a datasync is not trusted again', async () => {
    const faulty = new FaultyDisk();
    const spool = await openTestSpool(folder.path, { disk: faulty.disk });
    faulty.datasyncError = systemError('EIO');
    await assert.rejects(spool.append([event()]), coded('spool-failed'));
    faulty.datasyncError = undefined;
    await assert.rejects(spool.append([event()]), coded('spool-failed'));
    assert.throws(() => spool.reserve(1), coded('spool-failed'));
    await spool[Symbol.asyncDispose]();
  });

  it('that hangs makes reserve refuse instead of wait', async () => {
    const faulty = new FaultyDisk();
    const spool = await openTestSpool(folder.path, { disk: faulty.disk, stallMs: 10 });
    const { promise, resolve } = Promise.withResolvers<void>();
    faulty.hang = promise;
    const appending = spool.append([event()]);
    await new Promise((done) => setTimeout(done, 50));
    assert.throws(() => spool.reserve(1), coded('spool-stalled'));
    resolve();
    await appending;
    spool.reserve(1).release();
    await spool[Symbol.asyncDispose]();
  });

  it('whose file somebody removed does not swallow events', async () => {
    const spool = await openTestSpool(folder.path);
    await spool.append([event()]);
    await unlink(await newestSegment());
    await assert.rejects(spool.append([event()]), coded('spool-failed'));
    await spool[Symbol.asyncDispose]();
  });
});

describe('recovery', () => {
  async function closedSpool(count: number): Promise<string> {
    const spool = await openTestSpool(folder.path);
    for (let i = 0; i < count; i++) await spool.append([event()]);
    await spool[Symbol.asyncDispose]();
    return newestSegment();
  }

  it('cuts a torn last frame wherever it is torn, and keeps its bytes aside', async () => {
    const path = await closedSpool(3);
    const whole = await readFile(path);
    const { size } = await stat(path);
    const frameBytes = Math.floor((size - 48) / 3);
    for (const cut of [1, 10, frameBytes - 1, frameBytes >> 1]) {
      await rm(join(folder.path, 'spool'), { recursive: true });
      const fresh = await closedSpool(1);
      await writeFile(fresh, whole);
      await truncate(fresh, size - cut);
      const spool = await openTestSpool(folder.path);
      assert.equal(spool.status.waitingCount, 2);
      assert.ok(spool.status.cutBytes > 0);
      assert.deepEqual(await spool.append([event()]), { firstSeq: 3, lastSeq: 3 });
      await spool[Symbol.asyncDispose]();
      assert.ok((await readdir(join(folder.path, 'spool', 'segments'))).some((name) => name.startsWith('cut-')));
    }
  });

  it('cuts zeros and garbage behind the last whole frame', async () => {
    for (const tail of [
      new Uint8Array(4_096),
      Buffer.from('garbage that is no frame at all, but long enough to look like one'),
    ]) {
      await rm(join(folder.path, 'spool'), { recursive: true, force: true });
      const path = await closedSpool(2);
      await appendFile(path, tail);
      const spool = await openTestSpool(folder.path);
      assert.equal(spool.status.waitingCount, 2);
      assert.equal(spool.status.cutBytes, tail.length);
      await spool[Symbol.asyncDispose]();
    }
  });

  it('calls a flipped byte in the middle damage, and a rewritten frame tampering', async () => {
    const path = await closedSpool(3);
    const whole = await readFile(path);
    const flipped = Buffer.from(whole);
    flipped[48 + 24 + 5]! ^= 1;
    await writeFile(path, flipped);
    await assert.rejects(openTestSpool(folder.path), coded('spool-damaged'));
    await writeFile(path, whole);
    await writeFile(join(folder.path, 'spool.key'), Buffer.alloc(32, 7));
    await assert.rejects(openTestSpool(folder.path), coded('spool-tampered'));
  });

  it('never takes a changed byte for what was written: it is refused, or cut off at the end', async () => {
    const path = await closedSpool(5);
    const whole = await readFile(path);
    const reader = await openTestSpool(folder.path);
    const written = (await readAll(reader)).map(({ id }) => id);
    await reader[Symbol.asyncDispose]();
    for (const empty of await segments()) if (empty !== path) await unlink(empty);
    for (let at = 0; at < whole.length; at += 37) {
      const flipped = Buffer.from(whole);
      flipped[at]! ^= 1 << (at % 8);
      await writeFile(path, flipped);
      const opened = await openTestSpool(folder.path).catch((error: unknown) => error);
      if (opened instanceof SdkError) {
        assert.ok(['spool-damaged', 'spool-tampered'].includes(opened.code), opened.code);
        continue;
      }
      const spool = opened as Awaited<ReturnType<typeof openTestSpool>>;
      const found = (await readAll(spool)).map(({ id }) => id);
      assert.deepEqual(found, written.slice(0, found.length));
      // Only the last frame can be torn.
      assert.equal(found.length, written.length - 1, `byte ${at}`);
      assert.ok(spool.status.cutBytes > 0);
      await spool[Symbol.asyncDispose]();
      for (const empty of await segments()) if (empty !== path) await unlink(empty);
    }
  });

  it('misses a segment that was taken away', async () => {
    const spool = await openTestSpool(folder.path, { maxBytes: 32 * 1024 * 1024 });
    for (let i = 0; i < 30; i++) await spool.append(Array.from({ length: 80 }, () => event({ targetsCount: 100 })));
    await spool[Symbol.asyncDispose]();
    const paths = await segments();
    assert.ok(paths.length > 2);
    await unlink(paths[1]!);
    await assert.rejects(openTestSpool(folder.path), coded('spool-damaged'));
  });

  it('survives a crash while a segment was being made', async () => {
    const path = await closedSpool(2);
    const half = await open(join(folder.path, 'spool', 'segments', `${'3'.padStart(16, '0')}.wgs`), 'w');
    await half.write('WGS1 half');
    await half.close();
    const spool = await openTestSpool(folder.path);
    assert.equal(spool.status.waitingCount, 2);
    assert.deepEqual(await spool.append([event()]), { firstSeq: 3, lastSeq: 3 });
    await spool[Symbol.asyncDispose]();
    assert.ok((await segments()).includes(path));
  });

  it('loses nothing that was acknowledged to a process killed with SIGKILL', { timeout: 60_000 }, async () => {
    const writer = fileURLToPath(new URL('./spool-writer.fixture.ts', import.meta.url));
    let expected = 0;
    for (let round = 0; round < 3; round++) {
      const child = spawn(process.execPath, [writer, folder.path], { stdio: ['ignore', 'pipe', 'inherit'] });
      let acknowledged = expected;
      child.stdout.setEncoding('utf8');
      for await (const text of child.stdout as AsyncIterable<string>) {
        const seqs = text.trim().split('\n').map(Number);
        acknowledged = Math.max(acknowledged, ...seqs.filter(Number.isInteger));
        if (acknowledged > expected + 300) child.kill('SIGKILL');
      }
      if (child.exitCode === null && child.signalCode === null) await once(child, 'exit');
      const spool = await openSpool({
        dir: join(folder.path, 'spool'),
        keyFile: join(folder.path, 'spool.key'),
        maxBytes: 64 * 1024 * 1024,
        emitterId: 'test',
        freeBytesMin: 0,
      });
      const seqs = (await readAll(spool)).map(({ seq }) => seq);
      assert.ok(seqs.length >= acknowledged, `${seqs.length} of ${acknowledged} acknowledged events are there`);
      assert.deepEqual(
        seqs,
        Array.from({ length: seqs.length }, (_, n) => n + 1),
      );
      expected = seqs.length;
      await spool[Symbol.asyncDispose]();
    }
  });
});
