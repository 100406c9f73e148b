/** A large answer of an API that is no FHIR is read while it passes, and says so where it can't be; through a whole gateway. */
import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';

import type { Event } from '@watchglass/record';

import { eventsOf, type Road, sendJson, startRoad } from '../gateway.fixture.ts';

const map = `
version: 1
routes:
  GET /visits: {type: Encounter, patient: "response $.visits[*].who", count: "$.visits[*]"}
  GET /list: {type: Encounter, patient: "response $[*].who.id"}
  GET /deep: {type: Encounter, patient: "response $.data.visits[*].who"}
  GET /one: {type: Encounter, patient: "response $.visits[3].who"}
  GET /head: {type: Encounter, patient: ["response $.who", "response $.by[0]"]}
  GET /other: {type: Encounter, patient: "response $.others[*].who"}
  GET /patients/{id}/letters: {type: DocumentReference, patient: path id}
`;
const policy = `
version: 1
roles: {physician: {allow: [{interactions: [read, search], types: ['*']}]}}
`;
const count = 2_000;
const visits = Array.from({ length: count }, (_, n) => ({ who: `p-${n}`, note: 'x'.repeat(40) }));

let road: Road;
before(async () => {
  const bodies: Record<string, unknown> = {
    '/api/visits': { total: count, visits },
    '/api/list': visits.map(({ who, note }) => ({ note, who: { id: who } })),
    '/api/deep': { data: { visits } },
    '/api/one': { visits },
    '/api/head': { visits, who: 'p-last', by: ['p-by', 'p-not'] },
    '/api/other': { visits, others: [{ who: 'p-1' }, {}] },
    '/api/patients/p-7/letters': { visits },
  };
  road = await startRoad({
    policy,
    prepare: (folder) => writeFile(join(folder, 'api.yaml'), map),
    config: {
      exposure: { maxBytes: 4_096 },
      routes: [{ prefix: '/api', kind: 'json', map: 'api.yaml' }],
    },
    upstream: (request, response) =>
      sendJson(response, 200, bodies[request.url ?? ''], { 'content-type': 'application/json' }),
  });
});
after(() => road?.close());

/** Whom the events of one request name, and the one that says how it ended. */
async function asked(path: string): Promise<{ patients: Set<string>; count: number; end: Event }> {
  const seen = new Set((await eventsOf(road)).map(({ id }) => id));
  assert.equal((await road.fetch(path)).status, 200);
  for (;;) {
    const events = (await eventsOf(road)).filter(({ id }) => !seen.has(id));
    const end = events.find(({ outcome }) => outcome.reason === 'streamed');
    if (end === undefined) {
      await new Promise((resolve) => setImmediate(resolve));
      continue;
    }
    const patients = new Set(events.flatMap(({ exposure }) => (exposure?.patients ?? []).map(({ id }) => id)));
    return { patients, count: events.reduce((sum, { exposure }) => sum + (exposure?.count ?? 0), 0), end };
  }
}

describe('a large answer', () => {
  for (const path of ['/api/visits', '/api/list'])
    it(`of ${path} names everybody in it`, async () => {
      const { patients, end } = await asked(path);
      assert.equal(patients.size, count);
      assert.equal(end.exposure?.truncated, undefined);
    });

  it('is counted by its map, to the last', async () => {
    // The one that the bound cut in two is in both events.
    const found = (await asked('/api/visits')).count - count;
    assert.ok(found === 0 || found === 1, String(found));
  });

  it('is read in the members and items that its map names, wherever they stand', async () => {
    assert.deepEqual((await asked('/api/one')).patients, new Set(['p-3']));
    const head = await asked('/api/head');
    assert.deepEqual([head.patients, head.end.exposure?.truncated], [new Set(['p-last', 'p-by']), undefined]);
  });

  it('is truncated where somebody is missing, or everything stands in one piece above the bound', async () => {
    const other = await asked('/api/other');
    assert.deepEqual([other.patients, other.end.exposure?.truncated], [new Set(['p-1']), true]);
    assert.equal((await asked('/api/deep')).end.exposure?.truncated, true);
  });

  it('is about whom its path names, whatever is in it', async () => {
    const { patients, end } = await asked('/api/patients/p-7/letters');
    assert.deepEqual([patients, end.exposure?.truncated], [new Set(['p-7']), undefined]);
  });
});
