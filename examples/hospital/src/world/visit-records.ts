/**
 * What one visit leaves in the record: the Encounter, measurements, the diagnosis, a prescription, a note, a claim.
 * All random choices come from the visit's own stream, and every reference is to something this hospital holds.
 */
import type { Resource } from '../resource.ts';
import { instantAt } from './calendar.ts';
import type { Visit, VisitKind } from './care.ts';
import { patientReference, practitionerReference } from './care-records.ts';
import { type Ailment, bloodPressureLoinc, diastolic, type Measure, systems, systolic, vitals } from './codes.ts';
import { hospitalReference, locationOf } from './departments.ts';
import { noteResource } from './notes.ts';
import { coverageIdOf } from './patient-records.ts';
import { type Stream, streamOf } from './prng.ts';
import type { PatientSubject } from './subjects.ts';
import { labelOf, type VisitScene } from './visit-scene.ts';

const classes: Record<VisitKind, { readonly code: string; readonly display: string }> = {
  clinic: { code: 'AMB', display: 'ambulatory' },
  inpatient: { code: 'IMP', display: 'inpatient encounter' },
  emergency: { code: 'EMER', display: 'emergency' },
};

export function visitResources(scene: VisitScene): Resource[] {
  const { seed, subject, visit } = scene;
  const stream = streamOf(seed, 'visit', subject.key, visit.suffix);
  const found: Resource[] = [encounterResource(scene)];
  const rounds = visit.kind === 'inpatient' ? 2 : 1;
  for (let round = 0; round < rounds; round++) found.push(...vitalResources(scene, stream, round));
  for (const [index, lab] of visit.reason.labs.entries())
    found.push(measured(scene, stream, lab, `l${index}`, 'laboratory', 50));
  // An ailment that stays with the patient is written down once, apart from visits.
  if (!subject.chronic.includes(visit.reason) && !visit.reason.icd10.startsWith('Z')) {
    found.push(conditionResource(subject, visit.reason, visit.suffix, instantAt(visit.day, visit.minute), visit));
    if (visit.reason.medication !== undefined) found.push(medicationResource(subject, visit, visit.reason.medication));
  }
  found.push(noteResource(scene, stream));
  if (visit.lengthMinutes !== undefined) found.push(claimResource(scene, stream));
  return found;
}

function idFor(kind: string, scene: VisitScene, part = ''): string {
  return `wg-${kind}-${scene.subject.key}${scene.visit.suffix}${part === '' ? '' : `-${part}`}`;
}

function reasonCode(ailment: Ailment): Record<string, unknown> {
  return { coding: [{ system: systems.icd10, code: ailment.icd10, display: ailment.display }], text: ailment.display };
}

function encounterResource(scene: VisitScene): Resource {
  const { subject, visit } = scene;
  const start = instantAt(visit.day, visit.minute);
  const end = visit.lengthMinutes === undefined ? undefined : instantAt(visit.day, visit.minute + visit.lengthMinutes);
  const people = [
    { code: visit.kind === 'inpatient' ? 'ATND' : 'PPRF', member: visit.physician },
    ...visit.nurses.map((member) => ({ code: 'PART', member })),
  ];
  return {
    resourceType: 'Encounter',
    id: idFor('enc', scene),
    ...labelOf(visit.reason),
    identifier: [{ system: systems.visit, value: `V${subject.key}${visit.suffix.replace('-', '')}` }],
    status: end === undefined ? 'in-progress' : 'finished',
    class: { system: systems.actCode, ...classes[visit.kind] },
    subject: patientReference(subject),
    participant: people.map(({ code, member }) => ({
      type: [{ coding: [{ system: systems.participation, code }] }],
      individual: practitionerReference(member),
    })),
    ...(visit.appointment === undefined
      ? {}
      : { appointment: [{ reference: `Appointment/wg-apt-${subject.key}${visit.appointment}` }] }),
    period: end === undefined ? { start } : { start, end },
    reasonCode: [reasonCode(visit.reason)],
    ...(visit.kind === 'inpatient' && end !== undefined
      ? { hospitalization: { dischargeDisposition: { text: 'Home' } } }
      : {}),
    location: [
      {
        location: {
          reference: locationOf(visit.department),
          ...(visit.room === undefined ? {} : { display: `Room ${visit.room}` }),
        },
        status: end === undefined ? 'active' : 'completed',
      },
    ],
    serviceProvider: { reference: hospitalReference },
  };
}

function vitalResources(scene: VisitScene, stream: Stream, round: number): Resource[] {
  const high = systolicOf(scene.subject.chronic);
  const pressure: Resource = {
    ...observation(scene, `v${round}0`, 'vital-signs', round * 240 + 5),
    code: { coding: [{ system: systems.loinc, code: bloodPressureLoinc, display: 'Blood pressure panel' }] },
    component: [
      { code: codeOf(systolic), valueQuantity: quantity(stream, { ...systolic, mean: systolic.mean + high }) },
      { code: codeOf(diastolic), valueQuantity: quantity(stream, diastolic) },
    ],
  };
  const taken = vitals
    .filter((vital) => vital.id !== 'weight' || round === 0)
    .slice(0, scene.visit.kind === 'clinic' ? 2 : 4);
  return [
    pressure,
    ...taken.map((vital, index) =>
      measured(scene, stream, vital, `v${round}${index + 1}`, 'vital-signs', round * 240 + 6),
    ),
  ];
}

function systolicOf(ailments: readonly Ailment[]): number {
  return ailments.some((ailment) => ailment.icd10 === 'I10') ? 17 : 0;
}

function measured(
  scene: VisitScene,
  stream: Stream,
  measure: Measure,
  part: string,
  category: string,
  afterMinutes: number,
): Resource {
  return {
    ...observation(scene, part, category, afterMinutes),
    code: codeOf(measure),
    valueQuantity: quantity(stream, measure),
  };
}

function observation(scene: VisitScene, part: string, category: string, afterMinutes: number): Resource {
  const { subject, visit } = scene;
  return {
    resourceType: 'Observation',
    id: idFor('obs', scene, part),
    ...(category === 'laboratory' ? labelOf(visit.reason) : {}),
    status: 'final',
    category: categoryOf(category),
    subject: { reference: `Patient/${subject.id}` },
    encounter: { reference: `Encounter/${idFor('enc', scene)}` },
    effectiveDateTime: instantAt(visit.day, visit.minute + afterMinutes),
    performer: [practitionerReference(visit.nurses[0] ?? visit.physician)],
  };
}

/** Made once per measure: thousands of observations share them, and nobody changes a resource in place. */
const codes = new Map<string, Record<string, unknown>>();
const categories = new Map<string, readonly Record<string, unknown>[]>();

function codeOf(measure: Measure): Record<string, unknown> {
  const known = codes.get(measure.id);
  if (known !== undefined) return known;
  const code = {
    coding: [{ system: systems.loinc, code: measure.loinc, display: measure.display }],
    text: measure.display,
  };
  codes.set(measure.id, code);
  return code;
}

function categoryOf(category: string): readonly Record<string, unknown>[] {
  const known = categories.get(category) ?? [{ coding: [{ system: systems.observationCategory, code: category }] }];
  categories.set(category, known);
  return known;
}

/** A drawn value with its UCUM unit, rounded to the measure's decimals. */
export function quantity(stream: Stream, measure: Measure): Record<string, unknown> {
  const scale = 10 ** measure.decimals;
  const drawn = Math.max(0, stream.normal(measure.mean, measure.deviation));
  const value = Math.round((measure.unit === '%' ? Math.min(100, drawn) : drawn) * scale) / scale;
  return { value, unit: measure.unit, system: systems.ucum, code: measure.unit };
}

/** A diagnosis; with a visit it is that visit's, without one it stays on the problem list. */
export function conditionResource(
  subject: PatientSubject,
  ailment: Ailment,
  part: string,
  recorded: string,
  visit?: Visit,
): Resource {
  return {
    resourceType: 'Condition',
    id: `wg-cond-${subject.key}${part}`,
    ...labelOf(ailment),
    clinicalStatus: {
      coding: [
        {
          system: 'http://terminology.hl7.org/CodeSystem/condition-clinical',
          code: visit === undefined || visit.lengthMinutes === undefined ? 'active' : 'resolved',
        },
      ],
    },
    verificationStatus: {
      coding: [{ system: 'http://terminology.hl7.org/CodeSystem/condition-ver-status', code: 'confirmed' }],
    },
    category: [
      {
        coding: [
          {
            system: systems.conditionCategory,
            code: visit === undefined ? 'problem-list-item' : 'encounter-diagnosis',
          },
        ],
      },
    ],
    code: reasonCode(ailment),
    subject: patientReference(subject),
    ...(visit === undefined ? {} : { encounter: { reference: `Encounter/wg-enc-${subject.key}${visit.suffix}` } }),
    recordedDate: recorded,
  };
}

function medicationResource(subject: PatientSubject, visit: Visit, medication: string): Resource {
  return {
    resourceType: 'MedicationRequest',
    id: `wg-med-${subject.key}${visit.suffix}`,
    ...labelOf(visit.reason),
    status: visit.lengthMinutes === undefined ? 'active' : 'completed',
    intent: 'order',
    medicationCodeableConcept: medicationConcept(medication),
    subject: patientReference(subject),
    encounter: { reference: `Encounter/wg-enc-${subject.key}${visit.suffix}` },
    authoredOn: instantAt(visit.day, visit.minute + 20),
    requester: practitionerReference(visit.physician),
  };
}

export function medicationConcept(medication: string): Record<string, unknown> {
  const code = medication.toLowerCase().replace(/[^a-z0-9]+/g, '-');
  return { coding: [{ system: systems.formulary, code, display: medication }], text: medication };
}

function claimResource(scene: VisitScene, stream: Stream): Resource {
  const { subject, visit, today } = scene;
  const price =
    visit.kind === 'inpatient'
      ? stream.between(4_000, 32_000)
      : visit.kind === 'emergency'
        ? stream.between(400, 4_200)
        : stream.between(80, 420);
  const money = { value: price, currency: 'USD' };
  // Claims of the last two weeks are still being prepared: that is the billing office's work.
  const open = today - visit.day <= 14;
  return {
    resourceType: 'Claim',
    id: idFor('claim', scene),
    status: open ? 'draft' : 'active',
    type: {
      coding: [
        {
          system: 'http://terminology.hl7.org/CodeSystem/claim-type',
          code: visit.kind === 'clinic' ? 'professional' : 'institutional',
        },
      ],
    },
    use: 'claim',
    patient: { reference: `Patient/${subject.id}` },
    created: instantAt(visit.day + 1, 600),
    provider: { reference: hospitalReference },
    priority: { coding: [{ system: 'http://terminology.hl7.org/CodeSystem/processpriority', code: 'normal' }] },
    diagnosis: [{ sequence: 1, diagnosisCodeableConcept: reasonCode(visit.reason) }],
    insurance: [{ sequence: 1, focal: true, coverage: { reference: `Coverage/${coverageIdOf(subject)}` } }],
    item: [
      {
        sequence: 1,
        productOrService: { text: `${classes[visit.kind].display} visit` },
        encounter: [{ reference: `Encounter/${idFor('enc', scene)}` }],
        unitPrice: money,
        net: money,
      },
    ],
    total: money,
  };
}
