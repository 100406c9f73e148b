/** The resources that people at work write: a set of vitals, a prescription, a note, a booking. */
import { Buffer } from 'node:buffer';
import { bloodPressureLoinc, diastolic, type Measure, systems, systolic, vitals } from '../world/codes.ts';
import type { Scene } from './work.ts';

type Draft = Readonly<Record<string, unknown>>;

function coding(measure: Measure): Draft {
  return { coding: [{ system: systems.loinc, code: measure.loinc, display: measure.display }] };
}

function drawn(scene: Scene, measure: Measure): Draft {
  const scale = 10 ** measure.decimals;
  const value = Math.round(scene.stream.normal(measure.mean, measure.deviation) * scale) / scale;
  return {
    value: measure.unit === '%' ? Math.min(100, value) : value,
    unit: measure.unit,
    system: systems.ucum,
    code: measure.unit,
  };
}

export function vitalsDraft(scene: Scene, patient: string, encounter: string | undefined): Draft {
  const measure = scene.stream.pick([undefined, ...vitals]);
  const value =
    measure === undefined
      ? {
          code: { coding: [{ system: systems.loinc, code: bloodPressureLoinc, display: 'Blood pressure panel' }] },
          component: [systolic, diastolic].map((one) => ({ code: coding(one), valueQuantity: drawn(scene, one) })),
        }
      : { code: coding(measure), valueQuantity: drawn(scene, measure) };
  return {
    resourceType: 'Observation',
    status: 'final',
    category: [{ coding: [{ system: systems.observationCategory, code: 'vital-signs' }] }],
    subject: { reference: `Patient/${patient}` },
    ...(encounter === undefined ? {} : { encounter: { reference: `Encounter/${encounter}` } }),
    effectiveDateTime: scene.now(),
    performer: [{ reference: `Practitioner/${scene.person.id}`, display: scene.person.name }],
    ...value,
  };
}

const medications = [
  'Acetaminophen 500 mg tablet',
  'Ibuprofen 400 mg tablet',
  'Lisinopril 10 mg tablet',
  'Amoxicillin 500 mg capsule',
] as const;

export function prescriptionDraft(scene: Scene, patient: string): Draft {
  return {
    resourceType: 'MedicationRequest',
    status: 'active',
    intent: 'order',
    medicationCodeableConcept: { text: scene.stream.pick(medications) },
    subject: { reference: `Patient/${patient}` },
    authoredOn: scene.now(),
    requester: { reference: `Practitioner/${scene.person.id}`, display: scene.person.name },
  };
}

export function noteDraft(scene: Scene, patient: string, encounter: string): Draft {
  const text = `ROUND (synthetic)\nSeen by ${scene.person.name}, ${scene.person.department}, 200-555-0100.\nNo change; continue as before.\n`;
  return {
    resourceType: 'DocumentReference',
    status: 'current',
    type: { coding: [{ system: systems.loinc, code: '11506-3', display: 'Progress note' }] },
    subject: { reference: `Patient/${patient}` },
    date: scene.now(),
    author: [{ reference: `Practitioner/${scene.person.id}`, display: scene.person.name }],
    content: [
      { attachment: { contentType: 'text/plain; charset=utf-8', data: Buffer.from(text, 'utf8').toString('base64') } },
    ],
    context: { encounter: [{ reference: `Encounter/${encounter}` }] },
  };
}

export function bookingDraft(scene: Scene, patient: string, practitioner: string): Draft {
  const days = scene.stream.between(1, 21);
  const minute = 8 * 60 + scene.stream.below(108) * 5;
  const midnight = Date.parse(`${scene.now().slice(0, 10)}T00:00:00Z`);
  const at = (minutes: number): string =>
    `${new Date(midnight + days * 86_400_000 + minutes * 60_000).toISOString().slice(0, 19)}Z`;
  return {
    resourceType: 'Appointment',
    status: 'booked',
    start: at(minute),
    end: at(minute + 20),
    minutesDuration: 20,
    participant: [
      { actor: { reference: `Patient/${patient}` }, status: 'accepted' },
      { actor: { reference: `Practitioner/${practitioner}` }, status: 'accepted' },
    ],
  };
}
