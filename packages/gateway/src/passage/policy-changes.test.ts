/** The policy changes under a running gateway: on record with its SHA-256, and no request is judged by two of them. */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, it } from 'node:test';

import type { Event } from '@watchglass/record';

import { type Road, samplePolicy, sendJson, startRoad } from '../gateway.fixture.ts';

const closed = 'version: 1\nroles: {physician: {allow: [{interactions: [read], types: [Appointment]}]}}\n';

let road: Road;
let asked: PromiseWithResolvers<void>;
let go: PromiseWithResolvers<void>;

beforeEach(async () => {
  asked = Promise.withResolvers();
  go = Promise.withResolvers();
  road = await startRoad({
    config: { admin: { port: 0 } },
    upstream: (_request, response) => {
      asked.resolve();
      void go.promise.then(() => sendJson(response, 200, { resourceType: 'Patient', id: 'p-1' }));
    },
  });
});
afterEach(() => road.close());

async function policyEvents(): Promise<readonly (readonly unknown[])[]> {
  return (await road.settled())
    .filter(({ operation = '' }) => operation === 'start' || operation.startsWith('policy-'))
    .map(({ kind, operation, outcome, targets }: Event) => [kind, operation, outcome.reason, targets?.[0]?.version]);
}

function sha256(text: string): string {
  return createHash('sha256').update(text).digest('hex');
}

async function replace(text: string): Promise<void> {
  await writeFile(join(road.folder, 'policy.yaml'), text);
  await road.gateway.reloadPolicy();
}

describe('a policy that changes', () => {
  it('is on record from the first one on, each with its SHA-256', async () => {
    assert.deepEqual(await policyEvents(), [['system', 'start', undefined, sha256(samplePolicy)]]);
    await replace(closed);
    go.resolve();
    assert.equal((await road.fetch('/fhir/Patient/p-1')).status, 403);
    assert.deepEqual((await policyEvents()).at(-1), ['system', 'policy-loaded', undefined, sha256(closed)]);
  });

  it('does not reach requests under way', async () => {
    const answer = road.fetch('/fhir/Patient/p-1');
    await asked.promise;
    await replace(closed);
    go.resolve();
    assert.equal((await answer).status, 200);
    assert.equal((await road.fetch('/fhir/Patient/p-1')).status, 403);
  });

  it('to a bad one is refused, told in the record and the metrics, and the old one stays', async () => {
    go.resolve();
    await replace('version: 1\nroles: {nurse: {alow: []}}\n');
    assert.equal((await road.fetch('/fhir/Patient/p-1')).status, 200);
    const refused = (await policyEvents()).at(-1);
    assert.deepEqual(refused?.slice(0, 3), ['system', 'policy-refused', 'policy-invalid']);
    const metrics = await (await fetch(`${road.gateway.adminUrl}/metrics`)).text();
    assert.match(metrics, /watchglass_gateway_policy_loads_total\{result="refused"\} 1/);
  });
});
