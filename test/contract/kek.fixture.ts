/** What every keeper of key-encryption keys promises (record/src/codec/kek.ts), as tests that each one passes. */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { test } from 'node:test';
import { RecordError } from '../../packages/record/src/index.ts';
import {
  type Kek,
  keyringOf,
  parseSeedFile,
  unwrapSeed,
  wrapOnly,
  wrapSeed,
} from '../../packages/record/src/reader.ts';
import type { KekProvider } from '../../packages/server/src/ledger/kek/provider.ts';

export interface KekPlace extends AsyncDisposable {
  readonly provider: KekProvider;
  /** A key that is there already; undefined where keys are only made here. */
  readonly locator?: string;
  /** What `destroy` answers. */
  readonly destruction: 'destroyed' | 'pendingUntil';
  /** The same keys again, as after a restart. */
  readonly again: () => KekProvider;
}

const aad = new TextEncoder().encode('watchglass/v1/seed\nlog.example/clinic\naccess\n674\n');

export const coded =
  (...codes: string[]) =>
  (error: unknown): boolean =>
    error instanceof RecordError && codes.includes(error.code);

export function kekContract(name: string, begin: () => Promise<KekPlace>, skip?: string): void {
  const fact = (what: string, run: (place: KekPlace, kek: Kek) => Promise<void>): void => {
    test(`${name}: ${what}`, skip === undefined ? {} : { skip }, async () => {
      await using place = await begin();
      await run(place, await place.provider.open(place.locator ?? (await place.provider.create())));
    });
  };

  fact('what it wraps it unwraps, also after a restart, and never into the same bytes twice', async (place, kek) => {
    const secret = randomBytes(32);
    const [one, two] = [await kek.wrap(secret, aad), await kek.wrap(secret, aad)];
    assert.notDeepEqual(Buffer.from(one), Buffer.from(two));
    for (const wrapped of [one, two]) {
      assert.equal(Buffer.from(wrapped).includes(secret), false);
      assert.deepEqual(Buffer.from(await kek.unwrap(wrapped, aad)), secret);
    }
    assert.match(kek.id, /^[!-~]{1,256}$/);
    if (place.locator === undefined) return;
    const again = await place.again().open(place.locator);
    assert.equal(again.id, kek.id);
    assert.deepEqual(Buffer.from(await again.unwrap(one, aad)), secret);
  });

  fact('what was wrapped for one place does not unwrap for another', async (_place, kek) => {
    const wrapped = await kek.wrap(randomBytes(32), aad);
    for (const other of [new Uint8Array(0), aad.subarray(1), Uint8Array.from([...aad, 0])])
      await assert.rejects(kek.unwrap(wrapped, other), coded('seed-refused'));
  });

  fact('a changed, cut or lengthened byte is refused', async (_place, kek) => {
    const wrapped = await kek.wrap(randomBytes(32), aad);
    for (const at of [0, Math.floor(wrapped.length / 3), Math.floor(wrapped.length / 2), wrapped.length - 1]) {
      const changed = Uint8Array.from(wrapped);
      changed[at] = (changed[at] as number) ^ 1;
      await assert.rejects(kek.unwrap(changed, aad), coded('seed-refused'), `byte ${at} of ${wrapped.length}`);
    }
    await assert.rejects(kek.unwrap(wrapped.subarray(0, -1), aad), coded('seed-refused'));
    await assert.rejects(kek.unwrap(new Uint8Array(0), aad), coded('seed-refused'));
  });

  fact('another key of the same keeper does not unwrap it', async ({ provider }, kek) => {
    const other = await provider.open(await provider.create());
    assert.notEqual(other.id, kek.id);
    const wrapped = await kek.wrap(randomBytes(32), aad);
    await assert.rejects(other.unwrap(wrapped, aad), coded('seed-refused'));
  });

  fact('a seed goes through its file and back, and a key that may only wrap says so', async (_place, kek) => {
    const seed = randomBytes(32);
    const scope = {
      origin: 'log.example/clinic',
      retentionClass: 'access',
      epoch: 674,
      writer: randomBytes(16),
    } as const;
    const file = parseSeedFile(await wrapSeed(seed, scope, wrapOnly(kek)));
    assert.deepEqual(Buffer.from(await unwrapSeed(file, keyringOf(kek))), seed);
    await assert.rejects(unwrapSeed(file, keyringOf(wrapOnly(kek))), coded('unwrap-forbidden'));
    await assert.rejects(unwrapSeed({ ...file, epoch: 675 }, keyringOf(kek)), coded('seed-refused'));
  });

  fact(
    'a key that was destroyed neither wraps nor unwraps, and the others go on',
    async ({ provider, destruction }, kept) => {
      const locator = await provider.create();
      const kek = await provider.open(locator);
      const wrapped = await kek.wrap(randomBytes(32), aad);
      const first = await kek.destroy();
      assert.equal(first.kind, destruction);
      if (first.kind === 'pendingUntil') assert.ok(Date.parse(first.at) > 0, first.at);
      assert.deepEqual(await kek.destroy(), first);
      await assert.rejects(kek.unwrap(wrapped, aad), coded('kek-lost'));
      await assert.rejects(kek.wrap(randomBytes(32), aad), coded('kek-lost'));
      await assert.rejects(async () => (await provider.open(locator)).unwrap(wrapped, aad), coded('kek-lost'));
      const secret = randomBytes(32);
      assert.deepEqual(Buffer.from(await kept.unwrap(await kept.wrap(secret, aad), aad)), secret);
    },
  );
}
