/** The questions and answers of fronts, against a gateway of real parts: what each dialect says, what reaches the decision, and when. */
import assert from 'node:assert/strict';
import { createSocket } from 'node:dgram';
import { mkdtemp, rm, stat } from 'node:fs/promises';
import { request as ask } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { TrustedProxies } from '@watchglass/record/source';
import {
  answerPatient,
  eventsUpTo,
  FaultyDisk,
  type Road,
  searchset,
  sendJson,
  startRoad,
  systemError,
} from '../gateway.fixture.ts';
import { createAuthzServer } from './authz-server.ts';
import type { Verdict } from './decision.ts';

interface Answer {
  readonly status: number;
  readonly headers: Record<string, string | string[] | undefined>;
  readonly text: string;
}

function put(
  socketPath: string,
  path: string,
  headers: Record<string, string | string[]>,
  options: { readonly method?: string; readonly body?: string } = {},
): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const asking = ask({ socketPath, path, headers, method: options.method ?? 'GET' }, (response) => {
      let text = '';
      response.setEncoding('utf8').on('data', (more: string) => {
        text += more;
      });
      response.on('end', () => resolve({ status: response.statusCode ?? 0, headers: response.headers, text }));
    });
    asking.on('error', reject);
    asking.end(options.body);
  });
}

const url = 'https://api.example.test';

/** The link that the gateway itself gives to who searches through it. */
async function pageOf(road: Road): Promise<string> {
  const answer = await fetch(`http://127.0.0.1:${road.gateway.port}/fhir/Patient?name=x`, {
    headers: { authorization: `Bearer ${road.token}` },
  });
  const { link } = (await answer.json()) as { link: { url: string }[] };
  return String(link[0]?.url).slice(url.length);
}

describe('the door for fronts that ask by HTTP', () => {
  it('answers what is under way when it is closed, and ends that connection with it', async () => {
    const asked = Promise.withResolvers<void>();
    const verdict = Promise.withResolvers<Verdict>();
    const decide = (): Promise<Verdict> => {
      asked.resolve();
      return verdict.promise;
    };
    const server = createAuthzServer({
      judge: { decide, refuseInput: decide, fields: () => [] },
      proxies: new TrustedProxies([]),
      tls: undefined,
      onFault: (error) => assert.fail(String(error)),
      onOutcomes: undefined,
    });
    const folder = await mkdtemp(join(tmpdir(), 'watchglass-fronts-'));
    const socket = join(folder, 'authz.sock');
    await new Promise<void>((resolve) => server.listen(socket, resolve));
    const answer = put(socket, '/v1/authz/envoy/fhir/Patient/p-1', { host: 'api', connection: 'keep-alive' });
    await asked.promise;
    const closed = new Promise((resolve) => server.close(resolve));
    verdict.resolve({
      kind: 'yes',
      auditId: '01890000-0000-7000-8000-000000000000',
      requestId: 'made-by-a-test',
      subject: 'person-1',
      tenant: '',
      accept: 'application/json',
    });
    assert.equal((await answer).status, 200);
    assert.equal((await answer).headers.connection, 'close');
    await closed;
    await rm(folder, { recursive: true, force: true });
  });
});

describe('a front that asks by HTTP', () => {
  let folder: string;
  let socket: string;
  let road: Road;
  let disk: FaultyDisk;
  let nginx: (target: string, more?: Record<string, string>) => Record<string, string>;

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'watchglass-fronts-'));
    socket = join(folder, 'authz.sock');
    disk = new FaultyDisk();
    road = await startRoad({
      disk: disk.disk,
      upstream: (request, response) =>
        request.url?.includes('?') === true
          ? sendJson(response, 200, { ...searchset(), link: [{ relation: 'next', url: '/fhir?_getpages=c0ffee' }] })
          : answerPatient(request, response),
      config: { url, tenant: 'clinic', fronts: { authz: { socket }, outcomes: { port: 0, withinMs: 60_000 } } },
    });
    nginx = (target, more = {}) => ({
      'x-original-method': 'GET',
      'x-original-uri': target,
      'x-original-host': 'api.example.test',
      'x-original-proto': 'https',
      'x-real-ip': '203.0.113.7',
      'x-request-id': '0123456789abcdef0123456789abcdef',
      authorization: `Bearer ${road.token}`,
      ...more,
    });
  });
  after(async () => {
    await road.close();
    await rm(folder, { recursive: true, force: true });
  });

  it('is told yes once the intent is durable, and who it is', async () => {
    const answer = await put(socket, '/v1/authz/nginx', nginx('/fhir/Patient/p-1'));
    assert.equal(answer.status, 200);
    assert.equal(answer.headers['x-auth-subject'], 'person-1');
    assert.equal(answer.headers['x-auth-tenant'], 'clinic');
    const intent = (await eventsUpTo(road, 1)).find(({ id }) => id === answer.headers['x-audit-id']);
    assert.deepEqual(intent?.outcome, { status: 'success', reason: 'intent' });
    assert.deepEqual(intent?.exposure, { truncated: true });
    assert.equal(intent?.request?.id, '0123456789abcdef0123456789abcdef');
    assert.equal(intent?.source?.address, '203.0.113.7');
    assert.equal(intent?.targets?.[0]?.patient, 'p-1');
    assert.equal(road.asked.length, 0, 'the gateway asked the API itself');
  });

  it('stands behind a door that only its owner and group may use', async () => {
    assert.equal((await stat(socket)).mode & 0o777, 0o660);
  });

  it('hears no in the way it can pass on', async () => {
    const nobody = await put(socket, '/v1/authz/nginx', nginx('/fhir/Patient/p-1', { authorization: '' }));
    assert.equal(nobody.status, 401);
    assert.match(String(nobody.headers['www-authenticate']), /^Bearer /);
    for (const [target, status] of [
      ['/fhir/Patient/../p-1', '400'],
      ['/elsewhere', '404'],
      ['//evil.example/fhir', '400'],
      ['http://evil.example/fhir/Patient/p-1', '400'],
      ['/fhir/Patient/p-1#x', '400'],
    ] as const) {
      const answer = await put(socket, '/v1/authz/nginx', nginx(target));
      assert.deepEqual([answer.status, answer.headers['x-auth-status']], [403, status], target);
    }
    const forward = await put(socket, '/v1/authz/forward', {
      'x-forwarded-method': 'GET',
      'x-forwarded-uri': '/elsewhere',
      'x-forwarded-host': 'api.example.test',
      authorization: `Bearer ${road.token}`,
    });
    assert.equal(forward.status, 404);
    assert.match(forward.text, /"code":"not-found"/);
  });

  it('is not heard in the words of another dialect, nor twice', async () => {
    const mixed = await put(socket, '/v1/authz/forward', nginx('/fhir/Patient/p-1'));
    assert.equal(mixed.status, 400);
    const twice = await put(socket, '/v1/authz/nginx', {
      ...nginx('/fhir/Patient/p-1'),
      'x-original-uri': ['/fhir/Patient/p-1', '/fhir/Patient/p-2'],
    });
    assert.deepEqual([twice.status, twice.headers['x-auth-status']], [403, '400']);
    const override = await put(
      socket,
      '/v1/authz/nginx',
      nginx('/fhir/Patient/p-1', { 'x-http-method-override': 'DELETE' }),
    );
    assert.deepEqual([override.status, override.headers['x-auth-status']], [403, '400']);
  });

  it('cannot be made to believe a name, an address or a decision that a client sends', async () => {
    const answer = await put(
      socket,
      '/v1/authz/nginx',
      nginx('/fhir/Patient/p-9', {
        'x-auth-subject': 'admin',
        'x-auth-tenant': 'other',
        'x-audit-id': '01890000-0000-7000-8000-000000000000',
        'x-forwarded-for': '10.0.0.1',
        'x-forwarded-uri': '/fhir/metadata',
        forwarded: 'for=10.0.0.1',
      }),
    );
    assert.equal(answer.headers['x-auth-subject'], 'person-1');
    assert.notEqual(answer.headers['x-audit-id'], '01890000-0000-7000-8000-000000000000');
    await road.settled();
    const event = road.events.find(({ id }) => id === answer.headers['x-audit-id']);
    assert.equal(event?.source?.address, '203.0.113.7');
    assert.equal(event?.targets?.[0]?.id, 'p-9');
  });

  it('asks by the path itself, as Envoy does, and for the last address of the list', async () => {
    const answer = await put(socket, '/v1/authz/envoy/fhir/Patient/p-3?_summary=true', {
      host: 'api.example.test',
      'x-forwarded-for': '10.1.1.1, 198.51.100.4',
      authorization: `Bearer ${road.token}`,
    });
    assert.equal(answer.status, 200);
    await road.settled();
    const event = road.events.find(({ id }) => id === answer.headers['x-audit-id']);
    assert.equal(event?.source?.address, '198.51.100.4');
    assert.deepEqual(event?.request?.query, ['_summary']);
  });

  it('is refused what would need the body or the answer', async () => {
    const narrow = await road.issuer.mint({ scope: 'patient/*.rs', patient: 'p-1' });
    const nurse = await road.issuer.mint({ roles: ['nurse'], sub: 'nurse-1' });
    for (const [headers, reason] of [
      [nginx('/fhir', { 'x-original-method': 'POST' }), 'front-batch'],
      [nginx('/fhir/Patient/_search', { 'x-original-method': 'POST' }), 'front-form'],
      [nginx('/fhir/Patient/p-1', { authorization: `Bearer ${narrow}` }), 'front-answer'],
      [nginx('/fhir/Patient?_revinclude=x', { authorization: `Bearer ${nurse}` }), 'front-answer'],
      // Whatever the path says, it is a page of whichever search had that token.
      [nginx('/fhir/Patient?_getpages=c0ffee', { authorization: `Bearer ${nurse}` }), 'front-answer'],
      [nginx(await pageOf(road)), 'front-link'],
    ] as const) {
      const before = road.events.length;
      const answer = await put(socket, '/v1/authz/nginx', headers);
      assert.equal(answer.status, 403, reason);
      assert.match(answer.text, /not-behind-front/, reason);
      const event = (await road.settled()).slice(before).find(({ outcome }) => outcome.status === 'denied');
      assert.equal(event?.outcome.reason, reason);
    }
  });

  it('is asked about the create that a field of a change brings along', async () => {
    const create = { 'x-original-method': 'POST', 'x-provenance': '{"resourceType":"Provenance"}' };
    const may = await put(socket, '/v1/authz/nginx', nginx('/fhir/Observation', create));
    assert.equal(may.status, 200);
    const events = await road.settled();
    const intent = events.find(({ id }) => id === may.headers['x-audit-id']);
    assert.deepEqual(intent?.targets?.at(-1), { type: 'Provenance', role: 'header' });
    const before = events.length;
    const narrow = await road.issuer.mint({ scope: 'user/Observation.cruds', sub: 'person-3' });
    const authorization = `Bearer ${narrow}`;
    const answer = await put(socket, '/v1/authz/nginx', nginx('/fhir/Observation', { ...create, authorization }));
    assert.equal(answer.status, 403);
    const event = (await road.settled()).slice(before).find(({ outcome }) => outcome.status === 'denied');
    assert.equal(event?.outcome.reason, 'provenance');
  });

  it('is told nothing of a request with a body where none belongs', async () => {
    const answer = await put(
      socket,
      '/v1/authz/nginx',
      nginx('/fhir/Patient/p-1', { 'x-original-content-length': '5' }),
    );
    assert.deepEqual([answer.status, answer.headers['x-auth-status']], [403, '400']);
  });

  it('has its outcome joined, and what nobody asked about is raised', async () => {
    const answer = await put(socket, '/v1/authz/nginx', nginx('/fhir/Patient/p-4'));
    const auditId = String(answer.headers['x-audit-id']);
    const line = { requestId: '0123456789abcdef0123456789abcdef', auditId, status: 200, bytes: 512, ms: 3 };
    const udp = createSocket('udp4');
    const say = (what: object): void =>
      udp.send(
        `<190>Nov 24 20:00:00 front nginx: ${JSON.stringify(what)}`,
        road.gateway.fronts?.outcomes ?? 0,
        '127.0.0.1',
      );
    say({ ...line, upstream: '127.0.0.1:80' });
    const find = async (wanted: (event: Road['events'][number]) => boolean): Promise<Road['events'][number]> => {
      for (;;) {
        const found = (await road.settled()).find(wanted);
        if (found !== undefined) return found;
        await new Promise((resolve) => setImmediate(resolve));
      }
    };
    const outcome = await find(({ completes }) => completes === auditId);
    assert.deepEqual(outcome.outcome, { status: 'success', code: 200 });
    assert.deepEqual(outcome.exposure, { bytes: 512, truncated: true });
    assert.equal(outcome.request?.durationMs, 3);
    say({ status: 200, upstream: '127.0.0.1:80' });
    const unasked = await find(({ operation }) => operation === 'front-unasked');
    assert.equal(unasked.outcome.reason, 'outcome-without-audit-id');
    say({ ...line, upstream: 'x' });
    await find(({ outcome: { reason } }) => reason === 'outcome-without-intent');
    const posted = await put(socket, '/v1/outcomes', {}, { method: 'POST', body: '{"status":200}\n{' });
    assert.equal(posted.status, 204);
    assert.equal(road.gateway.fronts?.reconciler?.status.unreadable, 1);
    udp.close();
  });

  it('has a decision without an outcome, and an outcome without a decision, raised in each dialect', async () => {
    const auditIds: string[] = [];
    const common = { authorization: `Bearer ${road.token}`, 'x-request-id': 'fedcba9876543210' };
    for (const [path, headers] of [
      ['/v1/authz/nginx', nginx('/fhir/Patient/p-6')],
      [
        '/v1/authz/forward',
        {
          ...common,
          'x-forwarded-method': 'GET',
          'x-forwarded-uri': '/fhir/Patient/p-6',
          'x-forwarded-host': 'api.example.test',
        },
      ],
      ['/v1/authz/envoy/fhir/Patient/p-6', { ...common, host: 'api.example.test' }],
    ] as const) {
      const answer = await put(socket, path, headers);
      assert.equal(answer.status, 200, path);
      auditIds.push(String(answer.headers['x-audit-id']));
    }
    road.gateway.fronts?.reconciler?.sweep(Date.now() + 61_000);
    await road.gateway.fronts?.reconciler?.flush();
    const events = await road.settled();
    for (const id of auditIds)
      assert.equal(events.find(({ completes }) => completes === id)?.outcome.reason, 'outcome-missing');
    const before = events.length;
    const made = '01890000-0000-7000-8000-000000000000';
    // In the words of each: ours, Caddy's, Traefik's.
    for (const line of [
      { auditId: made, requestId: 'fedcba9876543210', status: 200, upstream: '127.0.0.1:80' },
      { status: 200, resp_headers: { 'X-Audit-Id': [made] } },
      { DownstreamStatus: 200, OriginStatus: 200, 'request_X-Audit-Id': made },
    ])
      await put(socket, '/v1/outcomes', {}, { method: 'POST', body: JSON.stringify(line) });
    await road.gateway.fronts?.reconciler?.flush();
    const raised = (await road.settled()).slice(before).filter(({ operation }) => operation === 'front-unasked');
    assert.deepEqual(
      raised.map(({ outcome }) => outcome.reason),
      ['outcome-without-intent', 'outcome-without-intent', 'outcome-without-intent'],
    );
  });

  it('takes no method, length or target from a field with another spelling', async () => {
    for (const name of ['x_http_method_override', 'X_HTTP-Method', 'x_method']) {
      const answer = await put(socket, '/v1/authz/forward', {
        'x-forwarded-method': 'GET',
        'x-forwarded-uri': '/fhir/Patient/p-1',
        'x-forwarded-host': 'api.example.test',
        authorization: `Bearer ${road.token}`,
        [name]: 'DELETE',
      });
      assert.equal(answer.status, 400, name);
    }
    const spelled = await put(socket, '/v1/authz/nginx', { ...nginx(''), x_original_uri: '/fhir/Patient/p-1' });
    assert.deepEqual([spelled.status, spelled.headers['x-auth-status']], [403, '400']);
    const absent = await put(socket, '/v1/authz/nginx', nginx('', { 'x-forwarded-uri': '/fhir/Patient/p-1' }));
    assert.deepEqual([absent.status, absent.headers['x-auth-status']], [403, '400']);
  });

  it('hears 503 and never yes while the record cannot be written', async () => {
    disk.datasyncError = systemError('EIO');
    const answer = await put(socket, '/v1/authz/nginx', nginx('/fhir/Patient/p-5'));
    assert.deepEqual([answer.status, answer.headers['x-auth-status']], [403, '503']);
    assert.equal(answer.headers['x-auth-subject'], undefined);
    assert.equal(answer.headers['retry-after'], '2');
  });
});
