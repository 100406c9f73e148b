/**
 * What a patient is on paper: the Patient resource with identifiers, contacts and labels, and the insurance that pays.
 * People the town knows carry the label CEL, employees EMP (HL7 v3 ActCode), as records systems mark them.
 */
import type { Resource } from '../resource.ts';
import { formatDay, instantAt } from './calendar.ts';
import { systems } from './codes.ts';
import { hospitalReference } from './departments.ts';
import { addressOf } from './geography.ts';
import type { Person } from './people.ts';
import { streamOf } from './prng.ts';
import type { StaffMember } from './staff.ts';
import type { PatientSubject } from './subjects.ts';

export const insurers: readonly { readonly id: string; readonly name: string }[] = [
  { id: 'wg-org-payer-a', name: 'Beacon Mutual (synthetic)' },
  { id: 'wg-org-payer-b', name: 'Harbour Health Plan (synthetic)' },
  { id: 'wg-org-payer-c', name: 'Public Cover (synthetic)' },
];

export function patientResource(options: {
  readonly subject: PatientSubject;
  readonly physician: StaffMember;
  readonly employee: boolean;
  /** Somebody of the same household, to be called. */
  readonly contact: Person | undefined;
}): Resource {
  const { subject, physician, employee, contact } = options;
  const { person } = subject;
  const security = [
    ...(subject.vip ? [{ system: systems.actCode, code: 'CEL', display: 'celebrity information sensitivity' }] : []),
    ...(employee ? [{ system: systems.actCode, code: 'EMP', display: 'employee information sensitivity' }] : []),
  ];
  return {
    resourceType: 'Patient',
    id: subject.id,
    ...(security.length > 0 ? { meta: { security } } : {}),
    identifier: [
      {
        use: 'usual',
        type: { coding: [{ system: 'http://terminology.hl7.org/CodeSystem/v2-0203', code: 'MR' }] },
        system: systems.mrn,
        value: subject.mrn,
      },
    ],
    active: true,
    name: [
      {
        use: 'official',
        family: person.family,
        given: person.middle === undefined ? [person.given] : [person.given, person.middle],
      },
    ],
    telecom: [
      { system: 'phone', value: person.phone, use: 'mobile' },
      { system: 'email', value: person.email },
    ],
    gender: person.gender,
    birthDate: formatDay(person.birthDay),
    ...(subject.deceased === undefined ? {} : { deceasedDateTime: instantAt(subject.deceased.day, 720) }),
    address: [addressOf(person.home)],
    ...(contact === undefined
      ? {}
      : {
          contact: [
            {
              relationship: [{ text: 'household member' }],
              name: { family: contact.family, given: [contact.given] },
              telecom: [{ system: 'phone', value: contact.phone }],
            },
          ],
        }),
    generalPractitioner: [{ reference: `Practitioner/${physician.id}`, display: physician.name }],
    managingOrganization: { reference: hospitalReference },
  };
}

export function coverageResource(seed: string, subject: PatientSubject): Resource {
  const stream = streamOf(seed, 'coverage', subject.number);
  const insurer = stream.pick(insurers);
  const member = `M${String(stream.below(100_000_000)).padStart(8, '0')}`;
  return {
    resourceType: 'Coverage',
    id: coverageIdOf(subject),
    identifier: [{ system: systems.member, value: member }],
    status: subject.deceased === undefined ? 'active' : 'cancelled',
    subscriberId: member,
    beneficiary: { reference: `Patient/${subject.id}` },
    relationship: {
      coding: [{ system: 'http://terminology.hl7.org/CodeSystem/subscriber-relationship', code: 'self' }],
    },
    payor: [{ reference: `Organization/${insurer.id}`, display: insurer.name }],
  };
}

export function coverageIdOf(subject: PatientSubject): string {
  return `wg-cov-${subject.key}`;
}
