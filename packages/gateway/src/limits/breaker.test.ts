/** The circuit breaker by itself, with a clock of the test. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { Breaker } from './breaker.ts';

function make(): { breaker: Breaker; clock: { ms: number }; news: string[] } {
  const clock = { ms: 0 };
  const news: string[] = [];
  const settings = { failuresMax: 3, windowMs: 1_000, openMs: 100, openMsMax: 300 };
  return { breaker: new Breaker(settings, { now: () => clock.ms, onNews: (one) => news.push(one) }), clock, news };
}

const failTimes = (breaker: Breaker, times: number): void => {
  for (let count = 0; count < times; count += 1) breaker.failed();
};

describe('the breaker', () => {
  it('opens with so many failures in a window, lets one try after a while, and closes when that goes well', () => {
    const { breaker, clock, news } = make();
    failTimes(breaker, 2);
    clock.ms = 1_000;
    failTimes(breaker, 2);
    assert.equal(breaker.waitMs(), 0);
    breaker.failed();
    assert.equal(breaker.open, true);
    assert.equal(breaker.waitMs(), 100);
    clock.ms = 1_100;
    assert.equal(breaker.waitMs(), 0);
    assert.equal(breaker.waitMs(), 100);
    breaker.succeeded();
    assert.equal(breaker.open, false);
    assert.equal(breaker.waitMs(), 0);
    // What failed before counts no more.
    failTimes(breaker, 2);
    assert.deepEqual(news, ['opened', 'closed']);
  });

  it('waits twice as long after each try that fails, up to its bound', () => {
    const { breaker, clock, news } = make();
    failTimes(breaker, 3);
    const waits: number[] = [];
    for (const _ of [1, 2, 3, 4]) {
      clock.ms += breaker.waitMs();
      assert.equal(breaker.waitMs(), 0);
      breaker.failed();
      waits.push(breaker.waitMs());
    }
    assert.deepEqual(waits, [200, 300, 300, 300]);
    assert.deepEqual(news, ['opened']);
  });

  it('does not open while more goes well than fails, nor close by an answer from before', () => {
    const { breaker } = make();
    for (const _ of [1, 2, 3, 4, 5]) {
      breaker.succeeded();
      breaker.succeeded();
      breaker.failed();
    }
    assert.equal(breaker.open, false);
    failTimes(breaker, 6);
    assert.equal(breaker.open, true);
    breaker.succeeded();
    assert.equal(breaker.open, true);
  });

  it('lets the next one try where nothing became of a try', () => {
    const { breaker, clock } = make();
    failTimes(breaker, 3);
    clock.ms = 100;
    assert.equal(breaker.waitMs(), 0);
    breaker.unknown();
    assert.equal(breaker.waitMs(), 0);
    clock.ms = 199;
    assert.equal(breaker.waitMs(), 1);
    clock.ms = 200;
    assert.equal(breaker.waitMs(), 0);
  });
});
