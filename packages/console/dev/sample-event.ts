/** Synthetic events for tests and for looking at the console: no person or patient in them exists. Event n is always the same. */
import {
  type DataClass,
  type Event,
  type EventKind,
  minimise,
  type OutcomeStatus,
  parseEvent,
  uuidv7,
} from '@watchglass/record';
import type { ListedEvent } from '../src/api/client.ts';
import { sha256 } from './hash.ts';

export const sampleTenant = 'clinic';
/** Event 0 happens here, the next ones later. */
export const sampleStartMs: number = Date.parse('2026-03-12T08:00:00.000Z');

const staff = [
  ['dr-okafor', 'physician'],
  ['nurse-ito', 'nurse'],
  ['nurse-berg', 'nurse'],
  ['billing-lane', 'billing'],
  ['front-desk-2', 'registration'],
  ['dr-haddad', 'physician'],
] as const;
/** As the server names its staff; one of them it does not know. */
export const samplePeople: Readonly<Record<string, { readonly name: string; readonly department?: string }>> = {
  'dr-okafor': { name: 'Dr. Ada Okafor', department: 'surgery' },
  'nurse-ito': { name: 'Dana Ito', department: 'ward-4' },
  'nurse-berg': { name: 'Mats Berg', department: 'emergency' },
  'billing-lane': { name: 'June Lane', department: 'billing-office' },
  'dr-haddad': { name: 'Dr. Rami Haddad' },
};
const scenes: readonly {
  kind: EventKind;
  method: string;
  route: string;
  action: Event['action'];
  operation: string;
  type: string;
  classes: DataClass[];
  many?: number;
}[] = [
  {
    kind: 'api',
    method: 'GET',
    route: '/fhir/Patient/{id}',
    action: 'read',
    operation: 'read',
    type: 'Patient',
    classes: ['demographics'],
  },
  {
    kind: 'api',
    method: 'GET',
    route: '/fhir/Observation',
    action: 'read',
    operation: 'search-type',
    type: 'Observation',
    classes: ['results'],
    many: 6,
  },
  {
    kind: 'api',
    method: 'PUT',
    route: '/fhir/Encounter/{id}',
    action: 'update',
    operation: 'update',
    type: 'Encounter',
    classes: ['encounters'],
  },
  {
    kind: 'api',
    method: 'GET',
    route: '/fhir/Patient/{id}/$everything',
    action: 'execute',
    operation: '$everything',
    type: 'Patient',
    classes: ['demographics', 'notes', 'results', 'medications'],
  },
  {
    kind: 'api',
    method: 'GET',
    route: '/fhir/DocumentReference/{id}',
    action: 'read',
    operation: 'read',
    type: 'DocumentReference',
    classes: ['documents', 'notes'],
  },
  {
    kind: 'api',
    method: 'POST',
    route: '/fhir/Observation',
    action: 'create',
    operation: 'create',
    type: 'Observation',
    classes: ['results'],
  },
  {
    kind: 'api',
    method: 'GET',
    route: '/fhir/Patient',
    action: 'read',
    operation: 'search-type',
    type: 'Patient',
    classes: ['demographics'],
    many: 23,
  },
];

/** Event n as an emitter would send it. */
export function sampleSent(n: number, startMs: number = sampleStartMs, stepMs = 7_300): Event {
  const timeMs = startMs + n * stepMs + (n % 7) * 311;
  const [actor, role] = staff[(n * 5 + (n >> 3)) % staff.length] ?? staff[0];
  const head = {
    v: 1,
    id: uuidv7(timeMs, sha256(`id ${n}`).slice(0, 10)),
    time: new Date(timeMs).toISOString(),
    tenant: sampleTenant,
    emitter: { id: 'gateway-1/0', seq: n + 1 },
  };
  if (n % 41 === 17) {
    return parseEvent({
      ...head,
      kind: 'auth',
      action: 'execute',
      operation: 'login',
      outcome: n % 82 === 17 ? { status: 'denied', reason: 'credentials' } : { status: 'success' },
      actor: { id: actor, type: 'human', roles: [role], authentication: { method: 'password', mfa: false } },
      source: { address: `127.1.0.${(n % 40) + 2}` },
    });
  }
  const scene = scenes[(n * 3 + (n >> 2)) % scenes.length] ?? scenes[0];
  if (!scene) throw new Error('there are scenes');
  const status: OutcomeStatus = n % 23 === 5 ? 'denied' : n % 31 === 9 ? 'failed' : n % 97 === 40 ? 'error' : 'success';
  const code = { success: 200, denied: 403, failed: 404, error: 502 }[status];
  const patient = `wg-pt-${String((n * 37) % 400).padStart(6, '0')}`;
  const left = status === 'success';
  const patients = Array.from({ length: scene.many ?? 1 }, (_, i) => ({
    id: i === 0 ? patient : `wg-pt-${String((n * 37 + i * 11) % 400).padStart(6, '0')}`,
    classes: scene.classes,
    count: 1 + ((n + i) % 3),
  }));
  return parseEvent({
    ...head,
    kind: scene.kind,
    action: scene.action,
    operation: scene.operation,
    outcome: { status, code, ...(status === 'denied' && { reason: 'policy: role may not' }) },
    actor: {
      id: actor,
      type: 'human',
      roles: [role],
      client: 'ward-app',
      session: `s-${(n * 5) % 90}`,
      authentication: { method: 'bearer', mfa: true, assurance: 'aal2' },
    },
    source: { address: `127.1.0.${(n % 40) + 2}`, port: 40_000 + n },
    site: 'gateway-1',
    targets: [
      {
        type: scene.type,
        role: scene.many ? 'query' : 'object',
        ...(!scene.many && {
          id: scene.type === 'Patient' ? patient : `${scene.type.slice(0, 3).toLowerCase()}-${n}`,
          patient,
        }),
      },
    ],
    ...(left && {
      exposure: { patients, count: patients.reduce((sum, one) => sum + one.count, 0), bytes: 1200 + n * 3 },
    }),
    purpose: { code: 'TREAT' },
    request: {
      method: scene.method,
      route: scene.route,
      ...(scene.many && { query: ['code', '_count'] }),
      status: code,
      durationMs: 4 + (n % 60),
      responseBytes: 1200 + n * 3,
      traceparent: '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01',
    },
  });
}

/** Event n as the server shows it: minimised, flattened, patients by pseudonym. */
export function sampleEvent(n: number): ListedEvent {
  const { index, ...shown } = showSample(n, minimise(sampleSent(n)));
  return { index, ...shown };
}

export function showSample(index: number, event: Event): ListedEvent {
  const { v: _, ...rest } = event;
  return {
    ...rest,
    index,
    received: event.time,
    submitter: 'key:k1',
    intake: 'http',
    ...(event.targets && {
      targets: event.targets.map((target) => ({
        ...target,
        ...(target.id !== undefined && { id: pseudonym(target.type, target.id) }),
        ...(target.patient !== undefined && { patient: pseudonym('Patient', target.patient) }),
      })),
    }),
    ...(event.exposure && {
      exposure: {
        ...event.exposure,
        patients: event.exposure.patients?.map((one) => ({ ...one, id: pseudonym('Patient', one.id) })) ?? [],
        patientCount: event.exposure.patients?.length ?? 0,
      },
    }),
  };
}

export function pseudonym(type: string, id: string): string {
  const letters = 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567';
  return `·${[...sha256(`${type}/${id}`).slice(0, 12)].map((byte) => letters[byte % 32]).join('')}`;
}
