/** A ledger with a past: two months of three classes, then six years and a bit; and the keys that can end. */
import type { Event } from '@watchglass/record';
import type { Unit } from '@watchglass/record/reader';
import { clinic, items, type TestPlace } from './ledger.fixture.ts';
import type { Ledger, OpenLedgerOptions } from './ledger.ts';
import type { PlannedUnit, ShredOutcome } from './shred.ts';
import { hashPlan } from './shred-survey.ts';
import { TurningKeys } from './turning-keys.fixture.ts';

export const dayMs: number = 86_400_000;
/** The epoch of `startMs` in ledger.fixture.ts: March 2026. */
export const march = 674;
export const april = 675;

export async function openWithKeys(
  place: TestPlace,
  options: Partial<OpenLedgerOptions> = {},
): Promise<{ readonly ledger: Ledger; readonly keys: TurningKeys }> {
  const keys = new TurningKeys(options.world ?? place.world(), place.keysDir);
  const ledger = await place.open({ ...keys.options, ...options });
  keys.of(ledger);
  await ledger.addTenant(clinic);
  return { ledger, keys };
}

/** 30 access, 6 security and 6 oversight events in each of two months, alternating; one about patient `wg-pt-7` a round. */
export async function writePast(place: TestPlace, ledger: Ledger): Promise<void> {
  for (let month = 0; month < 2; month++) {
    for (let round = 0; round < 6; round++) {
      const about = (patient: string): Partial<Event> => ({ exposure: { patients: [{ id: patient }], count: 1 } });
      await ledger.append(clinic, [
        ...items(place, 4, about('wg-pt-1')),
        ...items(place, 1, about('wg-pt-7')),
        ...items(place, 1, { kind: 'auth', operation: 'login' }),
        ...items(place, 1, { kind: 'review', operation: 'search' }),
      ]);
      place.clock.advance(61_000);
    }
    place.clock.advance(31 * dayMs);
  }
}

export function planned(surveys: readonly Omit<PlannedUnit, 'days'>[], days = 2192): PlannedUnit[] {
  return surveys.map((survey) => ({ ...survey, days }));
}

/** Surveys and shreds what `which` names, as two people would have it. */
export async function shredUnits(ledger: Ledger, which: (unit: Unit) => boolean): Promise<readonly ShredOutcome[]> {
  const units = planned(await ledger.ending.survey(clinic, which));
  return ledger.ending.shred(clinic, { units, plan: hashPlan(clinic, units), people: ['p-1', 'p-2'] });
}

export function isUnit(retentionClass: string, epoch: number): (unit: Unit) => boolean {
  return (unit) => unit.retentionClass === retentionClass && unit.epoch === epoch;
}
