/** A demo in front of which applications of others stand: its policy asks for more in places, and its issuer knows an EHR and a backend service. */
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { exportJWK, generateKeyPair, SignJWT } from 'jose';
import * as client from 'openid-client';
import { Agent, fetch as undiciFetch } from 'undici';
import { parse, stringify } from 'yaml';
import { until } from './command.fixture.ts';
import { type Demo, startDemo } from './demo.fixture.ts';

/** Of the client `warehouse`. */
export const warehouseSecret = 'a-made-up-secret_of.the~test-for-the-warehouse';
export const mfaAcr = 'urn:watchglass:acr:mfa';

export interface SmartDemo extends AsyncDisposable {
  readonly demo: Demo;
  readonly fhirUrl: string;
  /** By the CA of the demo. */
  readonly fetch: typeof fetch;
  /** What the gateway says to applications. */
  readonly smart: Readonly<Record<string, unknown>>;
  /** A client of the demo, found by what the gateway says. */
  configure(id: string): Promise<client.Configuration>;
  /** One that signs its assertions with the key of the test. */
  configureService(id: string): Promise<client.Configuration>;
  /** What such a client signs to prove who it is (RFC 7523 §2.2), for clients that are handed one. */
  assertionOf(id: string): Promise<string>;
  /** As the local operator. */
  operate(path: string, body?: object): Promise<Response>;
}

export async function startSmartDemo(
  dataDir: string,
  options: { readonly redirectUri?: string } = {},
): Promise<SmartDemo> {
  const demo = await startDemo({ dataDir });
  const { urls } = demo.file;
  const fhirUrl = `${urls.gateway}/fhir`;
  const dispatcher = new Agent({ connect: { ca: await readFile(demo.file.ca, 'utf8') } });
  const ask = ((url: string, init?: object) => undiciFetch(url, { ...init, dispatcher })) as unknown as typeof fetch;
  const keys = await generateKeyPair('ES384', { extractable: true });
  const jwk = { ...(await exportJWK(keys.publicKey)), kid: 'k1', alg: 'ES384', use: 'sig' };
  await writeFile(join(dataDir, 'services.jwks'), JSON.stringify({ keys: [jwk] }));
  await writeFile(join(dataDir, 'warehouse.secret'), warehouseSecret, { mode: 0o600 });
  await addClients(demo, [
    {
      id: 'warehouse',
      name: 'the warehouse',
      secretFile: join(dataDir, 'warehouse.secret'),
      scopes: ['system/Patient.rs'],
      roles: ['backend'],
    },
    { id: 'ehr', name: 'the EHR', jwksFile: join(dataDir, 'services.jwks'), ehr: true },
    {
      id: 'reports',
      name: 'reports',
      jwksFile: join(dataDir, 'services.jwks'),
      scopes: ['system/*.rs'],
      roles: ['backend'],
    },
    {
      id: 'growth-chart',
      name: 'Growth chart',
      redirectUris: [options.redirectUri ?? 'http://127.0.0.1/callback'],
      refresh: true,
    },
  ]);
  if (options.redirectUri !== undefined) await addOrigin(demo, new URL(options.redirectUri).origin);
  await addRules(demo);
  const answer = await ask(`${fhirUrl}/.well-known/smart-configuration`);
  assert.equal(answer.status, 200);
  const smart = (await answer.json()) as Record<string, unknown>;
  const discover = async (id: string, authentication: client.ClientAuth): Promise<client.Configuration> => {
    const found = await client.discovery(new URL(String(smart.issuer)), id, undefined, authentication, {
      execute: [client.allowInsecureRequests],
    });
    found[client.customFetch] = ask as client.CustomFetch;
    return found;
  };
  const operatorToken = (await readFile(join(dataDir, 'keys/operator.token'), 'utf8')).trim();
  return {
    demo,
    fhirUrl,
    fetch: ask,
    smart,
    configure: (id) => discover(id, client.None()),
    configureService: (id) => discover(id, client.PrivateKeyJwt({ key: keys.privateKey, kid: 'k1' })),
    assertionOf: (id) =>
      new SignJWT({ jti: randomUUID() })
        .setProtectedHeader({ alg: 'ES384', kid: 'k1' })
        .setIssuer(id)
        .setSubject(id)
        .setAudience(String(smart.issuer))
        .setIssuedAt()
        .setExpirationTime('1m')
        .sign(keys.privateKey),
    operate: (path, body) =>
      fetch(`${urls.server}${path}`, {
        method: body === undefined ? 'GET' : 'POST',
        headers: { authorization: `Bearer ${operatorToken}`, 'content-type': 'application/json' },
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      }),
    async [Symbol.asyncDispose]() {
      await dispatcher.close();
      await demo[Symbol.asyncDispose]();
    },
  };
}

/** The server is killed, and comes again with the clients. */
async function addClients(demo: Demo, clients: readonly object[]): Promise<void> {
  const path = join(demo.dataDir, 'demo/watchglass.yaml');
  const config = parse(await readFile(path, 'utf8')) as { issuer: { clients: object[] } };
  config.issuer.clients.push(...clients);
  await writeFile(path, stringify(config));
  await killed(demo, 'server');
  await until(async () => {
    const probe = await fetch(`${demo.file.urls.server}/readyz`).catch(() => undefined);
    await probe?.arrayBuffer();
    return probe?.status === 200 ? true : undefined;
  }, 'the server again');
}

/** The gateway is killed, and comes again with an origin whose scripts may call. */
async function addOrigin(demo: Demo, origin: string): Promise<void> {
  const path = join(demo.dataDir, 'demo/gateway.yaml');
  const config = parse(await readFile(path, 'utf8')) as object;
  await writeFile(path, stringify({ ...config, cors: { origins: [origin] } }));
  await killed(demo, 'gateway');
  await until(async () => {
    const answer = await demo.throughGateway('/fhir/metadata').catch(() => undefined);
    return answer?.status === 200 ? true : undefined;
  }, 'the gateway again');
}

/** Resolves once its supervisor has started another one. */
export async function killed(demo: Demo, child: 'server' | 'gateway'): Promise<void> {
  const pid = (await demo.readFile()).pids[child];
  assert.ok(pid !== undefined);
  process.kill(pid, 'SIGKILL');
  await until(
    async () => ((await demo.readFile().catch(() => demo.file)).pids[child] === pid ? undefined : true),
    `another ${child}`,
  );
}

async function addRules(demo: Demo): Promise<void> {
  const path = join(demo.dataDir, 'demo/policy.yaml');
  const policy = parse(await readFile(path, 'utf8')) as { roles: Record<string, { allow: object[] }> };
  policy.roles.physician?.allow.push({ operations: ['$export'], types: ['*'] });
  const backend = {
    allow: [
      { interactions: ['read', 'search'], types: ['*'] },
      { operations: ['$export'], types: ['*'] },
    ],
  };
  const more = {
    assurance: { strong: { acr: [mfaAcr, 'urn:watchglass:acr:passkey'], maxAgeSeconds: 300 } },
    require: [
      {
        name: 'conditions-surely',
        roles: ['nurse'],
        interactions: ['search'],
        types: ['Condition'],
        assurance: 'strong',
      },
    ],
  };
  await writeFile(path, stringify({ ...policy, ...more, roles: { ...policy.roles, backend } }));
  // In force once a nurse's plain sign-in no longer does.
  const nurse = demo.person('nurse');
  await until(
    async () =>
      (await demo.throughGateway('/fhir/Condition?_count=1', nurse.token)).status === 401 ? true : undefined,
    'the policy in force',
  );
}
