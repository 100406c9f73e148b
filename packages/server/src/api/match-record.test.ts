/** Opening every record finds what the index finds, whatever is asked of whatever is in the log: the two read a record the same way. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type EventDraft, eventActions, outcomeStatuses } from '@watchglass/record';
import fc from 'fast-check';
import type { Filters } from '../indexes/filters.ts';
import { clinic, indexed, post, startTestServer, testEvent } from './server.fixture.ts';

const names = ['dr-ito', 'Dr-Ito', 'NURSE-1', 'ülker', 'İnci', 'a%b', 'wg-pt-1', 'wg-pt-2'];
const name = fc.constantFrom(...names);
const time = fc.integer({ min: 0, max: 20 }).map((minutes) => new Date(Date.now() - minutes * 60_000).toISOString());
const target = fc.record(
  { type: fc.constantFrom('Patient', 'Observation', 'Rule'), id: name, patient: fc.constantFrom('wg-pt-1', 'wg-pt-2') },
  { requiredKeys: ['type'] },
);
const events: fc.Arbitrary<Partial<EventDraft>> = fc.record(
  {
    time,
    kind: fc.constantFrom('api', 'auth', 'data', 'network'),
    action: fc.constantFrom(...eventActions),
    operation: fc.constantFrom('read', 'search-type', 'Login'),
    outcome: fc.record({ status: fc.constantFrom(...outcomeStatuses) }),
    actor: fc.record({ id: name, type: fc.constantFrom('human', 'patient'), client: fc.constant('App One') }),
    targets: fc.array(target, { maxLength: 3 }),
    exposure: fc.record({
      patients: fc.array(fc.record({ id: fc.constantFrom('wg-pt-1', 'wg-pt-3') }), { maxLength: 2 }),
    }),
    source: fc.record({ address: fc.constantFrom('10.0.0.1', '2001:db8::1') }),
    request: fc.record({ route: fc.constantFrom('/fhir/Patient/{id}', '/fhir/Observation') }),
  },
  { requiredKeys: ['kind', 'action', 'outcome', 'actor'] },
) as never;
const filters: fc.Arbitrary<Filters> = fc.record(
  {
    actor: name,
    patient: fc.constantFrom('wg-pt-1', 'wg-pt-2', 'wg-pt-3', 'nobody'),
    resource: fc.constantFrom('Patient', 'Observation', 'Patient/wg-pt-1', 'Observation/dr-ito', 'Rule/wg-pt-2'),
    kind: fc.constantFrom('api', 'auth', 'review'),
    action: fc.constantFrom(...eventActions),
    operation: fc.constantFrom('read', 'Login'),
    outcome: fc.constantFrom(...outcomeStatuses),
    fromMs: time.map(Date.parse),
    toMs: time.map(Date.parse),
    q: fc.constantFrom(
      'ITO',
      'ülk',
      'ÜLK',
      'i',
      'İ',
      'app',
      '%',
      'wg-pt-1',
      'Patient/wg-pt-1',
      '10.0',
      'fhir/pat',
      'obs',
    ),
  },
  { requiredKeys: [] },
) as never;

test('a scan and the index agree', async () => {
  const seed = 20_261_124;
  await using server = await startTestServer();
  for (const batch of fc.sample(fc.array(events, { minLength: 60, maxLength: 60 }), { seed, numRuns: 5 })) {
    const answer = await post(
      server,
      batch.map((one) => testEvent(one)),
    );
    assert.equal(answer.statusCode, 201, answer.body);
  }
  await indexed(server);
  const { size } = server.ledger.head(clinic);
  const entries = await server.ledger.read(clinic, 0, size);
  assert.equal(entries.length, size);
  let found = 0;
  for (const [whole, keep] of fc.sample(fc.tuple(filters, fc.integer({ min: 1, max: 3 })), { seed, numRuns: 300 })) {
    // Of more filters at once little is left.
    const given = Object.entries(whole);
    const asked: Filters = Object.fromEntries((keep === 2 ? given : given.reverse()).slice(0, keep));
    const byIndex = await server.indexes.find(clinic, { filters: asked, before: size, limit: size });
    const matches = server.indexes.matcher(clinic, asked);
    const byScan = entries.filter(({ m }) => matches(m)).map(({ index }) => index);
    assert.deepEqual(byScan.reverse(), byIndex.indexes, `seed ${seed}: ${JSON.stringify(asked)}`);
    found += byScan.length;
  }
  assert.ok(found > 500, 'the questions find something');
});
