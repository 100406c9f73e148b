import assert from 'node:assert/strict';
import { generateKeyPairSync } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';

import { stringify } from 'yaml';
import { GatewayError } from '../errors.ts';
import { samplePolicyPath } from '../policy/sample-policy.ts';
import { readGatewayConfig } from './config.ts';

let folder: string;

before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'watchglass-config-'));
  await writeFile(join(folder, 'write.key'), 'wgk_0123456789abcdefghij\n');
  await writeFile(join(folder, 'other.key'), 'secret-that-is-no-write-key');
});
after(() => rm(folder, { recursive: true, force: true }));

function sound(): Record<string, unknown> {
  return {
    listen: { port: 9441 },
    upstream: { url: 'http://127.0.0.1:9443' },
    issuers: [{ issuer: 'http://localhost:9442', audience: 'urn:watchglass:api' }],
    policy: samplePolicyPath(),
    routes: [
      { prefix: '/fhir', kind: 'fhir' },
      { prefix: '', kind: 'fhir' },
    ],
    server: { url: 'http://localhost:9440', writeKeyFile: 'write.key' },
    spool: { dir: 'spool' },
  };
}

async function read(change: Record<string, unknown>): Promise<ReturnType<typeof readGatewayConfig>> {
  const config = { ...sound(), ...change };
  const path = join(folder, 'gateway.yaml');
  await writeFile(path, stringify(config));
  return readGatewayConfig(path);
}

describe('gateway.yaml', () => {
  it('has one API, or several that routes name, each at one origin or more', async () => {
    const upstreams = { scheduling: { url: 'http://127.0.0.1:9444', replicas: ['http://127.0.0.1:9445'] } };
    const routes = [{ prefix: '/fhir', kind: 'fhir', upstream: 'scheduling' }];
    const config = await read({ upstreams, routes });
    assert.equal(config.upstreams.get('scheduling')?.balance, 'round-robin');
    assert.equal(config.routes[0]?.upstream, 'scheduling');
    await assert.rejects(read({ routes }), {
      code: 'config-invalid',
      message: /expected \/fhir to name one of upstreams, got scheduling/,
    });
    const twice = { url: 'http://127.0.0.1:9443', replicas: ['http://127.0.0.1:9443'] };
    await assert.rejects(read({ upstream: twice }), /upstream\.replicas: expected each origin once/);
    const health = { path: '/metadata', everySeconds: 0.5 };
    assert.equal((await read({ upstream: { ...twice, replicas: [], health } })).upstream.health?.everyMs, 500);
  });

  it('resolves paths against its own folder and fills in the rest', async () => {
    const config = await read({});
    assert.equal(config.spool.dir, join(folder, 'spool'));
    assert.equal(config.spool.keyFile, join(folder, 'spool', 'spool.key'));
    assert.equal(config.server.writeKey, 'wgk_0123456789abcdefghij');
    assert.deepEqual(
      config.routes.map(({ prefix }) => prefix),
      ['/fhir', ''],
    );
    assert.equal(config.audit.mode, 'strict');
    assert.equal(config.audit.deadlineMs, 2_000);
    assert.equal(config.issuers[0]?.tokenType, 'at+jwt');
  });

  it('names the secret or the key by which issuers are asked about opaque tokens', async () => {
    const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'prime256v1' });
    await writeFile(join(folder, 'client.jwk'), JSON.stringify({ ...privateKey.export({ format: 'jwk' }), kid: 'g1' }));
    await writeFile(join(folder, 'client.pem'), privateKey.export({ format: 'pem', type: 'pkcs8' }));
    await writeFile(join(folder, 'client.secret'), 'a secret\n');
    const clientOf = async (named: object): Promise<unknown> => {
      const introspection = { endpoint: 'https://idp.example/introspect', clientId: 'gateway', ...named };
      const config = await read({ issuers: [{ issuer: 'https://idp.example', audience: 'x', introspection }] });
      const { client } = config.issuers[0]?.introspection ?? {};
      return client?.kind === 'private_key_jwt' ? [client.algorithm, client.keyId] : client;
    };
    assert.deepEqual(await clientOf({ clientKeyFile: 'client.jwk' }), ['ES256', 'g1']);
    assert.deepEqual(await clientOf({ clientKeyFile: 'client.pem' }), ['ES256', undefined]);
    assert.deepEqual(await clientOf({ clientSecretFile: 'client.secret' }), {
      kind: 'client_secret_basic',
      clientId: 'gateway',
      secret: 'a secret',
    });
  });

  it('that is wrong is refused, with the place, and without repeating a secret', async () => {
    const partner = { issuer: 'https://idp.example', audience: 'x' };
    const asking = { endpoint: 'https://idp.example/introspect', clientId: 'gateway' };
    const cases: readonly (readonly [Record<string, unknown>, RegExp])[] = [
      [{ upsteam: {} }, /unknown key upsteam; did you mean upstream\?/],
      [{ audit: { deadline: 5 } }, /unknown key audit\.deadline; did you mean deadlineMs\?/],
      [{ policy: undefined }, /policy: /],
      [{ listen: { host: '0.0.0.0', port: 1 } }, /expected tls/],
      [{ issuers: [] }, /nobody could sign in/],
      [{ issuers: [{ issuer: 'http://idp.example', audience: 'x' }] }, /expected an https URL/],
      [
        { issuers: [{ issuer: 'https://idp.example', audience: 'x', algorithms: ['HS256'] }] },
        /issuers\.0\.algorithms\.0/,
      ],
      [{ issuers: [partner, partner] }, /expected each issuer once/],
      [{ issuers: [partner, { ...partner, issuer: 'https://b.example' }] }, /expected an actorPrefix of its own/],
      [{ issuers: [{ ...partner, actorPrefix: 'partner' }] }, /: \/ or \| at the end/],
      [{ issuers: [{ ...partner, actorPrefix: 'gateway:' }] }, /is the gateway itself/],
      [{ issuers: [{ ...partner, introspection: asking }] }, /expected clientSecretFile or clientKeyFile/],
      [
        { issuers: [{ ...partner, introspection: { ...asking, clientKeyFile: 'other.key' } }] },
        /clientKeyFile: expected a private key/,
      ],
      [
        { issuers: [{ ...partner, introspection: { ...asking, endpoint: 'http://idp.example/x' } }] },
        /expected an https URL/,
      ],
      [
        {
          issuers: ['https://a.example', 'https://b.example'].map((issuer, at) => ({
            issuer,
            audience: 'x',
            actorPrefix: `${at}:`,
            introspection: { ...asking, clientSecretFile: 'other.key' },
          })),
        },
        /expected a tokenPrefix of its own/,
      ],
      [{ identity: { logoutPath: 'x' } }, /expected a path/],
      [{ tls: { cert: 'other.key', key: 'other.key' } }, /tls: expected a certificate and the key/],
      [{ tls: { cert: 'a', key: 'b', clientAuth: 'require' } }, /expected clientCa together with clientAuth/],
      [{ upstream: { url: 'http://127.0.0.1:9443', cert: 'a' } }, /upstream: expected cert and key/],
      [{ server: { url: 'http://audit.example', writeKeyFile: 'write.key' } }, /expected an https URL/],
      [
        { server: { url: 'http://localhost', writeKeyFile: 'none.key' } },
        /server\.writeKeyFile in .*none\.key, got ENOENT/,
      ],
      [{ server: { url: 'http://localhost', writeKeyFile: 'other.key' } }, /expected a write key/],
      [{ routes: [{ prefix: '/fhir/', kind: 'fhir' }] }, /expected a path such as \/fhir/],
      [{ trustedProxies: ['10.0.0.0/33'] }, /trustedProxies/],
      [{ spool: { dir: 'spool', maxBytes: 5 } }, /expected at least 8388608/],
      ...['chart.example', '*', 'https://chart.example/', 'https://Chart.example'].flatMap(
        (origin): (readonly [Record<string, unknown>, RegExp])[] => [
          [{ cors: { origins: [origin] } }, /line \d+: cors\.origins\.0: expected an/],
          [{ websockets: { origins: [origin] } }, /line \d+: websockets\.origins\.0: expected an/],
          [{ exports: { origins: [origin] } }, /line \d+: exports\.origins\.0: expected an/],
          [{ upstream: { url: 'http://127.0.0.1:1', replicas: [origin] } }, /upstream\.replicas\.0: expected an/],
        ],
      ),
      [{ cors: { origins: '*' } }, /cors\.origins: expected a list, got text/],
      [
        { issuers: [{ issuer: 'https://a.example', audience: 'b', scopes: 'everything' }] },
        /scopes: expected SMART scopes separated by spaces, such as user/,
      ],
      [{ tracing: true }, /tracing: expected keys below it, got true or false/],
      [{ tracing: { endpoint: 'http://127.0.0.1:1', sampleRatio: 50 } }, /sampleRatio: expected at most 1$/],
      [{ workers: 0 }, /workers: expected auto, or a number from 1 to 64/],
      [{ workers: 65 }, /workers: expected auto, or a number from 1 to 64/],
      [{ upstreams: { Billing: { url: 'http://127.0.0.1:1' } } }, /upstreams\.Billing: expected a name: small letters/],
      [{ upstreams: { upstream: { url: 'http://127.0.0.1:1' } } }, /expected another name than upstream/],
      [
        { upstream: { url: 'http://127.0.0.1:1', balance: 'x' } },
        /balance: expected one of round-robin, least-pending/,
      ],
      [{ fronts: { grpc: {} }, url: 'https://a.example' }, /either grpc\.socket or grpc\.port, got neither/],
    ];
    for (const [change, message] of cases) {
      await assert.rejects(read(change), (error) => {
        assert.ok(error instanceof GatewayError, String(error));
        assert.match(error.message, message);
        assert.equal(error.message.includes('secret-that-is-no-write-key'), false);
        return true;
      });
    }
    assert.throws(
      () => readGatewayConfig(join(folder, 'none.yaml')),
      /config|expected the configuration in .*none\.yaml, got ENOENT/,
    );
  });
});

describe('upstream.forwardHeaders', () => {
  const named = (name: string): Promise<ReturnType<typeof readGatewayConfig>> =>
    read({ upstream: { url: 'http://127.0.0.1:9443', forwardHeaders: [name] } });

  it('adds names, in any case', async () => {
    assert.deepEqual((await named('X-Tenant-Partition')).upstream.forwardHeaders, ['x-tenant-partition']);
  });

  it('lets nothing through that the gateway says, judges or removes itself', async () => {
    for (const name of [
      'Authorization',
      'X-Forwarded-For',
      'Connection',
      'Content-Length',
      'X-HTTP-Method-Override',
      'Range',
      'X-Auth-User',
      'a b',
      'X_A',
    ])
      await assert.rejects(named(name), { code: 'config-invalid' }, name);
  });
});

describe('a policy', () => {
  it('that cannot be read says where and why, and nothing of what it holds', async () => {
    for (const [text, expected] of [
      ['', /expected keys below it, got an empty value/],
      ['roles: [', /breaks off at line/],
      ['version: 2\nroles: {}', /version: expected version: 1/],
      ['version: 1\nrole: {}', /unknown key role; did you mean roles/],
      [
        'version: 1\nroles: {a: {allow: [{interactions: [raed], types: [Patient]}]}}',
        /interactions\.0: expected one of read/,
      ],
      [
        'version: 1\nroles: {a: {allow: [{interactions: [read], types: [patient]}]}}',
        /types\.0: expected a FHIR R4 resource type/,
      ],
      ['version: 1\nroles: {a: {allow: []}, a: {allow: []}}', /duplicate_key|line 2/],
      ['version: 1\nroles: {a: *x}', /anchors|unknown|breaks off/],
    ] as const) {
      await writeFile(join(folder, 'policy.yaml'), text);
      await assert.rejects(
        read({ policy: 'policy.yaml' }),
        (error) =>
          error instanceof GatewayError &&
          error.code === 'policy-invalid' &&
          expected.test(error.message) &&
          error.message.includes('policy.yaml'),
        text,
      );
    }
  });
});
