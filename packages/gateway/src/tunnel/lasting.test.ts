/** What lasts, by itself: looked at, bounded, ended. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { type Lasting, LastingOnes } from './lasting.ts';

function make(holder: string, standing: Lasting['standing'] = () => undefined): Lasting & { readonly ends: string[] } {
  const ends: string[] = [];
  return { holder, standing, ends, end: (reason) => ends.push(reason) };
}

describe('what lasts', () => {
  it('is bounded by person and by all, and its place is free once it is over', () => {
    const all = new LastingOnes({ perHolderMax: 2, countMax: 3 });
    const leave = [make('a'), make('a')].map((one) => all.add(one));
    assert.equal(all.refusal('a'), 'too-many-of-one');
    assert.equal(all.refusal('b'), undefined);
    leave.push(all.add(make('b')));
    assert.equal(all.refusal('c'), 'too-many');
    leave[0]?.();
    leave[0]?.();
    assert.equal(all.count, 2);
    assert.equal(all.refusal('a'), undefined);
    for (const one of leave) one();
    assert.equal(all.count, 0);
  });

  it('is ended when it may go on no longer, or when nobody can say whether it may', () => {
    const all = new LastingOnes({ perHolderMax: 9, countMax: 9 }, () => 1_000);
    const [fine, late, broken] = [
      make('a'),
      make('b', (nowMs) => (nowMs >= 1_000 ? 'lifetime' : undefined)),
      make('c', () => {
        throw new Error('no verdict');
      }),
    ];
    const leave = [fine, late, broken].map((one) => all.add(one));
    all.look();
    assert.deepEqual([fine.ends, late.ends, broken.ends], [[], ['lifetime'], ['gateway-fault']]);
    for (const one of leave) one();
  });

  it('is ended when the gateway stops, also what comes only then', () => {
    const all = new LastingOnes({ perHolderMax: 9, countMax: 9 });
    const [early, late] = [make('a'), make('b')];
    const leave = [all.add(early)];
    all[Symbol.dispose]();
    assert.equal(all.refusal('b'), 'going-away');
    leave.push(all.add(late));
    assert.deepEqual([early.ends, late.ends], [['going-away'], ['going-away']]);
    for (const one of leave) one();
  });
});
