/**
 * The town of Larkhaven: a grid of invented streets. A household gets a lot of its own by a fixed permutation, so
 * streets fill evenly, neighbours exist, and a later household never moves an earlier one. Postal codes begin with 000,
 * which no post office uses.
 */
import { streamOf } from './prng.ts';

export interface Home {
  /** Place on the grid: street number (row) and lot along it; two homes with the same row and |lot difference| ≤ 1 are neighbours. */
  readonly street: number;
  readonly lot: number;
  readonly unit: number;
}

const streets = [
  'Alder Row',
  'Brickfield Lane',
  'Canal Street',
  'Dovecote Road',
  'Elmwater Avenue',
  'Foundry Street',
  'Gosling Way',
  'Harbour Steps',
  'Iron Bridge Road',
  'Juniper Close',
  'Kiln Street',
  'Lantern Lane',
  'Mill Race',
  'Nettle Bank',
  'Orchard Rise',
  'Pilot Street',
  'Quarry Road',
  'Ropewalk',
  'Saddler Street',
  'Tannery Yard',
] as const;

const lotsPerStreet = 24;
const lots = streets.length * lotsPerStreet;

/** The home of the n-th household; distinct for every n. */
export function homeOf(seed: string, household: number): Home {
  const offset = streamOf(seed, 'geography').below(lots);
  // 211 is coprime to the number of lots, so consecutive households land far apart and no lot is used twice per round.
  const place = (household * 211 + offset) % lots;
  return { street: Math.floor(place / lotsPerStreet), lot: place % lotsPerStreet, unit: Math.floor(household / lots) };
}

/** A FHIR Address. */
export function addressOf(home: Home): Record<string, unknown> {
  const number = 11 + home.lot * 2;
  const unit = home.unit === 0 ? '' : `, Apt ${home.unit}`;
  return {
    use: 'home',
    line: [`${number} ${streets[home.street] ?? 'Common'}${unit}`],
    city: 'Larkhaven',
    state: 'ZZ',
    postalCode: `000${10 + (home.street % 10)}`,
    country: 'US',
  };
}

/** Next door, or the same house another door. */
export function areNeighbours(one: Home, other: Home): boolean {
  return one.street === other.street && Math.abs(one.lot - other.lot) <= 1;
}
