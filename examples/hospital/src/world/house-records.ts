/** The hospital itself as FHIR resources: organizations, places, practitioners and their roles. */
import type { Resource } from '../resource.ts';
import { systems } from './codes.ts';
import { departments, hospitalReference, locationOf } from './departments.ts';
import { insurers } from './patient-records.ts';
import type { StaffMember } from './staff.ts';

export function houseResources(staff: readonly StaffMember[]): Resource[] {
  return [
    ...organizations(),
    ...locations(),
    ...staff.flatMap((member) => [practitioner(member), practitionerRole(member)]),
  ];
}

function organizations(): Resource[] {
  return [
    {
      resourceType: 'Organization',
      id: hospitalReference.slice('Organization/'.length),
      active: true,
      type: [{ coding: [{ system: 'http://terminology.hl7.org/CodeSystem/organization-type', code: 'prov' }] }],
      name: 'Larkhaven General Hospital (synthetic)',
    },
    ...insurers.map((insurer) => ({
      resourceType: 'Organization',
      id: insurer.id,
      active: true,
      type: [{ coding: [{ system: 'http://terminology.hl7.org/CodeSystem/organization-type', code: 'ins' }] }],
      name: insurer.name,
    })),
  ];
}

function locations(): Resource[] {
  return departments.map((department) => ({
    resourceType: 'Location',
    id: locationOf(department.id).slice('Location/'.length),
    status: 'active',
    name: department.name,
    type: [{ text: department.kind }],
    managingOrganization: { reference: hospitalReference },
  }));
}

function practitioner(member: StaffMember): Resource {
  const { person } = member;
  return {
    resourceType: 'Practitioner',
    id: member.id,
    identifier: [{ system: systems.staff, value: member.username }],
    active: true,
    name: [
      { family: person.family, given: [person.given], ...(member.role === 'physician' ? { prefix: ['Dr.'] } : {}) },
    ],
    telecom: [{ system: 'email', value: `${member.username}@hospital.example`, use: 'work' }],
    gender: person.gender,
  };
}

function practitionerRole(member: StaffMember): Resource {
  return {
    resourceType: 'PractitionerRole',
    id: member.id.replace('wg-pr-', 'wg-role-'),
    active: true,
    practitioner: { reference: `Practitioner/${member.id}`, display: member.name },
    organization: { reference: hospitalReference },
    code: [{ text: member.role }],
    location: [{ reference: locationOf(member.department) }],
  };
}
