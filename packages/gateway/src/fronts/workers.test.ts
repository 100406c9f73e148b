/** Two workers behind one front: both open its doors, and an outcome completes its intent whichever of them hears it. */
import assert from 'node:assert/strict';
import { createSocket } from 'node:dgram';
import { access, mkdtemp, rm } from 'node:fs/promises';
import { request } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it } from 'node:test';

import type { Event } from '@watchglass/record';

import { type Road, startRoad } from '../gateway.fixture.ts';
import { ownedBy, ownerOf } from './owner.ts';

interface Answer {
  readonly status: number | undefined;
  readonly auditId: string;
}

const url = 'https://api.example.test';
const intentsCount = 24;

/** On a connection of its own. */
function ask(socketPath: string, token: string, n: number): Promise<Answer> {
  const headers = {
    'x-original-method': 'GET',
    'x-original-uri': `/fhir/Patient/p-${n}`,
    'x-original-host': 'api.example.test',
    'x-original-proto': 'https',
    'x-real-ip': '203.0.113.7',
    'x-request-id': `made-by-the-front-${n}`,
    authorization: `Bearer ${token}`,
  };
  return new Promise((resolve, reject) => {
    const asking = request({ socketPath, path: '/v1/authz/nginx', headers, agent: false }, (response) => {
      response
        .resume()
        .on('end', () => resolve({ status: response.statusCode, auditId: String(response.headers['x-audit-id']) }));
    });
    asking.on('error', reject);
    asking.end();
  });
}

async function outcomes(of: Road, count: number): Promise<readonly Event[]> {
  for (;;) {
    const found = of.events.filter(({ completes }) => completes !== undefined);
    if (found.length >= count) return found;
    await new Promise((resolve) => setImmediate(resolve));
  }
}

describe('two workers behind a front', () => {
  it('complete each other’s intents by the lines of its log, once each', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'watchglass-fronts-'));
    const socket = join(folder, 'authz.sock');
    const road = await startRoad({
      config: {
        url,
        tenant: 'clinic',
        workers: 2,
        fronts: { authz: { socket }, outcomes: { port: 0, withinMs: 60_000 } },
      },
    });
    const front = createSocket('udp4');
    try {
      const answers = await Promise.all(Array.from({ length: intentsCount }, (_, n) => ask(socket, road.token, n)));
      assert.ok(answers.every(({ status }) => status === 200));
      const owners = new Set(answers.map(({ auditId }) => ownerOf(auditId, 2)));
      assert.deepEqual([...owners].sort(), [1, 2]);
      for (const [n, { auditId }] of answers.entries()) {
        const line = {
          requestId: `made-by-the-front-${n}`,
          auditId,
          status: 200,
          bytes: 10 + n,
          ms: 1,
          upstream: 'a:1',
        };
        front.send(JSON.stringify(line), Number(road.gateway.fronts?.outcomes), '127.0.0.1');
      }
      const joined = await outcomes(road, intentsCount);
      assert.equal(joined.length, intentsCount);
      for (const [n, { auditId }] of answers.entries()) {
        const outcome = joined.find(({ completes }) => completes === auditId);
        assert.deepEqual(outcome?.outcome, { status: 'success', code: 200 });
        assert.equal(outcome.exposure?.bytes, 10 + n);
        assert.equal(outcome.emitter.id, `test-gateway/${ownerOf(auditId, 2)}`);
      }
    } finally {
      front.close();
      await road.close();
      await assert.rejects(access(socket));
      await rm(folder, { recursive: true, force: true });
    }
    assert.deepEqual(
      road.events.filter(
        ({ operation, outcome }) => operation === 'front-unasked' || outcome.reason === 'outcome-missing',
      ),
      [],
    );
  });

  it('have audit ids that say whose they are, and nothing else of an id changes', () => {
    const id = '01890000-1111-7222-8333-444444444444';
    assert.equal(ownedBy(id, 2), '01890000-1111-7222-8333-444444444402');
    assert.equal(ownerOf(ownedBy(id, 64), 64), 64);
    for (const foreign of [undefined, id, ownedBy(id, 3), `${id.slice(0, -2)}00`])
      assert.equal(ownerOf(foreign, 2), undefined);
  });
});
