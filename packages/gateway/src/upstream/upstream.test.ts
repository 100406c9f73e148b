/** Which replica is asked, with a clock of the test and no connection. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import type { Pool } from 'undici';

import { ExportLinks } from '../exposure/export-links.ts';
import { ordinary } from '../limits/breaker.ts';
import { OwnCondition } from './condition.ts';
import { Replica } from './replica.ts';
import { type Balance, type Lease, Upstream } from './upstream.ts';

const breaker = { failuresMax: 2, windowMs: 60_000, openMs: 100, openMsMax: 100 };

function make(
  count: number,
  balance: Balance = 'round-robin',
): {
  upstream: Upstream;
  replicas: readonly Replica[];
  conditions: readonly OwnCondition[];
  news: string[];
  clock: { ms: number };
} {
  const news: string[] = [];
  const clock = { ms: 0 };
  const conditions = Array.from(
    { length: count },
    (_, n) =>
      new OwnCondition({
        breaker,
        health: { healthyAfter: 2, unhealthyAfter: 3 },
        onNews: (one) => news.push(`${n} ${one}`),
        now: () => clock.ms,
      }),
  );
  const replicas = conditions.map(
    (condition, n) =>
      new Replica({
        origin: `http://api-${n}`,
        pool: { n } as unknown as Pool,
        lastingPool: { lasting: n } as unknown as Pool,
        condition,
      }),
  );
  const upstream = new Upstream({
    name: 'upstream',
    replicas,
    balance,
    timeoutMs: 1_000,
    forwardAuthorization: false,
    forwardHeaders: [],
    exportLinks: new ExportLinks(Buffer.alloc(32), []),
    probedEveryMs: 5_000,
  });
  return { upstream, replicas, conditions, news, clock };
}

function take(upstream: Upstream, wanted: { safe: boolean; origin?: string } = { safe: true }): Lease {
  const taken = upstream.take(wanted);
  assert.ok(!(taken instanceof Promise) && taken.kind === 'taken');
  return taken.lease;
}

/** Fails so often that it is spared. */
function spare(replica: Replica | undefined): void {
  replica?.breaker.failed(ordinary);
  replica?.breaker.failed(ordinary);
}

describe('an API at several origins', () => {
  it('is asked at each in turn', () => {
    const { upstream } = make(3);
    const origins = Array.from({ length: 6 }, () => {
      using lease = take(upstream);
      return lease.origin;
    });
    assert.equal(new Set(origins.slice(0, 3)).size, 3);
    assert.deepEqual(origins.slice(3), origins.slice(0, 3));
  });

  it('is asked where the fewest requests are under way, if that is wished', () => {
    const { upstream, replicas } = make(3, 'least-pending');
    const leases = Array.from({ length: 5 }, () => take(upstream));
    assert.deepEqual(replicas.map(({ pendingCount }) => pendingCount).toSorted(), [1, 2, 2]);
    const free = leases.find(({ origin }) => replicas.some((one) => one.origin === origin && one.pendingCount === 1));
    free?.succeeded();
    free?.[Symbol.dispose]();
    assert.equal(take(upstream).origin, free?.origin);
    for (const lease of leases) lease[Symbol.dispose]();
    for (const lease of leases) lease[Symbol.dispose]();
    assert.equal(
      replicas.reduce((sum, { pendingCount }) => sum + pendingCount, 0),
      1,
    );
  });

  it('is not asked where it fails, and not by a change where it failed as long as there is another', () => {
    const { upstream, replicas, clock, news } = make(2);
    spare(replicas[0]);
    for (let n = 0; n < 4; n += 1) assert.equal(take(upstream).origin, 'http://api-1');
    clock.ms = 100;
    for (let n = 0; n < 4; n += 1) assert.equal(take(upstream, { safe: false }).origin, 'http://api-1');
    const tried = [take(upstream), take(upstream)].find(({ origin }) => origin === 'http://api-0');
    tried?.succeeded();
    assert.deepEqual(news, ['0 opened', '0 closed']);
    spare(replicas[0]);
    spare(replicas[1]);
    clock.ms = 200;
    // There is no other.
    assert.ok(take(upstream, { safe: false }).origin);
  });

  it('is not asked where its probes find it unwell, and again once they find it well', () => {
    const { upstream, conditions, news } = make(2);
    const [first, second] = conditions;
    for (const succeeded of [false, false, true, false, false, false]) first?.probed(succeeded);
    assert.deepEqual(news, ['0 down']);
    for (let n = 0; n < 4; n += 1) assert.equal(take(upstream).origin, 'http://api-1');
    for (let n = 0; n < 3; n += 1) second?.probed(false);
    assert.deepEqual(upstream.take({ safe: true }), { kind: 'spared', waitMs: 5_000 });
    assert.equal(upstream.available, false);
    for (const succeeded of [true, false, true, true]) first?.probed(succeeded);
    assert.deepEqual(news, ['0 down', '1 down', '0 up']);
    assert.equal(take(upstream).origin, 'http://api-0');
  });

  it('tells how long to wait where none may be asked', () => {
    const { upstream, replicas, clock } = make(2);
    spare(replicas[0]);
    clock.ms = 30;
    spare(replicas[1]);
    assert.deepEqual(upstream.take({ safe: true }), { kind: 'spared', waitMs: 70 });
    assert.deepEqual(upstream.take({ safe: true, origin: 'http://api-1' }), { kind: 'spared', waitMs: 100 });
  });

  it('is asked again at another one, which counts against the first only', () => {
    const { upstream, replicas } = make(2);
    using lease = take(upstream);
    const { origin } = lease;
    lease.moveOn();
    assert.notEqual(lease.origin, origin);
    lease.succeeded();
    assert.deepEqual(replicas.map(({ pendingCount }) => pendingCount).toSorted(), [0, 1]);
    const failed = replicas.find((one) => one.origin === origin);
    failed?.breaker.failed(ordinary);
    assert.equal(failed?.usable, false);
  });

  it('stays with the one that a link leads to', () => {
    const { upstream } = make(3);
    for (let n = 0; n < 3; n += 1) {
      using lease = take(upstream, { safe: true, origin: 'http://api-2' });
      lease.moveOn();
      assert.equal(lease.origin, 'http://api-2');
    }
  });
});

describe('a lease', () => {
  it('that came to nothing lets the next one try', () => {
    const { upstream, replicas, clock, news } = make(1);
    spare(replicas[0]);
    clock.ms = 100;
    {
      using _came = take(upstream);
      assert.deepEqual(upstream.take({ safe: true }), { kind: 'spared', waitMs: 100 });
    }
    using next = take(upstream);
    next.succeeded();
    assert.deepEqual(news, ['0 opened', '0 closed']);
  });
});
