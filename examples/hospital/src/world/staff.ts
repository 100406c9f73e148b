/**
 * The people who work here: who they are, what they do, where, when, for whom, and from which address on the network.
 * Some are patients of their own hospital, some share a household with patients, the rest just live in town: that is
 * what makes looking into a colleague's, a relative's or one's own record possible at all.
 */
import { ageOn, populationDay } from './calendar.ts';
import { departments } from './departments.ts';
import { homeOf } from './geography.ts';
import { asciiName } from './names.ts';
import { drawCulture, type Person, personOf } from './people.ts';
import { type Stream, streamOf } from './prng.ts';

export type StaffRole = 'physician' | 'nurse' | 'billing' | 'registration';
export type Shift = 'day' | 'night' | 'office';

export interface StaffMember {
  /** Also the id of the Practitioner: `wg-pr-0007`. */
  readonly id: string;
  readonly username: string;
  readonly name: string;
  readonly role: StaffRole;
  readonly department: string;
  /** 127.1.x.y, of this person alone; x is the department's. */
  readonly address: string;
  readonly shift: Shift;
  /** Staff id of whom they report to; the department's first person has nobody. */
  readonly manager: string | undefined;
  readonly person: Person;
  /** The person's patient number, when they are a patient here too. */
  readonly patientNumber: number | undefined;
}

export const staffMin = 8;
export const staffMax = 1600;

/** Posts in the order they are filled; after the last the plan begins again. */
const plan: readonly (readonly [StaffRole, string])[] = [
  ['physician', 'primary-care'],
  ['nurse', 'medicine'],
  ['registration', 'front-desk'],
  ['billing', 'billing-office'],
  ['physician', 'medicine'],
  ['physician', 'emergency'],
  ['nurse', 'emergency'],
  ['physician', 'primary-care'],
  ['nurse', 'surgery'],
  ['physician', 'surgery'],
  ['physician', 'paediatrics'],
  ['nurse', 'paediatrics'],
  ['physician', 'cardiology'],
  ['physician', 'behavioral-health'],
  ['nurse', 'medicine'],
  ['registration', 'emergency'],
  ['nurse', 'primary-care'],
  ['physician', 'primary-care'],
  ['billing', 'billing-office'],
  ['nurse', 'medicine'],
  ['registration', 'front-desk'],
  ['nurse', 'emergency'],
  ['physician', 'medicine'],
  ['nurse', 'surgery'],
  ['nurse', 'paediatrics'],
  ['registration', 'front-desk'],
  ['physician', 'emergency'],
  ['nurse', 'medicine'],
  ['nurse', 'emergency'],
  ['billing', 'billing-office'],
  ['physician', 'primary-care'],
  ['nurse', 'primary-care'],
  ['nurse', 'surgery'],
  ['registration', 'emergency'],
  ['physician', 'surgery'],
  ['nurse', 'medicine'],
  ['nurse', 'behavioral-health'],
  ['registration', 'front-desk'],
  ['billing', 'billing-office'],
  ['nurse', 'emergency'],
];

/** Staff homes are numbered from here, far above any household of patients. */
const firstStaffHousehold = 100_000;

/** The staff of a hospital whose patients are these people (none when records come from elsewhere). */
export function staffOf(seed: string, count: number, people: readonly Person[]): readonly StaffMember[] {
  const usernames = new Set<string>();
  const taken = new Set<number>();
  const headcount = new Map<string, number>();
  const firsts = new Map<string, string>();
  const staff: StaffMember[] = [];
  for (let index = 0; index < count; index++) {
    const [role, department] = plan[index % plan.length] as (typeof plan)[number];
    const stream = streamOf(seed, 'staff', index);
    const { person, patientNumber } = drawPerson(seed, index, stream, people, taken);
    const id = `wg-pr-${String(index + 1).padStart(4, '0')}`;
    const place = headcount.get(department) ?? 0;
    headcount.set(department, place + 1);
    const manager = firsts.get(department);
    if (manager === undefined) firsts.set(department, id);
    staff.push({
      id,
      username: usernameFor(person, usernames),
      name: `${role === 'physician' ? 'Dr. ' : ''}${person.given} ${person.family}`,
      role,
      department,
      address: addressFor(department, place),
      shift: shiftFor(department, place),
      manager,
      person,
      patientNumber,
    });
  }
  return staff;
}

function drawPerson(
  seed: string,
  index: number,
  stream: Stream,
  people: readonly Person[],
  taken: Set<number>,
): { person: Person; patientNumber: number | undefined } {
  const kind = stream.weighted<'patient' | 'relative' | 'townsperson'>([
    ['patient', 30],
    ['relative', 25],
    ['townsperson', 45],
  ]);
  // Only the first numbers are looked at, so that a larger hospital of the same seed keeps its staff.
  const near = Math.min(people.length, 200);
  if (kind !== 'townsperson' && near > 0) {
    for (let attempt = 0; attempt < 40; attempt++) {
      const number = stream.below(near) + 1;
      const person = people[number - 1] as Person;
      const age = ageOn(person.birthDay, populationDay);
      if (taken.has(number) || age < 24 || age > 64) continue;
      taken.add(number);
      if (kind === 'patient') return { person, patientNumber: number };
      const { household, home, family } = person;
      const relative = { household, home, family, age: stream.between(23, 62), culture: drawCulture(stream) };
      return { person: personOf(streamOf(seed, 'staff', index, 'person'), relative), patientNumber: undefined };
    }
  }
  const culture = drawCulture(stream);
  const household = firstStaffHousehold + index;
  const draft = {
    household,
    home: homeOf(seed, household),
    family: stream.pick(culture.family),
    age: stream.between(23, 64),
    culture,
  };
  return { person: personOf(streamOf(seed, 'staff', index, 'person'), draft), patientNumber: undefined };
}

function usernameFor(person: Person, taken: Set<string>): string {
  const base = `${asciiName(person.given).slice(0, 1)}.${asciiName(person.family)}`;
  let name = base;
  for (let again = 2; taken.has(name); again++) name = `${base}${again}`;
  taken.add(name);
  return name;
}

const hostsPerSubnet = 200;

function addressFor(department: string, place: number): string {
  const subnet = 1 + departments.findIndex((one) => one.id === department);
  // A department that outgrows its subnet goes on in the next block of sixteen.
  return `127.1.${subnet + 16 * Math.floor(place / hostsPerSubnet)}.${10 + (place % hostsPerSubnet)}`;
}

function shiftFor(department: string, place: number): Shift {
  const kind = departments.find((one) => one.id === department)?.kind;
  if (kind !== 'ward' && kind !== 'emergency') return 'office';
  return place % 3 === 2 ? 'night' : 'day';
}
