/** Decisions for the gateways in the description of the API. */
import { decisionEffects, decisionSubjects } from '../respond/decisions.ts';
import {
  answer,
  body,
  type Json,
  list,
  type Operation,
  object,
  path,
  problems,
  signedIn,
  tenantParameter,
  text,
} from './openapi-words.ts';

const moment: Json = { type: 'string', format: 'date-time' };
const terms = {
  effect: { enum: decisionEffects, description: '`step-up` is for an actor only.' },
  subject: { enum: decisionSubjects },
  value: { ...text, description: 'An address or CIDR range, or an id as events have it.' },
  reason: text,
  expires: moment,
};
const decision: Json = object({ id: text, ...terms, by: text, made: moment });

export const decisionPaths: Readonly<Record<string, Readonly<Record<string, Operation>>>> = {
  '/v1/decisions': {
    get: {
      summary: 'What is decided for the gateways and in force.',
      security: signedIn,
      parameters: [tenantParameter],
      responses: {
        '200': answer('The oldest first.', object({ decisions: list(decision) })),
        ...problems(401, 403, 503),
      },
    },
    post: {
      summary:
        'Block an address, an actor, a client or a session at every gateway, or ask an actor for a better sign-in.',
      security: signedIn,
      requestBody: body(object({ tenant: text, ...terms }, Object.keys(terms))),
      responses: {
        '201': answer('In force; gateways have it within a second.', decision),
        ...problems(401, 403, 422, 503),
      },
    },
  },
  '/v1/decisions/{id}': {
    delete: {
      summary: 'Lift a decision before its end.',
      security: signedIn,
      parameters: [path('id'), tenantParameter],
      responses: { '200': answer('Lifted.', object({ id: text })), ...problems(401, 403, 404, 503) },
    },
  },
  '/v1/gateway/decisions': {
    get: {
      summary:
        'For gateways, with a write key: what is in force, once it is another than `after`; 204 where it is not within 20 s.',
      security: [{ writeKey: [] }],
      parameters: [{ name: 'after', in: 'query', schema: text, description: '`version` of the last answer.' }],
      responses: {
        '200': answer('All that is in force.', object({ version: text, decisions: list(decision) })),
        '204': { description: 'Nothing new.' },
        ...problems(400, 401, 503),
      },
    },
  },
};
