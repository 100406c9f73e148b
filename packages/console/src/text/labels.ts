/** Words for codes: what a person reads where the record holds a short name. */
import type { ActorType, EventAction, EventKind, OutcomeStatus } from '@watchglass/record';

export const outcomeLabels: Readonly<Record<OutcomeStatus, string>> = {
  success: 'Success',
  denied: 'Denied',
  failed: 'Failed',
  error: 'Error',
};

/** As it stands in a sentence after a count: `61 denied`. */
export function outcomePhrase(status: OutcomeStatus, n: number): string {
  const phrases = { success: 'succeeded', denied: 'denied', failed: 'failed', error: n === 1 ? 'error' : 'errors' };
  return phrases[status];
}

export const kindLabels: Readonly<Record<EventKind, string>> = {
  api: 'API call',
  auth: 'Sign-in',
  'access-change': 'Access change',
  data: 'Data',
  file: 'File',
  network: 'Network',
  review: 'Review',
  system: 'System',
};

export const actionLabels: Readonly<Record<EventAction, string>> = {
  create: 'Create',
  read: 'Read',
  update: 'Update',
  delete: 'Delete',
  execute: 'Execute',
};

export const actorTypeLabels: Readonly<Record<ActorType, string>> = {
  human: 'Person',
  service: 'Service',
  agent: 'AI agent',
  patient: 'Patient',
};

export const purposes: Readonly<Record<string, string>> = {
  TREAT: 'treatment',
  HPAYMT: 'healthcare payment',
  HOPERAT: 'healthcare operations',
  BTG: 'break the glass',
  ETREAT: 'emergency treatment',
  PATRQT: 'the patient’s own request',
  PUBHLTH: 'public health',
  HRESCH: 'research',
};

export function purposeLabel(code: string): string {
  return purposes[code] ?? code;
}

/** `privacy-officer` → `privacy officer`. */
export function plainWords(code: string): string {
  return code.replaceAll(/[-_]/g, ' ');
}

export function facetValueLabel(facet: string, value: string): string {
  const table: Readonly<Record<string, Readonly<Record<string, string>>>> = {
    kind: kindLabels,
    action: actionLabels,
    outcome: outcomeLabels,
  };
  return table[facet]?.[value] ?? value;
}
