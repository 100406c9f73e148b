/**
 * The whole hospital from a seed: the same options give the same resources, byte for byte, on every machine. A larger
 * number of patients keeps the smaller hospital's people; another day moves visits and appointments, not people.
 */
import type { Resource } from '../resource.ts';
import { type Day, formatDay, instantAt, populationDay } from './calendar.ts';
import { planOf, Teams } from './care.ts';
import { appointmentResources, careTeamResources } from './care-records.ts';
import { areNeighbours } from './geography.ts';
import { houseResources } from './house-records.ts';
import { coverageResource, patientResource } from './patient-records.ts';
import { type Person, peopleOf } from './people.ts';
import { streamOf } from './prng.ts';
import { type StaffMember, staffMax, staffMin, staffOf } from './staff.ts';
import { type PatientSubject, patientIdOf, type Subject, subjectsOf } from './subjects.ts';
import { conditionResource, visitResources } from './visit-records.ts';

export const patientsMax = 50_000;

export interface HospitalOptions {
  readonly seed: string;
  readonly today: Day;
  /** Patients, at most {@link patientsMax}. */
  readonly patients: number;
  readonly staff: number;
}

/** What ties a member of staff to patients outside work. Ids of patients. */
export interface Ties {
  readonly self: string | undefined;
  readonly household: readonly string[];
  readonly neighbours: readonly string[];
}

export interface Hospital {
  readonly seed: string;
  readonly today: Day;
  readonly staff: readonly StaffMember[];
  readonly resources: readonly Resource[];
  /** By staff id. */
  readonly ties: ReadonlyMap<string, Ties>;
}

/** A number of staff or patients, or a day, that no hospital can be made of: a RangeError that says the bounds. */
export function generateHospital(options: HospitalOptions): Hospital {
  checkOptions(options);
  const { seed, today } = options;
  const people = peopleOf(seed, options.patients);
  const staff = staffOf(seed, options.staff, people);
  const staffNumbers = new Set(
    staff.flatMap((member) => (member.patientNumber === undefined ? [] : [member.patientNumber])),
  );
  const subjects = subjectsOf({ seed, today, people, staffNumbers });
  const teams = new Teams(staff);
  const households = Map.groupBy(subjects, (subject) => subject.person.household);
  const resources = houseResources(staff);
  for (const subject of subjects) {
    const contact = contactOf(seed, subject, households.get(subject.person.household) ?? []);
    resources.push(...recordsOf({ seed, today, subject, teams, contact, employee: staffNumbers.has(subject.number) }));
  }
  return {
    seed,
    today,
    staff,
    resources: stamped(resources, instantAt(today, 0)),
    ties: tiesOf(staff, subjects),
  };
}

/** Every resource gets version 1 of that day. Unlabelled ones share one meta: resources are never changed in place. */
function stamped(resources: readonly Resource[], lastUpdated: string): Resource[] {
  const plain = { versionId: '1', lastUpdated };
  return resources.map((resource) => ({
    ...resource,
    meta: resource.meta === undefined ? plain : { ...resource.meta, ...plain },
  }));
}

function checkOptions(options: HospitalOptions): void {
  if (options.today < populationDay)
    throw new RangeError(`expected a day on or after ${formatDay(populationDay)}, got ${formatDay(options.today)}`);
  if (!Number.isInteger(options.patients) || options.patients < 1 || options.patients > patientsMax)
    throw new RangeError(`expected 1 to ${patientsMax} patients, got ${options.patients}`);
  checkStaffCount(options.staff);
}

function checkStaffCount(count: number): void {
  if (!Number.isInteger(count) || count < staffMin || count > staffMax)
    throw new RangeError(`expected ${staffMin} to ${staffMax} members of staff, got ${count}`);
}

interface RecordScene {
  readonly seed: string;
  readonly today: Day;
  readonly subject: PatientSubject;
  readonly teams: Teams;
  readonly contact: Person | undefined;
  readonly employee: boolean;
}

function recordsOf(scene: RecordScene): Resource[] {
  const { seed, today, subject, teams, contact, employee } = scene;
  const plan = planOf(seed, today, subject, teams);
  const contactName = contact === undefined ? undefined : `${contact.given} ${contact.family}`;
  return [
    patientResource({ subject, physician: plan.physician, employee, contact }),
    coverageResource(seed, subject),
    ...subject.chronic.map((ailment, index) =>
      conditionResource(
        subject,
        ailment,
        `-p${index}`,
        instantAt(today - 700 - streamOf(seed, 'onset', subject.key, index).below(2000), 600),
      ),
    ),
    ...appointmentResources(subject, plan),
    ...careTeamResources(subject, plan, today),
    ...plan.visits.flatMap((visit) => visitResources({ seed, today, subject, visit, contactName })),
  ];
}

function contactOf(seed: string, subject: PatientSubject, household: readonly PatientSubject[]): Person | undefined {
  const others = household.filter((other) => other.number !== subject.number);
  return others.length === 0 ? undefined : streamOf(seed, 'contact', subject.number).pick(others).person;
}

function tiesOf(staff: readonly StaffMember[], subjects: readonly PatientSubject[]): Map<string, Ties> {
  return new Map(
    staff.map((member) => {
      const others = subjects.filter((subject) => subject.number !== member.patientNumber);
      const near = others.filter((subject) => areNeighbours(subject.person.home, member.person.home));
      const inside = (subject: PatientSubject): boolean => subject.person.household === member.person.household;
      return [
        member.id,
        {
          self: member.patientNumber === undefined ? undefined : patientIdOf(member.patientNumber),
          household: near.filter(inside).map((subject) => subject.id),
          neighbours: near.filter((subject) => !inside(subject)).map((subject) => subject.id),
        },
      ];
    }),
  );
}

/**
 * Staff, appointments and care teams around patients whose records come from elsewhere, so that work goes on with
 * them as with generated ones.
 */
export function hospitalAround(options: {
  readonly seed: string;
  readonly today: Day;
  readonly staff: number;
  readonly subjects: readonly Subject[];
}): Hospital {
  checkStaffCount(options.staff);
  const { seed, today } = options;
  const staff = staffOf(seed, options.staff, []);
  const teams = new Teams(staff);
  const made = options.subjects.flatMap((subject) => {
    const plan = planOf(seed, today, subject, teams);
    // Visits of these patients are in their own records; only the team that lasts and the appointments are added.
    return [...appointmentResources(subject, plan), ...careTeamResources(subject, { ...plan, visits: [] }, today)];
  });
  const resources = [...houseResources(staff), ...made];
  return {
    seed,
    today,
    staff,
    resources: stamped(resources, instantAt(today, 0)),
    ties: new Map(staff.map((member) => [member.id, { self: undefined, household: [], neighbours: [] }])),
  };
}
