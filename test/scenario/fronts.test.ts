/** The shipped configurations of nginx, HAProxy and Caddy in the real programs, before a real gateway: what passes, what doesn't, and what is on record of it. */
import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { request as httpRequest, type IncomingHttpHeaders } from 'node:http';
import { connect as connectHttp2, type OutgoingHttpHeaders } from 'node:http2';
import { connect, createServer as createNetServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { TrustedProxies } from '@watchglass/record/source';
import { createAuthzServer } from '../../packages/gateway/src/fronts/authz-server.ts';
import type { Verdict } from '../../packages/gateway/src/fronts/decision.ts';
import { serveSpop } from '../../packages/gateway/src/fronts/spop-agent.ts';
import { type Road, sendJson, serve, startRoad } from '../../packages/gateway/src/gateway.fixture.ts';
import { until } from './command.fixture.ts';
import { missingFront, type RealFront, type RealFrontName, startFront } from './real-front.fixture.ts';

interface Answer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly text: string;
}

/** What passes without a question, as a mistake in a configuration would have it. */
const hole = '/unasked';
const slowTarget = '/fhir/Patient/slow';

for (const name of ['nginx', 'haproxy', 'caddy'] as const satisfies readonly RealFrontName[]) {
  describe(`behind ${name}`, { skip: missingFront(name) ?? false }, () => {
    let folder: string;
    let road: Road;
    let front: RealFront;
    /** What the API has yet to answer. */
    const answers: (() => void)[] = [];
    const asked: { readonly target: string; readonly method: string; readonly headers: IncomingHttpHeaders }[] = [];

    const stack = new AsyncDisposableStack();
    before(async () => {
      folder = await mkdtemp(join(tmpdir(), 'watchglass-front-'));
      stack.defer(() => rm(folder, { recursive: true, force: true }));
      const api = await serve((request, response) => {
        asked.push({ target: request.url ?? '', method: request.method ?? '', headers: request.headers });
        const answer = (): void => sendJson(response, 200, { resourceType: 'Patient', id: 'p-1' });
        const slow = request.url === slowTarget;
        request.resume().on('end', () => (slow ? void answers.push(answer) : answer()));
      });
      stack.defer(() => api.close());
      const places = {
        folder,
        authz: join(folder, 'authz.sock'),
        spop: join(folder, 'spop.sock'),
        apiPort: api.port,
        hole,
      };
      road = await startRoad({
        config: {
          url: 'https://api.example.test',
          tenant: 'clinic',
          fronts: {
            authz: { socket: places.authz },
            spop: { socket: places.spop },
            outcomes: { port: 0, withinMs: 60_000 },
          },
        },
      });
      stack.defer(() => road.close());
      front = await startFront(name, { ...places, outcomesPort: road.gateway.fronts?.outcomes ?? 0 });
      stack.use(front);
    });
    after(() => stack.disposeAsync());

    const fetch = (path: string, headers: Record<string, string | string[]> = {}, method = 'GET'): Promise<Answer> =>
      new Promise((resolve, reject) => {
        const all = { authorization: `Bearer ${road.token}`, ...headers };
        const asking = httpRequest({ port: front.port, host: '127.0.0.1', path, method, headers: all }, (response) => {
          let text = '';
          response.setEncoding('utf8').on('data', (more: string) => {
            text += more;
          });
          response.on('end', () => resolve({ status: response.statusCode ?? 0, headers: response.headers, text }));
        });
        asking.on('error', reject);
        asking.end();
      });

    const raw = (bytes: string): Promise<string> =>
      new Promise((resolve) => {
        const socket = connect({ port: front.port, host: '127.0.0.1' });
        let text = '';
        socket.setEncoding('latin1').on('data', (more: string) => {
          text += more;
        });
        socket.on('error', () => undefined);
        socket.on('close', () => resolve(text));
        // A front that waits for more of a broken request would wait for long.
        socket.setTimeout(500, () => socket.destroy());
        socket.write(bytes, 'latin1');
      });

    /** Over one connection in HTTP/2: the status of each, or 0 where the front ended it. */
    const overHttp2 = async (requests: readonly OutgoingHttpHeaders[]): Promise<readonly number[]> => {
      const session = connectHttp2(`http://127.0.0.1:${front.h2Port}`);
      session.on('error', () => undefined);
      const statuses: number[] = [];
      for (const headers of requests) {
        statuses.push(
          await new Promise<number>((resolve) => {
            const stream = session.request({ authorization: `Bearer ${road.token}`, ...headers });
            stream.on('response', ({ ':status': status = 0 }) => resolve(status));
            stream.on('error', () => resolve(0));
            stream.on('close', () => resolve(0));
            stream.resume();
          }),
        );
        if (session.destroyed) break;
      }
      session.destroy();
      return statuses;
    };

    const eventOf = (wanted: (event: Road['events'][number]) => boolean): Promise<Road['events'][number]> =>
      until(async () => (await road.settled()).find(wanted), 'the event');

    it('what is allowed passes, says who it is, and its outcome completes the intent', async () => {
      const answer = await fetch('/fhir/Patient/p-1');
      assert.equal(answer.status, 200, answer.text);
      const seen = asked.at(-1);
      assert.equal(seen?.target, '/fhir/Patient/p-1');
      assert.equal(seen?.headers['x-auth-subject'], 'person-1');
      assert.equal(seen?.headers['x-auth-tenant'], 'clinic');
      assert.equal(seen?.headers.authorization, undefined);
      const auditId = answer.headers['x-audit-id'];
      assert.equal(seen?.headers['x-audit-id'], auditId);
      assert.equal(seen?.headers['x-request-id'], answer.headers['x-request-id']);
      const intent = await eventOf(({ id }) => id === auditId);
      assert.equal(intent.outcome.reason, 'intent');
      assert.equal(intent.request?.id, answer.headers['x-request-id']);
      assert.equal(intent.source?.address, '127.0.0.1');
      const outcome = await eventOf(({ completes }) => completes === auditId);
      assert.deepEqual(outcome.outcome, { status: 'success', code: 200 });
      assert.equal(outcome.exposure?.truncated, true);
      assert.ok((outcome.request?.responseBytes ?? 0) > 0);
    });

    it('what a client claims to be reaches neither the decision nor the API', async () => {
      const answer = await fetch('/fhir/Patient/p-2', {
        'X-Auth-Subject': 'admin',
        'X-Auth-Tenant': 'other',
        'X-Auth-Roles': 'admin',
        X_Auth_Subject: 'admin',
        'X-Audit-Id': '01890000-0000-7000-8000-000000000000',
        'X-Original-URI': '/fhir/metadata',
        'X-Original-Method': 'OPTIONS',
        'X-Forwarded-Uri': '/fhir/metadata',
        'X-Forwarded-Method': 'OPTIONS',
        'X-Forwarded-For': '10.9.8.7',
        'X-Real-IP': '10.9.8.7',
        'X-Request-Id': 'chosen-by-the-client',
        Forwarded: 'for=10.9.8.7',
        Connection: 'X-Auth-Subject, X-Auth-Tenant, X-Audit-Id',
      });
      assert.equal(answer.status, 200, answer.text);
      const headers: IncomingHttpHeaders = asked.at(-1)?.headers ?? {};
      assert.equal(headers['x-auth-subject'], 'person-1');
      assert.equal(headers['x-auth-tenant'], 'clinic');
      assert.equal(headers['x-audit-id'], answer.headers['x-audit-id']);
      assert.doesNotMatch(JSON.stringify(headers), /admin|10\.9\.8\.7|metadata|OPTIONS|chosen-by/);
      const intent = await eventOf(({ id }) => id === answer.headers['x-audit-id']);
      assert.equal(intent.source?.address, '127.0.0.1');
      assert.equal(intent.targets?.[0]?.id, 'p-2');
      assert.notEqual(intent.request?.id, 'chosen-by-the-client');
    });

    it('what is refused never reaches the API, and its client learns why', async () => {
      const before = asked.length;
      const nobody = await fetch('/fhir/Patient/p-1', { authorization: [] });
      assert.equal(nobody.status, 401);
      assert.match(String(nobody.headers['www-authenticate']), /^Bearer realm="watchglass"/);
      const nurse = await road.issuer.mint({ roles: ['nurse'], sub: 'nurse-1' });
      const denied = await fetch('/fhir/Patient/p-1', { authorization: `Bearer ${nurse}` }, 'DELETE');
      assert.equal(denied.status, 403);
      const batch = await fetch('/fhir', { 'content-type': 'application/fhir+json' }, 'POST');
      assert.equal(batch.status, 403);
      assert.equal((await fetch('/elsewhere')).status, 404);
      assert.equal(asked.length, before);
      await eventOf(({ actor, outcome }) => actor.id === 'nurse-1' && outcome.status === 'denied');
      await eventOf(({ outcome }) => outcome.reason === 'front-batch');
    });

    it('targets and messages with two readings end here', async () => {
      const before = asked.length;
      const head = `Host: api.example.test\r\nAuthorization: Bearer ${road.token}\r\n`;
      const smuggled = 'GET /fhir/Patient/smuggled HTTP/1.1\r\nHost: api.example.test\r\n\r\n';
      for (const bytes of [
        `GET /fhir/Patient/..%2fp-1 HTTP/1.1\r\n${head}Connection: close\r\n\r\n`,
        `GET /fhir/Patient/p-1/../p-2 HTTP/1.1\r\n${head}Connection: close\r\n\r\n`,
        `GET //evil.example/fhir/Patient/p-1 HTTP/1.1\r\n${head}Connection: close\r\n\r\n`,
        `GET /fhir/Patient/p-1;x HTTP/1.1\r\n${head}Connection: close\r\n\r\n`,
        `GET /fhir/Patient/p%2d1 HTTP/1.1\r\n${head}Connection: close\r\n\r\n`,
        `POST /fhir/Patient HTTP/1.1\r\n${head}Content-Length: 4\r\nContent-Length: 5\r\n\r\n${smuggled}`,
        `POST /fhir/Patient HTTP/1.1\r\n${head}Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n${smuggled}`,
        `GET /fhir/Patient/p-1 HTTP/1.1\r\n${head}Host: other.example\r\nConnection: close\r\n\r\n`,
      ]) {
        const answer = await raw(bytes);
        assert.doesNotMatch(answer, /^HTTP\/1\.1 2/, bytes.slice(0, 60));
      }
      assert.deepEqual(
        asked.slice(before).map(({ target }) => target),
        [],
      );
      // A length beside chunks: some fronts refuse it, others take the chunks; what follows is never served as the client's.
      await raw(
        `POST /fhir/Patient HTTP/1.1\r\n${head}Content-Length: 60\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n${smuggled}`,
      );
      assert.ok(asked.every(({ target }) => !target.includes('smuggled')));
    });

    it('a method, a length or a target in a field of another name is not heard, or refused', async () => {
      for (const headers of [
        { 'X-HTTP-Method-Override': 'DELETE' },
        { X_HTTP_Method_Override: 'DELETE' },
        { 'X-HTTP-Method': 'DELETE' },
        { 'X-Original-URI': ['/fhir/metadata', '/fhir/metadata'] },
        { 'X-Forwarded-Uri': ['/fhir/metadata', '/fhir/Patient/p-9'] },
        { X_Original_URI: '/fhir/metadata', Content_Length: '5', Transfer_Encoding: 'chunked' },
      ] as Record<string, string | string[]>[]) {
        const before = asked.length;
        const { status } = await fetch('/fhir/Patient/p-3', headers);
        const [seen] = asked.slice(before);
        assert.equal(status, seen === undefined ? 400 : 200, JSON.stringify(headers));
        if (seen === undefined) continue;
        assert.equal(seen.method, 'GET');
        assert.equal(seen.target, '/fhir/Patient/p-3');
        assert.doesNotMatch(JSON.stringify(seen.headers), /DELETE|metadata|p-9|_/i);
      }
    });

    it('a field that decides and comes twice gets to the API once, or the request not at all', async () => {
      const headers = { 'If-None-Exist': ['identifier=a', 'identifier=b'], 'content-type': 'application/fhir+json' };
      const before = asked.length;
      const { status } = await fetch('/fhir/Patient', headers, 'POST');
      const [seen] = asked.slice(before);
      assert.equal(status, seen === undefined ? 400 : 200);
      if (seen !== undefined) assert.equal(seen.headers['if-none-exist'], 'identifier=a');
    });

    it('a pseudo field of HTTP/2 with two readings ends here, or is one to all', async () => {
      const sound = { ':path': '/fhir/Patient/h2-1', ':authority': 'api.example.test' };
      assert.deepEqual(await overHttp2([sound]), [200]);
      assert.equal(asked.at(-1)?.target, '/fhir/Patient/h2-1');
      const before = asked.length;
      for (const more of [
        { ':path': 'http://evil.example/fhir/Patient/h2-2' },
        { ':path': '//evil.example/fhir/Patient/h2-2' },
        { ':path': '/fhir/Patient/../Patient/h2-2' },
        { ':path': '/fhir/Patient/..%2fh2-2' },
        { ':path': '/fhir/Patient/h2-2 HTTP/1.1' },
        { ':path': 'fhir/Patient/h2-2' },
        { ':path': '*' },
        { ':method': 'get' },
        { ':method': 'TRACE' },
        { 'content-length': '5' },
      ]) {
        const { length } = asked;
        const [status = 0] = await overHttp2([{ ...sound, ...more }]);
        assert.equal(status > 0 && status < 400, asked.length > length, `${JSON.stringify(more)} ${status}`);
      }
      // Caddy takes the host out of a target before it asks, and then asks about what it passes on: nothing of that host gets any further.
      const passed = asked.slice(before);
      assert.ok(passed.length <= (name === 'caddy' ? 1 : 0), JSON.stringify(passed));
      for (const { method, target } of passed) assert.deepEqual([method, target], ['GET', '/fhir/Patient/h2-2']);
      assert.doesNotMatch(JSON.stringify(passed), /evil/);
    });

    it('everything that reached the API was asked about, by its own target', async () => {
      for (const { target, headers } of asked) {
        const intent = await eventOf(({ id }) => id === headers['x-audit-id']);
        const named = /\/Patient\/([^/?]+)/.exec(target)?.[1];
        assert.equal(intent.targets?.[0]?.id, named, target);
      }
      assert.equal(road.asked.length, 0);
    });

    it('what passed without a question is raised', async () => {
      const before = road.events.length;
      assert.equal((await fetch(hole)).status, 200);
      const raised = await until(
        async () => (await road.settled()).slice(before).find(({ operation }) => operation === 'front-unasked'),
        'the event',
      );
      assert.equal(raised.outcome.reason, 'outcome-without-audit-id');
    });

    it('what was allowed and has no outcome in time is raised, and completed when that comes too late', async () => {
      const answer = fetch(slowTarget);
      const [release] = await until(async () => (answers.length === 0 ? undefined : answers), 'the API to be asked');
      const auditId = String(asked.at(-1)?.headers['x-audit-id']);
      road.gateway.fronts?.reconciler?.sweep(Date.now() + 61_000);
      const missing = await eventOf(({ completes }) => completes === auditId);
      assert.equal(missing.outcome.reason, 'outcome-missing');
      assert.equal(missing.targets?.[0]?.id, 'slow');
      release?.();
      assert.equal((await answer).status, 200);
      await eventOf(({ completes, outcome }) => completes === auditId && outcome.code === 200);
    });

    it('a brain that is down lets nothing through', async () => {
      await road.gateway[Symbol.asyncDispose]();
      const before = asked.length;
      const answer = await fetch('/fhir/Patient/p-1');
      assert.equal(answer.status, 503);
      assert.equal(answer.headers['retry-after'], '2');
      assert.equal(asked.length, before);
    });

    it('too many requests are said to be that', async () => {
      const no: Verdict = {
        kind: 'no',
        code: 'over-capacity',
        status: 429,
        auditId: '',
        requestId: 'made-by-a-test',
        headers: { 'retry-after': '7', 'content-type': 'application/problem+json' },
        body: Buffer.from('{}'),
      };
      const judge = { decide: async () => no, refuseInput: async () => no, fields: () => [] };
      const onFault = (error: unknown): void => assert.fail(String(error));
      const proxies = new TrustedProxies([]);
      const authz = createAuthzServer({ judge, proxies, tls: undefined, onFault, onOutcomes: undefined });
      const spop = createNetServer((socket) => serveSpop(socket, { judge, onFault }));
      await Promise.all([
        new Promise<void>((resolve) => authz.listen(join(folder, 'authz.sock'), resolve)),
        new Promise<void>((resolve) => spop.listen(join(folder, 'spop.sock'), resolve)),
      ]);
      const before = asked.length;
      const answer = await until(
        async () => {
          const found = await fetch('/fhir/Patient/p-1');
          // HAProxy learns by its check that somebody answers again.
          return found.status === 503 ? undefined : found;
        },
        'the front to ask again',
        5_000,
      );
      assert.equal(answer.status, 429);
      assert.equal(answer.headers['retry-after'], '7');
      assert.equal(asked.length, before);
      await front[Symbol.asyncDispose]();
      authz.close();
      spop.close();
    });
  });
}
