/**
 * A full disk, on the real binary: the server refuses with 503 and what to do, loses nothing it acknowledged, keeps nothing half-stored, and
 * takes events again by itself once there is room. The disk is a small tmpfs, which only root may mount.
 */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { cpSync, mkdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { makeFolder, until, watchglassJson } from '../scenario/command.fixture.ts';
import { anEvent, type Installation, install, post, serve } from '../scenario/server.fixture.ts';

const diskBytes = 24 * 1024 * 1024;
const ballastBytes = 8 * 1024 * 1024;

/** Mounts the disk, or says why it can't. */
function mount(path: string): string | undefined {
  if (process.platform !== 'linux') return 'a tmpfs is mounted on Linux only';
  mkdirSync(path);
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${diskBytes},mode=0700`, 'tmpfs', path], { stdio: 'pipe' });
    return undefined;
  } catch {
    return 'only root may mount a small disk';
  }
}

test('a full disk refuses with 503, and loses and half-stores nothing', async (t) => {
  await using folder = await makeFolder('full-disk');
  const installed = await install(join(folder.path, 'installation'));
  const disk = join(folder.path, 'disk');
  const reason = mount(disk);
  if (reason !== undefined) return t.skip(reason);
  try {
    const dataDir = join(disk, 'data');
    cpSync(installed.dataDir, dataDir, { recursive: true });
    await writeFile(installed.config, (await readFile(installed.config, 'utf8')).replace('./data', dataDir));
    // The index maps memory onto its files, and a write to a map of a full tmpfs kills the process: the disk under test is the ledger's.
    rmSync(join(dataDir, 'index'), { recursive: true, force: true });
    mkdirSync(join(folder.path, 'index'));
    symlinkSync(join(folder.path, 'index'), join(dataDir, 'index'));
    writeFileSync(join(disk, 'ballast'), Buffer.alloc(ballastBytes));
    await fillAndFree({ ...installed, dataDir }, join(disk, 'ballast'));
  } finally {
    execFileSync('umount', ['-l', disk]);
  }
});

/** A sender whose connection broke sends the same again: that is what ids are for. */
async function postAgain(here: Installation, events: Record<string, unknown>[]): ReturnType<typeof post> {
  return await post(here, events).catch(() => post(here, events));
}

async function fillAndFree(here: Installation, ballast: string): Promise<void> {
  await using server = await serve(here);
  const acknowledged: { readonly event: Record<string, unknown>; readonly index: number }[] = [];
  const query = Array.from({ length: 40 }, (_, at) => `parameter-${at}`);
  const batch = (): Record<string, unknown>[] =>
    Array.from({ length: 500 }, (_, at) =>
      anEvent({
        actor: { id: 'filler', session: Buffer.from(crypto.getRandomValues(new Uint8Array(90))).toString('base64url') },
        request: { query, durationMs: at },
      }),
    );
  const refused = await until(
    async () => {
      const events = batch();
      const answer = await postAgain(here, events);
      if (answer.status !== 201) return { events, answer };
      for (const [at, event] of events.entries()) acknowledged.push({ event, index: answer.body.receipts![at]!.index });
      return undefined;
    },
    'the disk is full',
    120_000,
  );
  assert.equal(refused.answer.status, 503, JSON.stringify(refused.answer.body));
  assert.equal(refused.answer.body.code, 'storage-full');
  assert.match(refused.answer.body.detail ?? '', /Retry-After|room/);
  assert.ok(Number(refused.answer.headers.get('retry-after')) > 0);

  rmSync(ballast);
  const after = await until(async () => {
    const answer = await postAgain(here, refused.events);
    return answer.status === 201 ? answer : undefined;
  }, 'the server takes events again by itself');
  for (const [at, event] of refused.events.entries())
    acknowledged.push({ event, index: after.body.receipts![at]!.index });
  assert.equal(new Set(acknowledged.map(({ index }) => index)).size, acknowledged.length);

  for (let at = 0; at < acknowledged.length; at += 1_000) {
    const some = acknowledged.slice(at, at + 1_000);
    const { status, body } = await postAgain(
      here,
      some.map(({ event }) => event),
    );
    assert.equal(status, 201, JSON.stringify(body).slice(0, 300));
    assert.deepEqual(
      body.receipts!.map(({ index }) => index),
      some.map(({ index }) => index),
    );
  }
  assert.equal(await server.stop(), 0, server.spawned.err());
  const report = await watchglassJson<{ intact: boolean }>(['verify', here.dataDir, '--vkey', here.vkey]);
  assert.equal(report.intact, true);
}
