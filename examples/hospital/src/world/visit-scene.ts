/** What is known of a visit before its records are written, and the label that sensitive ones carry. */
import type { Meta } from '../resource.ts';
import type { Day } from './calendar.ts';
import type { Visit } from './care.ts';
import { type Ailment, systems } from './codes.ts';
import type { PatientSubject } from './subjects.ts';

export interface VisitScene {
  readonly seed: string;
  readonly today: Day;
  readonly subject: PatientSubject;
  readonly visit: Visit;
  readonly contactName: string | undefined;
}

/** Records of sensitive diagnoses carry the sensitivity as a label. */
export function labelOf(ailment: Ailment): { meta?: Meta } {
  return ailment.sensitivity === undefined
    ? {}
    : { meta: { security: [{ system: systems.actCode, code: ailment.sensitivity }] } };
}
