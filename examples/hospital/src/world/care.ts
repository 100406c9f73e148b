/**
 * Who cares for whom, and when: a physician per family, specialists by ailment, visits in the past, appointments around
 * today, stays that are going on. This is the plan only; what it looks like as records is made elsewhere. Every
 * legitimate reason to open a patient's record follows from here.
 */
import { ageOn, type Day } from './calendar.ts';
import { type Ailment, acute, admitting, fitting } from './codes.ts';
import { departments } from './departments.ts';
import { type Stream, streamOf } from './prng.ts';
import type { StaffMember, StaffRole } from './staff.ts';
import type { Subject } from './subjects.ts';

export type VisitKind = 'clinic' | 'inpatient' | 'emergency';

export interface Visit {
  /** `-01`: the visit's own part of its ids. */
  readonly suffix: string;
  readonly kind: VisitKind;
  readonly day: Day;
  readonly minute: number;
  /** Undefined while it is going on. */
  readonly lengthMinutes: number | undefined;
  readonly department: string;
  readonly room: string | undefined;
  readonly physician: StaffMember;
  readonly nurses: readonly StaffMember[];
  readonly reason: Ailment;
  /** The suffix of the appointment it came from. */
  readonly appointment: string | undefined;
}

export interface PlannedAppointment {
  readonly suffix: string;
  readonly day: Day;
  readonly minute: number;
  readonly lengthMinutes: number;
  readonly department: string;
  readonly physician: StaffMember;
  readonly reason: Ailment;
  readonly status: 'booked' | 'fulfilled' | 'noshow' | 'cancelled';
}

export interface CarePlan {
  readonly physician: StaffMember;
  readonly specialists: readonly StaffMember[];
  readonly appointments: readonly PlannedAppointment[];
  readonly visits: readonly Visit[];
}

/** The staff, findable by role and department. */
export class Teams {
  readonly #staff: readonly StaffMember[];

  constructor(staff: readonly StaffMember[]) {
    this.#staff = staff;
  }

  /** Those of the role in the department, or all of the role where the department has none. */
  of(role: StaffRole, department: string): readonly StaffMember[] {
    const all = this.#staff.filter((one) => one.role === role);
    const here = all.filter((one) => one.department === department);
    return here.length > 0 ? here : all;
  }
}

/** What happened to a subject, happens today, and is planned. */
export function planOf(seed: string, today: Day, subject: Subject, teams: Teams): CarePlan {
  const age = ageOn(subject.birthDay, today);
  const general = age < 16 ? 'paediatrics' : 'primary-care';
  const physician = streamOf(seed, 'physician', subject.familyKey, general).pick(teams.of('physician', general));
  const specialists = subject.chronic
    .filter((ailment) => ailment.specialty !== 'primary-care')
    .map((ailment) =>
      streamOf(seed, 'specialist', subject.key, ailment.icd10).pick(teams.of('physician', ailment.specialty)),
    )
    .filter((one, index, all) => one.id !== physician.id && all.findIndex((other) => other.id === one.id) === index);
  const scene: Scene = { seed, today, subject, teams, age, general, physician };
  const appointments = appointmentsOf(scene);
  const visits = [...pastVisits(scene), ...keptAppointments(scene, appointments), ...currentStay(scene)]
    .filter((visit) => visit.day >= subject.birthDay)
    .map((visit, index) => ({ ...visit, suffix: `-${String(index + 1).padStart(2, '0')}` }));
  return { physician, specialists, appointments, visits };
}

interface Scene {
  readonly seed: string;
  readonly today: Day;
  readonly subject: Subject;
  readonly teams: Teams;
  readonly age: number;
  readonly general: string;
  readonly physician: StaffMember;
}

function appointmentsOf(scene: Scene): PlannedAppointment[] {
  const { seed, today, subject } = scene;
  if (subject.inactive) return [];
  const stream = streamOf(seed, 'appointments', subject.key);
  const count = stream.weighted([
    [0, 32],
    [1, 36],
    [2, 22],
    [3, 10],
  ] as const);
  const planned: PlannedAppointment[] = [];
  for (let index = 0; index < count; index++) {
    const day = stream.chance(0.22) ? today : today + stream.between(-21, 14);
    const reason = reasonFor(scene, stream);
    const department = clinicFor(scene, reason);
    const length = stream.pick([15, 20, 30]);
    const past = stream.weighted<'fulfilled' | 'noshow' | 'cancelled'>([
      ['fulfilled', 85],
      ['noshow', 8],
      ['cancelled', 7],
    ]);
    const minute = 8 * 60 + stream.below(108) * 5;
    if (subject.deceased !== undefined && day >= subject.deceased.day) continue;
    planned.push({
      suffix: `-${String(index + 1).padStart(2, '0')}`,
      day,
      minute,
      lengthMinutes: length,
      department,
      physician: physicianFor(scene, department, stream),
      reason,
      status: day < today ? past : 'booked',
    });
  }
  return planned;
}

/** Clinics see the ailments of their specialty; wards and the emergency room send their outpatients to general care. */
function clinicFor(scene: Scene, reason: Ailment): string {
  if (reason.specialty === scene.general) return scene.general;
  const kind = departments.find((one) => one.id === reason.specialty)?.kind;
  return kind === 'clinic' ? reason.specialty : scene.general;
}

function physicianFor(scene: Scene, department: string, stream: Stream): StaffMember {
  // One visit in eight is with a colleague of the usual physician.
  const covering = stream.chance(0.12);
  const colleague = stream.pick(scene.teams.of('physician', department));
  return department === scene.general && !covering ? scene.physician : colleague;
}

function reasonFor(scene: Scene, stream: Stream): Ailment {
  const known = scene.subject.chronic;
  if (known.length > 0 && stream.chance(0.55)) return stream.pick(known);
  return stream.weighted(fitting(acute, scene.age).map((ailment) => [ailment, ailment.share] as const));
}

function pastVisits(scene: Scene): Visit[] {
  const { seed, today, subject } = scene;
  const stream = streamOf(seed, 'history', subject.key);
  const count = stream.between(1, 3) + Math.min(2, subject.chronic.length);
  const [longest, shortest] = subject.inactive ? [1500, 400] : [720, 22];
  const last = Math.min(today - shortest, (subject.deceased?.day ?? today) - 1);
  const visits: Visit[] = [];
  for (let index = 0; index < count; index++) {
    const day = last - stream.below(longest - shortest);
    const roll = stream.unit();
    if (roll < 0.1) visits.push(stayFrom(scene, stream, day, stream.between(2, 7) * 1440 - stream.between(0, 600)));
    else if (roll < 0.22) visits.push(emergencyFrom(scene, stream, day, stream.between(70, 380)));
    else {
      const reason = reasonFor(scene, stream);
      const department = clinicFor(scene, reason);
      visits.push(
        clinicVisit(scene, stream, {
          day,
          minute: 8 * 60 + stream.below(108) * 5,
          department,
          reason,
          length: stream.between(12, 40),
        }),
      );
    }
  }
  return visits.sort((one, other) => one.day - other.day || one.minute - other.minute);
}

function keptAppointments(scene: Scene, appointments: readonly PlannedAppointment[]): Visit[] {
  return appointments
    .filter((appointment) => appointment.status === 'fulfilled')
    .map((appointment) => {
      const stream = streamOf(scene.seed, 'kept', scene.subject.key, appointment.suffix);
      const { day, minute, department, reason, lengthMinutes } = appointment;
      const visit = clinicVisit(scene, stream, { day, minute, department, reason, length: lengthMinutes });
      return { ...visit, physician: appointment.physician, appointment: appointment.suffix };
    });
}

/** Six in a hundred lie in a ward today; a few sit in the emergency room. */
function currentStay(scene: Scene): Visit[] {
  const { seed, today, subject } = scene;
  if (subject.deceased !== undefined || subject.inactive) return [];
  const stream = streamOf(seed, 'stay', subject.key);
  const roll = stream.unit();
  if (roll < 0.06) return [stayFrom(scene, stream, today - stream.below(6), undefined)];
  if (roll < 0.085) return [{ ...emergencyFrom(scene, stream, today, undefined), minute: stream.below(480) }];
  return [];
}

function stayFrom(scene: Scene, stream: Stream, day: Day, lengthMinutes: number | undefined): Visit {
  const reason = stream.weighted(fitting(admitting, scene.age).map((ailment) => [ailment, ailment.share] as const));
  const department = scene.age < 16 ? 'paediatrics' : reason.specialty;
  return {
    suffix: '',
    kind: 'inpatient',
    day,
    minute: stream.below(1440),
    lengthMinutes,
    department,
    room: `${stream.between(1, 4)}${String(stream.between(1, 12)).padStart(2, '0')}`,
    physician: stream.pick(scene.teams.of('physician', department)),
    nurses: stream.shuffled(scene.teams.of('nurse', department)).slice(0, 3),
    reason,
    appointment: undefined,
  };
}

function emergencyFrom(scene: Scene, stream: Stream, day: Day, lengthMinutes: number | undefined): Visit {
  return {
    suffix: '',
    kind: 'emergency',
    day,
    minute: stream.below(1440),
    lengthMinutes,
    department: 'emergency',
    room: undefined,
    physician: stream.pick(scene.teams.of('physician', 'emergency')),
    nurses: stream.shuffled(scene.teams.of('nurse', 'emergency')).slice(0, 2),
    reason: stream.weighted(
      fitting([...acute, ...admitting], scene.age).map((ailment) => [ailment, ailment.share] as const),
    ),
    appointment: undefined,
  };
}

function clinicVisit(
  scene: Scene,
  stream: Stream,
  slot: { day: Day; minute: number; department: string; reason: Ailment; length: number },
): Visit {
  return {
    suffix: '',
    kind: 'clinic',
    day: slot.day,
    minute: slot.minute,
    lengthMinutes: slot.length,
    department: slot.department,
    room: undefined,
    physician: physicianFor(scene, slot.department, stream),
    nurses: [stream.pick(scene.teams.of('nurse', slot.department))],
    reason: slot.reason,
    appointment: undefined,
  };
}
