import assert from 'node:assert/strict';
import { test } from 'node:test';
import { decode, type Event } from '@watchglass/record';
import { clinic, faultyDisk, items, withPlace } from './ledger.fixture.ts';
import type { Ledger } from './ledger.ts';

/** The events from `from` on, by the ledger's own hand. */
async function own(ledger: Ledger, from: number): Promise<Event[]> {
  const entries = await ledger.read(clinic, from, 100);
  return entries.map(({ m }) => decode(m).event).filter(({ emitter }) => emitter.id === 'ledger');
}

const factsOf = ({ operation, changes = [] }: Event): readonly (string | undefined)[] => [
  operation,
  ...changes.map(({ after }) => after),
];

test('a clock that is set back or ahead becomes an event that says where it was, and one that goes on doesn’t', () =>
  withPlace(async (place) => {
    const ledger = await place.open({ heartbeatMs: 0 });
    await ledger.addTenant(clinic);
    await ledger.append(clinic, items(place, 1));
    place.clock.advance(3_600_000);
    const startMs = place.clock.now();
    place.clock.step(-7_200_000);
    place.clock.advance(5_000);
    await ledger.grown(clinic, 1, AbortSignal.timeout(10_000));
    place.clock.step(60_000);
    place.clock.advance(5_000);
    await ledger.grown(clinic, 2, AbortSignal.timeout(10_000));
    place.clock.advance(900_000);
    await ledger[Symbol.asyncDispose]();
    const again = await place.open({ heartbeatMs: 0 });
    const at = (ms: number): string => new Date(startMs + ms).toISOString();
    assert.deepEqual((await own(again, 1)).map(factsOf), [
      ['clock-stepped', at(5_000), at(-7_195_000)],
      ['clock-stepped', at(-7_190_000), at(-7_130_000)],
    ]);
    await again[Symbol.asyncDispose]();
  }));

test('a disk that was full is told once it takes records again: since when', () =>
  withPlace(async (place) => {
    const faults = { journalRoomBytes: 1e9, failSync: undefined };
    const ledger = await place.open({ world: place.world(faultyDisk(faults)), heartbeatMs: 0 });
    await ledger.addTenant(clinic);
    await ledger.append(clinic, items(place, 1));
    faults.journalRoomBytes = 10;
    const fullAtMs = place.clock.now();
    await assert.rejects(ledger.append(clinic, items(place, 1)), { code: 'storage-full' });
    place.clock.advance(20_000);
    await assert.rejects(ledger.append(clinic, items(place, 1)), { code: 'storage-full' });
    assert.deepEqual(await own(ledger, 0), []);
    faults.journalRoomBytes = 1e9;
    await ledger.append(clinic, items(place, 1));
    place.clock.advance(5_000);
    await ledger.grown(clinic, 2, AbortSignal.timeout(10_000));
    const [told] = await own(ledger, 2);
    assert.deepEqual(told && factsOf(told), [
      'recording-resumed',
      new Date(fullAtMs).toISOString(),
      new Date(place.clock.now()).toISOString(),
    ]);
    place.clock.advance(300_000);
    await ledger[Symbol.asyncDispose]();
  }));
