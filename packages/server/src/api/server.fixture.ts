/**
 * The whole server below `main`, real in every part, on a temporary directory: for the tests of the doors. The log is kept in memory, so that a test can look
 * for what must not be in it.
 */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Writable } from 'node:stream';
import { type EventDraft, type LeafType, parseTenantId, type TenantId, uuidv7 } from '@watchglass/record';
import { TrustedProxies } from '@watchglass/record/source';
import type { LightMyRequestResponse } from 'fastify';
import { createLocalJWKSet, exportJWK, generateKeyPair, SignJWT } from 'jose';
import { pino } from 'pino';
import type { Access, OwnEvent } from '../access/access.ts';
import { openAccess } from '../access/open-access.ts';
import { createOwnRecorder, serverEmitterId } from '../access/own-recorder.ts';
import { wrappedKeysOf } from '../indexes/index-keys.ts';
import type { Indexes } from '../indexes/indexes.ts';
import { openIndexes } from '../indexes/open-indexes.ts';
import { createIntake } from '../intake/create-intake.ts';
import { RingEnding } from '../ledger/kek/key-ending.ts';
import { KeyService } from '../ledger/kek/key-service.ts';
import { type OpenedKeyrings, openKeyrings } from '../ledger/kek/open-keyrings.ts';
import { defaultKeys, type KeysSettings } from '../ledger/kek/settings.ts';
import type { Ledger } from '../ledger/ledger.ts';
import { openLedger } from '../ledger/open-ledger.ts';
import { openDecisions } from '../respond/decisions.ts';
import { openRetention } from '../retention/open-retention.ts';
import { defaultRetention, type RetentionSettings } from '../retention/policy.ts';
import { createCompleteness } from '../review/completeness/completeness.ts';
import { createReview } from '../review/create-review.ts';
import { recordKeyChanges } from '../review/key-events.ts';
import { ledgerOfDoors } from '../review/ledger-of-doors.ts';
import { createBundleMaker } from '../review/make-bundle.ts';
import { RewrapJob } from '../review/rewrap-job.ts';
import { realWorld } from '../world/real-world.ts';
import type { World } from '../world/world.ts';
import { createApi } from './create-api.ts';
import type { Api, ApiDeps, SignInSettings } from './server.ts';

export const clinic: TenantId = parseTenantId('clinic');
export const audience = 'urn:watchglass:api';
const issuer = 'http://issuer.test';

export interface TestServer extends AsyncDisposable {
  readonly dir: string;
  readonly world: World;
  readonly ledger: Ledger;
  readonly keys: KeyService;
  readonly access: Access;
  readonly indexes: Indexes;
  readonly api: Api;
  /** A write key of the tenant `clinic`, emitter `app-1`. */
  readonly writeKey: string;
  readonly operator: string;
  /** An access token of a person with these roles. */
  token(...roles: readonly string[]): Promise<string>;
  /** An access token with these claims about the person. */
  tokenOf(claims: {
    readonly sub: string;
    readonly roles: readonly string[];
    readonly [name: string]: unknown;
  }): Promise<string>;
  /** Lines of the log so far. */
  readonly log: () => string;
  /** Closes everything and opens it again on the same directory. */
  restart(between?: () => void | Promise<void>, otherwise?: TestServerOptions): Promise<TestServer>;
}

export interface TestServerOptions {
  readonly dir?: string;
  readonly tenants?: readonly string[];
  readonly signIn?: SignInSettings;
  readonly keys?: KeysSettings;
  readonly retention?: RetentionSettings;
  /** The real one unless given. */
  readonly world?: World;
  readonly url?: string;
  readonly leafType?: LeafType;
  readonly trustedProxies?: readonly string[];
  /** That bundles are put into. */
  readonly page?: string | undefined;
  readonly consoleFiles?: Readonly<Record<string, string>>;
  readonly witnesses?: ApiDeps['witnesses'];
  /** Stands in for the ledger's append of Watchglass's own events. */
  readonly beforeRecord?: () => void;
}

const testPage = '<!doctype html><title>Evidence</title><script type="application/json" id="evidence"></script>\n';

/** One pair for all servers of a test's process: making one takes as long as many a test. */
let issuerKeys: ReturnType<typeof generateKeyPair> | undefined;

export async function startTestServer(options: TestServerOptions = {}): Promise<TestServer> {
  const dir = options.dir ?? mkdtempSync(join(tmpdir(), 'server-'));
  await using stack = new AsyncDisposableStack();
  let lasting = false;
  stack.defer(() => {
    if (!lasting) rmSync(dir, { recursive: true, force: true });
  });
  const world = options.world ?? realWorld();
  const keysDir = join(dir, 'keys');
  await world.disk.makeDirectory(dir);
  const tenants = (options.tenants ?? [clinic]).map(parseTenantId);
  let opened: OpenedKeyrings | undefined;
  let ending: RingEnding | undefined;
  let forget: Indexes['forget'] = async () => undefined;
  const ledger = stack.use(
    await openLedger({
      dir: join(dir, 'ledger'),
      keysDir,
      originBase: 'watchglass.test',
      world,
      keyrings: async (mayMake, guarded) => {
        opened = await openKeyrings({
          world: guarded,
          env: {},
          keysDir,
          mayMake,
          settings: options.keys ?? defaultKeys,
        });
        return opened;
      },
      keyEnding: {
        standing: async (tenant, keks) => (await ending?.standing(tenant, keks)) ?? keks,
        end: async (tenant, keks) => (await ending?.end(tenant, keks)) ?? [],
      },
      forgetIndex: (tenant, unit) => forget(tenant, unit),
    }),
  );
  const keyrings = opened as unknown as OpenedKeyrings;
  const service = new KeyService({
    keyrings,
    sources: [
      (tenant) => ledger.wrappedSeeds(tenant),
      (tenant) => wrappedKeysOf(world, { dir: join(dir, 'index'), keysDir, tenant }),
    ],
    tenants: () => ledger.tenants(),
    world,
  });
  const rewraps = stack.use(new RewrapJob(service));
  for (const tenant of tenants) await ledger.addTenant(tenant, options.leafType);
  const recordOwn = createOwnRecorder({
    world,
    site: 'test',
    append: (tenant, items) => ledger.append(tenant, items),
    lastSeq: (tenant) => ledger.emitters(tenant).find(({ id }) => id === serverEmitterId)?.lastSeq ?? 0,
  });
  const record = async (event: OwnEvent): Promise<void> => {
    options.beforeRecord?.();
    await recordOwn(event);
  };
  const recordPlaced = async (event: OwnEvent): Promise<number> => {
    options.beforeRecord?.();
    return await recordOwn.placed(event);
  };
  issuerKeys ??= generateKeyPair('RS256');
  const keys = await issuerKeys;
  const jwks = createLocalJWKSet({ keys: [{ ...(await exportJWK(keys.publicKey)), kid: 'k', alg: 'RS256' }] });
  const access = stack.use(
    await openAccess({
      path: join(dir, 'state.sqlite'),
      keysDir,
      world,
      record,
      trust: { issuer, audience, algorithms: ['RS256'], keys: jwks, knownPeopleOnly: false },
    }),
  );
  for (const tenant of tenants) access.tenants.add(tenant);
  const tenantsOf = (): readonly TenantId[] => ledger.tenants();
  const recordKeys = recordKeyChanges({ record, tenants: tenantsOf, actor: { id: 'server', type: 'service' } });
  ending = new RingEnding({ keyrings, service, tenants: tenantsOf, record: recordKeys });
  const settings = options.retention ?? defaultRetention;
  const retention = stack.use(
    await openRetention({ path: join(dir, 'retention.json'), settings, ledger, record: recordPlaced, world }),
  );
  await retention.resume();
  const indexes = stack.use(await openIndexes({ dir: join(dir, 'index'), keysDir, ledger, keyrings, world }));
  forget = (tenant, unit) => indexes.forget(tenant, unit);
  const review = createReview({ ledger, indexes, staff: access.people, world });
  const bundles = createBundleMaker({ ledger, indexes, world, page: 'page' in options ? options.page : testPage });
  const door = stack.use(
    createIntake({ ledger: ledgerOfDoors(ledger), writeKeys: access.writeKeys, record, homeTenant: clinic, world }),
  );
  const lines: string[] = [];
  const log = pino(
    { level: 'debug' },
    new Writable({
      write(chunk, _encoding, done) {
        lines.push(String(chunk));
        done();
      },
    }),
  );
  const consoleDir = options.consoleFiles === undefined ? undefined : mkdtempSync(join(tmpdir(), 'console-'));
  for (const [name, content] of Object.entries(options.consoleFiles ?? {}))
    writeFileSync(join(consoleDir ?? '', name), content);
  if (consoleDir !== undefined) stack.defer(() => rmSync(consoleDir, { recursive: true, force: true }));
  const api = stack.use(
    await createApi({
      world,
      log,
      access,
      ledger,
      indexes,
      review,
      completeness: createCompleteness({ ledger, indexes, world }),
      bundles,
      keys: { service, rewraps },
      retention,
      decisions: await openDecisions({ path: join(dir, 'decisions.json'), world, record }),
      door,
      record,
      recordPlaced,
      homeTenant: clinic,
      url: options.url ?? 'http://localhost:9440',
      version: '0.0.0-test',
      witnesses: options.witnesses ?? (() => ({ strict: false, logs: [], timestamps: [] })),
      demo: true,
      proxies: new TrustedProxies(options.trustedProxies ?? []),
      ...(options.signIn === undefined ? {} : { signIn: options.signIn }),
      ...(consoleDir === undefined ? {} : { consoleDir }),
    }),
  );
  const { secret } = await access.writeKeys.create({ tenant: clinic, emitter: 'app-1', name: 'test' }, 'server');
  let tokens = 0;
  const tokenOf: TestServer['tokenOf'] = ({ sub, ...claims }) => {
    const nowSeconds = Math.floor(world.clock.now() / 1_000);
    return new SignJWT({ client_id: 'console', tenant: clinic, ...claims })
      .setProtectedHeader({ alg: 'RS256', typ: 'at+jwt', kid: 'k' })
      .setSubject(sub)
      .setIssuer(issuer)
      .setAudience(audience)
      .setIssuedAt(nowSeconds)
      .setExpirationTime(nowSeconds + 3_600)
      .setJti(`jti-${++tokens}`)
      .sign(keys.privateKey);
  };
  const running = stack.move();
  return {
    dir,
    world,
    ledger,
    keys: service,
    access,
    indexes,
    api,
    writeKey: secret,
    operator: readFileSync(join(keysDir, 'operator.token'), 'utf8').trim(),
    token: (...roles) => tokenOf({ sub: `person-${roles[0]}`, roles, preferred_username: `${roles[0]}.test` }),
    tokenOf,
    log: () => lines.join(''),
    async restart(between, otherwise = {}) {
      lasting = true;
      await running.disposeAsync();
      await between?.();
      return await startTestServer({ ...options, ...otherwise, dir });
    },
    [Symbol.asyncDispose]: () => running.disposeAsync(),
  };
}

let made = 0;

/** An event as an application sends it; `seq` of emitter `ward-1` counts up over the whole run. */
export function testEvent(over: Partial<EventDraft> = {}): EventDraft & { readonly id: string } {
  made += 1;
  const random = new Uint8Array(10);
  new DataView(random.buffer).setUint32(4, made);
  const nowMs = Date.now();
  return {
    v: 1,
    id: uuidv7(nowMs, random),
    time: new Date(nowMs).toISOString(),
    kind: 'api',
    action: 'read',
    operation: 'read',
    outcome: { status: 'success', code: 200 },
    actor: { id: 'nurse-1', type: 'human', roles: ['nurse'] },
    targets: [{ type: 'Observation', id: `obs-${made}`, patient: 'wg-pt-000417' }],
    request: { method: 'GET', route: '/fhir/Observation/{id}' },
    ...over,
  };
}

/** Posts to the door for events with the server's write key. */
export async function post(
  server: TestServer,
  events: unknown,
  headers: Record<string, string> = {},
): Promise<LightMyRequestResponse> {
  return await server.api.fastify.inject({
    method: 'POST',
    url: '/v1/events',
    headers: { authorization: `Bearer ${server.writeKey}`, 'content-type': 'application/json', ...headers },
    payload: typeof events === 'string' ? events : JSON.stringify(events),
  });
}

/** Asks with a bearer token: GET without a body, POST with one. */
export async function ask(
  server: TestServer,
  token: string,
  url: string,
  body?: unknown,
): Promise<LightMyRequestResponse> {
  return await server.api.fastify.inject({
    method: body === undefined ? 'GET' : 'POST',
    url,
    headers: {
      authorization: `Bearer ${token}`,
      ...(body === undefined ? {} : { 'content-type': 'application/json' }),
    },
    ...(body === undefined ? {} : { payload: JSON.stringify(body) }),
  });
}

/** Resolves once everything in the log can be found. */
export const indexed = (server: TestServer): Promise<void> =>
  server.indexes.reached(clinic, server.ledger.head(clinic).size, AbortSignal.timeout(10_000));
