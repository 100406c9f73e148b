/**
 * A subject is a patient as the planning of care needs to know them: a key that names their random streams, an id, and
 * the few facts that decide what happens. Generated patients and patients read from bulk files both become subjects,
 * so appointments and care teams are made the same way for either.
 */
import { ageOn, type Day } from './calendar.ts';
import { type Ailment, chronic, fitting } from './codes.ts';
import type { Person } from './people.ts';
import { streamOf } from './prng.ts';

export interface Subject {
  /** Six digits for a generated patient, `d0003` for one read from files; part of the ids of what is made for them. */
  readonly key: string;
  readonly id: string;
  readonly display: string;
  readonly birthDay: Day;
  readonly deceased: { readonly day: Day } | undefined;
  /** Hasn't been seen for more than a year and has nothing planned. */
  readonly inactive: boolean;
  readonly chronic: readonly Ailment[];
  /** Patients of one family share a physician. */
  readonly familyKey: string;
}

/** A generated patient: the person, and what the hospital knows of them. */
export interface PatientSubject extends Subject {
  readonly number: number;
  readonly person: Person;
  readonly mrn: string;
  readonly vip: boolean;
}

export function patientIdOf(number: number): string {
  return `wg-pt-${String(number).padStart(6, '0')}`;
}

/** The hospital's patients out of the town's people, in the order of their numbers. */
export function subjectsOf(options: {
  readonly seed: string;
  readonly today: Day;
  readonly people: readonly Person[];
  readonly staffNumbers: ReadonlySet<number>;
}): readonly PatientSubject[] {
  const { seed, today, people, staffNumbers } = options;
  return people.map((person, index) => {
    const number = index + 1;
    const key = String(number).padStart(6, '0');
    const stream = streamOf(seed, 'patient', number);
    const age = ageOn(person.birthDay, today);
    const diesAt = age > 85 ? 0.14 : age > 65 ? 0.05 : 0.006;
    const dead = stream.chance(diesAt) && !staffNumbers.has(number);
    const deceased = dead ? { day: today - stream.between(3, 1000) } : undefined;
    const inactive = stream.chance(0.08);
    return {
      key,
      number,
      person,
      id: patientIdOf(number),
      display: `${person.given} ${person.family}`,
      birthDay: person.birthDay,
      deceased: deceased !== undefined && deceased.day > person.birthDay ? deceased : undefined,
      inactive,
      chronic: fitting(chronic, age).filter((ailment) =>
        streamOf(seed, 'ailment', number, ailment.icd10).chance(ailment.share),
      ),
      familyKey: String(person.household),
      mrn: mrnOf(seed, number),
      vip: isVip(seed, number),
    };
  });
}

/** Distinct for distinct numbers below ten million: a step of a fixed prime from a seeded start. */
function mrnOf(seed: string, number: number): string {
  const offset = streamOf(seed, 'mrn').below(10_000_000);
  return `LH${String((offset + number * 86_028_121) % 10_000_000).padStart(7, '0')}`;
}

/** One patient in every two hundred is somebody the whole town knows. */
function isVip(seed: string, number: number): boolean {
  const block = Math.floor((number - 1) / 200);
  return streamOf(seed, 'vip', block).below(200) === (number - 1) % 200;
}
