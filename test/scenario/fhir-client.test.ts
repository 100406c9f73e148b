/** A FHIR client that others made reads, searches, pages, creates, batches and exports through the gateway, in front of the example hospital. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';

import { MedplumClient } from '@medplum/core';
import { createFhirHandler } from '../../examples/hospital/src/fhir/handler.ts';
import { type FhirServer, serveFhir } from '../../examples/hospital/src/fhir/http.ts';
import { Store } from '../../examples/hospital/src/fhir/store.ts';
import { eventsOf, type Road, startRoad } from '../../packages/gateway/src/gateway.fixture.ts';

const patientsCount = 25;
const policy = `
version: 1
roles:
  physician:
    allow:
      - {interactions: [read, vread, search, history, create, update], types: ['*']}
      - {operations: [$export, $everything], types: ['*']}
      - {interactions: [batch, capabilities]}
`;

let hospital: FhirServer;
let road: Road;
let client: MedplumClient;

before(async () => {
  const now = (): Date => new Date('2026-03-04T12:00:00Z');
  const store = new Store(now);
  for (let n = 0; n < patientsCount; n++)
    store.load({ resourceType: 'Patient', id: `p-${n}`, name: [{ family: 'Tester' }], gender: 'other' });
  hospital = await serveFhir({
    handler: createFhirHandler(store, now),
    host: '127.0.0.1',
    port: 0,
    onFailure: () => assert.fail('the hospital failed'),
  });
  road = await startRoad({ policy, config: { upstream: { url: hospital.url, timeoutMs: 5_000 } } });
  const token = await road.issuer.mint({ scope: 'system/*.cruds' });
  client = new MedplumClient({
    baseUrl: `${road.gateway.url}/`,
    fhirUrlPath: 'fhir',
    cacheTime: 0,
    accessToken: token,
    fetch,
  });
});
after(async () => {
  await road?.close();
  await hospital?.[Symbol.asyncDispose]();
});

test('a patient is read', async () => {
  const patient = await client.readResource('Patient', 'p-3');
  assert.equal(patient.name?.[0]?.family, 'Tester');
  assert.deepEqual(
    (await eventsOf(road)).at(-1)?.exposure?.patients?.map(({ id }) => id),
    ['p-3'],
  );
});

test('all pages of a search come through the gateway', async () => {
  const seen = new Set<string>();
  for await (const page of client.searchResourcePages('Patient', { _count: '10' }))
    for (const { id } of page) seen.add(id as string);
  assert.equal(seen.size, patientsCount);
  const found = (await eventsOf(road)).filter(({ operation }) => operation === 'search-type');
  assert.equal(found.length, 3);
  assert.equal(
    new Set(found.flatMap(({ exposure }) => exposure?.patients?.map(({ id }) => id) ?? [])).size,
    patientsCount,
  );
});

test('what is created is recorded, alone and in a batch', async () => {
  const made = await client.createResource({
    resourceType: 'Observation',
    status: 'final',
    code: { text: 'weight' },
    subject: { reference: 'Patient/p-3' },
  });
  assert.ok(made.id);
  const event = (await eventsOf(road)).at(-1);
  assert.deepEqual([event?.operation, event?.targets?.[0]?.patient], ['create', 'p-3']);
  const answer = await client.executeBatch({
    resourceType: 'Bundle',
    type: 'batch',
    entry: [{ request: { method: 'GET', url: 'Patient/p-1' } }, { request: { method: 'GET', url: 'Patient/p-2' } }],
  });
  assert.deepEqual(
    answer.entry?.map((entry: { response?: { status?: string } }) => entry.response?.status),
    ['200', '200'],
  );
  assert.deepEqual(
    (await eventsOf(road)).slice(-3).map(({ operation }) => operation),
    ['batch', 'read', 'read'],
  );
});

test('a bulk export is begun, awaited and fetched, and everybody in its files is on record', async () => {
  const seen = (await eventsOf(road)).length;
  const manifest = await client.bulkExport('', 'Patient', undefined, {
    pollStatusOnAccepted: true,
    pollStatusPeriod: 10,
  });
  const [file] = manifest.output ?? [];
  assert.equal(file?.type, 'Patient');
  assert.ok(file?.url?.startsWith(`${road.gateway.url}/fhir/_export/`));
  const blob = await client.download(file?.url as string);
  assert.equal((await blob.text()).trim().split('\n').length, patientsCount);
  const events = (await eventsOf(road)).slice(seen);
  assert.deepEqual(
    events.map(({ operation }) => operation),
    ['$export', 'export-status', 'export-status', 'export-file'],
  );
  assert.equal(events.at(-1)?.exposure?.patients?.length, patientsCount);
  assert.equal(events.at(-1)?.exposure?.truncated, undefined);
});
