/**
 * Appointments and care teams as FHIR resources. They are made the same way for generated patients and for patients
 * read from bulk files, because work in the hospital follows them.
 */
import type { Reference, Resource } from '../resource.ts';
import { type Day, instantAt } from './calendar.ts';
import type { CarePlan, Visit } from './care.ts';
import { systems } from './codes.ts';
import { locationOf } from './departments.ts';
import type { StaffMember } from './staff.ts';
import type { Subject } from './subjects.ts';

const references = new WeakMap<StaffMember, Reference>();

/** One object per member of staff, shared by all records: resources are never changed in place. */
export function practitionerReference(member: StaffMember): Reference {
  const known = references.get(member) ?? { reference: `Practitioner/${member.id}`, display: member.name };
  references.set(member, known);
  return known;
}

export function patientReference(subject: Subject): { reference: string; display: string } {
  return { reference: `Patient/${subject.id}`, display: subject.display };
}

export function appointmentResources(subject: Subject, plan: CarePlan): Resource[] {
  return plan.appointments.map((appointment) => ({
    resourceType: 'Appointment',
    id: `wg-apt-${subject.key}${appointment.suffix}`,
    status: appointment.status,
    serviceType: [{ text: appointment.department }],
    reasonCode: [
      { coding: [{ system: systems.icd10, code: appointment.reason.icd10, display: appointment.reason.display }] },
    ],
    start: instantAt(appointment.day, appointment.minute),
    end: instantAt(appointment.day, appointment.minute + appointment.lengthMinutes),
    minutesDuration: appointment.lengthMinutes,
    participant: [
      { actor: patientReference(subject), required: 'required', status: 'accepted' },
      { actor: practitionerReference(appointment.physician), required: 'required', status: 'accepted' },
      { actor: { reference: locationOf(appointment.department) }, status: 'accepted' },
    ],
  }));
}

/** The lasting team, and one for each stay that is going on. */
export function careTeamResources(subject: Subject, plan: CarePlan, today: Day): Resource[] {
  const lasting: Resource = {
    resourceType: 'CareTeam',
    id: `wg-team-${subject.key}`,
    status: subject.deceased === undefined && !subject.inactive ? 'active' : 'inactive',
    category: [
      {
        coding: [
          { system: systems.loinc, code: 'LA27976-2', display: 'Longitudinal care-coordination focused care team' },
        ],
      },
    ],
    subject: patientReference(subject),
    participant: [plan.physician, ...plan.specialists].map((member) => ({ member: practitionerReference(member) })),
  };
  const staying = plan.visits
    .filter((visit) => visit.lengthMinutes === undefined && visit.day <= today)
    .map((visit) => stayTeam(subject, visit));
  return [lasting, ...staying];
}

function stayTeam(subject: Subject, visit: Visit): Resource {
  return {
    resourceType: 'CareTeam',
    id: `wg-team-${subject.key}${visit.suffix}`,
    status: 'active',
    category: [{ coding: [{ system: systems.loinc, code: 'LA27977-0', display: 'Encounter-focused care team' }] }],
    subject: patientReference(subject),
    encounter: { reference: `Encounter/wg-enc-${subject.key}${visit.suffix}` },
    participant: [visit.physician, ...visit.nurses].map((member) => ({ member: practitionerReference(member) })),
  };
}
