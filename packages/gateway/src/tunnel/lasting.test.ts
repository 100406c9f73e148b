/** What lasts, by itself: looked at, bounded, ended. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { type Lasting, LastingOnes, type Place } from './lasting.ts';
import { OwnPlaces } from './places.ts';

type Made = Lasting & { readonly ends: string[] };

function make(standing: Lasting['standing'] = () => undefined): Made {
  const ends: string[] = [];
  return { standing, ends, end: (reason) => ends.push(reason) };
}

function lasting(of: { perHolderMax: number; countMax: number }, now?: () => number): LastingOnes {
  return new LastingOnes({ places: new OwnPlaces(of), countMax: 9 }, now);
}

function take(all: LastingOnes, holder: string): Place {
  const place = all.enter(holder);
  assert.ok(typeof place === 'object' && !(place instanceof Promise), String(place));
  return place;
}

function enter(all: LastingOnes, holder: string, one: Lasting = make()): Place {
  const place = take(all, holder);
  place.begin(one);
  return place;
}

describe('what lasts', () => {
  it('is bounded by person and by all, and its place is free once it is over', () => {
    const all = lasting({ perHolderMax: 2, countMax: 3 });
    const places = [enter(all, 'a'), enter(all, 'a')];
    assert.equal(all.enter('a'), 'too-many-of-one');
    places.push(enter(all, 'b'));
    assert.equal(all.enter('c'), 'too-many');
    places[0]?.[Symbol.dispose]();
    places[0]?.[Symbol.dispose]();
    assert.equal(all.count, 2);
    places.push(enter(all, 'a'));
    for (const place of places) place[Symbol.dispose]();
    assert.equal(all.count, 0);
  });

  it('is bounded by what this process can hold, whatever places there are', () => {
    const places = new OwnPlaces({ perHolderMax: 9, countMax: 9 });
    const all = new LastingOnes({ places, countMax: 1 });
    using _first = enter(all, 'a');
    assert.equal(all.enter('b'), 'too-many');
  });

  it('has its place from the moment that it is let in, also if nothing comes of it', () => {
    const all = lasting({ perHolderMax: 1, countMax: 9 });
    const place = take(all, 'a');
    assert.equal(all.enter('a'), 'too-many-of-one');
    place[Symbol.dispose]();
    enter(all, 'a')[Symbol.dispose]();
  });

  it('is ended when it may go on no longer, or when nobody can say whether it may', () => {
    const all = lasting({ perHolderMax: 9, countMax: 9 }, () => 1_000);
    const ones = [
      make(),
      make((nowMs) => (nowMs >= 1_000 ? 'lifetime' : undefined)),
      make(() => {
        throw new Error('no verdict');
      }),
    ];
    const places = ones.map((one) => enter(all, 'a', one));
    all.look();
    assert.deepEqual(
      ones.map(({ ends }) => ends),
      [[], ['lifetime'], ['gateway-fault']],
    );
    for (const place of places) place[Symbol.dispose]();
  });

  it('is ended when the gateway stops, also what was let in before and begins only then', () => {
    const all = lasting({ perHolderMax: 9, countMax: 9 });
    const [early, late] = [make(), make()];
    using _early = enter(all, 'a', early);
    const place = take(all, 'b');
    all[Symbol.dispose]();
    assert.equal(all.enter('b'), 'going-away');
    place.begin(late);
    assert.deepEqual([early.ends, late.ends], [['going-away'], ['going-away']]);
    place[Symbol.dispose]();
  });
});
