/** An application in a browser: which pages' scripts may call, and what they may read. */
import assert from 'node:assert/strict';
import { describe, it, type TestContext } from 'node:test';
import { type Road, startRoad } from './gateway.fixture.ts';

const app = 'https://chart.example';

async function start(context: TestContext, origins: readonly string[]): Promise<Road> {
  const road = await startRoad({
    config: { cors: { origins } },
    upstream: (_request, response) => {
      response.writeHead(200, {
        'content-type': 'application/fhir+json',
        'access-control-allow-origin': '*',
        vary: 'Accept',
      });
      response.end('{"resourceType":"Patient","id":"p-1"}');
    },
  });
  context.after(() => road.close());
  return road;
}

const preflight = (road: Road, origin: string, path = '/fhir/Patient/p-1') =>
  road.fetch(path, {
    method: 'OPTIONS',
    token: null,
    headers: { origin, 'access-control-request-method': 'GET', 'access-control-request-headers': 'authorization,dpop' },
  });

describe('a script of another page', () => {
  it('may call where its origin is named, and read answers and refusals', async (context) => {
    const road = await start(context, [app]);
    const asked = await preflight(road, app);
    assert.equal(asked.status, 204);
    assert.equal(asked.headers['access-control-allow-origin'], app);
    assert.equal(asked.headers['access-control-allow-headers'], 'authorization,dpop');
    assert.match(String(asked.headers['access-control-allow-methods']), /PATCH/);
    // Some clients ask with credentials, always; the browser shows them nothing without this.
    assert.equal(asked.headers['access-control-allow-credentials'], 'true');
    const event = (await road.settled()).at(-1);
    assert.deepEqual([event?.operation, event?.actor.id, event?.request?.route], ['preflight', 'anonymous', undefined]);

    const answer = await road.fetch('/fhir/Patient/p-1', { headers: { origin: app } });
    assert.deepEqual(
      [answer.status, answer.headers['access-control-allow-origin'], answer.headers.vary],
      [200, app, 'Accept, Origin'],
    );
    const refused = await road.fetch('/fhir/Patient/p-1', { token: null, headers: { origin: app } });
    assert.deepEqual([refused.status, refused.headers['access-control-allow-origin']], [401, app]);
    assert.match(String(refused.headers['access-control-expose-headers']), /WWW-Authenticate/);
  });

  it('may not where it isn’t, whatever the API says', async (context) => {
    for (const origins of [[], [app]]) {
      const road = await start(context, origins);
      for (const origin of [
        'https://evil.example',
        'https://chart.example.evil.example',
        'null',
        'http://chart.example',
      ]) {
        assert.equal((await preflight(road, origin)).status, 405);
        const { status, headers } = await road.fetch('/fhir/Patient/p-1', { headers: { origin } });
        assert.deepEqual([status, headers['access-control-allow-origin']], [200, undefined]);
      }
    }
  });

  it('asks only where an API is, and an odd list of fields is not repeated', async (context) => {
    const road = await start(context, [app]);
    assert.equal((await preflight(road, app, '/elsewhere')).status, 405);
    const odd = await road.fetch('/fhir/Patient', {
      method: 'OPTIONS',
      token: null,
      headers: { origin: app, 'access-control-request-method': 'GET', 'access-control-request-headers': 'a;b"<c>' },
    });
    assert.deepEqual([odd.status, odd.headers['access-control-allow-headers']], [204, undefined]);
    const tricky = await road.raw(
      `OPTIONS /fhir/../Patient HTTP/1.1\r\nHost: x\r\nOrigin: ${app}\r\nAccess-Control-Request-Method: GET\r\n\r\n`,
    );
    assert.match(tricky, /^HTTP\/1\.1 400 /);
    assert.equal((await road.settled()).at(-1)?.outcome.reason, 'target-dot-segment');
    const plain = await road.fetch('/fhir/Patient', { method: 'OPTIONS', token: null, headers: { origin: app } });
    assert.equal(plain.status, 405);
    assert.equal(road.asked.length, 0);
  });
});

describe('an answer about somebody', () => {
  it('is kept by no cache that others share, whatever the API says', async (context) => {
    const cases = [
      ['public, max-age=600', 'private, max-age=600'],
      ['s-maxage=60, max-age=0, must-revalidate', 'private, max-age=0, must-revalidate'],
      ['Public, NO-STORE', 'no-store'],
      ['no-cache', 'private, no-cache'],
      ['private="authorization", max-age=5', 'private, max-age=5'],
      ['', 'private'],
    ] as const;
    let said = '';
    const road = await startRoad({
      upstream: (_request, response) => {
        response.writeHead(200, {
          'content-type': 'application/fhir+json',
          'cache-control': said,
          'cdn-cache-control': 'max-age=600',
          'surrogate-control': 'max-age=600',
          'x-accel-expires': '600',
        });
        response.end('{"resourceType":"Patient","id":"p-1"}');
      },
    });
    context.after(() => road.close());
    for (const [from, to] of cases) {
      said = from;
      const { headers } = await road.fetch('/fhir/Patient/p-1');
      assert.equal(headers['cache-control'], to, from);
      for (const name of ['cdn-cache-control', 'surrogate-control', 'x-accel-expires'])
        assert.equal(headers[name], undefined, name);
    }
  });
});
