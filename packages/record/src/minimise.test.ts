import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { encodeEvent } from './encode.ts';
import { eventWith, sampleEvent } from './event.fixture.ts';
import type { Event } from './event.ts';
import { eventShape } from './event-schema.ts';
import { defaultMinimisation, type MinimisationPolicy, minimise } from './minimise.ts';
import { parseEvent } from './parse.ts';
import { scrubPointer, scrubQueryName, scrubReason, scrubRoute, scrubUserAgent } from './scrub.ts';
import { arbitraryOf } from './shape.fixture.ts';

const key = new Uint8Array(32).fill(7);
const policies: readonly MinimisationPolicy[] = [
  defaultMinimisation,
  { ...defaultMinimisation, changes: { kind: 'hash', key }, patientsMax: 2, targetsMax: 1, changesMax: 1 },
  { ...defaultMinimisation, changes: { kind: 'keep' } },
];

test('minimising is idempotent, and what it returns is an event', () => {
  fc.assert(
    fc.property(arbitraryOf(eventShape), fc.constantFrom(...policies), (event, policy) => {
      const once = minimise(event as Event, policy);
      assert.deepEqual(minimise(once, policy), once);
      assert.deepEqual(parseEvent(once), once);
    }),
    { numRuns: 300 },
  );
});

test('an event without free text stays as it is', () => {
  assert.deepEqual(minimise(sampleEvent), sampleEvent);
});

test('the event given is not changed', () => {
  const event = eventWith({ outcome: { status: 'failed', reason: 'patient John Sample not found' } });
  const before = structuredClone(event);
  minimise(event);
  assert.deepEqual(event, before);
});

test('a reason keeps machine codes and harmless words, and loses names, dates and numbers', () => {
  const cases: readonly (readonly [string, string | undefined])[] = [
    ['policy-denied', 'policy-denied'],
    ['no-care-team', 'no-care-team'],
    ['invalid_token', 'invalid_token'],
    ['Token expired', 'Token expired'],
    ['Patient John Sample not found', 'Patient … not found'],
    ['patient john.sample@example.org is unknown', 'patient … is unknown'],
    ['record 12345678 is locked', 'record … is locked'],
    ['mrn-00012345', undefined],
    ['born 1970-01-01', undefined],
    ['upstream answered 503', 'upstream … 503'],
    ['Sample, Jane', undefined],
  ];
  for (const [given, kept] of cases) assert.equal(scrubReason(given), kept, given);
});

test('a user agent keeps products, versions and platforms', () => {
  const chrome =
    'Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.6478.127 Safari/537.36';
  assert.equal(
    scrubUserAgent(chrome),
    'Mozilla/5.0 (X11; Linux) AppleWebKit/537.36 Chrome/126.0.6478.127 Safari/537.36',
  );
  assert.equal(scrubUserAgent('curl/8.5.0'), 'curl/8.5.0');
  assert.equal(scrubUserAgent('EhrSync/2.1 (Jane Sample; jane@example.org)'), 'EhrSync/2.1');
  assert.equal(scrubUserAgent('Patient/123456789'), 'Patient');
  assert.equal(scrubUserAgent('(Jane Sample)'), undefined);
});

test('a route that is no template becomes one', () => {
  assert.equal(scrubRoute('/fhir/Patient/{id}'), '/fhir/Patient/{id}');
  assert.equal(scrubRoute('/fhir/Patient/{id}/$everything'), '/fhir/Patient/{id}/$everything');
  assert.equal(scrubRoute('/api/v1/patients/:patientId/notes'), '/api/v1/patients/:patientId/notes');
  assert.equal(scrubRoute('/fhir/Patient/wg-pt-000417'), '/fhir/Patient/{id}');
  assert.equal(scrubRoute('/fhir/Patient?name=Sample'), '/fhir/Patient');
  assert.equal(scrubRoute('/patients/Jane%20Sample#x'), '/patients/{id}');
  assert.equal(scrubRoute('?mrn=1'), undefined);
});

test('names of query parameters that look like values go', () => {
  for (const name of ['_count', 'subject:Patient.name', '_has:Observation:patient:code', 'code']) {
    assert.equal(scrubQueryName(name), name);
  }
  for (const name of ['12345678', 'Jane Sample', 'jane@example.org', 'mrn12345', ''])
    assert.equal(scrubQueryName(name), '{value}');
});

test('a pointer keeps names of fields and positions', () => {
  assert.equal(scrubPointer('/name/0/family'), '/name/0/family');
  assert.equal(scrubPointer('/byMrn/00012345/name'), '/byMrn/{key}/name');
});

test('device, network, justification and fields are kept only as references', () => {
  const event = minimise(
    eventWith({
      source: { device: "Jane's phone", network: 'ward-3' },
      purpose: { code: 'BTG', justification: 'The patient was unconscious' },
      targets: [{ type: 'Patient', fields: ['name[0].family', 'Jane Sample'] }],
      request: { id: 'a b c' },
    }),
  );
  assert.deepEqual(event.source, { network: 'ward-3' });
  assert.deepEqual(event.purpose, { code: 'BTG' });
  assert.deepEqual(event.targets, [{ type: 'Patient', fields: ['name[0].family'] }]);
  assert.deepEqual(event.request, {});
});

test('values of changes go, are hashed under a key, or stay', () => {
  const changes = [{ path: '/name/0/family', op: 'replace', before: 'Sample', after: 'Specimen' }] as const;
  const event = eventWith({ changes });
  const [gone, hashed, kept] = policies.map((policy) => minimise(event, policy).changes?.[0]);
  assert.deepEqual(gone, { path: '/name/0/family', op: 'replace' });
  assert.match(hashed?.before ?? '', /^hmac-sha256:[0-9a-f]{64}$/);
  assert.notEqual(hashed?.before, hashed?.after);
  assert.deepEqual(kept, changes[0]);
});

test('patients above the bound are cut off, and the event says so', () => {
  const patients = Array.from({ length: 10 }, (_, i) => ({ id: `p-${i}` }));
  const { exposure } = minimise(eventWith({ exposure: { patients } }), { ...defaultMinimisation, patientsMax: 4 });
  assert.equal(exposure?.patients?.length, 4);
  assert.equal(exposure?.truncated, true);
});

test('an event with the longest lists fits a record, and says what it left out', () => {
  const patients = Array.from({ length: 1024 }, (_, i) => ({
    id: `patient-with-a-rather-long-identifier-${i}`,
    classes: ['demographics', 'results', 'medications'] as const,
    count: 12,
  }));
  const targets = patients.slice(0, 256).map(({ id }) => ({ type: 'Observation', id, patient: id }));
  const changes = new Array(256).fill({ path: '/a', op: 'replace', before: 'x'.repeat(4096) });
  const event = minimise(eventWith({ exposure: { patients }, targets, changes }), policies[2]);
  assert.ok(encodeEvent(event).length <= defaultMinimisation.bytesMax);
  assert.equal(event.exposure?.truncated, true);
  assert.ok((event.exposure?.patients?.length ?? 0) > 300);
  assert.deepEqual(minimise(event, policies[2]), event);
});

test('an event that is minimal already is returned itself, and one that is not stays as it was', () => {
  const minimal = minimise(sampleEvent);
  assert.equal(minimise(minimal), minimal);
  const before = JSON.stringify(sampleEvent);
  assert.notEqual(minimise(eventWith({ outcome: { status: 'failed', reason: 'Mrs Canary complained' } })), sampleEvent);
  assert.equal(JSON.stringify(sampleEvent), before);
});
