import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { request } from 'undici';
import { readBulk } from './bulk.ts';
import { textAt, valuesAt } from './resource.ts';
import { startHospital } from './serve.ts';
import { type Day, parseDay } from './world/calendar.ts';

const today = parseDay('2026-03-04') as Day;

async function folder(t: TestContext, files: Readonly<Record<string, readonly unknown[] | string>>): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), 'hospital-bulk-'));
  t.after(() => rm(directory, { recursive: true, force: true }));
  for (const [name, lines] of Object.entries(files))
    await writeFile(
      join(directory, name),
      typeof lines === 'string' ? lines : lines.map((line) => `${JSON.stringify(line)}\n`).join(''),
    );
  return directory;
}

const tiny = {
  'Patient.000.ndjson': [
    { resourceType: 'Patient', id: '7d1e', name: [{ family: 'Bulk', given: ['Ada'] }], birthDate: '1970-02-03' },
    {
      resourceType: 'Patient',
      id: '9c2f',
      name: [{ family: 'Bulk', given: ['Ben'] }],
      birthDate: '1999-12-31',
      deceasedBoolean: true,
    },
  ],
  'Practitioner.000.ndjson': [
    { resourceType: 'Practitioner', id: 'dr1', identifier: [{ system: 'urn:npi', value: '42' }] },
  ],
  'Encounter.000.ndjson': [
    {
      resourceType: 'Encounter',
      id: 'enc1',
      status: 'finished',
      subject: { reference: 'urn:uuid:7d1e' },
      participant: [{ individual: { reference: 'Practitioner?identifier=urn:npi|42' } }],
    },
  ],
  'Condition.001.ndjson': [
    {
      resourceType: 'Condition',
      id: 'c1',
      subject: { reference: 'https://elsewhere.example/r4/Patient/7d1e' },
      encounter: { reference: 'Encounter/enc1/_history/3' },
    },
    { resourceType: 'Condition', id: 'c2', subject: { reference: 'urn:uuid:unknown' } },
  ],
  'log.ndjson': [{ exportId: 'x' }],
};

const options = {
  seed: 'bulk',
  today,
  patients: 1,
  staff: 14,
  host: '127.0.0.1',
  port: 0,
  now: () => new Date('2026-03-04T12:00:00Z'),
  onFailure: assert.ifError,
};

test('bulk files become records whose references are local', async (t) => {
  const resources = await readBulk(await folder(t, tiny));
  const byId = new Map(resources.map((one) => [one.id, one]));
  assert.equal(resources.length, 6);
  assert.equal(textAt(byId.get('enc1'), 'subject.reference'), 'Patient/7d1e');
  assert.equal(textAt(byId.get('enc1'), 'participant.individual.reference'), 'Practitioner/dr1');
  assert.equal(textAt(byId.get('c1'), 'subject.reference'), 'Patient/7d1e');
  assert.equal(textAt(byId.get('c1'), 'encounter.reference'), 'Encounter/enc1');
  assert.equal(textAt(byId.get('c2'), 'subject.reference'), 'urn:uuid:unknown');
});

test('a directory without bulk files, and a line that is no resource, are named', async (t) => {
  await assert.rejects(readBulk(await folder(t, { 'log.ndjson': '{}' })), /expected files such as Patient.000.ndjson/);
  await assert.rejects(
    readBulk(await folder(t, { 'Patient.000.ndjson': '\n{"resourceType":"Patient"}\n' })),
    /Patient with an id in Patient.000.ndjson:2/,
  );
  await assert.rejects(
    readBulk(await folder(t, { 'Patient.000.ndjson': '{"secret' })),
    (error: Error) => !error.message.includes('secret'),
  );
});

test('records from files are served with staff, appointments and care teams around them', async (t) => {
  await using hospital = await startHospital({ ...options, data: await folder(t, tiny) });
  const get = async (path: string): Promise<unknown> => (await request(`${hospital.url}/fhir/${path}`)).body.json();
  assert.deepEqual(valuesAt(await get('Condition?patient=7d1e'), 'entry.resource.id'), ['c1']);
  assert.deepEqual(valuesAt(await get('CareTeam?patient=7d1e'), 'entry.resource.id'), ['wg-team-d0001']);
  assert.deepEqual(hospital.roster.patients, ['7d1e', '9c2f']);
  assert.equal(hospital.roster.staff.length, 14);
  assert.deepEqual(hospital.roster.marked.deceased, ['9c2f']);
  assert.ok(Object.values(hospital.roster.worklists).some((worklist) => worklist.panel.includes('7d1e')));
});

const reference = fileURLToPath(new URL('../../../../shared/reference/synthea/synthea-bulk-10', import.meta.url));

test('real-shaped records are served with every compartment whole', async (t) => {
  if (!existsSync(reference)) {
    t.skip('../shared/reference/synthea is not here');
    return;
  }
  await using hospital = await startHospital({ ...options, data: reference });
  const get = async (path: string): Promise<unknown> => (await request(`${hospital.url}/fhir/${path}`)).body.json();
  let conditions = 0;
  for (const patient of hospital.roster.patients) {
    const found = await get(`Condition?patient=${patient}&_summary=count`);
    conditions += Number(valuesAt(found, 'total')[0]);
    assert.equal(textAt(await get(`Patient/${patient}`), 'id'), patient);
  }
  assert.equal(conditions, Number(valuesAt(await get('Condition?_summary=count'), 'total')[0]));
  assert.ok(hospital.roster.patients.length >= 10 && conditions > 100);
});
