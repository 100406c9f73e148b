import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { test } from 'node:test';
import { type Roster, rosterOf } from '../roster.ts';
import { type Day, parseDay } from '../world/calendar.ts';
import { generateHospital } from '../world/hospital.ts';
import { streamOf } from '../world/prng.ts';
import { nextOf } from './bulk-read.ts';
import { scenarios } from './misuse.ts';
import type { Ask, Reply, Scene, Work } from './work.ts';

const hospital = generateHospital({ seed: 'misuse', today: parseDay('2026-03-04') as Day, patients: 60, staff: 14 });
const roster: Roster = rosterOf(hospital, hospital.resources);
const empty: Reply = {
  status: 200,
  requestId: undefined,
  etag: undefined,
  body: { resourceType: 'Bundle', entry: roster.patients.map((id) => ({ resource: { resourceType: 'Patient', id } })) },
};

function scene(roles: readonly string[], of: Roster = roster): Scene {
  const person = of.staff.find((one) => roles.includes(one.role));
  assert.ok(person !== undefined);
  const worklist = of.worklists[person.id];
  assert.ok(worklist !== undefined);
  return { person, worklist, roster: of, stream: streamOf('misuse', 'test'), now: () => '2026-03-04T12:00:00Z' };
}

function asksOf(work: Work): Ask[] {
  const asks: Ask[] = [];
  for (let step = work.next(); step.done !== true; step = work.next(empty)) asks.push(step.value);
  return asks;
}

for (const scenario of scenarios) {
  test(`${scenario.name} is the same for the same seed, comes to an end, and stays within its pace`, () => {
    const run = (): Ask[] => asksOf(scenario.work(scene(scenario.roles)));
    const asks = run();
    assert.deepEqual(run(), asks);
    assert.ok(asks.length >= 20 && asks.length <= 500, `${asks.length}`);
    const stream = streamOf('pace');
    for (let index = 0; index < 50; index++) {
      const pace = scenario.paceMs(stream);
      assert.ok(pace >= 50 && pace <= 60_000);
    }
  });
}

test('every scenario is in the README with its name', async () => {
  const readme = await readFile(new URL('../../README.md', import.meta.url), 'utf8');
  const table = [...readme.matchAll(/^\| `([a-z][a-z-]*)` +\|/gm)].map((row) => row[1]);
  assert.deepEqual(
    table,
    scenarios.map((scenario) => scenario.name),
  );
});

test('counting goes on where ids are numbers and follows the list where they aren’t', () => {
  const sequential = scenarios.find((scenario) => scenario.name === 'sequential-ids');
  assert.ok(sequential !== undefined);
  const others = { ...roster, patients: ['7d1e-a', 'c03b-9', '11fe-x'] };
  const ids = asksOf(sequential.work(scene(sequential.roles, others))).map((ask) => ask.patient);
  assert.ok(ids.length > 0 && ids.every((id) => others.patients.includes(id ?? '')));
});

test('a next link is followed by its path only, wherever it points', () => {
  const linking = (url: unknown): Reply => ({ ...empty, body: { link: [{ relation: 'next', url }] } });
  assert.equal(nextOf(linking('http://127.0.0.1:9443/fhir/Patient?_cursor=x.1')), 'Patient?_cursor=x.1');
  assert.equal(nextOf(linking('Patient?_cursor=x.1')), 'Patient?_cursor=x.1');
  assert.equal(nextOf(linking('http://127.0.0.1:9443/elsewhere')), undefined);
  assert.equal(nextOf(linking(7)), undefined);
  assert.equal(nextOf(empty), undefined);
});
