/**
 * The roster: who works here, who is a patient here, and what today's work is. It is made from the FHIR records and the
 * staff alone, and is all that the traffic and the demo's identity provider need to know of the hospital. It holds
 * names and birth dates of (invented) patients, so it is written 0600 and by rename.
 */
import { chmod, open, readFile, rename } from 'node:fs/promises';
import { idOfReference, isRecord, patientsOf, type Resource, textAt, valuesAt } from './resource.ts';
import { type Day, formatDay } from './world/calendar.ts';
import { departments, locationOf } from './world/departments.ts';
import type { Hospital } from './world/hospital.ts';
import type { Shift, StaffMember, StaffRole } from './world/staff.ts';

export interface RosterPerson {
  readonly id: string;
  readonly username: string;
  readonly name: string;
  readonly role: StaffRole;
  readonly department: string;
  readonly address: string;
}

/** What a person has to do with which patients; only these relations explain opening a record. */
export interface Worklist {
  /** Today's appointments: the physician's own, the department's for its nurses, everybody's for registration. */
  readonly appointments: readonly { readonly id: string; readonly patient: string }[];
  /** Patients of whose care team the person is a member. */
  readonly panel: readonly string[];
  /** Stays going on that the person attends, or in the person's ward. */
  readonly stays: readonly { readonly encounter: string; readonly patient: string }[];
  /** Claims being prepared: the billing office's share. */
  readonly claims: readonly { readonly claim: string; readonly encounter: string; readonly patient: string }[];
}

export interface Roster {
  readonly seed: string;
  readonly today: string;
  readonly staff: readonly RosterPerson[];
  readonly patients: readonly string[];
  readonly shifts: Readonly<
    Record<string, { readonly shift: Shift; readonly startHour: number; readonly endHour: number }>
  >;
  readonly managers: Readonly<Record<string, string>>;
  readonly worklists: Readonly<Record<string, Worklist>>;
  /** What a registration desk is told when somebody stands before it. */
  readonly lookups: readonly { readonly patient: string; readonly family: string; readonly birthDate: string }[];
  /** Outside work: whose own record, relatives' and neighbours' records are here. */
  readonly ties: Readonly<
    Record<
      string,
      { readonly self?: string; readonly household: readonly string[]; readonly neighbours: readonly string[] }
    >
  >;
  /** Patients with a mark: known to the whole town, employees, dead. */
  readonly marked: {
    readonly vip: readonly string[];
    readonly employee: readonly string[];
    readonly deceased: readonly string[];
  };
}

const hours: Readonly<Record<Shift, { startHour: number; endHour: number }>> = {
  day: { startHour: 7, endHour: 19 },
  night: { startHour: 19, endHour: 7 },
  office: { startHour: 8, endHour: 17 },
};

export function rosterOf(hospital: Hospital, resources: readonly Resource[]): Roster {
  const { staff, today } = hospital;
  const patients = resources.filter((resource) => resource.resourceType === 'Patient');
  const marked = (test: (patient: Resource) => boolean): string[] => patients.filter(test).map((patient) => patient.id);
  const labelled = (code: string) => (patient: Resource) => valuesAt(patient, 'meta.security.code').includes(code);
  return {
    seed: hospital.seed,
    today: formatDay(today),
    staff: staff.map(({ id, username, name, role, department, address }) => ({
      id,
      username,
      name,
      role,
      department,
      address,
    })),
    patients: patients.map((patient) => patient.id),
    shifts: Object.fromEntries(staff.map((member) => [member.id, { shift: member.shift, ...hours[member.shift] }])),
    managers: Object.fromEntries(
      staff.flatMap((member) => (member.manager === undefined ? [] : [[member.id, member.manager]])),
    ),
    worklists: worklistsOf(staff, resources, today),
    lookups: patients.flatMap((patient) => {
      const family = textAt(patient, 'name.family');
      const birthDate = textAt(patient, 'birthDate');
      return family === undefined || birthDate === undefined ? [] : [{ patient: patient.id, family, birthDate }];
    }),
    ties: Object.fromEntries(
      [...hospital.ties].map(([id, { self, household, neighbours }]) => [
        id,
        { ...(self === undefined ? {} : { self }), household, neighbours },
      ]),
    ),
    marked: {
      vip: marked(labelled('CEL')),
      employee: marked(labelled('EMP')),
      deceased: marked((patient) => patient.deceasedDateTime !== undefined || patient.deceasedBoolean === true),
    },
  };
}

function worklistsOf(
  staff: readonly StaffMember[],
  resources: readonly Resource[],
  today: Day,
): Record<string, Worklist> {
  const day = formatDay(today);
  const appointments = resources.filter(
    (one) => one.resourceType === 'Appointment' && one.status === 'booked' && textAt(one, 'start')?.startsWith(day),
  );
  const teams = resources.filter((one) => one.resourceType === 'CareTeam' && one.status === 'active');
  const stays = resources.filter((one) => one.resourceType === 'Encounter' && one.status === 'in-progress');
  const drafts = resources.filter((one) => one.resourceType === 'Claim' && one.status === 'draft');
  const billers = staff.filter((member) => member.role === 'billing');
  return Object.fromEntries(
    staff.map((member) => {
      const share = billers.indexOf(member);
      return [
        member.id,
        {
          appointments: appointments
            .filter((one) => seesAppointment(member, one))
            .flatMap((one) => withPatient(one, (patient) => ({ id: one.id, patient }))),
          panel: [
            ...new Set(
              teams
                .filter((team) => refersTo(team, 'participant.member.reference', `Practitioner/${member.id}`))
                .flatMap(patientsOf),
            ),
          ],
          stays: stays
            .filter((one) => seesStay(member, one))
            .flatMap((one) => withPatient(one, (patient) => ({ encounter: one.id, patient }))),
          claims: share < 0 ? [] : drafts.filter((_, index) => index % billers.length === share).flatMap(claimWork),
        },
      ];
    }),
  );
}

function refersTo(resource: Resource, path: string, reference: string): boolean {
  return valuesAt(resource, path).includes(reference);
}

function withPatient<T>(resource: Resource, make: (patient: string) => T): T[] {
  const patient = patientsOf(resource)[0];
  return patient === undefined ? [] : [make(patient)];
}

function seesAppointment(member: StaffMember, appointment: Resource): boolean {
  const actors = 'participant.actor.reference';
  if (member.role === 'physician') return refersTo(appointment, actors, `Practitioner/${member.id}`);
  if (member.role === 'nurse') return refersTo(appointment, actors, locationOf(member.department));
  return member.role === 'registration';
}

function seesStay(member: StaffMember, encounter: Resource): boolean {
  if (refersTo(encounter, 'participant.individual.reference', `Practitioner/${member.id}`)) return true;
  const kind = departments.find((one) => one.id === member.department)?.kind;
  return (
    member.role === 'nurse' &&
    kind !== 'office' &&
    refersTo(encounter, 'location.location.reference', locationOf(member.department))
  );
}

function claimWork(claim: Resource): { claim: string; encounter: string; patient: string }[] {
  const encounter = idOfReference(textAt(claim, 'item.encounter.reference'), 'Encounter');
  const patient = patientsOf(claim)[0];
  return encounter === undefined || patient === undefined ? [] : [{ claim: claim.id, encounter, patient }];
}

export class RosterError extends Error {
  override readonly name = 'RosterError';
}

export async function writeRoster(path: string, roster: Roster): Promise<void> {
  const draft = `${path}.new`;
  const file = await open(draft, 'w', 0o600);
  try {
    await file.writeFile(`${JSON.stringify(roster)}\n`);
    await file.sync();
  } finally {
    await file.close();
  }
  // An existing draft keeps its old mode; this one is ours.
  await chmod(draft, 0o600);
  await rename(draft, path);
}

export async function readRoster(path: string): Promise<Roster> {
  let value: unknown;
  try {
    value = JSON.parse(await readFile(path, 'utf8'));
  } catch (cause) {
    throw new RosterError(`expected a roster at ${path}; watchglass-hospital serve --roster-out writes one`, { cause });
  }
  const members = ['staff', 'patients', 'lookups'] as const;
  if (
    !isRecord(value) ||
    members.some((member) => !Array.isArray((value as Record<string, unknown>)[member])) ||
    !isRecord(value.worklists)
  )
    throw new RosterError(
      `expected staff, patients, lookups and worklists in ${path}; write it again with this version of watchglass-hospital`,
    );
  return value as unknown as Roster;
}
