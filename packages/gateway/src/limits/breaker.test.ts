/** The circuit breaker by itself, with a clock of the test. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { Breaker, ordinary, type Pass } from './breaker.ts';

function make(): { breaker: Breaker; clock: { ms: number }; news: string[] } {
  const clock = { ms: 0 };
  const news: string[] = [];
  const settings = { failuresMax: 3, windowMs: 1_000, openMs: 100, openMsMax: 300 };
  return { breaker: new Breaker(settings, { now: () => clock.ms, onNews: (one) => news.push(one) }), clock, news };
}

const failTimes = (breaker: Breaker, times: number): void => {
  for (let count = 0; count < times; count += 1) breaker.failed(ordinary);
};

function passOf(breaker: Breaker, slow = false): Pass {
  const pass = breaker.admit(slow);
  assert.ok(typeof pass === 'object', `has to wait ${pass} ms`);
  return pass;
}

describe('the breaker', () => {
  it('opens with so many failures in a window, lets one try after a while, and closes when that goes well', () => {
    const { breaker, clock, news } = make();
    failTimes(breaker, 2);
    clock.ms = 1_000;
    failTimes(breaker, 2);
    assert.equal(breaker.admit(), ordinary);
    breaker.failed(ordinary);
    assert.equal(breaker.open, true);
    assert.equal(breaker.admit(), 100);
    clock.ms = 1_100;
    const trial = passOf(breaker);
    assert.equal(breaker.admit(), 100);
    breaker.succeeded(trial);
    assert.equal(breaker.open, false);
    assert.equal(breaker.admit(), ordinary);
    // What failed before counts no more.
    failTimes(breaker, 2);
    assert.deepEqual(news, ['opened', 'closed']);
  });

  it('waits twice as long after each try that fails, up to its bound', () => {
    const { breaker, clock, news } = make();
    failTimes(breaker, 3);
    const waits: unknown[] = [];
    for (const _ of [1, 2, 3, 4]) {
      clock.ms += breaker.admit() as number;
      breaker.failed(passOf(breaker));
      waits.push(breaker.admit());
    }
    assert.deepEqual(waits, [200, 300, 300, 300]);
    assert.deepEqual(news, ['opened']);
  });

  it('does not open while more goes well than fails, nor close by an answer from before', () => {
    const { breaker } = make();
    for (const _ of [1, 2, 3, 4, 5]) {
      breaker.succeeded(ordinary);
      breaker.succeeded(ordinary);
      breaker.failed(ordinary);
    }
    assert.equal(breaker.open, false);
    failTimes(breaker, 6);
    assert.equal(breaker.open, true);
    breaker.succeeded(ordinary);
    assert.equal(breaker.open, true);
  });

  it('has one trial out at a time, however long it takes, and heeds no other outcome meanwhile', () => {
    const { breaker, clock, news } = make();
    failTimes(breaker, 3);
    clock.ms = 100;
    const trial = passOf(breaker);
    for (const ms of [200, 10_000]) {
      clock.ms = ms;
      breaker.succeeded(ordinary);
      breaker.failed(ordinary);
      breaker.unknown(ordinary);
      assert.equal(breaker.admit(), 100);
      assert.equal(breaker.admit(true), 100);
    }
    breaker.failed(trial);
    assert.equal(breaker.admit(), 200);
    // It said how it ended.
    breaker.succeeded(trial);
    breaker.unknown(trial);
    assert.equal(breaker.admit(), 200);
    assert.deepEqual(news, ['opened']);
  });

  it('lets the next one try where nothing became of a try', () => {
    const { breaker, clock } = make();
    failTimes(breaker, 3);
    clock.ms = 100;
    const first = passOf(breaker);
    breaker.unknown(first);
    assert.equal(breaker.open, true);
    const second = passOf(breaker);
    breaker.unknown(first);
    assert.equal(breaker.admit(), 100);
    breaker.succeeded(second);
    assert.equal(breaker.open, false);
  });

  it('tries with what its client may break off only where nobody else comes', () => {
    const { breaker, clock } = make();
    failTimes(breaker, 3);
    clock.ms = 100;
    assert.equal(breaker.admit(true), 100);
    clock.ms = 200;
    breaker.unknown(passOf(breaker, true));
    for (const _ of [1, 2, 3]) assert.equal(breaker.admit(true), 100);
    breaker.succeeded(passOf(breaker));
    assert.equal(breaker.open, false);
  });
});
