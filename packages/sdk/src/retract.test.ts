/** What is taken back or corrected, and the order of groups that its promise stands on. */
import assert from 'node:assert/strict';
import { afterEach, beforeEach, describe, it } from 'node:test';

import { SdkError, type SdkErrorCode } from './errors.ts';
import { event, FaultyDisk, openTestSpool, readAll, systemError, temporaryFolder } from './spool.fixture.ts';

let folder: { readonly path: string; remove(): Promise<void> };

beforeEach(async () => {
  folder = await temporaryFolder();
});
afterEach(() => folder.remove());

function coded(code: SdkErrorCode): (error: unknown) => boolean {
  return (error) => error instanceof SdkError && error.code === code;
}

describe('a spool', () => {
  it('writes nothing where all of a group was taken back', async () => {
    const spool = await openTestSpool(folder.path);
    const begun = spool.begin([event()]);
    assert.equal(spool.retract(begun, [event()]), undefined);
    await assert.rejects(begun.appended, coded('spool-stalled'));
    await new Promise((resolve) => setTimeout(resolve, 20));
    const { usedBytes } = spool.status;
    const only = event();
    await spool.append([only]);
    assert.equal(usedBytes, 48);
    await spool[Symbol.asyncDispose]();
    await using again = await openTestSpool(folder.path);
    assert.deepEqual(
      (await readAll(again)).map(({ id }) => id),
      [only.id],
    );
  });

  it('writes the next group only once those who waited for the one before have gone on', async () => {
    let goneOn = 0;
    const atWrites: number[] = [];
    const faulty = new FaultyDisk();
    const spool = await openTestSpool(folder.path, { disk: faulty.disk });
    faulty.onWrite = () => atWrites.push(goneOn);
    const first = spool.append([event()]).then(async () => {
      // As many steps as an answer takes until it has left.
      for (let step = 0; step < 100; step++) await undefined;
      goneOn += 1;
    });
    faulty.hang = new Promise((resolve) => setTimeout(resolve, 20));
    await new Promise((resolve) => setTimeout(resolve, 5));
    await Promise.all([first, spool.append([event()])]);
    assert.deepEqual(atWrites, [0, 1]);
    await spool[Symbol.asyncDispose]();
  });

  it('writes a correction that is owed first once there is room again, and none of what never came to be', async () => {
    const faulty = new FaultyDisk();
    const spool = await openTestSpool(folder.path, { disk: faulty.disk });
    const hangs = Promise.withResolvers<void>();
    faulty.hang = hangs.promise;
    const claim = event();
    const claimed = spool.begin([claim]);
    await new Promise((resolve) => setTimeout(resolve, 20));
    const correction = event();
    const correcting = spool.retract(claimed, [correction]) ?? assert.fail('it was being written');
    faulty.hang = undefined;
    faulty.writeError = systemError('ENOSPC');
    hangs.resolve();
    await claimed.appended;
    while (spool.status.state.kind !== 'full') await new Promise((resolve) => setTimeout(resolve, 5));
    await assert.rejects(spool.append([event()]), coded('spool-full'));
    faulty.writeError = undefined;
    await correcting.appended;
    const next = event();
    await spool.append([next]);
    assert.deepEqual(
      (await readAll(spool)).map(({ id }) => id),
      [claim, correction, next].map(({ id }) => id),
    );
    const writing = Promise.withResolvers<void>();
    faulty.writeHang = writing.promise;
    const never = spool.begin([event()]);
    await new Promise((resolve) => setTimeout(resolve, 20));
    const needless = spool.retract(never, [event()]) ?? assert.fail('it was being written');
    faulty.writeError = systemError('ENOSPC');
    faulty.writeHang = undefined;
    const refused = [never, needless].map(({ appended }) => assert.rejects(appended, coded('spool-full')));
    writing.resolve();
    await Promise.all(refused);
    await spool[Symbol.asyncDispose]();
  });
});
