/** Ending what somebody is signed in to, and saying whose record a patient's is. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { AccessEnd } from '../access/access.ts';
import { indexed, startTestServer, type TestServer } from './server.fixture.ts';

async function post(
  server: TestServer,
  token: string,
  url: string,
  body: object = {},
): Promise<{ status: number; text: string }> {
  const answer = await server.api.fastify.inject({
    method: 'POST',
    url,
    headers: { authorization: `Bearer ${token}` },
    payload: body,
  });
  return { status: answer.statusCode, text: answer.body };
}

test('an administrator signs people out and disables them; each is told to who listens, and is on record', async () => {
  await using server = await startTestServer();
  const ended: AccessEnd[] = [];
  server.access.people.onEnd((end) => ended.push(end));
  const person = { username: 'p.gone', name: 'P. Gone', roles: ['nurse'], fhirUser: 'Practitioner/17' };
  const added = await post(server, server.operator, '/v1/people', person);
  assert.equal(added.status, 201, added.text);
  const { id, password, fhirUser } = JSON.parse(added.text) as { id: string; password: string; fhirUser: string };
  assert.equal(fhirUser, 'Practitioner/17');

  const administrator = await server.token('administrator');
  const auditor = await server.token('auditor');
  for (const word of ['sign-out', 'disable']) {
    assert.equal((await post(server, auditor, `/v1/people/${id}/${word}`)).status, 403);
    assert.equal((await post(server, administrator, `/v1/people/nobody/${word}`)).status, 404);
    assert.equal((await post(server, administrator, `/v1/people/${id}/${word}`)).status, 204);
  }
  assert.deepEqual(ended, [
    { person: id, of: 'everything' },
    { person: id, of: 'everything' },
  ]);
  assert.equal((await server.access.people.signIn({ username: 'p.gone', password })).kind, 'refused');
  await indexed(server);
  const officer = await server.token('privacy-officer');
  for (const operation of ['person-signed-out', 'person-disabled', 'person-sign-out', 'person-disable']) {
    const found = await post(server, officer, '/v1/events/search', { operation, outcome: 'success' });
    assert.equal((JSON.parse(found.text) as { count: number }).count, 1, operation);
  }
});

test('only the operator says who a person is in the FHIR API, and no text but a reference will do', async () => {
  await using server = await startTestServer();
  const person = { username: 'p.own', name: 'P. Own', roles: ['patient'] };
  const { id } = JSON.parse((await post(server, server.operator, '/v1/people', person)).text) as { id: string };
  const url = `/v1/people/${id}/fhir-user`;
  const administrator = await server.token('administrator');
  assert.equal((await post(server, administrator, url, { fhirUser: 'Patient/17' })).status, 403);
  for (const fhirUser of [
    'Patient/',
    'Patient/a b',
    'Observation/1',
    'https://evil.example/Patient/1',
    '',
    7,
    undefined,
  ])
    assert.equal((await post(server, server.operator, url, { fhirUser })).status, 422, String(fhirUser));
  assert.equal(
    (await post(server, server.operator, '/v1/people', { ...person, username: 'x', fhirUser: 'x' })).status,
    422,
  );
  const set = await post(server, server.operator, url, { fhirUser: 'Patient/17' });
  assert.deepEqual([set.status, (JSON.parse(set.text) as { fhirUser: string }).fhirUser], [200, 'Patient/17']);
  assert.equal(server.access.people.get(id)?.fhirUser, 'Patient/17');
});
