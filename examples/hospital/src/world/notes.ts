/**
 * Clinical notes with what real ones are full of: names, record numbers, phone numbers and relatives in the middle of
 * the narrative. Everything in them is invented (555-01xx numbers, the domain `example`); they exist so that an audit
 * trail can show it never lets such text in.
 */
import { Buffer } from 'node:buffer';
import type { Resource } from '../resource.ts';
import { ageOn, formatDay, instantAt } from './calendar.ts';
import { patientReference, practitionerReference } from './care-records.ts';
import { systems } from './codes.ts';
import type { Stream } from './prng.ts';
import { labelOf, type VisitScene } from './visit-scene.ts';

const documents = {
  clinic: { loinc: '11506-3', display: 'Progress note' },
  inpatient: { loinc: '34117-2', display: 'History and physical note' },
  discharge: { loinc: '18842-5', display: 'Discharge summary' },
  emergency: { loinc: '34111-5', display: 'Emergency department Note' },
} as const;

export function noteResource(scene: VisitScene, stream: Stream): Resource {
  const { subject, visit } = scene;
  const discharged = visit.kind === 'inpatient' && visit.lengthMinutes !== undefined;
  const document = documents[discharged ? 'discharge' : visit.kind];
  const after = Math.min(visit.lengthMinutes ?? 90, 7 * 1440);
  return {
    resourceType: 'DocumentReference',
    id: `wg-doc-${subject.key}${visit.suffix}`,
    ...labelOf(visit.reason),
    status: 'current',
    type: {
      coding: [{ system: systems.loinc, code: document.loinc, display: document.display }],
      text: document.display,
    },
    category: [
      {
        coding: [
          {
            system: 'http://hl7.org/fhir/us/core/CodeSystem/us-core-documentreference-category',
            code: 'clinical-note',
          },
        ],
      },
    ],
    subject: patientReference(subject),
    date: instantAt(visit.day, visit.minute + after),
    author: [practitionerReference(visit.physician)],
    content: [
      {
        attachment: {
          contentType: 'text/plain; charset=utf-8',
          title: document.display,
          data: Buffer.from(narrative(scene, stream, document.display), 'utf8').toString('base64'),
        },
      },
    ],
    context: { encounter: [{ reference: `Encounter/wg-enc-${subject.key}${visit.suffix}` }] },
  };
}

const courses = [
  'Symptoms have improved since the last contact.',
  'No change since last seen; sleeping poorly.',
  'Feels well, asks when they may return to work.',
  'Reports taking the tablets irregularly.',
  'Worried about the cost of treatment.',
] as const;

const plans = [
  'Continue as before, review in four weeks.',
  'Repeat laboratory tests before the next visit.',
  'Dose adjusted; to call if dizzy.',
  'Advice given, no further tests for now.',
  'Refer to the specialist clinic.',
] as const;

function narrative(scene: VisitScene, stream: Stream, title: string): string {
  const { subject, visit, contactName } = scene;
  const { person } = subject;
  const age = ageOn(person.birthDay, visit.day);
  const lines = [
    `${title.toUpperCase()} (synthetic)`,
    `Patient: ${person.given} ${person.family}   MRN: ${subject.mrn}   Born: ${formatDay(person.birthDay)}`,
    `Seen ${formatDay(visit.day)} in ${visit.department} by ${visit.physician.name}.`,
    '',
    `${person.given} ${person.family} is ${age} and comes because of: ${visit.reason.display.toLowerCase()}.`,
    stream.pick(courses),
    ...(contactName !== undefined && stream.chance(0.5)
      ? [`${contactName}, who lives with the patient, was present and agrees.`]
      : []),
    ...(subject.chronic.length > 0
      ? [`Known: ${subject.chronic.map((ailment) => ailment.display.toLowerCase()).join('; ')}.`]
      : []),
    '',
    `Plan: ${stream.pick(plans)}`,
    `Results to ${person.phone}, letter to ${person.email}.`,
    `Signed: ${visit.physician.name}, ${visit.department}@hospital.example, 200-555-0100`,
  ];
  return `${lines.join('\n')}\n`;
}
