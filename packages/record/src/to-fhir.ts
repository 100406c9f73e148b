/**
 * An event as FHIR R4 AuditEvent, in the profile of IHE Basic Audit Log Patterns (BALP 1.1) that fits: Read, Create,
 * Update, Delete, Query and their Patient… variants. The profiles speak of successes only (outcome 0), and not of
 * operations, histories and batches: those come out as a plain AuditEvent, and say so in `meta.profile`.
 *
 * What BALP has no place for isn't invented: a query is written as its route and the names of its parameters, since
 * their values are not recorded; an unknown address is marked as absent.
 */
import { encodeBase64, encodeUtf8 } from './bytes.ts';
import type { Event, EventKind, ExposedPatient, OutcomeStatus, Target } from './event.ts';
import type {
  AuditEvent,
  AuditEventAgent,
  AuditEventDetail,
  AuditEventEntity,
  AuditEventNetwork,
  CodeableConcept,
  Coding,
  OperationOutcome,
  Reference,
} from './fhir.ts';

/** Where the plain resource is defined. */
const plainProfile = 'http://hl7.org/fhir/StructureDefinition/AuditEvent';
const balpProfile = 'https://profiles.ihe.net/ITI/BALP/StructureDefinition/IHE.BasicAudit.';

/**
 * The AuditEvent of an event. Where it concerns several patients, this is the one of the first: use `toFhirAll` for all.
 *
 * @example
 * toFhir(event).meta.profile; // ['https://profiles.ihe.net/ITI/BALP/StructureDefinition/IHE.BasicAudit.PatientRead']
 */
export function toFhir(event: Event): AuditEvent {
  return resourceOf(event, patientsOf(event)[0], event.id);
}

/**
 * One AuditEvent for each patient the event concerns, as BALP's PatientQuery asks; one without a patient where there is
 * none. Ids are the event's, followed by `.1`, `.2`, … from the second on.
 */
export function toFhirAll(event: Event): AuditEvent[] {
  const patients = patientsOf(event);
  if (patients.length === 0) return [toFhir(event)];
  return patients.map((patient, i) => resourceOf(event, patient, i === 0 ? event.id : `${event.id}.${i}`));
}

type Interaction = 'Read' | 'Create' | 'Update' | 'Delete' | 'Query';

interface Pattern {
  readonly action: AuditEvent['action'];
  readonly client: Coding;
  readonly server: Coding;
  readonly user: Coding;
}

const dicom = 'http://dicom.nema.org/resources/ontology/DCM';
const participation = 'http://terminology.hl7.org/CodeSystem/v3-ParticipationType';
const sourceRole: Coding = { system: dicom, code: '110153', display: 'Source Role ID' };
const destinationRole: Coding = { system: dicom, code: '110152', display: 'Destination Role ID' };
const applicationRole: Coding = { system: dicom, code: '110150', display: 'Application' };
const recipient: Coding = { system: participation, code: 'IRCP', display: 'information recipient' };
const author: Coding = { system: participation, code: 'AUT', display: 'author (originator)' };
const custodianUser: Coding = { system: participation, code: 'CST', display: 'custodian' };
const custodian: Coding = {
  system: 'http://terminology.hl7.org/CodeSystem/provenance-participant-type',
  code: 'custodian',
  display: 'Custodian',
};

// BALP 1.1, "3:5.7.4 RESTful activities": who is source and who is destination depends on which way the data goes.
const patterns: Readonly<Record<Interaction, Pattern>> = {
  Read: { action: 'R', client: destinationRole, server: sourceRole, user: recipient },
  Create: { action: 'C', client: sourceRole, server: destinationRole, user: author },
  Update: { action: 'U', client: sourceRole, server: destinationRole, user: author },
  Delete: { action: 'D', client: applicationRole, server: custodian, user: custodianUser },
  Query: { action: 'E', client: sourceRole, server: destinationRole, user: recipient },
};

const interactions: Readonly<Record<string, Interaction>> = {
  read: 'Read',
  vread: 'Read',
  create: 'Create',
  update: 'Update',
  patch: 'Update',
  delete: 'Delete',
  search: 'Query',
  'search-type': 'Query',
  'search-system': 'Query',
};

function resourceOf(event: Event, patient: ExposedPatient | undefined, id: string): AuditEvent {
  const interaction = interactionOf(event);
  const pattern = interaction === undefined ? plainPattern(event) : patterns[interaction];
  const entity = entitiesOf(event, interaction, patient);
  const failure = failureOf(event);
  const subtype = subtypesOf(event);
  const profile = profileOf(event, interaction, patient);
  const { reason } = event.outcome;
  return {
    resourceType: 'AuditEvent',
    id,
    meta: { profile: [profile] },
    ...(failure !== undefined && { contained: [failure] }),
    type: typeOf(event.kind),
    ...(subtype.length > 0 && { subtype }),
    action: pattern.action,
    recorded: event.time,
    outcome: outcomeCodes[event.outcome.status],
    ...(reason !== undefined && { outcomeDesc: reason }),
    ...(event.purpose !== undefined && { purposeOfEvent: [purposeOf(event.purpose)] }),
    agent: agentsOf(event, pattern),
    source: sourceOf(event),
    ...(entity.length > 0 && { entity }),
  };
}

/** The BALP interaction of an API call; `undefined` where BALP has none. */
function interactionOf(event: Event): Interaction | undefined {
  if (event.kind !== 'api' || event.operation === undefined || !Object.hasOwn(interactions, event.operation))
    return undefined;
  const interaction = interactions[event.operation];
  // All but queries are about one resource; without one there is nothing the profile could name.
  return interaction === 'Query' || (event.targets?.length ?? 0) > 0 ? interaction : undefined;
}

function profileOf(event: Event, interaction: Interaction | undefined, patient: ExposedPatient | undefined): string {
  if (interaction === undefined || event.outcome.status !== 'success') return plainProfile;
  return `${balpProfile}${patient === undefined ? '' : 'Patient'}${interaction}`;
}

const actions = { create: 'C', read: 'R', update: 'U', delete: 'D', execute: 'E' } as const;

/** Outside of BALP: the roles by which way the data goes. */
function plainPattern(event: Event): Pattern {
  const action = actions[event.action];
  return { ...(action === 'R' ? patterns.Read : action === 'E' ? patterns.Query : patterns.Update), action };
}

/** FHIR AuditEvent.outcome. */
const outcomeCodes: Readonly<Record<OutcomeStatus, AuditEvent['outcome']>> = {
  success: '0',
  denied: '4',
  failed: '8',
  error: '12',
};

const rest: Coding = {
  system: 'http://terminology.hl7.org/CodeSystem/audit-event-type',
  code: 'rest',
  display: 'Restful Operation',
};

function typeOf(kind: EventKind): Coding {
  switch (kind) {
    case 'api':
      return rest;
    case 'auth':
      return { system: dicom, code: '110114', display: 'User Authentication' };
    case 'access-change':
      return { system: dicom, code: '110113', display: 'Security Alert' };
    case 'data':
      return { system: dicom, code: '110110', display: 'Patient Record' };
    case 'file':
      return { system: dicom, code: '110106', display: 'Export' };
    case 'network':
      return { system: dicom, code: '110108', display: 'Network Entry' };
    case 'review':
      return { system: dicom, code: '110101', display: 'Audit Log Used' };
    case 'system':
      return { system: dicom, code: '110100', display: 'Application Activity' };
    default:
      return kind satisfies never;
  }
}

const restfulInteractions: ReadonlySet<string> = new Set(
  `${Object.keys(interactions).join(' ')} history history-instance history-type history-system capabilities transaction batch operation`.split(
    ' ',
  ),
);

function subtypesOf({ kind, operation }: Event): Coding[] {
  const system = 'http://hl7.org/fhir/restful-interaction';
  if (operation === undefined) return [];
  if (kind === 'api' && restfulInteractions.has(operation)) return [{ system, code: operation, display: operation }];
  const own: Coding = { system: 'urn:watchglass:operation', code: operation };
  return kind === 'api' && operation.startsWith('$')
    ? [{ system, code: 'operation', display: 'operation' }, own]
    : [own];
}

function purposeOf({ code, justification }: NonNullable<Event['purpose']>): CodeableConcept {
  const coding = [{ system: 'http://terminology.hl7.org/CodeSystem/v3-ActReason', code }];
  return justification === undefined ? { coding } : { coding, text: justification };
}

function agentsOf(event: Event, pattern: Pattern): AuditEventAgent[] {
  const { actor, source, site, emitter } = event;
  const alone = actor.type === 'service';
  const agents: AuditEventAgent[] = [
    {
      type: { coding: [pattern.client] },
      who: named(alone ? actor.id : (actor.client ?? source?.device ?? source?.address ?? 'unknown')),
      requestor: alone,
      network: source?.address === undefined ? absent : { address: source.address, type: '2' },
    },
    {
      type: { coding: [pattern.server] },
      who: named(site ?? emitter.id),
      requestor: false,
      network: site === undefined ? absent : { address: site, type: site.includes('://') ? '5' : '1' },
    },
  ];
  if (!alone) agents.push(userOf(event, pattern));
  for (const delegator of actor.onBehalfOf ?? []) {
    agents.push({ type: { coding: [delegatorRole] }, who: named(delegator.id), requestor: false });
  }
  return agents;
}

function userOf({ actor }: Event, pattern: Pattern): AuditEventAgent {
  const roles = (actor.roles ?? []).map((role) => ({ text: role }));
  // The token's id, where BALP's access-token profiles have it: a URI, so without spaces.
  const token = actor.tokenId !== undefined && /^[!-~]+$/.test(actor.tokenId) ? actor.tokenId : undefined;
  return {
    type: { coding: [pattern.user] },
    ...(roles.length > 0 && { role: roles }),
    who: named(actor.id),
    requestor: true,
    ...(token !== undefined && { policy: [token] }),
  };
}

const delegatorRole: Coding = {
  system: 'http://terminology.hl7.org/CodeSystem/v3-RoleCode',
  code: 'DELEGATOR',
  display: 'delegator',
};

const absent: AuditEventNetwork = {
  extension: [{ url: 'http://hl7.org/fhir/StructureDefinition/data-absent-reason', valueCode: 'unknown' }],
};

function named(value: string): Reference {
  return { identifier: { value } };
}

function sourceOf({ site, emitter }: Event): AuditEvent['source'] {
  return {
    ...(site !== undefined && { site }),
    observer: named(emitter.id),
    type: [
      {
        system: 'http://terminology.hl7.org/CodeSystem/security-source-type',
        code: '4',
        display: 'Application Server',
      },
    ],
  };
}

const entityType = 'http://terminology.hl7.org/CodeSystem/audit-entity-type';
const objectRole = 'http://terminology.hl7.org/CodeSystem/object-role';
const person: Coding = { system: entityType, code: '1', display: 'Person' };
const systemObject: Coding = { system: entityType, code: '2', display: 'System Object' };
const other: Coding = { system: entityType, code: '4', display: 'Other' };

function entitiesOf(
  event: Event,
  interaction: Interaction | undefined,
  patient: ExposedPatient | undefined,
): AuditEventEntity[] {
  const entities: AuditEventEntity[] = [];
  const targets = event.targets ?? [];
  if (interaction === 'Query') entities.push(queryOf(event));
  // The profiles allow one object of type 2: the first target, or the query. Others are of type 4.
  for (const [i, target] of targets.entries()) {
    const first = i === 0 && interaction !== 'Query';
    if (first) entities.push({ what: referenceTo(target), type: systemObject, role: roleOf(target) });
    else if (target.id !== undefined) entities.push({ what: referenceTo(target), type: other, role: roleOf(target) });
  }
  if (patient !== undefined) entities.push(patientOf(event, patient));
  if (event.request?.id !== undefined) {
    entities.push({
      what: { identifier: { value: event.request.id } },
      type: { system: 'https://profiles.ihe.net/ITI/BALP/CodeSystem/BasicAuditEntityType', code: 'XrequestId' },
    });
  }
  if (event.outcome.status !== 'success') entities.push({ what: { reference: '#outcome' }, type: other });
  return entities;
}

function queryOf({ request, targets, operation }: Event): AuditEventEntity {
  const path = request?.route ?? targets?.[0]?.type ?? operation ?? '';
  const names = request?.query ?? [];
  const text = `${request?.method ?? 'GET'} ${path}${names.length > 0 ? `?${names.join('&')}` : ''}`;
  return {
    type: systemObject,
    role: { system: objectRole, code: '24', display: 'Query' },
    description: 'The route and the names of the parameters; their values are not recorded.',
    query: encodeBase64(encodeUtf8(text)),
  };
}

function patientOf({ exposure }: Event, patient: ExposedPatient): AuditEventEntity {
  const detail: AuditEventDetail[] = [];
  if (patient.classes !== undefined && patient.classes.length > 0) {
    detail.push({ type: 'data-classes', valueString: patient.classes.join(' ') });
  }
  if (patient.count !== undefined) detail.push({ type: 'resource-count', valueString: String(patient.count) });
  if (exposure?.truncated === true) detail.push({ type: 'exposure-truncated', valueString: 'true' });
  return {
    what: { reference: `Patient/${patient.id}` },
    type: person,
    role: { system: objectRole, code: '1', display: 'Patient' },
    ...(detail.length > 0 && { detail }),
  };
}

function roleOf({ type }: Target): Coding {
  if (type.endsWith('Report')) return { system: objectRole, code: '3', display: 'Report' };
  return { system: objectRole, code: '4', display: 'Domain Resource' };
}

function referenceTo({ type, id, version }: Target): Reference {
  if (id === undefined) return { type };
  return { reference: `${type}/${id}${version === undefined ? '' : `/_history/${version}`}` };
}

/** Whom it concerns: first those whose data left, then those of the targets, each once. */
function patientsOf({ exposure, targets }: Event): ExposedPatient[] {
  const patients = new Map<string, ExposedPatient>();
  for (const patient of exposure?.patients ?? []) if (!patients.has(patient.id)) patients.set(patient.id, patient);
  for (const { patient } of targets ?? []) {
    if (patient !== undefined && !patients.has(patient)) patients.set(patient, { id: patient });
  }
  return [...patients.values()];
}

/** BALP, "failures": the OperationOutcome beside an outcome that isn't 0. */
function failureOf({ outcome }: Event): OperationOutcome | undefined {
  if (outcome.status === 'success') return undefined;
  const text = [outcome.code, outcome.reason].filter((part) => part !== undefined).join(' ');
  const issue = { severity: 'error' as const, code: issueOf(outcome.status, outcome.code) };
  return {
    resourceType: 'OperationOutcome',
    id: 'outcome',
    issue: [text === '' ? issue : { ...issue, details: { text } }],
  };
}

/** Codes of hl7.org/fhir/R4/valueset-issue-type.html. */
function issueOf(status: OutcomeStatus, code: string | number | undefined): string {
  switch (Number(code)) {
    case 401:
      return 'login';
    case 404:
    case 410:
      return 'not-found';
    case 409:
    case 412:
      return 'conflict';
    case 413:
      return 'too-long';
    case 429:
      return 'throttled';
    case 504:
      return 'timeout';
    default:
      return status === 'denied' ? 'forbidden' : status === 'failed' ? 'processing' : 'exception';
  }
}
