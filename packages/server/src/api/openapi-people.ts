/** The part of the API's description about who and what may write and read: write keys, people, key-encryption keys. */
import {
  answer,
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
} from './openapi-words.ts';

const whose: Json = {
  enum: ['installation', 'tenant'],
  description: 'The keys that tenants share (the operator’s), or those a tenant brought.',
};

export const peoplePaths: Readonly<Record<string, Readonly<Record<string, Operation>>>> = {
  '/v1/write-keys': {
    get: {
      summary: 'The write keys of the tenant, without their secrets.',
      security: signedIn,
      parameters: [tenantParameter],
      responses: { '200': answer('The keys.', object({ keys: list(ref('WriteKey')) })), ...problems(401, 403, 503) },
    },
    post: {
      summary: 'Make a write key. Its secret is shown here once.',
      security: signedIn,
      requestBody: body(object({ name: text, emitter: text, tenant: text }, ['name', 'emitter'])),
      responses: {
        '201': answer('The key.', { allOf: [ref('WriteKey'), object({ secret: text })] }),
        ...problems(401, 403, 422, 503),
      },
    },
  },
  '/v1/write-keys/{id}': {
    delete: {
      summary: 'Revoke a write key.',
      security: signedIn,
      parameters: [path('id'), tenantParameter],
      responses: { '204': { description: 'Revoked.' }, ...problems(401, 403, 404, 503) },
    },
  },
  '/v1/people/{id}/reset': {
    post: {
      summary: 'Reset a person: every second factor goes, sessions end. The operator only.',
      security: signedIn,
      parameters: [path('id'), tenantParameter],
      responses: {
        '200': answer(
          'The new password, shown this once.',
          object({ id: { type: 'string' }, password: { type: 'string' } }),
        ),
        ...problems(401, 403, 404, 503),
      },
    },
  },
  '/v1/people/{id}/disable': {
    post: {
      summary:
        'Disable a person: nobody signs in as them, and what they are signed in to ends, at every application and gateway.',
      security: signedIn,
      parameters: [path('id'), tenantParameter],
      responses: { '204': { description: 'Disabled.' }, ...problems(401, 403, 404, 503) },
    },
  },
  '/v1/people/{id}/sign-out': {
    post: {
      summary: 'End what a person is signed in to, at every application and gateway.',
      security: signedIn,
      parameters: [path('id'), tenantParameter],
      responses: { '204': { description: 'Ended.' }, ...problems(401, 403, 404, 503) },
    },
  },
  '/v1/people/{id}/fhir-user': {
    post: {
      summary: 'Say who a person is in the FHIR API: of a patient, whose record is theirs. The operator only.',
      security: signedIn,
      parameters: [path('id'), tenantParameter],
      requestBody: body(object({ fhirUser: text, tenant: text }, ['fhirUser'])),
      responses: { '200': answer('The person.', ref('Person')), ...problems(401, 403, 404, 422, 503) },
    },
  },
  '/v1/people': {
    get: {
      summary: 'The people of the tenant at the embedded identity provider.',
      security: signedIn,
      parameters: [tenantParameter],
      responses: { '200': answer('The people.', object({ people: list(ref('Person')) })), ...problems(401, 403, 503) },
    },
    post: {
      summary: 'Add a person. The operator alone may; the password is shown here once.',
      security: signedIn,
      requestBody: body(
        object({ username: text, name: text, roles: list(text), department: text, fhirUser: text, tenant: text }, [
          'username',
          'name',
          'roles',
        ]),
      ),
      responses: {
        '201': answer('The person.', { allOf: [ref('Person'), object({ password: text })] }),
        ...problems(401, 403, 422, 503),
      },
    },
  },
  '/v1/keys': {
    get: {
      summary: 'The key-encryption keys, how many files lie under each, and how far wrapping anew is.',
      security: signedIn,
      parameters: [tenantParameter],
      responses: {
        '200': answer(
          'The keys.',
          object({ keys: list(ref('Kek')), rewrap: { anyOf: [ref('Rewrap'), { type: 'null' }] } }),
        ),
        ...problems(401, 403, 503),
      },
    },
  },
  '/v1/keys/rotate': {
    post: {
      summary: 'Make another key current: the one named, or a fresh one. What older keys wrapped stays readable.',
      security: signedIn,
      requestBody: body(object({ of: whose, key: text, tenant: text }, ['of'])),
      responses: {
        '200': answer('The key before, and the current one.', object({ from: { type: ['string', 'null'] }, to: text })),
        ...problems(401, 403, 409, 422, 503),
      },
    },
  },
  '/v1/keys/rewrap': {
    post: {
      summary:
        'Begin to wrap everything under the current key. GET /v1/keys says how far it is; asking again goes on where it ended.',
      security: signedIn,
      requestBody: body(object({ of: whose, tenant: text }, ['of'])),
      responses: { '202': answer('Begun.', object({ rewrap: ref('Rewrap') })), ...problems(401, 403, 422, 429, 503) },
    },
  },
};
