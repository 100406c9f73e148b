/**
 * The description of the API (OpenAPI 3.1). Written by hand, because it says more than types do; a test holds its paths equal to the routes.
 */

import { eventActions, eventKinds, eventSchema, outcomeStatuses } from '@watchglass/record';
import { serverErrors } from '../errors.ts';
import { bucketsMax, limitMax } from '../review/query.ts';
import { findings } from './event-review-route.ts';
import { completenessPaths } from './openapi-completeness.ts';
import { decisionPaths } from './openapi-decisions.ts';
import { logPaths } from './openapi-log.ts';
import { peoplePaths } from './openapi-people.ts';
import { retentionPaths } from './openapi-retention.ts';
import {
  answer,
  base64,
  body,
  type Json,
  list,
  type Operation,
  object,
  path,
  problems,
  ref,
  signedIn,
  tenantParameter,
  text,
  textOf,
  whole,
} from './openapi-words.ts';

const filters: Readonly<Record<string, Json>> = {
  tenant: tenantParameter.schema as Json,
  actor: { type: 'string', description: 'Actor id, exactly.' },
  patient: {
    type: 'string',
    description:
      'Bare id, `Patient/id`, or a pseudonym as results show it. In a URL it may end up in logs on the way: prefer POST.',
  },
  resource: { type: 'string', description: '`Type` or `Type/id`; the id may be a pseudonym.' },
  kind: { enum: eventKinds },
  action: { enum: eventActions },
  operation: text,
  outcome: { enum: outcomeStatuses },
  from: { type: 'string', format: 'date-time', description: 'Time of the event, inclusive.' },
  to: { type: 'string', format: 'date-time', description: 'Time of the event, exclusive.' },
  q: {
    type: 'string',
    description: 'A part of an actor, operation, route, client, address or type; or exactly a patient or `Type/id`.',
  },
};
const paging: Readonly<Record<string, Json>> = {
  cursor: { type: 'string', description: 'The `next` of the page before, with the same filters.' },
  limit: { type: 'integer', minimum: 1, maximum: limitMax, default: 50 },
};
const parameters = (given: Readonly<Record<string, Json>>): readonly Json[] =>
  Object.entries(given).map(([name, schema]) => ({ name, in: 'query', schema }));
const unindexed: Json = {
  type: 'integer',
  minimum: 1,
  description: 'Present where entries of the log are not in the index yet: that many may be missing here.',
};

const search: Json = object(
  {
    events: list(ref('ReviewEvent')),
    people: ref('People'),
    next: { type: ['string', 'null'] },
    count: whole,
    countTruncated: { const: true },
    unindexed,
  },
  ['events', 'people', 'next', 'count'],
);

const paths: Readonly<Record<string, Readonly<Record<string, Operation>>>> = {
  '/v1/events': {
    post: {
      summary: 'Store events: one, an array, or a line each. All or nothing; answered once durable.',
      security: [{ writeKey: [] }],
      requestBody: {
        required: true,
        content: {
          'application/json': { schema: { oneOf: [ref('EventDraft'), list(ref('EventDraft'))] } },
          'application/x-ndjson': { schema: text },
        },
      },
      responses: {
        '201': answer(
          'Durable; the checkpoint covers every index.',
          object({ receipts: list(object({ id: text, index: whole, leaf: base64 })), checkpoint: text }),
        ),
        ...problems(400, 401, 408, 409, 413, 415, 422, 429, 503),
      },
    },
    get: {
      summary: 'Search, newest first. Recorded before it is answered.',
      security: signedIn,
      parameters: parameters({ ...filters, ...paging }),
      responses: { '200': answer('A page.', search), ...problems(400, 401, 403, 429, 503) },
    },
  },
  '/v1/events/search': {
    post: {
      summary: 'Search with the filters in the body, so that no identifier stands in a URL.',
      security: signedIn,
      requestBody: body({ type: 'object', properties: { ...filters, ...paging }, additionalProperties: false }),
      responses: { '200': answer('A page.', search), ...problems(400, 401, 403, 413, 415, 429, 503) },
    },
  },
  '/v1/events/summary': {
    post: {
      summary: 'Counts over time by outcome, and the most frequent values.',
      security: signedIn,
      requestBody: body({
        type: 'object',
        properties: { ...filters, buckets: { type: 'integer', minimum: 1, maximum: bucketsMax } },
        additionalProperties: false,
      }),
      responses: { '200': answer('The summary.', ref('Summary')), ...problems(400, 401, 403, 413, 415, 429, 503) },
    },
  },
  '/v1/events/tail': {
    get: {
      summary:
        'Server-sent events: each `data` is an event, `id` its index. One record when it opens, one when it closes.',
      security: signedIn,
      parameters: [tenantParameter],
      responses: {
        '200': { description: 'A stream.', content: { 'text/event-stream': { schema: text } } },
        ...problems(401, 403, 429, 503),
      },
    },
  },
  '/v1/events/{index}': {
    get: {
      summary: 'One event, with its leaf hash.',
      security: signedIn,
      parameters: [path('index', whole), tenantParameter],
      responses: { '200': answer('The event.', ref('ReviewEvent')), ...problems(400, 401, 403, 404, 503) },
    },
  },
  '/v1/events/{index}/proof': {
    get: {
      summary:
        'A tlog-proof of the event (c2sp.org/tlog-proof). With the right `open` its `extra` carries the opening: r (32 bytes) and the stored record.',
      security: signedIn,
      parameters: [path('index', whole), tenantParameter],
      responses: { '200': textOf('The proof.'), ...problems(400, 401, 403, 404, 503) },
    },
  },
  '/v1/events/{index}/review': {
    post: {
      summary:
        'What somebody found who reviewed the event, such as broken glass. Needs the right `open`; an event of its own.',
      security: signedIn,
      parameters: [path('index', whole)],
      requestBody: body(object({ finding: { enum: findings }, tenant: text }, ['finding'])),
      responses: {
        '201': answer('On record.', object({ index: whole, of: whole, finding: { enum: findings } })),
        ...problems(400, 401, 403, 404, 503),
      },
    },
  },
  '/v1/bundles': {
    post: {
      summary:
        'A bundle of evidence: events with their openings and proofs, in one HTML file that checks itself offline. Needs the right `open`; recorded, with the digest of what it discloses, before it leaves.',
      security: signedIn,
      requestBody: body({
        type: 'object',
        properties: {
          tenant: filters.tenant,
          purpose: { type: 'string', description: 'HL7 v3 PurposeOfUse.' },
          reason: { type: 'string', maxLength: 500, description: 'Stands in the bundle and, sealed, in the log.' },
          indexes: {
            ...list({ oneOf: [whole, { type: 'array', items: whole, minItems: 2, maxItems: 2 }] }),
            description: 'Indexes, and first and last of ranges. Either these or `filters`.',
          },
          filters: {
            type: 'object',
            properties: Object.fromEntries(Object.entries(filters).filter(([name]) => name !== 'tenant')),
            additionalProperties: false,
            description: 'All events that match.',
          },
          scan: {
            type: 'boolean',
            description: 'Open and compare every record of the log instead of asking the index.',
          },
          withhold: {
            ...list(text),
            maxItems: 32,
            description: 'JSON Pointers into the event, `*` for every position; of a log whose leaves are of type 2.',
          },
        },
        required: ['purpose', 'reason'],
        additionalProperties: false,
      }),
      responses: {
        '200': { description: 'The file (docs/bundle.md).', content: { 'text/html': { schema: text } } },
        ...problems(400, 401, 403, 404, 413, 415, 422, 429, 503),
      },
    },
  },
  '/v1/session': {
    get: {
      summary: 'Who is signed in.',
      responses: { '200': answer('`signedIn` is false where nobody is.', ref('Session')) },
    },
  },
  '/v1/status': {
    get: {
      summary:
        'The ledger, the index, the intake, the emitters. Answers even when the ledger takes no records, and says why it does not.',
      security: signedIn,
      parameters: [tenantParameter],
      responses: { '200': answer('The status.', { type: 'object' }), ...problems(401, 403) },
    },
  },
  ...peoplePaths,
  ...retentionPaths,
  '/auth/login': {
    get: {
      summary: 'Begin signing in to the console.',
      parameters: [{ name: 'to', in: 'query', schema: text, description: 'Path to come back to.' }],
      responses: { '302': { description: 'To the identity provider.' }, ...problems(404, 503) },
    },
  },
  '/auth/callback': {
    get: {
      summary: 'Where the identity provider sends the browser back to.',
      responses: { '302': { description: 'Signed in.' }, ...problems(401, 503) },
    },
  },
  '/auth/logout': {
    post: {
      summary: 'Sign out.',
      security: [{ session: [] }],
      responses: { '204': { description: 'Signed out.' }, ...problems(403, 503) },
    },
  },
  ...completenessPaths,
  ...decisionPaths,
  ...logPaths,
  '/healthz': {
    get: { summary: 'Whether the process runs.', responses: { '200': answer('It does.', { type: 'object' }) } },
  },
  '/readyz': {
    get: {
      summary: 'Whether it can do its work.',
      responses: { '200': answer('It can.', { type: 'object' }), '503': answer('It cannot.', { type: 'object' }) },
    },
  },
  '/metrics': { get: { summary: 'Figures for Prometheus.', responses: { '200': textOf('The figures.') } } },
  '/openapi.json': {
    get: { summary: 'This description.', responses: { '200': answer('OpenAPI 3.1.', { type: 'object' }) } },
  },
};

const doorFills = ['v', 'id', 'time', 'tenant', 'emitter'];

/** The document for a version of the server. */
export function openApi(version: string): Json {
  const { $schema: _schema, $id: _id, ...event } = eventSchema as Readonly<Record<string, unknown>>;
  const required = (event.required as readonly string[]).filter((name) => !doorFills.includes(name));
  return {
    openapi: '3.1.0',
    info: {
      title: 'Watchglass',
      version,
      description:
        'The audit trail of an API that touches patient data. Errors are problem+json (RFC 9457); docs/errors.md lists their codes.',
      license: { name: 'Apache-2.0', identifier: 'Apache-2.0' },
    },
    paths,
    components: {
      securitySchemes: {
        writeKey: { type: 'http', scheme: 'bearer', description: 'A write key, `wgk_…`.' },
        token: {
          type: 'http',
          scheme: 'bearer',
          description: 'An access token of the identity provider, or the operator token `wgo_…`.',
        },
        session: { type: 'apiKey', in: 'cookie', name: '__Host-watchglass' },
      },
      responses: {
        Problem: {
          description: 'What went wrong, and what to do.',
          content: { 'application/problem+json': { schema: ref('Problem') } },
        },
      },
      schemas: {
        EventDraft: {
          ...event,
          required,
          description:
            'An event of version 1. The door fills in `v`, `id`, `time`, `tenant` and `emitter` where they are left out.',
        },
        ReviewEvent: {
          type: 'object',
          description: 'A stored event, flattened; identifiers of patients and clinical resources are pseudonyms.',
          properties: {
            index: whole,
            received: { type: 'string', format: 'date-time' },
            submitter: text,
            intake: text,
            leaf: base64,
            witnessed: {
              ...whole,
              description: 'How many witnesses cosigned a checkpoint that covers it; where one event is asked for.',
            },
            people: ref('People'),
          },
          required: ['index', 'received', 'submitter', 'intake'],
        },
        People: {
          type: 'object',
          description: 'Actors who are staff known to this server, by id; never patients.',
          additionalProperties: object({ name: text, department: text }, ['name']),
        },
        Person: object(
          {
            id: text,
            username: text,
            name: text,
            tenant: text,
            roles: list(text),
            department: text,
            fhirUser: { ...text, description: 'Who they are in the FHIR API, such as `Practitioner/17`.' },
            disabled: { type: 'boolean' },
          },
          ['id', 'username', 'name', 'tenant', 'roles', 'disabled'],
        ),
        Summary: object(
          {
            count: whole,
            from: text,
            to: text,
            stepMs: whole,
            series: list(object({ time: text, success: whole, denied: whole, failed: whole, error: whole })),
            facets: { type: 'object', additionalProperties: list(object({ value: text, count: whole })) },
            people: ref('People'),
            truncated: { const: true },
            unindexed,
          },
          ['count', 'from', 'to', 'stepMs', 'series', 'facets', 'people'],
        ),
        Session: object(
          {
            signedIn: { type: 'boolean' },
            demo: { type: 'boolean' },
            person: object({ id: text, username: text, name: text, roles: list(text), rights: list(text) }),
            tenant: { type: ['string', 'null'] },
            tenants: list(text),
            vkeys: { type: 'object', additionalProperties: text },
          },
          ['signedIn', 'demo'],
        ),
        WriteKey: object(
          { id: text, tenant: text, emitter: text, name: text, created: text, createdBy: text, revoked: text },
          ['id', 'tenant', 'emitter', 'name', 'created', 'createdBy'],
        ),
        Kek: object(
          {
            id: text,
            provider: text,
            tenant: text,
            state: { enum: ['current', 'older', 'ending', 'destroyed'] },
            since: text,
            until: text,
            files: object({ seeds: whole, others: whole }),
          },
          ['id', 'provider', 'state', 'since', 'files'],
        ),
        Rewrap: object(
          {
            state: { enum: ['running', 'done', 'failed'] },
            done: whole,
            total: whole,
            rewrapped: whole,
            already: whole,
            left: whole,
            failed: list(object({ place: text, code: text, message: text })),
            error: object({ code: text, message: text }),
          },
          ['state', 'done', 'total', 'rewrapped', 'already', 'left', 'failed'],
        ),
        Problem: object(
          {
            type: text,
            title: text,
            status: whole,
            detail: { type: 'string', description: 'What was expected, what came, what to do.' },
            code: { enum: Object.keys(serverErrors) },
            requestId: text,
            errors: list(
              object(
                {
                  at: { type: 'integer', description: 'Position of the event in the body, from 0.' },
                  path: { type: 'string', description: 'JSON Pointer into the event or the request.' },
                  expected: text,
                  got: text,
                },
                ['path', 'expected', 'got'],
              ),
            ),
          },
          ['type', 'title', 'status', 'detail', 'code', 'requestId'],
        ),
      },
    },
  };
}
