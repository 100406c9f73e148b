/** The paths of retention and legal holds in the description of the API. */
import { retentionClasses } from '@watchglass/record';
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
  whole,
} from './openapi-words.ts';

const moment: Json = { type: 'string', format: 'date-time' };
const unitName: Json = { type: 'string', description: 'A class and the number of an epoch: `access-674`.' };

const unit = object({
  unit: unitName,
  class: { enum: retentionClasses },
  epoch: whole,
  ended: moment,
  days: whole,
  events: whole,
  bytes: whole,
  first: whole,
  last: whole,
  oldest: moment,
  newest: moment,
  ranges: text,
  seeds: list(object({ name: text, sha256: text })),
  keks: list(text),
  held: list(object({ hold: text, events: whole })),
});
const proposal = object({
  id: text,
  tenant: text,
  about: {
    oneOf: [
      object({ kind: { const: 'shred' }, units: list(object({ unit: unitName, events: whole, days: whole })) }),
      object({ kind: { const: 'hold-release' }, hold: text }),
    ],
  },
  plan: { type: 'string', description: 'What is approved: send it back as you saw it.' },
  by: text,
  proposedAt: { type: 'integer', description: 'Index of the event that says so.' },
  approvedAt: { type: ['integer', 'null'] },
  at: moment,
  expires: moment,
  approvedBy: { type: ['string', 'null'] },
  orderedBy: { type: ['string', 'null'] },
  state: { enum: ['proposed', 'approved', 'ordered', 'done'] },
});
const policy = object({
  class: { enum: retentionClasses },
  configured: { type: ['string', 'integer'] },
  days: { type: ['integer', 'null'], description: 'In force; null for the life of the record.' },
  unconfirmed: { type: 'boolean' },
});
const hold = object({
  id: text,
  criteria: { type: 'object', description: 'As it was added, the patient by pseudonym.' },
  matter: text,
  reason: text,
  by: text,
  added: moment,
  kept: list(object({ unit: unitName, events: whole })),
});
const done = object({
  unit: unitName,
  events: whole,
  evidence: { type: 'integer', description: 'Index of the event that says so.' },
  keys: list(object({ kek: text, state: { enum: ['destroyed', 'pending'] }, until: moment }, ['kek', 'state'])),
});
const tenantOnly = body(object({ tenant: text }, []));

export const retentionPaths: Readonly<Record<string, Readonly<Record<string, Operation>>>> = {
  '/v1/retention': {
    get: {
      summary: 'How long each class is kept, proposals, and what was shredded.',
      security: signedIn,
      parameters: [tenantParameter],
      responses: {
        '200': answer(
          'What is in force and under way.',
          object({
            tenant: text,
            policies: list(policy),
            proposals: list(proposal),
            shredded: list(object({ unit: unitName, events: whole, evidence: { type: ['integer', 'null'] } })),
          }),
        ),
        ...problems(401, 403, 503),
      },
    },
  },
  '/v1/retention/plan': {
    get: {
      summary:
        'The dry run: what would go, now or at a moment. Opens every record where there are holds, and changes nothing.',
      security: signedIn,
      parameters: [
        tenantParameter,
        { name: 'at', in: 'query', schema: { type: 'string', description: 'A date or RFC 3339; now unless given.' } },
      ],
      responses: {
        '200': answer(
          'The plan; `hash` is over all of `units`.',
          object({ tenant: text, at: moment, hash: text, units: list(unit), heldWhole: list(unit) }),
        ),
        ...problems(400, 401, 403, 409, 503),
      },
    },
  },
  '/v1/retention/confirm': {
    post: {
      summary:
        'Confirm a configured retention of fewer than six years. Takes a person with a strong and recent sign-in.',
      security: signedIn,
      requestBody: body(object({ tenant: text, class: { enum: retentionClasses }, days: whole }, ['class', 'days'])),
      responses: { '200': answer('The policy, in force now.', policy), ...problems(401, 403, 422, 503) },
    },
  },
  '/v1/retention/proposals': {
    post: {
      summary:
        'Propose that units go: all that are over, or those named. Takes a person with a strong and recent sign-in.',
      security: signedIn,
      requestBody: body(object({ tenant: text, units: list(unitName), plan: text }, [])),
      responses: { '201': answer('The proposal.', proposal), ...problems(401, 403, 409, 422, 503) },
    },
  },
  '/v1/retention/proposals/{id}/approve': {
    post: {
      summary: 'Approve what somebody else proposed, as you saw it.',
      security: signedIn,
      parameters: [path('id')],
      requestBody: body(object({ tenant: text, plan: text }, ['plan'])),
      responses: { '200': answer('The proposal.', proposal), ...problems(401, 403, 404, 409, 422, 503) },
    },
  },
  '/v1/retention/proposals/{id}/execute': {
    post: {
      summary: 'Carry out what two people approved. For good.',
      security: signedIn,
      parameters: [path('id')],
      requestBody: tenantOnly,
      responses: {
        '200': answer('What is over, with its evidence.', { allOf: [proposal, object({ shredded: list(done) })] }),
        ...problems(401, 403, 404, 409, 422, 503),
      },
    },
  },
  '/v1/holds': {
    get: {
      summary: 'Legal holds that are on.',
      security: signedIn,
      parameters: [tenantParameter],
      responses: { '200': answer('Holds.', object({ holds: list(hold) })), ...problems(401, 403, 409, 503) },
    },
    post: {
      summary: 'Add a legal hold: what it is about stays readable whatever is shredded.',
      security: signedIn,
      requestBody: body(
        object(
          {
            tenant: text,
            patient: { type: 'string', description: 'The plain id.' },
            actor: text,
            first: whole,
            last: whole,
            class: { enum: retentionClasses },
            operation: text,
            from: moment,
            to: moment,
            matter: text,
            reason: text,
          },
          ['matter', 'reason'],
        ),
      ),
      responses: { '201': answer('The hold.', hold), ...problems(401, 403, 422, 503) },
    },
  },
  '/v1/holds/{id}/release': {
    post: {
      summary: 'Propose that a hold ends; somebody else approves it, and then it is carried out like a shred.',
      security: signedIn,
      parameters: [path('id')],
      requestBody: tenantOnly,
      responses: { '201': answer('The proposal.', proposal), ...problems(401, 403, 404, 409, 422, 503) },
    },
  },
};
