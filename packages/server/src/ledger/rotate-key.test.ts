/** Checkpoint keys come and go: who pinned an older one gets to the newest, who pinned a revoked one is told, and who tampers with the statements is found. */
import assert from 'node:assert/strict';
import { readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import {
  decode,
  generateSigner,
  openNote,
  parseRotation,
  parseSignerKey,
  type Signer,
  signRotation,
  splitNote,
} from '@watchglass/record';
import { type VerifyReport, verifyLedger } from '@watchglass/record/reader';
import { clinic, filesInMemory, flip, items, memoryFiles, type TestPlace, withPlace } from './ledger.fixture.ts';
import type { KeyChange } from './ledger.ts';

const monthMs = 31 * 24 * 3_600_000;

/** Opens, does the changes with an append around each, and closes; the verifier keys after each change, the first before all. */
async function withChanges(place: TestPlace, changes: readonly KeyChange[]): Promise<(readonly string[])[]> {
  const ledger = await place.open({ recordStatements: true });
  await ledger.addTenant(clinic);
  await ledger.append(clinic, items(place, 2));
  const keys = [ledger.vkeys(clinic)];
  for (const change of changes) {
    await ledger.changeCheckpointKey(clinic, change);
    keys.push(ledger.vkeys(clinic));
    const { checkpoint } = await ledger.append(clinic, items(place, 2));
    assert.equal(openNote(checkpoint, ledger.vkeys(clinic)).signatures.length, ledger.vkeys(clinic).length);
  }
  await ledger[Symbol.asyncDispose]();
  return keys;
}

function codesOf({ findings }: VerifyReport): string[] {
  return [...new Set(findings.map(({ code }) => code))].sort();
}

const first = (keys: readonly string[] | undefined): string => keys?.[0] as string;

test('while keys overlap both sign, the newest first, and whoever pinned either finds the log intact', () =>
  withPlace(async (place) => {
    const [before, during] = await withChanges(place, [{ kind: 'planned' }]);
    assert.deepEqual([before?.length, during?.length, during?.[1]], [1, 2, before?.[0]]);
    for (const vkey of during ?? []) assert.deepEqual(codesOf(await place.verify({ vkey, full: true })), []);
    const text = await readFile(join(place.ledgerDir, 'clinic/checkpoint'), 'utf8');
    assert.equal(splitNote(text).signatures.length, 2);
    // The next start signs with both too.
    const again = await place.open();
    assert.deepEqual(again.vkeys(clinic), during);
    await again[Symbol.asyncDispose]();
    assert.deepEqual((await place.verify({ full: true })).findings, []);
  }));

test('after the overlap an older pinned key is followed to the newest, over more than one change, and that is said', () =>
  withPlace(async (place) => {
    const old = await place.open();
    await old.addTenant(clinic);
    const { checkpoint } = await old.append(clinic, items(place, 1));
    await old[Symbol.asyncDispose]();
    const keys = await withChanges(place, [
      { kind: 'planned' },
      { kind: 'end-overlap' },
      { kind: 'planned' },
      { kind: 'end-overlap' },
    ]);
    assert.deepEqual(
      keys.map(({ length }) => length),
      [1, 2, 1, 2, 1],
    );
    for (const vkey of keys.flat()) {
      const report = await place.verify({ vkey, checkpoint });
      assert.deepEqual(codesOf(report), []);
      assert.equal(
        report.notes.some((note) => note.includes('was replaced')),
        vkey !== first(keys.at(-1)),
      );
    }
  }));

test('who pinned a revoked key is told so, and what to do; who pinned the new one, and who pinned none, finds the log intact', () =>
  withPlace(async (place) => {
    const [before, after] = await withChanges(place, [{ kind: 'compromised', trusted: 1 }]);
    assert.equal(after?.length, 1);
    const report = await place.verify({ vkey: first(before) });
    assert.deepEqual(codesOf(report), ['key-revoked']);
    assert.match(report.findings[0]?.message ?? '', /believed up to 1: ask the operator by another way/);
    assert.ok(report.findings[0]?.message.includes(first(after)));
    assert.deepEqual(codesOf(await place.verify({ vkey: first(after) })), []);
    assert.deepEqual(codesOf(await place.verify()), []);
  }));

test('a key that was replaced as planned, whose successor was revoked, is told like a revoked one', () =>
  withPlace(async (place) => {
    const keys = await withChanges(place, [{ kind: 'planned' }, { kind: 'compromised' }]);
    for (const vkey of [first(keys[0]), first(keys[1])])
      assert.deepEqual(codesOf(await place.verify({ vkey })), ['key-revoked']);
  }));

test('every change is an event of the log with the public key that came', () =>
  withPlace(async (place) => {
    const keys = await withChanges(place, [
      { kind: 'planned' },
      { kind: 'end-overlap' },
      { kind: 'add-ml-dsa-44' },
      { kind: 'compromised' },
    ]);
    const ledger = await place.open();
    const events = (await ledger.read(clinic, 0, 100)).map(({ m }) => decode(m).event);
    await ledger[Symbol.asyncDispose]();
    const told = events.flatMap(({ operation, changes }) =>
      operation?.startsWith('checkpoint-key') === true
        ? [[operation, changes?.find(({ path }) => path === '/key')?.after]]
        : [],
    );
    assert.deepEqual(told, [
      ['checkpoint-key-rotated', first(keys[1])],
      ['checkpoint-key-overlap-ended', first(keys[1])],
      ['checkpoint-key-added', keys[3]?.[1]],
      ['checkpoint-key-rotated', first(keys[4])],
      ['checkpoint-key-added', keys[4]?.[1]],
    ]);
    assert.deepEqual((await place.verify({ full: true })).findings, []);
  }));

test('what the keys do not allow is refused before anything is written', () =>
  withPlace(async (place) => {
    const ledger = await place.open();
    await ledger.addTenant(clinic);
    const refused = { code: 'key-change-refused' };
    await assert.rejects(ledger.changeCheckpointKey(clinic, { kind: 'end-overlap' }), refused);
    await assert.rejects(ledger.changeCheckpointKey(clinic, { kind: 'compromised', trusted: 1 }), refused);
    await ledger.changeCheckpointKey(clinic, { kind: 'planned' });
    await assert.rejects(ledger.changeCheckpointKey(clinic, { kind: 'planned' }), refused);
    await ledger[Symbol.asyncDispose]();
    assert.deepEqual(await readdir(join(place.ledgerDir, 'clinic/rotations')), ['1']);
  }));

test('appends go on while a key changes, in whichever epoch', () =>
  withPlace(async (place) => {
    const ledger = await place.open();
    await ledger.addTenant(clinic);
    const append = (count: number): Promise<unknown> => ledger.append(clinic, items(place, count));
    await Promise.all([append(3), ledger.changeCheckpointKey(clinic, { kind: 'planned' }), append(1)]);
    place.clock.advance(monthMs);
    await Promise.all([append(3), ledger.changeCheckpointKey(clinic, { kind: 'end-overlap' }), append(1)]);
    await ledger[Symbol.asyncDispose]();
    assert.deepEqual((await place.verify({ full: true })).findings, []);
  }));

test('a second signature by ML-DSA-44 is required where the log lists its key, and every byte of it counts', () =>
  withPlace(async (place) => {
    const [, keys] = await withChanges(place, [{ kind: 'add-ml-dsa-44' }]);
    assert.equal(keys?.length, 2);
    for (const vkey of keys ?? []) assert.deepEqual((await place.verify({ vkey, full: true })).findings, []);
    const path = join(place.ledgerDir, 'clinic/checkpoint');
    const text = await readFile(path, 'utf8');
    const second = text.lastIndexOf('\u2014');
    await writeFile(path, text.slice(0, second));
    assert.deepEqual(codesOf(await place.verify()), ['checkpoint-invalid']);
    await writeFile(path, text);
    const bytes = Buffer.from(text).length;
    for (let at = bytes - 3300; at < bytes; at += 97) {
      await flip(path, at);
      assert.deepEqual(codesOf(await place.verify()), ['checkpoint-invalid'], `byte ${at}`);
      await writeFile(path, text);
    }
    const vkeys = join(place.ledgerDir, 'clinic/vkey');
    await writeFile(vkeys, `${first(keys)}\n`);
    assert.deepEqual(codesOf(await place.verify()), ['rotation-unfinished']);
  }));

test('statements that were flipped, dropped, swapped or replayed are found', () =>
  withPlace(async (place) => {
    await withChanges(place, [{ kind: 'planned' }, { kind: 'end-overlap' }, { kind: 'planned' }]);
    const { contents } = await filesInMemory(place.dir);
    const path = (number: number): string => join(place.ledgerDir, `clinic/rotations/${number}`);
    const codes = async (changed: Map<string, Uint8Array>): Promise<string[]> => {
      return codesOf(await verifyLedger({ ledgerDir: place.ledgerDir, files: memoryFiles(changed) }));
    };
    const bytes = contents.get(path(1)) as Uint8Array;
    assert.deepEqual(await codes(contents), []);
    for (let at = 0; at < bytes.length; at++) {
      const changed = Uint8Array.from(bytes);
      changed[at] = (changed[at] as number) ^ 1;
      assert.notDeepEqual(await codes(new Map(contents).set(path(1), changed)), [], `byte ${at}`);
    }
    const without = (number: number): Map<string, Uint8Array> => {
      const changed = new Map(contents);
      changed.delete(path(number));
      return changed;
    };
    assert.ok((await codes(without(1))).includes('rotation-missing'));
    assert.ok((await codes(without(2))).includes('key-mismatch'));
    const swapped = new Map(contents).set(path(1), contents.get(path(2)) as Uint8Array).set(path(2), bytes);
    assert.ok((await codes(swapped)).includes('rotation-malformed'));
    assert.ok((await codes(new Map(contents).set(path(2), bytes))).includes('rotation-malformed'));
  }));

test('a thief of the checkpoint key alone cannot state another one', () =>
  withPlace(async (place) => {
    await withChanges(place, [{ kind: 'planned' }]);
    const stolen = keyIn(await readFile(join(place.keysDir, 'clinic.checkpoint-key'), 'utf8'), 1);
    const path = join(place.ledgerDir, 'clinic/rotations/1');
    const mine = generateSigner(stolen.name, new Uint8Array(32).fill(3));
    const rotation = parseRotation(await readFile(path));
    const epochKey = generateSigner(`${stolen.name}/epoch/${rotation.epoch}`, new Uint8Array(32).fill(4));
    await writeFile(path, signRotation({ ...rotation, next: mine }, { old: stolen, next: mine, epochKey }));
    assert.ok(codesOf(await place.verify()).includes('rotation-forged'));
  }));

function keyIn(text: string, line: number): Signer {
  return parseSignerKey(text.split('\n')[line] ?? '');
}

test('keys and statements that do not fit are read-only', () =>
  withPlace(async (place) => {
    await withChanges(place, [{ kind: 'planned' }, { kind: 'end-overlap' }, { kind: 'planned' }]);
    await rm(join(place.ledgerDir, 'clinic/rotations/1'));
    const opened = await place.open();
    assert.match(opened.state.kind === 'read-only' ? opened.state.reason : '', /lacks a statement/);
    await opened[Symbol.asyncDispose]();
  }));
