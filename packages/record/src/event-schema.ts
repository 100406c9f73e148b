/**
 * The one description of event v1 (types in `event.ts`), of the envelope and of the stored record.
 *
 * The order of members is the order of their bytes in *m* and never changes; the shapes may only widen, since old
 * records must stay readable. Bounds keep a record below 65,536 bytes in all but extreme cases, which `encode` refuses.
 */
import { actorTypes, changeOps, dataClasses, eventActions, eventKinds, outcomeStatuses } from './event.ts';
import { type JsonSchema, jsonSchemaOf } from './json-schema.ts';
import {
  choice,
  constant,
  decimal,
  flag,
  list,
  type ObjectShape,
  object,
  optional,
  required,
  type Shape,
  text,
  whole,
} from './shape.ts';

const countMax = Number.MAX_SAFE_INTEGER;
const id: Shape = text('name', 256);
const patientId: Shape = text('bare-id', 128);
const classes: Shape = list(choice(dataClasses), dataClasses.length);

const emitter = object(
  required('id', text('code', 128), 'Names the installation and slot that captured the event.'),
  required('seq', whole(1, countMax), 'Starts at 1 and grows by one, so that loss before the ledger can be seen.'),
);

const outcome = object(
  required('status', choice(outcomeStatuses), 'FHIR AuditEvent.outcome 0, 4, 8, 12.'),
  optional(
    'code',
    { type: 'either', text: text('code', 64), number: whole(0, 999_999) },
    'HTTP status or native code.',
  ),
  optional('reason', text('line', 512), 'A short code or sentence without PHI.'),
);

const authentication = object(
  required('method', text('code', 64), 'Such as bearer, session, password, passkey, mtls, api-key.'),
  optional('mfa', flag),
  optional('assurance', text('line', 128), 'Authentication context class, such as an acr value.'),
  optional('time', text('time', 30)),
);

const delegator = object(required('id', id), optional('type', choice(actorTypes)));

const actor = object(
  required('id', id, 'Stable and personal.'),
  optional('type', choice(actorTypes)),
  optional('shared', flag, 'The account is used by several people.'),
  optional('roles', list(text('name', 128), 32)),
  optional('client', id, 'The OAuth client.'),
  optional('session', id),
  optional('tokenId', id, "The token's jti or a hash of it; never the token."),
  optional('authentication', authentication),
  optional('onBehalfOf', list(delegator, 8), 'The delegation chain, the nearest first.'),
);

const source = object(
  optional('address', text('address', 45)),
  optional('port', whole(0, 65_535)),
  optional('userAgent', text('line', 512)),
  optional('device', text('line', 256)),
  optional('network', text('line', 128)),
  optional('asn', whole(0, 4_294_967_295)),
  optional('country', text('country', 2)),
);

const target = object(
  required('type', text('code', 64), 'Resource type, such as Patient or Rule.'),
  optional('id', id),
  optional('version', text('code', 64)),
  optional('patient', patientId, 'Bare id of the patient it is about.'),
  optional('fields', list(text('line', 128), 128)),
  optional('classes', classes),
  optional('role', text('code', 64), 'What it was in this interaction: object, query, rule, …'),
);

const exposedPatient = object(
  required('id', patientId),
  optional('classes', classes),
  optional('count', whole(0, countMax), 'Resources about this patient that left.'),
);

const exposure = object(
  optional('patients', list(exposedPatient, 1024)),
  optional('count', whole(0, countMax), 'Resources that left.'),
  optional('bytes', whole(0, countMax)),
  optional('truncated', flag, 'What is listed is a part of what left.'),
);

const purpose = object(
  required('code', text('code', 64), 'HL7 v3 PurposeOfUse, such as TREAT, HPAYMT, BTG.'),
  optional('justification', text('name', 256), 'Reference to the justification, not its text.'),
);

const request = object(
  optional('method', text('code', 32)),
  optional('route', text('name', 512), 'The route template, such as /fhir/Patient/{id}; never a raw URL.'),
  optional('query', list(text('line', 128), 64), 'Names of the query parameters.'),
  optional('status', whole(0, 999)),
  optional('requestBytes', whole(0, countMax)),
  optional('responseBytes', whole(0, countMax)),
  optional('durationMs', decimal(0, 1e12)),
  optional('traceparent', text('traceparent', 55)),
  optional('id', text('name', 128)),
);

const change = object(
  required('path', text('pointer', 512, 0)),
  required('op', choice(changeOps)),
  optional('before', text('line', 4096, 0)),
  optional('after', text('line', 4096, 0)),
);

/** Event v1. */
export const eventShape: ObjectShape = object(
  required('v', constant(1), 'Version of this schema.'),
  required('id', text('uuidv7', 36), 'UUIDv7; the same id is stored once.'),
  required('time', text('time', 30), 'When it happened.'),
  required('tenant', text('tenant', 63)),
  required('emitter', emitter),
  required('kind', choice(eventKinds)),
  required('action', choice(eventActions)),
  optional('operation', text('code', 64), 'The precise name, such as search-type, vread, login, grant, export.'),
  required('outcome', outcome),
  required('actor', actor),
  optional('source', source),
  optional('site', text('name', 128), 'Which system observed it.'),
  optional('targets', list(target, 256)),
  optional('exposure', exposure, 'Which patients and data classes left in the response.'),
  optional('purpose', purpose),
  optional('request', request),
  optional('changes', list(change, 256)),
  optional('completes', text('uuidv7', 36), 'Id of the event this one completes: the outcome names its intent.'),
);

const filledByTheDoor: ReadonlySet<string> = new Set(['v', 'id', 'time', 'tenant', 'emitter']);

/** Event v1 as the HTTP door takes it: what the door can fill in may be absent. */
export const draftShape: ObjectShape = object(
  ...eventShape.members.map((member) => (filledByTheDoor.has(member.name) ? { ...member, required: false } : member)),
);

/** *m*: docs/format.md, "The stored record". */
export const recordShape: ObjectShape = object(
  required('received', text('time-ms', 24)),
  required('submitter', text('name', 256)),
  required('intake', text('code', 32)),
  required('digest', text('sha256-hex', 64)),
  required('event', eventShape),
);

/** Event v1 as JSON Schema 2020-12; `event.schema.json` holds the same. */
export const eventSchema: JsonSchema = {
  $schema: 'https://json-schema.org/draft/2020-12/schema',
  $id: 'urn:watchglass:event:v1',
  title: 'Watchglass event, version 1',
  description:
    'One interaction with something that matters. Unknown members are refused; no member holds a raw URL, a header value or a body. Encoded as JSON in UTF-8, each member once, the stored record being at most 65,536 bytes.',
  ...jsonSchemaOf(eventShape),
};
