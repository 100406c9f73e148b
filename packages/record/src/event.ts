/**
 * The event: one interaction with something that matters, version 1.
 *
 * Field names follow FHIR AuditEvent where it has a word for the thing. This file holds the types; `event-schema.ts`
 * holds the one description from which the parser and the published JSON Schema are derived.
 *
 * Nothing here is free-form: an unknown field is refused (capture is an allow-list), and no field holds a raw URL, a
 * header value or a body.
 */

/** The five groups of the HIPAA guidance, API calls, and Watchglass's own. */
export const eventKinds = ['api', 'auth', 'access-change', 'data', 'file', 'network', 'review', 'system'] as const;
export type EventKind = (typeof eventKinds)[number];

/** FHIR AuditEvent.action: C R U D E. The precise name goes into `operation`. */
export const eventActions = ['create', 'read', 'update', 'delete', 'execute'] as const;
export type EventAction = (typeof eventActions)[number];

/** FHIR AuditEvent.outcome 0, 4, 8 and 12, in this order: success 0, denied 4, failed 8, error 12. */
export const outcomeStatuses = ['success', 'denied', 'failed', 'error'] as const;
export type OutcomeStatus = (typeof outcomeStatuses)[number];

export const actorTypes = ['human', 'service', 'agent', 'patient'] as const;
export type ActorType = (typeof actorTypes)[number];

/** What kind of information about a patient left or was touched. */
export const dataClasses = [
  'demographics',
  'notes',
  'results',
  'medications',
  'conditions',
  'procedures',
  'immunizations',
  'allergies',
  'encounters',
  'appointments',
  'documents',
  'images',
  'care-plans',
  'billing',
  'consents',
  'genomics',
  'behavioral-health',
  'other',
] as const;
export type DataClass = (typeof dataClasses)[number];

/** Gap-free per emitter: `seq` starts at 1 and grows by one, so that loss before the ledger can be seen. */
export interface Emitter {
  readonly id: string;
  readonly seq: number;
}

export interface Outcome {
  readonly status: OutcomeStatus;
  /** HTTP status or native code. */
  readonly code?: string | number;
  /** Why, in a short code or sentence without PHI; the minimiser scrubs it. */
  readonly reason?: string;
}

export interface Authentication {
  /** e.g. `bearer`, `session`, `password`, `passkey`, `mtls`, `api-key`. */
  readonly method: string;
  readonly mfa?: boolean;
  /** Authentication context class, e.g. an `acr` value. */
  readonly assurance?: string;
  /** RFC 3339, UTC. */
  readonly time?: string;
}

/** One link of the delegation chain, the nearest first. */
export interface Delegator {
  readonly id: string;
  readonly type?: ActorType;
}

export interface Actor {
  /** Stable and personal; never a shared account without `shared: true`. */
  readonly id: string;
  readonly type?: ActorType;
  readonly shared?: boolean;
  readonly roles?: readonly string[];
  /** The OAuth client. */
  readonly client?: string;
  readonly session?: string;
  /** The token's `jti` or a hash of it; never the token. */
  readonly tokenId?: string;
  readonly authentication?: Authentication;
  readonly onBehalfOf?: readonly Delegator[];
}

export interface Source {
  /** IPv4 or IPv6 address. */
  readonly address?: string;
  readonly port?: number;
  readonly userAgent?: string;
  readonly device?: string;
  readonly network?: string;
  readonly asn?: number;
  /** ISO 3166-1 alpha-2. */
  readonly country?: string;
}

export interface Target {
  /** Resource type, e.g. `Patient`, `Observation`, `Rule`. */
  readonly type: string;
  readonly id?: string;
  readonly version?: string;
  /** Bare FHIR id of the patient it is about. */
  readonly patient?: string;
  readonly fields?: readonly string[];
  readonly classes?: readonly DataClass[];
  /** What it was in this interaction: `object`, `query`, `rule`, … */
  readonly role?: string;
}

export interface ExposedPatient {
  /** Bare FHIR id. */
  readonly id: string;
  readonly classes?: readonly DataClass[];
  /** Resources about this patient that left. */
  readonly count?: number;
}

/** What *left* in the response. */
export interface Exposure {
  readonly patients?: readonly ExposedPatient[];
  /** Resources that left, those without a patient included. */
  readonly count?: number;
  readonly bytes?: number;
  /** What is listed may be a part of what left: it outgrew the byte bound, or was not read. */
  readonly truncated?: boolean;
}

export interface Purpose {
  /** HL7 v3 PurposeOfUse, e.g. `TREAT`, `HPAYMT`, `BTG`. */
  readonly code: string;
  /** Reference to the justification, not its text. */
  readonly justification?: string;
}

/** Never a raw URL, a header value or a body. */
export interface RequestFacts {
  readonly method?: string;
  /** The route template, e.g. `/fhir/Patient/{id}`. */
  readonly route?: string;
  /** Names of the query parameters. */
  readonly query?: readonly string[];
  readonly status?: number;
  readonly requestBytes?: number;
  readonly responseBytes?: number;
  readonly durationMs?: number;
  /** W3C Trace Context. */
  readonly traceparent?: string;
  readonly id?: string;
}

export const changeOps = ['add', 'remove', 'replace'] as const;
export type ChangeOp = (typeof changeOps)[number];

/** By policy nothing, a keyed hash, or the encrypted value before and after. */
export interface Change {
  /** JSON Pointer. */
  readonly path: string;
  readonly op: ChangeOp;
  readonly before?: string;
  readonly after?: string;
}

/** An event as its sender may give it: `parseEvent` accepts this shape. */
export interface Event {
  readonly v: 1;
  /** UUIDv7 (RFC 9562). */
  readonly id: string;
  /** RFC 3339, UTC (`Z`), when it happened. */
  readonly time: string;
  readonly tenant: string;
  readonly emitter: Emitter;
  readonly kind: EventKind;
  readonly action: EventAction;
  /** The precise name: `search-type`, `vread`, `$everything`, `login`, `grant`, `export`, … */
  readonly operation?: string;
  readonly outcome: Outcome;
  readonly actor: Actor;
  readonly source?: Source;
  /** Which system observed it. */
  readonly site?: string;
  readonly targets?: readonly Target[];
  readonly exposure?: Exposure;
  readonly purpose?: Purpose;
  readonly request?: RequestFacts;
  readonly changes?: readonly Change[];
  /** Id of the event this one completes: the outcome names its intent. */
  readonly completes?: string;
}

declare const minimised: unique symbol;
/** An event that went through `minimise`: the only thing a ledger appends and a spool holds. */
export type MinimisedEvent = Event & { readonly [minimised]: true };

declare const tenantId: unique symbol;
/** Lower-case letters, digits and hyphens, 1 to 63 characters, starting with a letter: `parseTenantId` mints it. */
export type TenantId = string & { readonly [tenantId]: true };

/**
 * What the door adds to an event when it is stored. Together they are *m*, the bytes the ledger commits to
 * (docs/format.md, "The stored record").
 */
export interface Envelope {
  /** RFC 3339, UTC, milliseconds: when the door took it. */
  readonly received: string;
  /** Who proved to be allowed to send it: `key:<id>`, `person:<id>`, `self`. */
  readonly submitter: string;
  /** Which door: `http`, `self`, later `fhir`, `syslog`, … */
  readonly intake: string;
  /** SHA-256 of the sender's bytes of this event, lower-case hex. */
  readonly digest: string;
}

/** *m*, decoded. */
export interface StoredRecord extends Envelope {
  readonly event: Event;
}
