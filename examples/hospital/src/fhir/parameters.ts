/**
 * The search parameters of each type: their kind and where in the resource they look. What isn't listed here is refused,
 * since a filter a server quietly ignores returns everybody.
 */
export type ParameterKind = 'token' | 'string' | 'date' | 'reference';

export interface Parameter {
  readonly kind: ParameterKind;
  readonly paths: readonly string[];
  /** For references: the only type a bare id can mean. */
  readonly target?: string;
}

const token = (...paths: string[]): Parameter => ({ kind: 'token', paths });
const string = (...paths: string[]): Parameter => ({ kind: 'string', paths });
const date = (...paths: string[]): Parameter => ({ kind: 'date', paths });
const reference = (target: string, ...paths: string[]): Parameter => ({ kind: 'reference', paths, target });

const everywhere: Readonly<Record<string, Parameter>> = {
  _id: token('id'),
  _lastUpdated: date('meta.lastUpdated'),
  _security: token('meta.security'),
  identifier: token('identifier'),
};

const subject = {
  patient: reference('Patient', 'subject.reference'),
  subject: reference('Patient', 'subject.reference'),
} as const;
const patient = { patient: reference('Patient', 'patient.reference') } as const;
const encounter = { encounter: reference('Encounter', 'encounter.reference') } as const;

const types: Readonly<Record<string, Readonly<Record<string, Parameter>>>> = {
  Patient: {
    name: string('name.family', 'name.given', 'name.prefix', 'name.text'),
    family: string('name.family'),
    given: string('name.given'),
    birthdate: date('birthDate'),
    'death-date': date('deceasedDateTime'),
    gender: token('gender'),
    active: token('active'),
    phone: token('telecom'),
    email: token('telecom'),
    telecom: token('telecom'),
    address: string('address.line', 'address.city', 'address.postalCode'),
    'address-city': string('address.city'),
    'address-postalcode': string('address.postalCode'),
    'general-practitioner': reference('Practitioner', 'generalPractitioner.reference'),
    organization: reference('Organization', 'managingOrganization.reference'),
  },
  Practitioner: {
    name: string('name.family', 'name.given', 'name.prefix', 'name.text'),
    family: string('name.family'),
    given: string('name.given'),
    active: token('active'),
  },
  PractitionerRole: {
    practitioner: reference('Practitioner', 'practitioner.reference'),
    organization: reference('Organization', 'organization.reference'),
    location: reference('Location', 'location.reference'),
    role: token('code'),
    active: token('active'),
  },
  Organization: { name: string('name'), type: token('type'), active: token('active') },
  Location: { name: string('name'), status: token('status'), type: token('type') },
  Appointment: {
    patient: reference('Patient', 'participant.actor.reference'),
    practitioner: reference('Practitioner', 'participant.actor.reference'),
    location: reference('Location', 'participant.actor.reference'),
    actor: reference('Patient', 'participant.actor.reference'),
    date: date('start'),
    status: token('status'),
  },
  Encounter: {
    ...subject,
    date: date('period'),
    status: token('status'),
    class: token('class'),
    type: token('type'),
    location: reference('Location', 'location.location.reference'),
    participant: reference('Practitioner', 'participant.individual.reference'),
    practitioner: reference('Practitioner', 'participant.individual.reference'),
    appointment: reference('Appointment', 'appointment.reference'),
    'service-provider': reference('Organization', 'serviceProvider.reference'),
  },
  CareTeam: {
    ...subject,
    ...encounter,
    status: token('status'),
    category: token('category'),
    participant: reference('Practitioner', 'participant.member.reference'),
  },
  Observation: {
    ...subject,
    ...encounter,
    code: token('code'),
    category: token('category'),
    date: date('effectiveDateTime', 'effectivePeriod', 'effectiveInstant'),
    status: token('status'),
    performer: reference('Practitioner', 'performer.reference'),
  },
  Condition: {
    ...subject,
    ...encounter,
    code: token('code'),
    category: token('category'),
    'clinical-status': token('clinicalStatus'),
    'onset-date': date('onsetDateTime', 'onsetPeriod'),
    'recorded-date': date('recordedDate'),
  },
  MedicationRequest: {
    ...subject,
    ...encounter,
    code: token('medicationCodeableConcept'),
    status: token('status'),
    intent: token('intent'),
    authoredon: date('authoredOn'),
    requester: reference('Practitioner', 'requester.reference'),
  },
  DocumentReference: {
    ...subject,
    encounter: reference('Encounter', 'context.encounter.reference'),
    type: token('type'),
    category: token('category'),
    status: token('status'),
    date: date('date'),
    author: reference('Practitioner', 'author.reference'),
  },
  Coverage: {
    patient: reference('Patient', 'beneficiary.reference'),
    beneficiary: reference('Patient', 'beneficiary.reference'),
    payor: reference('Organization', 'payor.reference'),
    status: token('status'),
  },
  Claim: {
    ...patient,
    encounter: reference('Encounter', 'item.encounter.reference'),
    provider: reference('Organization', 'provider.reference'),
    created: date('created'),
    status: token('status'),
    use: token('use'),
  },
  AllergyIntolerance: {
    ...patient,
    code: token('code'),
    category: token('category'),
    date: date('recordedDate'),
    'clinical-status': token('clinicalStatus'),
  },
  Immunization: {
    ...patient,
    ...encounter,
    status: token('status'),
    date: date('occurrenceDateTime'),
    'vaccine-code': token('vaccineCode'),
  },
  Procedure: {
    ...subject,
    ...encounter,
    code: token('code'),
    status: token('status'),
    date: date('performedDateTime', 'performedPeriod'),
  },
  Device: { ...patient, type: token('type'), status: token('status') },
  DiagnosticReport: {
    ...subject,
    ...encounter,
    code: token('code'),
    category: token('category'),
    status: token('status'),
    date: date('effectiveDateTime', 'effectivePeriod'),
  },
  CarePlan: { ...subject, ...encounter, category: token('category'), status: token('status'), date: date('period') },
};

/** The types this hospital always serves, empty or not. */
export const servedTypes: readonly string[] = Object.keys(types).sort();

/** The parameters of a type; a type only bulk files bring has those that fit everywhere, and its patient. */
export function parametersOf(type: string): Readonly<Record<string, Parameter>> {
  const own = Object.hasOwn(types, type)
    ? types[type]
    : { ...patient, ...subject, ...encounter, status: token('status'), code: token('code') };
  return { ...everywhere, ...own };
}
