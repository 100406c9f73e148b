/** Envoy's questions and its access log by gRPC, in the words of its own API, against a gateway of real parts. */
import assert from 'node:assert/strict';
import { mkdtemp, rm, stat } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';

import { type Client, status } from '@grpc/grpc-js';
import fc from 'fast-check';

import { FaultyDisk, type Road, startRoad, systemError } from '../gateway.fixture.ts';
import type { AuthzJudge } from './authz-server.ts';
import type { Verdict } from './decision.ts';
import { type Checked, check, envoyAt } from './envoy-api.fixture.ts';
import { createGrpcDoor } from './grpc-server.ts';

const url = 'https://api.example.test';
const requestId = '3f2504e0-4f89-41d3-9a0c-0305e82c3301';

interface Question {
  readonly method?: string;
  readonly path?: string;
  readonly host?: string;
  readonly headers?: Readonly<Record<string, string>>;
  /** Each field by itself, as with `encode_raw_headers`. */
  readonly raw?: readonly (readonly [string, string])[];
}

function questionOf({
  method = 'GET',
  path = '/fhir/Patient/p-1',
  host = 'api.example.test',
  headers,
  raw,
}: Question): object {
  return {
    attributes: {
      source: { address: { socket_address: { address: '203.0.113.7', port_value: 50_000 } }, principal: 'nobody' },
      destination: { address: { socket_address: { address: '127.0.0.1', port_value: 8_443 } } },
      request: {
        time: { seconds: 1, nanos: 2 },
        http: {
          id: '1234567890',
          method,
          path,
          host,
          scheme: 'https',
          protocol: 'HTTP/2',
          size: -1,
          ...(raw === undefined
            ? {
                headers: {
                  ':method': method,
                  ':path': path,
                  ':authority': host,
                  'x-request-id': requestId,
                  ...headers,
                },
              }
            : { header_map: { headers: raw.map(([key, value]) => ({ key, raw_value: Buffer.from(value) })) } }),
        },
      },
      context_extensions: { 'virtual-host': 'api' },
    },
  };
}

const headerOf = (
  headers: readonly { readonly header: { readonly key: string; readonly value: string } }[] = [],
  name: string,
): string | undefined => headers.find(({ header }) => header.key === name)?.header.value;

const said = ({ dynamic_metadata }: Checked, name: string): string | undefined =>
  dynamic_metadata.fields[name]?.stringValue;

describe('Envoy, which asks by gRPC', () => {
  let folder: string;
  let socket: string;
  let road: Road;
  let disk: FaultyDisk;
  let envoy: ReturnType<typeof envoyAt>;
  const ask = (question: Question): Promise<Checked> =>
    check(
      envoy.authorization,
      questionOf({ ...question, headers: { authorization: `Bearer ${road.token}`, ...question.headers } }),
    );
  const eventOf = async (wanted: (event: Road['events'][number]) => boolean): Promise<Road['events'][number]> => {
    for (;;) {
      const found = (await road.settled()).find(wanted);
      if (found !== undefined) return found;
      await new Promise((resolve) => setImmediate(resolve));
    }
  };

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'watchglass-grpc-'));
    socket = join(folder, 'grpc.sock');
    disk = new FaultyDisk();
    road = await startRoad({
      disk: disk.disk,
      config: { url, tenant: 'clinic', fronts: { grpc: { socket }, outcomes: { withinMs: 60_000 } } },
    });
    envoy = envoyAt(`unix:${socket}`);
  });
  after(async () => {
    envoy[Symbol.dispose]();
    await road.close();
    await rm(folder, { recursive: true, force: true });
  });

  it('is told yes once the intent is durable, and who it is', async () => {
    const answer = await ask({ headers: { 'x-forwarded-for': '10.9.8.7' } });
    assert.equal(answer.status.code, status.OK);
    const { headers, response_headers_to_add: back } = answer.ok_response ?? assert.fail('no ok_response');
    assert.equal(headerOf(headers, 'x-auth-subject'), 'person-1');
    assert.equal(headerOf(headers, 'x-auth-tenant'), 'clinic');
    assert.equal(headerOf(headers, 'x-request-id'), requestId);
    assert.equal(headerOf(headers, 'accept'), 'application/fhir+json');
    assert.ok(headers.every(({ append_action }) => append_action === 'OVERWRITE_IF_EXISTS_OR_ADD'));
    const auditId = headerOf(headers, 'x-audit-id');
    assert.equal(headerOf(back, 'x-audit-id'), auditId);
    assert.equal(said(answer, 'audit_id'), auditId);
    const intent = await eventOf(({ id }) => id === auditId);
    assert.deepEqual(intent.outcome, { status: 'success', reason: 'intent' });
    assert.equal(intent.source?.address, '203.0.113.7');
    assert.equal(intent.targets?.[0]?.patient, 'p-1');
    assert.equal(intent.request?.id, requestId);
  });

  it('stands behind a door that only its owner and group may use', async () => {
    assert.equal((await stat(socket)).mode & 0o777, 0o660);
  });

  it('is told to take away every field of the client that the gateway would not pass on', async () => {
    const answer = await ask({
      headers: {
        dpop: '',
        cookie: 'session=1',
        'x-auth-subject': 'admin',
        'x-auth-roles': 'admin',
        x_auth_subject: 'admin',
        'x-audit-id': '01890000-0000-7000-8000-000000000000',
        'x-original-uri': '/fhir/metadata',
        'x-real-ip': '10.0.0.1',
        forwarded: 'for=10.0.0.1',
        'if-match': 'W/"1"',
        'user-agent': 'a client',
        'x-forwarded-for': '203.0.113.7',
      },
    });
    const { headers = [], headers_to_remove: removed = [] } = answer.ok_response ?? {};
    assert.deepEqual(removed.toSorted(), [
      'authorization',
      'cookie',
      'dpop',
      'forwarded',
      'x-auth-roles',
      'x-original-uri',
      'x-real-ip',
      'x_auth_subject',
    ]);
    assert.equal(headerOf(headers, 'x-auth-subject'), 'person-1');
    assert.notEqual(headerOf(headers, 'x-audit-id'), '01890000-0000-7000-8000-000000000000');
  });

  it('is told no with the status, the fields and the words that the gateway itself would answer with', async () => {
    const nobody = await ask({ headers: { authorization: '' } });
    assert.equal(nobody.status.code, status.UNAUTHENTICATED);
    assert.equal(nobody.ok_response, undefined);
    assert.equal(nobody.denied_response?.status.code, 'Unauthorized');
    assert.match(headerOf(nobody.denied_response?.headers, 'www-authenticate') ?? '', /^Bearer realm="watchglass"/);
    const nurse = await road.issuer.mint({ roles: ['nurse'], sub: 'nurse-1' });
    const headers = { authorization: `Bearer ${nurse}`, accept: 'application/fhir+json' };
    const denied = await ask({ method: 'DELETE', headers });
    assert.equal(denied.status.code, status.PERMISSION_DENIED);
    assert.equal(denied.denied_response?.status.code, 'Forbidden');
    assert.match(headerOf(denied.denied_response?.headers, 'content-type') ?? '', /^application\/fhir\+json/);
    assert.equal(JSON.parse(denied.denied_response?.body ?? '').resourceType, 'OperationOutcome');
    assert.equal(said(denied, 'audit_id'), undefined);
    await eventOf(({ actor, outcome }) => actor.id === 'nurse-1' && outcome.status === 'denied');
    assert.equal((await ask({ path: '/elsewhere' })).denied_response?.status.code, 'NotFound');
    assert.equal((await ask({ method: 'POST', path: '/fhir' })).denied_response?.status.code, 'Forbidden');
    await eventOf(({ outcome }) => outcome.reason === 'front-batch');
  });

  it('is refused what has two readings', async () => {
    const token = `Bearer ${road.token}`;
    const raw: readonly (readonly [string, string])[] = [
      [':method', 'GET'],
      [':path', '/fhir/Patient/p-1'],
      [':authority', 'api.example.test'],
      ['authorization', token],
      ['x-request-id', requestId],
    ];
    assert.equal((await ask({ raw })).status.code, status.OK, 'each field by itself is understood');
    for (const [what, question] of Object.entries<Question>({
      'another path in the pseudo field': { headers: { ':path': '/fhir/metadata' } },
      'another method in the pseudo field': { headers: { ':method': 'OPTIONS' } },
      'another host beside the authority': { headers: { host: 'other.example' } },
      'a path that comes twice': { raw: [...raw, [':path', '/fhir/Patient/p-1']] },
      'a token that comes twice': { raw: [...raw, ['authorization', token]] },
      'a length that comes twice': { raw: [...raw, ['content-length', '0'], ['content-length', '5']] },
      'an override of the method': { headers: { 'x-http-method-override': 'DELETE' } },
      'an override of the method, spelled otherwise': { headers: { x_http_method: 'DELETE' } },
      'a body where none belongs': { headers: { 'content-length': '5' } },
      'chunks where none belong': { headers: { 'transfer-encoding': 'chunked' } },
      'no method': { method: '' },
      'no path': { path: '' },
      'a path that climbs': { path: '/fhir/Patient/../p-1' },
      'an encoded slash': { path: '/fhir/Patient/..%2fp-1' },
      'another host in the path': { path: '//evil.example/fhir/Patient/p-1' },
      'an absolute target': { path: 'http://evil.example/fhir/Patient/p-1' },
      'an unknown byte': { path: '/fhir/Patient/pé' },
    })) {
      const answer = await ask(question);
      assert.equal(answer.ok_response, undefined, what);
      assert.equal(answer.denied_response?.status.code, 'BadRequest', what);
      await eventOf(({ operation }) => operation === 'protocol-violation');
    }
  });

  it('has its outcomes joined by its access log, and what nobody asked about is raised', async () => {
    const answer = await ask({ path: '/fhir/Patient/p-4' });
    const auditId = said(answer, 'audit_id') ?? assert.fail('no audit id');
    const entry = (more: {
      readonly audit_id?: string;
      readonly type?: string;
      readonly upstream?: boolean;
    }): object => ({
      common_properties: {
        start_time: { seconds: 1, nanos: 0 },
        stream_id: 'b3d1f2a4-0000-4000-8000-000000000000',
        duration: { seconds: 1, nanos: 2_500_000 },
        access_log_type: more.type ?? 'DownstreamEnd',
        ...(more.upstream === false
          ? {}
          : { upstream_remote_address: { socket_address: { address: '127.0.0.1', port_value: 8_080 } } }),
        ...(more.audit_id === undefined
          ? {}
          : {
              metadata: {
                filter_metadata: {
                  'envoy.filters.http.ext_authz': { fields: { audit_id: { stringValue: more.audit_id } } },
                },
              },
            }),
      },
      protocol_version: 'HTTP2',
      request: { request_method: 'GET', path: '/fhir/Patient/p-4', request_id: requestId },
      response: { response_code: { value: 200 }, response_body_bytes: 512 },
    });
    const stream = await new Promise<ReturnType<typeof envoy.accessLog.StreamAccessLogs>>((resolve) => {
      const opened = envoy.accessLog.StreamAccessLogs(() => undefined);
      opened.on('error', () => undefined);
      resolve(opened);
    });
    const say = (...log_entry: object[]): void =>
      void stream.write({
        identifier: { node: { id: 'envoy-1', cluster: 'edge' }, log_name: 'watchglass' },
        http_logs: { log_entry },
      });
    say(entry({ audit_id: auditId, type: 'DownstreamPeriodic' }), entry({ audit_id: auditId }));
    const outcome = await eventOf(({ completes }) => completes === auditId);
    assert.deepEqual(outcome.outcome, { status: 'success', code: 200 });
    assert.deepEqual(outcome.exposure, { bytes: 512, truncated: true });
    assert.equal(outcome.request?.durationMs, 1_002.5);
    // What it refused by itself, or after our no, is nobody's outcome.
    say(entry({ upstream: false }));
    say(entry({}));
    assert.equal(
      (await eventOf(({ operation }) => operation === 'front-unasked')).outcome.reason,
      'outcome-without-audit-id',
    );
    say(entry({ audit_id: auditId }));
    await eventOf(({ outcome: { reason } }) => reason === 'outcome-without-intent');
    assert.equal(road.gateway.fronts?.reconciler?.status.intentsMissing, 2);
    stream.end();
  });

  it('has a decision without an outcome raised', async () => {
    const auditId = said(await ask({ path: '/fhir/Patient/p-6' }), 'audit_id');
    road.gateway.fronts?.reconciler?.sweep(Date.now() + 61_000);
    const missing = await eventOf(({ completes }) => completes === auditId);
    assert.equal(missing.outcome.reason, 'outcome-missing');
  });

  it('hears 503 and never yes while the record cannot be written', async () => {
    disk.datasyncError = systemError('EIO');
    const answer = await ask({ path: '/fhir/Patient/p-5' });
    assert.equal(answer.ok_response, undefined);
    assert.equal(answer.denied_response?.status.code, 'ServiceUnavailable');
    assert.equal(headerOf(answer.denied_response?.headers, 'retry-after'), '2');
  });
});

describe('the door for Envoy', () => {
  const yes: Verdict = {
    kind: 'yes',
    auditId: '01890000-0000-7000-8000-000000000000',
    requestId,
    subject: 'person-1',
    tenant: '',
    accept: 'application/json',
  };

  async function open(decide: AuthzJudge['decide']): Promise<
    AsyncDisposable & {
      readonly faults: unknown[];
      readonly drain: (graceMs: number) => void;
      readonly client: Client;
      readonly ask: (question?: object, deadlineMs?: number) => Promise<Checked>;
    }
  > {
    const faults: unknown[] = [];
    const judge = { decide, refuseInput: decide, fields: () => [] };
    const { serve, drain } = createGrpcDoor({
      judge,
      forwardHeaders: ['x-department'],
      onFault: (error) => faults.push(error),
      onOutcome: undefined,
    });
    const server = createServer(serve);
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const envoy = envoyAt(`127.0.0.1:${(server.address() as { port: number }).port}`);
    return {
      faults,
      drain,
      client: envoy.authorization,
      ask: (question = questionOf({}), deadlineMs) => check(envoy.authorization, question, deadlineMs),
      async [Symbol.asyncDispose]() {
        envoy[Symbol.dispose]();
        drain(0);
        await new Promise((resolve) => server.close(resolve));
      },
    };
  }

  it('says an error, and never yes, when the decision itself breaks', async () => {
    await using door = await open(() => Promise.reject(new Error('broken')));
    await assert.rejects(door.ask(), { code: status.INTERNAL, details: 'the decision failed' });
    assert.equal(door.faults.length, 1);
  });

  it('leaves no field of somebody else in the place of a tenant that there is none of, and passes on what is configured', async () => {
    await using door = await open(async () => yes);
    const headers = { 'x-auth-tenant': 'other', 'x-department': 'ward 3' };
    const answer = await door.ask(questionOf({ headers }));
    assert.deepEqual(answer.ok_response?.headers_to_remove, ['x-auth-tenant']);
    assert.equal(headerOf(answer.ok_response?.headers, 'x-auth-tenant'), undefined);
  });

  it('gives up with the deadline of who asks', async () => {
    await using door = await open(() => new Promise(() => undefined));
    await assert.rejects(door.ask(undefined, 50), { code: status.DEADLINE_EXCEEDED });
  });

  it('takes no message past its bound', async () => {
    let count = 0;
    await using door = await open(async () => {
      count += 1;
      return yes;
    });
    await assert.rejects(door.ask(questionOf({ headers: { accept: 'x'.repeat(140_000) } })), {
      code: status.RESOURCE_EXHAUSTED,
    });
    assert.equal(count, 0);
  });

  it('survives whatever comes as a message: an answer or an error each time, and never a fault of its own', async () => {
    await using door = await open(async () => yes);
    await door.ask();
    const call = (bytes: Uint8Array): Promise<boolean> =>
      new Promise((resolve) => {
        door.client.makeUnaryRequest(
          '/envoy.service.auth.v3.Authorization/Check',
          (noise: Uint8Array) => Buffer.from(noise),
          (answer: Buffer) => answer,
          bytes,
          { deadline: Date.now() + 5_000 },
          (error) => resolve(error?.code !== status.DEADLINE_EXCEEDED && error?.code !== status.UNAVAILABLE),
        );
      });
    await fc.assert(
      fc.asyncProperty(fc.uint8Array({ maxLength: 300 }), async (noise) => {
        assert.ok(await call(noise));
      }),
      { numRuns: 300 },
    );
    assert.deepEqual(door.faults, []);
  });

  it('answers what is under way when it is drained', async () => {
    const asked = Promise.withResolvers<void>();
    const verdict = Promise.withResolvers<Verdict>();
    await using door = await open(() => {
      asked.resolve();
      return verdict.promise;
    });
    const answer = door.ask();
    await asked.promise;
    door.drain(5_000);
    verdict.resolve(yes);
    assert.equal((await answer).status.code, status.OK);
  });
});
