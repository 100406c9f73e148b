/** The limits by themselves, with a clock of the test: rates, address lists, lock-outs, requests at once. */
import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it } from 'node:test';

import fc from 'fast-check';

import { AddressList, parseAddressList, parseAddressRange } from './address-list.ts';
import { Concurrency } from './concurrency.ts';
import { type FilterNews, Filters } from './filters.ts';
import { Lockout, type LockoutNews } from './lockout.ts';
import { RateTable } from './rate-table.ts';
import { Rates, rateHeaders } from './rates.ts';

describe('a rate', () => {
  it('lets through its burst and then what it gives, and says when the next one will be', () => {
    const table = new RateTable({ limit: 10, windowMs: 1_000, burst: 3 }, { keysMax: 100 });
    assert.deepEqual(
      [0, 0, 0].map((ms) => table.take('a', ms).remainingCount),
      [2, 1, 0],
    );
    assert.deepEqual(table.take('a', 40), { allowed: false, remainingCount: 0, retryMs: 60 });
    assert.equal(table.take('b', 40).allowed, true);
    assert.equal(table.take('a', 100).allowed, true);
    assert.equal(table.take('a', 100).allowed, false);
  });

  it('never lets through more than burst and rate in any stretch of time, and what it said is when the next one passes', () => {
    fc.assert(
      fc.property(
        fc.record({
          limit: fc.integer({ min: 1, max: 50 }),
          windowMs: fc.integer({ min: 1, max: 5_000 }),
          burst: fc.integer({ min: 1, max: 60 }),
        }),
        fc.array(fc.integer({ min: 0, max: 400 }), { minLength: 1, maxLength: 200 }),
        (rate, gaps) => {
          const table = new RateTable(rate, { keysMax: 10 });
          const passed: number[] = [];
          let nowMs = 0;
          for (const gap of gaps) {
            nowMs += gap;
            const taken = table.take('k', nowMs);
            if (taken.allowed) passed.push(nowMs);
            else {
              nowMs += taken.retryMs;
              assert.equal(table.take('k', nowMs).allowed, true);
              passed.push(nowMs);
            }
          }
          for (let from = 0; from < passed.length; from += 1) {
            for (let to = from; to < passed.length; to += 1) {
              const stretchMs = (passed[to] as number) - (passed[from] as number);
              const most = rate.burst + (stretchMs * rate.limit) / rate.windowMs + 1e-3;
              assert.ok(to - from + 1 <= most, `${to - from + 1} in ${stretchMs} ms, at most ${most}`);
            }
          }
        },
      ),
    );
  });

  it('gives no allowance and no memory to who changes keys: new ones share one once the table is full', () => {
    const table = new RateTable({ limit: 1, windowMs: 1_000, burst: 1 }, { keysMax: 50 });
    const allowed = Array.from({ length: 10_000 }, (_, position) => table.take(`k${position}`, 0).allowed);
    assert.equal(allowed.filter(Boolean).length, 51);
    assert.equal(table.size, 51);
    // Who was there before has their own allowance still, and those that are whole again make room.
    assert.equal(table.take('k3', 1_000).allowed, true);
    const later = Array.from({ length: 40 }, (_, position) => table.take(`n${position}`, 2_500).allowed);
    assert.equal(later.filter(Boolean).length, 40);
    assert.ok(table.size <= 51);
  });

  it('lets several through at once or not at all, and what goes beyond the burst is owed', () => {
    const table = new RateTable({ limit: 10, windowMs: 1_000, burst: 3 }, { keysMax: 100 });
    assert.equal(table.take('a', 0, 2).remainingCount, 1);
    assert.deepEqual(table.take('a', 0, 2), { allowed: false, remainingCount: 0, retryMs: 100 });
    assert.equal(table.take('a', 100, 2).allowed, true);
    // Ten need all three that may come at once, and are paid for until the end of them.
    assert.equal(table.take('b', 0, 10).allowed, true);
    assert.equal(table.take('b', 999 - 300).allowed, false);
    assert.equal(table.take('b', 800).allowed, true);
    fc.assert(
      fc.property(fc.array(fc.tuple(fc.integer({ min: 0, max: 900 }), fc.integer({ min: 1, max: 100 }))), (steps) => {
        const rates = new RateTable({ limit: 7, windowMs: 1_000, burst: 4 }, { keysMax: 10 });
        let nowMs = 0;
        let passed = 0;
        let last = 0;
        for (const [gapMs, count] of steps) {
          nowMs += gapMs;
          if (!rates.take('k', nowMs, count).allowed) continue;
          passed += count;
          last = count;
          // In the long run no more than one by one, but for the last ones, which are owed.
          assert.ok(passed - last <= 4 + (nowMs * 7) / 1_000 + 1e-3);
        }
      }),
    );
  });

  it('counts by user, client, tenant and route, only where it is meant, and nobody for what nobody asks', () => {
    let nowMs = 0;
    const rule = (name: string, rest: object): Parameters<typeof makeRates>[0][number] =>
      ({ name, limit: 1, windowMs: 1_000, ...rest }) as never;
    const makeRates = (rules: ConstructorParameters<typeof Rates>[0]): Rates =>
      new Rates(rules, { keysMax: 100, now: () => nowMs });
    const known = { user: 'u', client: 'i c', tenant: 't', interaction: 'search', route: '/fhir/Patient' };
    const byUser = makeRates([rule('searches', { by: 'user', interactions: ['search'] })]);
    assert.equal(byUser.takeKnown(known), undefined);
    assert.equal(byUser.takeKnown({ ...known, interaction: 'read' }), undefined);
    assert.equal(byUser.takeKnown({ ...known, user: 'v' }), undefined);
    assert.equal(byUser.takeKnown({ ...known, user: undefined }), undefined);
    const exceeded = byUser.takeKnown(known);
    assert.ok(exceeded !== undefined && !(exceeded instanceof Promise));
    assert.deepEqual(rateHeaders(exceeded), {
      'retry-after': '1',
      ratelimit: '"searches";r=0;t=1',
      'ratelimit-policy': '"searches";q=1;w=1',
    });
    nowMs = 1_000;
    assert.equal(byUser.takeKnown(known), undefined);
    for (const [by, other] of [
      ['client', { client: 'i d' }],
      ['tenant', { tenant: 'x' }],
      ['route', { route: '/fhir/Observation' }],
    ] as const) {
      const rates = makeRates([rule('one', { by })]);
      assert.equal(rates.takeKnown(known), undefined);
      assert.notEqual(rates.takeKnown({ ...known, user: 'v' }), undefined, by);
      assert.equal(rates.takeKnown({ ...known, ...other }), undefined, by);
      assert.equal(rates.takeAddress('192.0.2.1'), undefined);
    }
    const byAddress = makeRates([rule('door', { by: 'address' })]);
    assert.equal(byAddress.takeAddress('192.0.2.1'), undefined);
    assert.notEqual(byAddress.takeAddress('192.0.2.1'), undefined);
    assert.equal(byAddress.takeKnown(known), undefined);
  });
});

describe('an address list', () => {
  const listOf = (text: string): AddressList => {
    const parsed = parseAddressList(text);
    assert.equal(parsed.kind, 'list');
    return new AddressList(parsed.kind === 'list' ? parsed.entries : []);
  };

  it('finds addresses and ranges, IPv4 mapped into IPv6 either way, and never what is no address', () => {
    const list = listOf('10.0.0.0/8 # the ward\n\n2001:db8::/32\n::ffff:192.0.2.0/120\n');
    for (const inside of ['10.1.2.3', '::ffff:10.1.2.3', '::ffff:a01:203', '2001:db8:1::1', '192.0.2.9'])
      assert.equal(list.includes(inside, 0), true, inside);
    for (const outside of ['11.0.0.1', '2001:db9::1', '::1', '::a01:203', 'garbage', '', '10.1.2.3 ', undefined])
      assert.equal(list.includes(outside, 0), false, String(outside));
  });

  it('says which line is none', () => {
    const bad = [
      '10.0.0.0/33',
      '10.0.0',
      '10.0.0.0/8/8',
      '::/129',
      'fe80::1%eth0',
      '10.0.0.1 until=soon',
      '10.0.0.1 x',
    ];
    for (const line of bad) assert.deepEqual(parseAddressList(`10.0.0.1\n${line}`), { kind: 'bad', line: 2 }, line);
    for (const text of ['10.0.0.0/08', '10.0.0.0/', '1.2.3.4.5']) assert.equal(parseAddressRange(text), undefined);
  });

  it('forgets an entry at its end, and no other', () => {
    const list = listOf('10.0.0.1 until=2026-01-01T00:00:00Z\n10.0.0.2 until=2026-01-01T01:00:01+01:00\n10.0.0.3');
    const end = Date.parse('2026-01-01T00:00:00Z');
    const at = (ms: number): boolean[] => ['10.0.0.1', '10.0.0.2', '10.0.0.3'].map((one) => list.includes(one, ms));
    assert.deepEqual(at(end - 1), [true, true, true]);
    assert.deepEqual(at(end), [false, true, true]);
    assert.deepEqual(at(end + 1_000), [false, false, true]);
    assert.equal(list.empty, false);
  });
});

describe('filters', () => {
  it('let in nobody of the deny list, and only those of the allow list where there is one', () => {
    const none = { entries: [] };
    const some = (text: string): { entries: NonNullable<ReturnType<typeof parseAddressRange>>[] } => ({
      entries: [parseAddressRange(text) ?? assert.fail()],
    });
    const options = { onNews: () => undefined };
    const rest = { reloadEveryMs: 1_000 };
    assert.equal(new Filters({ allow: none, deny: none, ...rest }, options).refusal(undefined), undefined);
    const filters = new Filters({ allow: some('10.0.0.0/8'), deny: some('10.0.0.1'), ...rest }, options);
    assert.equal(filters.refusal('10.0.0.1'), 'address-denied');
    assert.equal(filters.refusal('10.0.0.2'), undefined);
    assert.equal(filters.refusal('192.0.2.1'), 'address-not-allowed');
    assert.equal(filters.refusal(undefined), 'address-not-allowed');
    const denying = new Filters({ allow: none, deny: some('10.0.0.1'), ...rest }, options);
    assert.equal(denying.refusal('10.0.0.2'), undefined);
    assert.equal(denying.refusal(undefined), 'address-denied');
  });

  it('read a changed file again, and keep what was in force where it is bad or gone', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'watchglass-filters-'));
    try {
      const [allowPath, denyPath] = [join(folder, 'allow'), join(folder, 'deny')];
      const news: FilterNews[] = [];
      const file = (path: string, text: string): object => {
        const parsed = parseAddressList(text);
        return { entries: [], file: { path, text, entries: parsed.kind === 'list' ? parsed.entries : [] } };
      };
      await writeFile(allowPath, '10.0.0.0/8\n');
      await writeFile(denyPath, '10.0.0.1\n');
      using filters = new Filters(
        {
          allow: file(allowPath, '10.0.0.0/8\n') as never,
          deny: file(denyPath, '10.0.0.1\n') as never,
          reloadEveryMs: 3_600_000,
        },
        { onNews: (one) => news.push(one) },
      );
      await filters.check();
      assert.equal(news.length, 0);
      await writeFile(denyPath, '10.0.0.2\n');
      await filters.check();
      assert.equal(filters.refusal('10.0.0.1'), undefined);
      assert.equal(filters.refusal('10.0.0.2'), 'address-denied');
      await writeFile(denyPath, 'everybody\n');
      await writeFile(allowPath, '# nobody\n');
      await filters.check();
      await filters.check();
      assert.equal(filters.refusal('10.0.0.2'), 'address-denied');
      assert.equal(filters.refusal('10.0.0.3'), undefined);
      await rm(denyPath);
      await filters.check();
      assert.equal(filters.refusal('10.0.0.2'), 'address-denied');
      const told = news.map((one) => `${one.list} ${one.kind === 'replaced' ? one.entriesCount : one.fault}`);
      assert.deepEqual(told.toSorted(), ['allow bad-line', 'deny 1', 'deny bad-line', 'deny unreadable']);
    } finally {
      await rm(folder, { recursive: true, force: true });
    }
  });
});

describe('a lock-out', () => {
  const settings = { failuresMax: 3, windowMs: 1_000, blockMs: 1_000, blockMsMax: 3_000, keysMax: 100 };

  function make(change: Partial<typeof settings> = {}): { lockout: Lockout; clock: { ms: number }; news: string[] } {
    const clock = { ms: 0 };
    const news: string[] = [];
    const onNews = ({ kind, key, blockMs }: LockoutNews): void => void news.push(`${kind} ${key} ${blockMs}`);
    return { lockout: new Lockout({ ...settings, ...change }, { now: () => clock.ms, onNews }), clock, news };
  }

  it('begins with so many failures in a window, doubles up to its bound, and each beginning and end is told', () => {
    const { lockout, clock, news } = make();
    const failThrice = (): void => {
      for (const _ of [1, 2, 3]) lockout.fail('a');
    };
    lockout.fail('a');
    lockout.fail('a');
    clock.ms = 1_000;
    lockout.fail('a');
    lockout.fail('a');
    assert.equal(lockout.blockedMs('a'), 0);
    lockout.fail('a');
    assert.equal(lockout.blockedMs('a'), 1_000);
    assert.equal(lockout.blockedMs('b'), 0);
    failThrice();
    clock.ms = 2_000;
    assert.equal(lockout.blockedMs('a'), 0);
    failThrice();
    clock.ms = 4_000;
    lockout.sweep();
    failThrice();
    clock.ms = 7_000;
    lockout.sweep();
    assert.deepEqual(news, ['begin a 1000', 'end a 1000', 'begin a 2000', 'end a 2000', 'begin a 3000', 'end a 3000']);
    assert.equal(lockout.blockedCount, 0);
    // Long quiet after a block makes it as if nothing had been.
    clock.ms = 20_000;
    lockout.sweep();
    assert.equal(lockout.size, 0);
    failThrice();
    assert.equal(lockout.blockedMs('a'), 1_000);
  });

  it('keeps its bound of keys, and its blocks before its counts', () => {
    const { lockout, news } = make({ keysMax: 10, failuresMax: 3 });
    for (const _ of [1, 2, 3]) lockout.fail('bad');
    for (let position = 0; position < 1_000; position += 1) lockout.fail(`k${position}`);
    assert.equal(lockout.size, 10);
    assert.ok(lockout.blockedMs('bad') > 0);
    for (let position = 0; position < 100; position += 1) for (const _ of [1, 2, 3]) lockout.fail(`b${position}`);
    assert.equal(lockout.size, 10);
    assert.ok(lockout.blockedCount <= 10);
    assert.equal(news.filter((one) => one.startsWith('begin')).length, 101);
    assert.equal(news.filter((one) => one.startsWith('end')).length, 101 - lockout.blockedCount);
  });
});

describe('requests at once', () => {
  it('are bounded by user and by client, and whoever enters leaves', () => {
    const concurrency = new Concurrency({ userMax: 2, clientMax: 3 });
    const [a, b, c, d, e] = [{}, {}, {}, {}, {}] as [object, object, object, object, object];
    assert.equal(concurrency.enter(a, { user: 'u', client: 'c' }), undefined);
    assert.equal(concurrency.enter(b, { user: 'u', client: 'c' }), undefined);
    assert.equal(concurrency.enter(c, { user: 'u', client: 'c' }), 'user');
    assert.equal(concurrency.enter(d, { user: 'v', client: 'c' }), undefined);
    assert.equal(concurrency.enter(e, { user: 'w', client: 'c' }), 'client');
    assert.equal(concurrency.enter(e, { user: undefined, client: undefined }), undefined);
    concurrency.leave(c);
    concurrency.leave(a);
    concurrency.leave(a);
    assert.equal(concurrency.enter(c, { user: 'u', client: undefined }), undefined);
    for (const one of [b, c, d, e]) concurrency.leave(one);
    assert.equal(concurrency.size, 0);
  });
});
