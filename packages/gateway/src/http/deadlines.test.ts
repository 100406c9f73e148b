import assert from 'node:assert/strict';
import { describe, it, mock } from 'node:test';

import { Deadlines } from './deadlines.ts';

function withClock(act: (tick: (ms: number) => void) => void): void {
  let nowMs = 0;
  const now = mock.method(performance, 'now', () => nowMs);
  mock.timers.enable({ apis: ['setTimeout'] });
  try {
    act((ms) => {
      for (let i = 0; i < ms; i++) {
        nowMs += 1;
        mock.timers.tick(1);
      }
    });
  } finally {
    mock.timers.reset();
    now.mock.restore();
  }
}

describe('deadlines', () => {
  it('are told of what is late, each at its time', () => {
    withClock((tick) => {
      const deadlines = new Deadlines(100);
      const late: string[] = [];
      deadlines.begin(() => late.push('first'));
      tick(40);
      deadlines.begin(() => late.push('second'));
      tick(59);
      assert.deepEqual(late, []);
      tick(1);
      assert.deepEqual(late, ['first']);
      tick(39);
      assert.deepEqual(late, ['first']);
      tick(1);
      assert.deepEqual(late, ['first', 'second']);
    });
  });

  it('forget what ended in time, and begin anew after a pause', () => {
    withClock((tick) => {
      const deadlines = new Deadlines(100);
      const late: string[] = [];
      const ended = deadlines.begin(() => late.push('ended'));
      tick(50);
      deadlines.end(ended);
      deadlines.end(ended);
      tick(500);
      assert.equal(late.length, 0);
      deadlines.begin(() => late.push('again'));
      tick(100);
      assert.deepEqual(late, ['again']);
    });
  });

  it('hold for what begins while another is told that it is late', () => {
    withClock((tick) => {
      const deadlines = new Deadlines(100);
      const late: string[] = [];
      deadlines.begin(() => {
        late.push('first');
        deadlines.begin(() => late.push('next'));
      });
      tick(100);
      assert.deepEqual(late, ['first']);
      tick(100);
      assert.deepEqual(late, ['first', 'next']);
    });
  });
});
