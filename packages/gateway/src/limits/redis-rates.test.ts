/** Rates counted together in a real Redis; what becomes of them when it goes away; and answers that are none. */
import assert from 'node:assert/strict';
import { afterEach, describe, it } from 'node:test';

import { type RateExceeded, type RateRule, Rates } from './rates.ts';
import { redisIsHere, startRedis, type TestRedis } from './redis.fixture.ts';
import { parseReply } from './redis-connection.ts';
import { RedisRates } from './redis-rates.ts';

const rule: RateRule = { name: 'door', by: 'address', limit: 10, windowMs: 3_600_000 };
const open: Disposable[] = [];
let redis: TestRedis | undefined;

afterEach(async () => {
  for (const one of open.splice(0)) one[Symbol.dispose]();
  await redis?.stop();
  redis = undefined;
});

interface Gateway {
  readonly rates: Rates;
  readonly shared: RedisRates;
  /** Resolves at the next change to this. */
  became(answers: boolean): Promise<void>;
}

function gateway(port: number, deadlineMs = 10_000): Gateway {
  const waiting: { readonly answers: boolean; readonly resolve: () => void }[] = [];
  const shared = new RedisRates(
    { host: '127.0.0.1', port, tls: false, database: 0, deadlineMs, prefix: 'wg:', share: 0.2 },
    {
      onChange: (answers) => {
        for (const one of waiting.filter((other) => other.answers === answers)) one.resolve();
      },
    },
  );
  open.push(shared);
  return {
    shared,
    rates: new Rates([rule], { keysMax: 100, shared }),
    became(answers) {
      if (shared.answers === answers) return Promise.resolve();
      return new Promise((resolve) => waiting.push({ answers, resolve }));
    },
  };
}

async function allowed(rates: Rates, key: string, times: number): Promise<number> {
  const taken: (RateExceeded | undefined)[] = [];
  for (let count = 0; count < times; count += 1) taken.push(await rates.takeAddress(key));
  return taken.filter((one) => one === undefined).length;
}

describe('rates in Redis', { skip: redisIsHere ? false : 'there is no redis-server on this machine' }, () => {
  it('are counted by several gateways together, and each key by itself', async () => {
    redis = await startRedis();
    const [a, b] = [gateway(redis.port), gateway(redis.port)];
    await Promise.all([a.became(true), b.became(true)]);
    const counts = await Promise.all([allowed(a.rates, 'x', 20), allowed(b.rates, 'x', 20)]);
    assert.equal((counts[0] as number) + (counts[1] as number), 10);
    assert.equal(await allowed(a.rates, 'y', 1), 1);
    const exceeded = await b.rates.takeAddress('x');
    assert.ok(
      exceeded !== undefined && exceeded.retryMs > 300_000 && exceeded.retryMs <= 360_000,
      String(exceeded?.retryMs),
    );
  });

  it('are taken together for the entries of a batch', async () => {
    redis = await startRedis();
    const { shared, became } = gateway(redis.port);
    await became(true);
    const rates = new Rates([{ ...rule, by: 'user' }], { keysMax: 100, shared });
    const one = { user: 'u', client: 'c', tenant: 't', interaction: 'read', route: '/fhir/Patient/{id}' };
    assert.equal(await rates.takeEntries([one, one, one, one, one, one]), undefined);
    const exceeded = await rates.takeEntries([one, one, one, one, one, one]);
    assert.ok(exceeded !== undefined && exceeded.retryMs > 0);
    assert.equal(await rates.takeEntries([one, one, one, one]), undefined);
    assert.notEqual(await rates.takeKnown(one), undefined);
  });

  it('are counted by each gateway with its share while Redis is away, and together again once it is back', async () => {
    redis = await startRedis();
    const { port } = redis;
    const one = gateway(port);
    await one.became(true);
    assert.equal(await allowed(one.rates, 'x', 10), 10);
    const away = one.became(false);
    await redis.stop();
    await away;
    assert.equal(await allowed(one.rates, 'x', 20), 2);
    redis = await startRedis(port);
    await one.became(true);
    assert.equal(await allowed(one.rates, 'x', 20), 10);
  });

  it('hold nobody up when Redis hangs: the deadline ends the wait, and nobody after it waits at all', async () => {
    redis = await startRedis();
    const one = gateway(redis.port, 1_000);
    await one.became(true);
    redis.freeze();
    const startedMs = performance.now();
    const taken = await Promise.all(Array.from({ length: 20 }, (_, position) => one.rates.takeAddress(`k${position}`)));
    assert.ok(performance.now() - startedMs < 10_000, `waited ${performance.now() - startedMs} ms`);
    assert.ok(taken.every((exceeded) => exceeded === undefined));
    assert.equal(one.shared.answers, false);
    assert.ok(!(one.rates.takeAddress('z') instanceof Promise));
    redis.thaw();
    await one.became(true);
  });

  it('survive a Redis that forgot the script', async () => {
    redis = await startRedis();
    const [one, other] = [gateway(redis.port), gateway(redis.port)];
    await Promise.all([one.became(true), other.became(true)]);
    const { createConnection } = await import('node:net');
    const socket = createConnection(redis.port, '127.0.0.1');
    socket.write('SCRIPT FLUSH\r\n');
    await new Promise((resolve) => socket.once('data', resolve));
    socket.destroy();
    assert.equal(await allowed(one.rates, 'x', 20), 10);
    assert.equal(one.shared.answers, true);
  });
});

describe('an answer of Redis', () => {
  const of = (text: string): unknown => parseReply(Buffer.from(text), 0);

  it('is read whole, however it comes in pieces', () => {
    const text = '*3\r\n:1\r\n$5\r\na\r\nbc\r\n$-1\r\n';
    assert.deepEqual(of(text), { reply: [1, 'a\r\nbc', null], end: text.length });
    for (let length = 0; length < text.length; length += 1) assert.equal(of(text.slice(0, length)), 'incomplete');
    assert.deepEqual(of('-NOSCRIPT no\r\n'), { reply: undefined, end: 14 });
    assert.deepEqual(of('+OK\r\n'), { reply: 'OK', end: 5 });
  });

  it('that is none of the protocol is not believed', () => {
    for (const text of [
      'HTTP/1.1 400 Bad\r\n',
      ':x\r\n',
      '$999999999\r\n',
      '*9999\r\n',
      '*1\r\n*1\r\n*1\r\n*1\r\n:1\r\n',
    ])
      assert.equal(of(text), 'broken', text);
  });
});
