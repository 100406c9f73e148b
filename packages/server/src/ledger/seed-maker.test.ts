import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseTenantId, RecordError } from '@watchglass/record';
import { type Kek, keyringOf, localKek, wrapOnly } from '@watchglass/record/reader';
import { LedgerError } from './errors.ts';
import { clinic, items, type TestPlace, testPlace } from './ledger.fixture.ts';

const other = parseTenantId('other');

/** A local key whose keeper can go away, hang, and come back. */
class Keeper {
  readonly #kek: Kek = localKek(new Uint8Array(32).fill(9));
  away: RecordError | undefined;
  hanging: PromiseWithResolvers<void> | undefined;
  wraps = 0;

  get kek(): Kek {
    return {
      ...this.#kek,
      wrap: async (secret, aad) => {
        this.wraps++;
        await this.hanging?.promise;
        if (this.away !== undefined) throw this.away;
        return this.#kek.wrap(secret, aad);
      },
      unwrap: async (wrapped, aad) => {
        if (this.away !== undefined) throw this.away;
        return this.#kek.unwrap(wrapped, aad);
      },
    };
  }
}

const unreachable = new RecordError('kek-unreachable', 'the keeper does not answer');
const unavailable = (error: unknown): boolean => error instanceof LedgerError && error.code === 'keys-unavailable';

async function inPlace(run: (place: TestPlace) => Promise<void>): Promise<void> {
  await using place = await testPlace();
  await run(place);
}

test('appends go on under existing seeds while the keeper is away; only what needs a new seed is refused, and comes in later', () =>
  inPlace(async (place) => {
    const keeper = new Keeper();
    await using ledger = await place.open({ keyrings: async () => ({ of: () => keyringOf(keeper.kek) }) });
    await ledger.addTenant(clinic);
    await ledger.append(clinic, items(place, 2));
    keeper.away = unreachable;
    await ledger.append(clinic, items(place, 2));
    const late = items(place, 2, { kind: 'auth' });
    await assert.rejects(ledger.append(clinic, late), unavailable);
    assert.deepEqual(ledger.state, { kind: 'writable' });
    await ledger.append(clinic, items(place, 2));
    // It is left alone for some seconds: the next call fails at once.
    const { wraps } = keeper;
    keeper.away = undefined;
    await assert.rejects(ledger.append(clinic, late), unavailable);
    assert.equal(keeper.wraps, wraps);
    place.clock.advance(3_000);
    const { receipts } = await ledger.append(clinic, late);
    assert.deepEqual(
      receipts.map(({ index, duplicate }) => [index, duplicate]),
      [
        [6, false],
        [7, false],
      ],
    );
  }));

test('a new epoch needs a new seed: with the keeper away it is refused, and the epoch opens when it is back', () =>
  inPlace(async (place) => {
    const keeper = new Keeper();
    await using ledger = await place.open({ keyrings: async () => ({ of: () => keyringOf(keeper.kek) }) });
    await ledger.addTenant(clinic);
    await ledger.append(clinic, items(place, 1));
    keeper.away = unreachable;
    place.clock.advance(31 * 86_400_000);
    const next = items(place, 1);
    await assert.rejects(ledger.append(clinic, next), unavailable);
    keeper.away = undefined;
    place.clock.advance(3_000);
    await ledger.append(clinic, next);
    const [first, second] = await ledger.read(clinic, 0, 10);
    assert.equal((second?.epoch ?? 0) - (first?.epoch ?? 0), 1);
  }));

test('a keeper that hangs for one tenant holds up no other', () =>
  inPlace(async (place) => {
    const [theirs, ours] = [new Keeper(), new Keeper()];
    await using ledger = await place.open({
      keyrings: async () => ({ of: (tenant) => keyringOf(tenant === 'other' ? theirs.kek : ours.kek) }),
    });
    for (const tenant of [clinic, other]) await ledger.addTenant(tenant);
    theirs.hanging = Promise.withResolvers();
    const waiting = ledger.append(other, items(place, 1, { tenant: other }));
    const { receipts } = await ledger.append(clinic, items(place, 3));
    assert.equal(receipts.length, 3);
    theirs.hanging.resolve();
    assert.equal((await waiting).receipts.length, 1);
  }));

test('calls that wait for the same seed share one, and are answered in their order', () =>
  inPlace(async (place) => {
    const keeper = new Keeper();
    await using ledger = await place.open({ keyrings: async () => ({ of: () => keyringOf(keeper.kek) }) });
    await ledger.addTenant(clinic);
    keeper.hanging = Promise.withResolvers();
    const calls = Array.from({ length: 5 }, () => ledger.append(clinic, items(place, 2)));
    keeper.hanging.resolve();
    const indexes = (await Promise.all(calls)).map(({ receipts }) => receipts.map(({ index }) => index));
    assert.deepEqual(indexes.flat(), [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
    assert.equal(keeper.wraps, 1);
  }));

test('a ledger that is closed while a keeper hangs writes no seed after it', () =>
  inPlace(async (place) => {
    const keeper = new Keeper();
    const ledger = await place.open({ keyrings: async () => ({ of: () => keyringOf(keeper.kek) }) });
    await ledger.addTenant(clinic);
    keeper.hanging = Promise.withResolvers();
    const waiting = assert.rejects(ledger.append(clinic, items(place, 1)), { code: 'closed' });
    await ledger[Symbol.asyncDispose]();
    keeper.hanging.resolve();
    await waiting;
    await using again = await place.open({ keyrings: async () => ({ of: () => keyringOf(keeper.kek) }) });
    assert.deepEqual(await again.wrappedSeeds(clinic), []);
  }));

test('a writer that may only wrap stores and proves, and opens nothing it sealed before', () =>
  inPlace(async (place) => {
    const keeper = new Keeper();
    const batch = items(place, 3);
    const openWriter = () => place.open({ keyrings: async () => ({ of: () => keyringOf(wrapOnly(keeper.kek)) }) });
    {
      await using ledger = await openWriter();
      await ledger.addTenant(clinic);
      await ledger.append(clinic, batch);
    }
    await using ledger = await openWriter();
    assert.deepEqual(ledger.state, { kind: 'writable' });
    await assert.rejects(ledger.read(clinic, 0, 3), { code: 'unwrap-forbidden' });
    await assert.rejects(ledger.open(clinic, 1), { code: 'unwrap-forbidden' });
    // A batch sent again is known by its ids, though what was stored can't be looked at.
    const { receipts } = await ledger.append(clinic, batch);
    assert.deepEqual(
      receipts.map(({ index, duplicate }) => [index, duplicate]),
      [
        [0, true],
        [1, true],
        [2, true],
      ],
    );
    await ledger.append(clinic, items(place, 2));
    assert.equal(ledger.head(clinic).size, 5);
    assert.equal((await ledger.prove(clinic, 0)).hashes.length > 0, true);
    await ledger[Symbol.asyncDispose]();
    const { ledgerDir } = place;
    const { verifyLedger } = await import('@watchglass/record/reader');
    const report = await verifyLedger({ ledgerDir, keyrings: { of: () => keyringOf(keeper.kek) }, full: true });
    assert.deepEqual([report.findings, report.tenants[0]?.opened], [[], 5]);
  }));
