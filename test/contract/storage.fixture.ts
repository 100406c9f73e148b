/**
 * What every storage driver of the ledger must do (packages/server/src/ledger/storage.ts), as one suite. A driver's test
 * calls it with a way to open the driver on a place, and to look at that place again after the process is gone.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Frontier, type RetentionClass } from '../../packages/record/src/index.ts';
import { encodeGroup, type Group, sealBlock, stepKeyOf } from '../../packages/record/src/reader.ts';
import { LedgerError } from '../../packages/server/src/ledger/errors.ts';
import type { ArchivingSegment, StorageDriver, TileNode } from '../../packages/server/src/ledger/storage.ts';

export interface DriverPlace {
  /** Opens the driver; `archiving` is given what leaves the journal. */
  open(archiving?: (segment: ArchivingSegment) => Promise<void>): Promise<StorageDriver>;
  /** The place as it would be if the process died now. */
  afterKill(): Promise<DriverPlace>;
  /** Lets so many bytes more in; the rest is refused by the system. */
  limit(bytes: number): void;
  remove(): Promise<void>;
}

const log = {
  origin: 'watchglass.example/clinic',
  vkey: 'watchglass.example/clinic+00000000+AA==',
  checkpoint: 'watchglass.example/clinic\n0\n47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\n',
};
const key = stepKeyOf(new Uint8Array(32).fill(3), 0);

/** A writer in small: it keeps the tree and makes groups. */
class Writer {
  readonly frontier: Frontier = new Frontier();

  group(number: number, count: number, retentionClass: RetentionClass = 'access'): { group: Group; nodes: TileNode[] } {
    const sizeBefore = this.frontier.size;
    const commitments = Buffer.alloc(count * 32);
    for (let i = 0; i < count; i++) commitments.writeUInt32BE(sizeBefore + i + 1, i * 32);
    const nodes: TileNode[] = [];
    this.frontier.appendCommitments(commitments, (level, n, hash) => nodes.push({ level, n, hash }));
    const ids = Buffer.alloc(count * 16, number + 1);
    const block = sealBlock({
      scope: {
        retentionClass,
        originHash: new Uint8Array(32),
        epoch: 674,
        writer: new Uint8Array(16),
        step: 0,
        stepFirstIndex: sizeBefore,
      },
      stepKey: key,
      salt: Buffer.alloc(16, number),
      ranges: [{ first: sizeBefore, count }],
      plaintext: Buffer.concat(Array.from({ length: count }, () => Buffer.from([0, 0, 0, 1, 0x6d]))),
    });
    const tenant = {
      tenant: 'clinic',
      sizeBefore,
      count,
      rootAfter: this.frontier.root(),
      commitments,
      ids,
      runs: [{ emitter: 'e', firstSeq: sizeBefore + 1, firstIndex: sizeBefore, count }],
      blocks: [block],
    };
    return { group: { number, receivedMs: 1_773_480_413_000 + number, tenants: [tenant] }, nodes };
  }

  async commit(driver: StorageDriver, count: number, retentionClass?: RetentionClass): Promise<Group> {
    const { group, nodes } = this.group(driver.nextGroup, count, retentionClass);
    await driver.commit(group, encodeGroup(group));
    driver.addTileNodes('clinic', nodes);
    await driver.putCheckpoint(
      'clinic',
      `watchglass.example/clinic\n${this.frontier.size}\n${Buffer.from(this.frontier.root()).toString('base64')}\n`,
    );
    return group;
  }
}

export function storageContract(name: string, makePlace: () => Promise<DriverPlace>): void {
  const with_ = (what: string, run: (place: DriverPlace) => Promise<void>): void => {
    test(`${name}: ${what}`, async () => {
      const place = await makePlace();
      try {
        await run(place);
      } finally {
        await place.remove();
      }
    });
  };

  with_('what commit resolved for is there after a kill, group by group', async (place) => {
    const driver = await place.open();
    await driver.addTenant('clinic', log);
    const writer = new Writer();
    const groups = [
      await writer.commit(driver, 3),
      await writer.commit(driver, 1, 'security'),
      await writer.commit(driver, 2),
    ];
    const dead = await place.afterKill();
    const again = await dead.open();
    assert.equal(again.fault, undefined);
    assert.equal(again.nextGroup, 3);
    assert.deepEqual([...again.tenants()], [['clinic', { origin: log.origin, archivedSize: 0 }]]);
    const seen: { number: number; commitments: string; ids: string; root: string }[] = [];
    await again.replay(({ number, tenants: [part] }) =>
      seen.push({ number, commitments: hex(part?.commitments), ids: hex(part?.ids), root: hex(part?.rootAfter) }),
    );
    assert.deepEqual(
      seen,
      groups.map(({ number, tenants: [part] }) => ({
        number,
        commitments: hex(part?.commitments),
        ids: hex(part?.ids),
        root: hex(part?.rootAfter),
      })),
    );
    await again[Symbol.asyncDispose]();
    await dead.remove();
    await driver[Symbol.asyncDispose]();
  });

  with_('what witnesses and authorities gave is there after a kill, the newest of it', async (place) => {
    const driver = await place.open();
    await driver.addTenant('clinic', log);
    assert.equal(await driver.cosigned('clinic'), undefined);
    assert.deepEqual(await driver.timestamps('clinic'), []);
    await driver.putCosigned('clinic', 'first\n');
    await driver.putCosigned('clinic', 'second\n');
    await driver.putTimestamp('clinic', '3.tsr', Uint8Array.of(1));
    await driver.putTimestamp('clinic', '12.tsr', Uint8Array.of(2));
    const dead = await place.afterKill();
    const again = await dead.open();
    assert.equal(await again.cosigned('clinic'), 'second\n');
    assert.deepEqual([...(await again.timestamps('clinic'))].sort(), ['12.tsr', '3.tsr']);
    assert.deepEqual([...((await again.timestamp('clinic', '12.tsr')) ?? [])], [2]);
    assert.equal(await again.timestamp('clinic', '4.tsr'), undefined);
    await again[Symbol.asyncDispose]();
    await dead.remove();
    await driver[Symbol.asyncDispose]();
  });

  with_('commitments are read from wherever they lie, before, during and after archiving', async (place) => {
    const driver = await place.open();
    await driver.addTenant('clinic', log);
    const writer = new Writer();
    for (let i = 0; i < 5; i++) await writer.commit(driver, 7);
    const check = async (): Promise<void> => {
      for (const [from, count] of [
        [0, 35],
        [6, 2],
        [13, 15],
        [34, 1],
      ] as const) {
        const bytes = Buffer.from(await driver.commitments('clinic', from, count));
        for (let i = 0; i < count; i++) assert.equal(bytes.readUInt32BE(i * 32), from + i + 1);
      }
    };
    await check();
    await Promise.all([driver.archive(), check(), check()]);
    await check();
    assert.equal(driver.tenants().get('clinic')?.archivedSize, 35);
    await writer.commit(driver, 4);
    assert.equal(Buffer.from(await driver.commitments('clinic', 30, 9)).readUInt32BE(8 * 32), 39);
    await driver[Symbol.asyncDispose]();
  });

  with_('blocks are found by class and index, before and after archiving', async (place) => {
    const driver = await place.open();
    await driver.addTenant('clinic', log);
    const writer = new Writer();
    for (const retentionClass of ['access', 'security', 'access', 'oversight', 'access'] as const)
      await writer.commit(driver, 3, retentionClass);
    const firsts = async (): Promise<unknown[]> =>
      Promise.all(
        (
          [
            ['access', 2],
            ['access', 3],
            ['access', 7],
            ['access', 99],
            ['security', 2],
            ['security', 4],
            ['oversight', 11],
          ] as const
        ).map(async ([retentionClass, index]) => (await driver.blocks('clinic').find(retentionClass, index))?.first),
      );
    const expected = [0, 0, 6, 12, undefined, 3, 9];
    assert.deepEqual(await firsts(), expected);
    await driver.archive();
    assert.deepEqual(await firsts(), expected);
    await driver[Symbol.asyncDispose]();
  });

  with_('a merged block takes the place of those it replaces', async (place) => {
    const driver = await place.open();
    await driver.addTenant('clinic', log);
    const writer = new Writer();
    for (let i = 0; i < 3; i++) await writer.commit(driver, 2);
    const block = sealBlock({
      scope: {
        retentionClass: 'access',
        originHash: new Uint8Array(32),
        epoch: 674,
        writer: new Uint8Array(16),
        step: 0,
        stepFirstIndex: 0,
      },
      stepKey: key,
      salt: Buffer.alloc(16, 99),
      ranges: [{ first: 0, count: 4 }],
      plaintext: Buffer.alloc(20),
    });
    await driver.endStep({
      merged: [{ tenant: 'clinic', retentionClass: 'access', block, first: 0, replaces: [0, 2] }],
    });
    await driver.archive();
    const found = await Promise.all([0, 2, 3, 4].map((index) => driver.blocks('clinic').find('access', index)));
    assert.deepEqual(
      found.map((one) => [one?.first, one?.bytes === block.length]),
      [
        [0, true],
        [0, true],
        [0, true],
        [4, false],
      ],
    );
    await driver[Symbol.asyncDispose]();
  });

  with_(
    'ids are handed over before they leave the journal, and archiving that had no room for them is tried again',
    async (place) => {
      const handed: number[] = [];
      let refuse = true;
      const driver = await place.open(async ({ ids }) => {
        if (refuse) throw Object.assign(new Error('not now'), { code: 'ENOSPC' });
        handed.push(...ids.map((part) => part.ids.length / 16));
      });
      await driver.addTenant('clinic', log);
      const writer = new Writer();
      await writer.commit(driver, 3);
      await driver.archive();
      assert.equal(driver.tenants().get('clinic')?.archivedSize, 0);
      refuse = false;
      await driver.archive();
      assert.deepEqual([handed, driver.tenants().get('clinic')?.archivedSize], [[3], 3]);
      await driver[Symbol.asyncDispose]();
    },
  );

  with_('no room leaves nothing of the group behind, and the same number is committed later', async (place) => {
    const driver = await place.open();
    await driver.addTenant('clinic', log);
    const writer = new Writer();
    await writer.commit(driver, 2);
    const { group } = writer.group(driver.nextGroup, 50);
    place.limit(100);
    await assert.rejects(
      driver.commit(group, encodeGroup(group)),
      (error) => error instanceof LedgerError && error.code === 'storage-full',
    );
    assert.equal(driver.nextGroup, 1);
    place.limit(1e9);
    await driver.commit(group, encodeGroup(group));
    const dead = await place.afterKill();
    const again = await dead.open();
    assert.deepEqual([again.fault, again.nextGroup], [undefined, 2]);
    await again[Symbol.asyncDispose]();
    await dead.remove();
    await driver[Symbol.asyncDispose]();
  });

  with_('a second one on the same place is kept out while the first is open', async (place) => {
    const driver = await place.open();
    await assert.rejects(place.open(), (error) => error instanceof LedgerError && error.code === 'locked');
    await driver[Symbol.asyncDispose]();
    await (await place.open())[Symbol.asyncDispose]();
  });

  with_('seeds, keys and checkpoints are read back as they were put; a tenant is added once', async (place) => {
    const driver = await place.open();
    await driver.addTenant('clinic', log);
    await new Writer().commit(driver, 1);
    await driver.addTenant('clinic', { ...log, vkey: 'other', checkpoint: 'other' });
    await driver.putSeed('clinic', 'access-1-00.json', Buffer.from('wrapped'));
    assert.equal(hex(await driver.seed('clinic', 'access-1-00.json')), hex(Buffer.from('wrapped')));
    assert.equal(await driver.seed('clinic', 'access-2-00.json'), undefined);
    assert.equal(await driver.vkey('clinic'), log.vkey);
    assert.match((await driver.checkpoint('clinic')) ?? '', /\n1\n/);
    await assert.rejects(
      async () => driver.commitments('nobody', 0, 1),
      (error) => error instanceof LedgerError && error.code === 'unknown-tenant',
    );
    await driver[Symbol.asyncDispose]();
  });

  with_('full tiles are kept when their leaves are archived', async (place) => {
    const driver = await place.open();
    await driver.addTenant('clinic', log);
    const writer = new Writer();
    for (let i = 0; i < 33; i++) await writer.commit(driver, 2000);
    const nodes = await Promise.all([0, 100, 255, 256].map((n) => driver.tileNode('clinic', 1, n)));
    const second = await driver.tileNode('clinic', 2, 0);
    await driver.archive();
    assert.deepEqual(
      (await Promise.all([0, 100, 255, 256].map((n) => driver.tileNode('clinic', 1, n)))).map(hex),
      nodes.map(hex),
    );
    await driver[Symbol.asyncDispose]();
    const again = await place.open();
    assert.equal(hex(await again.tileNode('clinic', 1, 255)), hex(nodes[2]));
    assert.equal(hex(await again.tileNode('clinic', 2, 0)), hex(second));
    await again[Symbol.asyncDispose]();
  });

  with_(
    'a class and epoch whose blocks are dropped is gone after a kill, and everything else is there',
    async (place) => {
      const driver = await place.open();
      await driver.addTenant('clinic', log);
      const writer = new Writer();
      await writer.commit(driver, 3);
      await writer.commit(driver, 2, 'security');
      const access = { retentionClass: 'access', epoch: 674 } as const;
      assert.deepEqual(driver.units('clinic'), []);
      assert.equal(driver.blocks('clinic').isInJournal('access', 674), true);
      await driver.archive();
      assert.equal(driver.blocks('clinic').isInJournal('access', 674), false);
      assert.deepEqual(
        driver.units('clinic').map(({ retentionClass, epoch }) => `${retentionClass}-${epoch}`),
        ['access-674', 'security-674'],
      );
      await driver.dropUnit('clinic', access);
      await driver.dropUnit('clinic', access);
      assert.equal(await driver.blocks('clinic').find('access', 0), undefined);
      await writer.commit(driver, 1, 'security');
      const dead = await place.afterKill();
      const again = await dead.open();
      assert.equal(again.fault, undefined);
      assert.deepEqual(
        again.units('clinic').map(({ retentionClass }) => retentionClass),
        ['security'],
      );
      assert.equal((await again.blocks('clinic').find('security', 3))?.first, 3);
      assert.equal((await again.commitments('clinic', 0, 6)).length, 192);
      await again[Symbol.asyncDispose]();
      await dead.remove();
      await driver[Symbol.asyncDispose]();
    },
  );

  with_('documents and seeds are put as a whole, listed and removed', async (place) => {
    const driver = await place.open();
    await driver.addTenant('clinic', log);
    await driver.putDocument('clinic', 'shreds/access-674', Buffer.from('one'));
    await driver.putDocument('clinic', 'shreds/access-674', Buffer.from('two'));
    await driver.putSeed('clinic', 'access-674-0.json', Buffer.from('seed'));
    const dead = await place.afterKill();
    const again = await dead.open();
    assert.equal(Buffer.from((await again.document('clinic', 'shreds/access-674')) ?? []).toString(), 'two');
    assert.deepEqual(await again.documents('clinic', 'shreds'), ['access-674']);
    assert.deepEqual(await again.documents('clinic', 'holds'), []);
    assert.deepEqual(await again.seeds('clinic'), ['access-674-0.json']);
    await again.removeSeed('clinic', 'access-674-0.json');
    await again.removeSeed('clinic', 'access-674-0.json');
    await again.removeDocument('clinic', 'shreds/access-674');
    assert.deepEqual([await again.seeds('clinic'), await again.documents('clinic', 'shreds')], [[], []]);
    await again[Symbol.asyncDispose]();
    await dead.remove();
    await driver[Symbol.asyncDispose]();
  });
}

function hex(bytes: Uint8Array | undefined): string {
  return Buffer.from(bytes ?? []).toString('hex');
}
