/**
 * The server, built floor by floor from its configuration and taken down in reverse: ledger and access, indexes, review,
 * then the doors (intake, issuer, API). What rooms of one floor need of each other is handed in here.
 *
 * When `startServer` resolves, everything listens and `DIR/server.json` says where. Disposing stops the doors first, so
 * that whatever was answered is in the ledger before the ledger closes.
 */
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { type Actor, formatVerifierKey, type Outcome, type TenantId } from '@watchglass/record';
import { type Logger, pino } from 'pino';
import manifest from '../package.json' with { type: 'json' };
import type { RecordOwn } from './access/access.ts';
import { checkKeysDirectory, readKeyFile } from './access/key-file.ts';
import { openAccess } from './access/open-access.ts';
import { createOwnRecorder, serverEmitterId } from './access/own-recorder.ts';
import { createApi } from './api/create-api.ts';
import type { ServerConfig, TlsFiles } from './config/config.ts';
import { readPolicies } from './config/witness-policies.ts';
import { ServerError } from './errors.ts';
import { closedIndexes } from './indexes/closed-indexes.ts';
import { removeIndex } from './indexes/forget-index.ts';
import { wrappedKeysOf } from './indexes/index-keys.ts';
import type { Indexes } from './indexes/indexes.ts';
import { openIndexes } from './indexes/open-indexes.ts';
import { createIntake } from './intake/create-intake.ts';
import { openDemo } from './issuer/demo.ts';
import { openSigningKey } from './issuer/signing-key.ts';
import { RingEnding } from './ledger/kek/key-ending.ts';
import { KeyService } from './ledger/kek/key-service.ts';
import { type OpenedKeyrings, openKeyrings } from './ledger/kek/open-keyrings.ts';
import { defaultKeys } from './ledger/kek/settings.ts';
import type { Ledger } from './ledger/ledger.ts';
import { openLedger } from './ledger/open-ledger.ts';
import { witnessReport } from './ledger/witness/witness-report.ts';
import { Witnessing } from './ledger/witness/witnessing.ts';
import { listenAt } from './listening.ts';
import {
  openTracing,
  tracedBundles,
  tracedCompleteness,
  tracedLedger,
  tracedRecord,
  tracedReview,
} from './open-tracing.ts';
import { openDecisions } from './respond/decisions.ts';
import { openRetention } from './retention/open-retention.ts';
import { defaultRetention } from './retention/policy.ts';
import { createCompleteness } from './review/completeness/completeness.ts';
import { createReview } from './review/create-review.ts';
import { recordKeyChanges } from './review/key-events.ts';
import { ledgerOfDoors } from './review/ledger-of-doors.ts';
import { createBundleMaker } from './review/make-bundle.ts';
import { RewrapJob } from './review/rewrap-job.ts';
import { openTimestamping, recordPolicies } from './vouching.ts';
import { realHttp } from './world/real-http.ts';
import { realWorld } from './world/real-world.ts';
import type { World } from './world/world.ts';

const noWitnesses = { strict: false, ageSecondsMax: 0 };

import { signInOf, startIssuer, trustOf } from './issuing.ts';

export interface RunningServer extends AsyncDisposable {
  /** The public URL of the configuration. */
  readonly url: string;
  /** Whether the ledger takes records. */
  readonly state: Ledger['state'];
}

export interface StartOptions {
  /** Gives up starting; a server that runs is stopped by disposing of it. */
  readonly signal?: AbortSignal;
  /** Another world than the machine's own: a test in which years pass. */
  readonly world?: World;
}

/**
 * Starts a server.
 *
 * @throws ServerError `config-invalid`, `key-file-exposed`, `key-file-invalid`, `state-unknown`; LedgerError `locked` when another process has the directory, `corrupt`
 * @example
 * await using server = await startServer(await readConfig('watchglass.yaml'));
 */
export async function startServer(
  config: ServerConfig,
  { signal, world = realWorld() }: StartOptions = {},
): Promise<RunningServer> {
  await using stack = new AsyncDisposableStack();
  const log = openLog(config);
  const report = reporter(log);
  const tracing = await openTracing(config, world, log);
  if (tracing !== undefined) stack.use(tracing);
  const paths = pathsOf(config);
  await world.disk.makeDirectory(paths.data);
  await checkKeysDirectory(world, paths.keys);
  const tls = config.tls === undefined ? undefined : await readTls(world, config.tls);
  const policies = await readPolicies(world.disk, config);
  signal?.throwIfAborted();

  let keyrings: OpenedKeyrings | undefined;
  /** Parts that the ledger needs only once it shreds, and that need it to be made. */
  const later: { indexes?: Indexes; keyEnding?: RingEnding } = {};
  const ledger = stack.use(
    await openLedger({
      dir: paths.ledger,
      keysDir: paths.keys,
      keyrings: async (mayMake, guarded) => {
        const { keys: settings = defaultKeys } = config;
        keyrings = stack.use(
          await openKeyrings({ world: guarded, env: process.env, keysDir: paths.keys, settings, mayMake }),
        );
        return keyrings;
      },
      keyEnding: {
        standing: async (tenant, keks) => (await later.keyEnding?.standing(tenant, keks)) ?? [...keks].sort(),
        end: async (tenant, keks) => {
          if (later.keyEnding === undefined) throw new TypeError('nothing is shredded before the keys are open');
          return later.keyEnding.end(tenant, keks);
        },
      },
      forgetIndex: (tenant, unit) =>
        later.indexes?.forget(tenant, unit) ?? removeIndex(world, paths.index, tenant, unit),
      originBase: config.origin,
      // A seal of an older copy would contradict the one that was made after it.
      sealAtStart: policies.size === 0,
      world,
      report,
    }),
  );
  if (keyrings === undefined) throw new TypeError('the ledger opens its keyrings');
  if (ledger.state.kind === 'writable') {
    for (const tenant of config.tenants)
      await ledger.addTenant(tenant, config.withholding?.includes(tenant) === true ? 2 : 1);
  }
  // Before the first record: on an older copy nothing may be written.
  const witnessing = stack.use(
    new Witnessing({
      ledger,
      policies: new Map([...policies].filter(([tenant]) => ledger.tenants().includes(tenant))),
      dir: paths.witnesses,
      world,
      http: realHttp,
      report,
    }),
  );
  await witnessing.start();
  const recorder = createOwnRecorder({
    world,
    site: new URL(config.url).host,
    append: (tenant, items) => ledger.append(tenant, items),
    lastSeq: (tenant) => lastOwnSeq(ledger, tenant),
  });
  const record = tracedRecord(recorder, tracing);

  const signingKey = config.issuer.kind === 'embedded' ? await openSigningKey(world, paths.keys) : undefined;
  const trust = trustOf(config, signingKey);
  const homeTenant = config.tenants[0] as TenantId;
  const ofLog = ledger.tenants().includes(homeTenant)
    ? { log: { tenant: homeTenant, origin: ledger.origin(homeTenant) } }
    : {};
  const access = stack.use(
    await openAccess({ path: paths.state, keysDir: paths.keys, world, record, trust, ...ofLog }),
  );
  for (const tenant of config.tenants) access.tenants.add(tenant);
  signal?.throwIfAborted();

  await recordSystem({ record, log, tenants: config.tenants, operation: 'start' });
  stack.defer(() => recordSystem({ record, log, tenants: config.tenants, operation: 'stop' }));
  await recordPolicies(witnessing, record, log);
  const timestamping = await openTimestamping(config, { ledger, world, report });
  if (timestamping !== undefined) stack.use(timestamping).start();

  const service = keyServiceOf({ world, paths, ledger, keyrings });
  await recordTurned({ record, log, ledger, turned: keyrings.turned });
  const rewraps = stack.use(new RewrapJob(service));
  const tenants = (): readonly TenantId[] => ledger.tenants();
  later.keyEnding = new RingEnding({
    keyrings,
    service,
    tenants,
    record: recordKeyChanges({ record, tenants, actor: { id: 'server', type: 'service' } }),
  });
  const retention = stack.use(
    await openRetention({
      path: paths.retention,
      settings: config.retention ?? defaultRetention,
      ledger,
      record: record.placed,
      world,
      report,
    }),
  );
  // Before the indexes are opened: the keys of what goes may be gone already.
  await retention.resume();
  const indexes = stack.use(
    keyrings.mayUnwrap
      ? await openIndexes({ dir: paths.index, keysDir: paths.keys, ledger, keyrings, world, report })
      : closedIndexes(),
  );
  later.indexes = indexes;
  const review = tracedReview(createReview({ ledger, indexes, staff: access.people, world }), tracing);
  const consoleDir = config.consoleDir ?? (await builtConsole(world));
  const page = consoleDir === undefined ? undefined : await world.disk.readFile(join(consoleDir, 'evidence/page.html'));
  const maker = createBundleMaker({
    ledger,
    indexes,
    world,
    page: page === undefined ? undefined : new TextDecoder().decode(page),
    cosigned: async (tenant) => {
      const cosigned = ledger.cosigned(tenant);
      const witnesses = policies.get(tenant)?.policy.witnesses ?? [];
      return (
        cosigned && { note: cosigned.text, witnesses: witnesses.map(({ verifier }) => formatVerifierKey(verifier)) }
      );
    },
  });
  const door = stack.use(
    createIntake({
      ledger: tracedLedger(ledgerOfDoors(ledger), tracing),
      writeKeys: access.writeKeys,
      record,
      homeTenant,
      world,
    }),
  );
  signal?.throwIfAborted();

  const signIn = await signInOf(world, config, paths.keys);
  if (consoleDir === undefined) log.warn('the console is not built: / has nothing to show');
  const api = stack.use(
    await createApi({
      world,
      log,
      access,
      ledger,
      indexes,
      review,
      keys: { service, rewraps },
      retention,
      decisions: await openDecisions({ path: paths.decisions, world, record }),
      door,
      completeness: tracedCompleteness(createCompleteness({ ledger, indexes, world }), tracing),
      bundles: tracedBundles(maker, tracing),
      tracing,
      record,
      recordPlaced: record.placed,
      homeTenant,
      url: config.url,
      version: manifest.version,
      witnesses: () =>
        witnessReport(
          witnessing.status(),
          timestamping?.status() ?? [],
          config.witnesses ?? noWitnesses,
          world.clock.now(),
        ),
      demo: config.demo !== undefined,
      signIn,
      ...(tls === undefined ? {} : { tls }),
      ...(config.trustedProxies === undefined ? {} : { proxies: config.trustedProxies }),
      ...(consoleDir === undefined ? {} : { consoleDir }),
    }),
  );
  if (signingKey !== undefined) {
    const issuer = stack.use(
      await startIssuer({
        config,
        world,
        log,
        record,
        homeTenant,
        access,
        signingKey,
        tls,
        signIn,
        tracing,
        keysDir: paths.keys,
      }),
    );
    if (config.demo !== undefined) {
      stack.use(
        await openDemo({
          world,
          access,
          issuer,
          tenant: homeTenant,
          peopleFile: config.demo.peopleFile,
          keysDir: paths.keys,
          demoDir: paths.demo,
          report: (message, error) => log.error({ err: error }, message),
        }),
      );
    }
  }
  await listenAt('listen', config.listen, (at) => api.listen(at));
  signal?.throwIfAborted();

  await announce(world, paths.announcement, config);
  stack.defer(() => world.disk.remove(paths.announcement));
  log.info({ url: config.url, tenants: config.tenants.length, ledger: ledger.state.kind }, 'ready');

  const running = stack.move();
  return {
    url: config.url,
    get state() {
      return ledger.state;
    },
    [Symbol.asyncDispose]: () => running.disposeAsync(),
  };
}

interface Paths {
  readonly data: string;
  readonly ledger: string;
  readonly index: string;
  readonly keys: string;
  readonly state: string;
  readonly retention: string;
  readonly decisions: string;
  readonly demo: string;
  readonly witnesses: string;
  readonly announcement: string;
}

function pathsOf({ dataDir }: ServerConfig): Paths {
  return {
    data: dataDir,
    ledger: join(dataDir, 'ledger'),
    index: join(dataDir, 'index'),
    keys: join(dataDir, 'keys'),
    state: join(dataDir, 'state.sqlite'),
    retention: join(dataDir, 'retention.json'),
    decisions: join(dataDir, 'decisions.json'),
    demo: join(dataDir, 'demo'),
    witnesses: join(dataDir, 'witnesses'),
    announcement: join(dataDir, 'server.json'),
  };
}

/** JSON lines on stderr: stdout belongs to whoever started us. */
function openLog(config: ServerConfig): Logger {
  return pino({ level: config.log.level, base: { name: 'watchglass' } }, pino.destination({ dest: 2, sync: true }));
}

/** A log that is damaged may not be open: then appending says what is wrong. */
function lastOwnSeq(ledger: Ledger, tenant: TenantId): number {
  if (!ledger.tenants().includes(tenant)) return 0;
  return ledger.emitters(tenant).find(({ id }) => id === serverEmitterId)?.lastSeq ?? 0;
}

interface ReportLine {
  readonly level: 'info' | 'warn' | 'error';
  readonly message: string;
  readonly details?: Readonly<Record<string, string | number>>;
}

function reporter(log: Logger): (line: ReportLine) => void {
  return ({ level, message, details }) => log[level](details ?? {}, message);
}

async function readTls(world: World, files: TlsFiles): Promise<{ cert: Uint8Array; key: Uint8Array }> {
  const keyText = await readKeyFile(world, files.keyFile);
  if (keyText === undefined)
    throw new ServerError(
      'config-invalid',
      `tls.key: there is no ${files.keyFile}; put the private key there, mode 0600`,
    );
  const cert = await world.disk.readFile(files.certFile);
  if (cert === undefined)
    throw new ServerError('config-invalid', `tls.cert: there is no ${files.certFile}; put the certificate chain there`);
  return { cert, key: new TextEncoder().encode(keyText) };
}

/** Start and stop are events of every tenant; a read-only ledger keeps nobody from looking why it is. */
async function recordSystem(parts: {
  readonly record: RecordOwn;
  readonly log: Logger;
  readonly tenants: readonly TenantId[];
  readonly operation: 'start' | 'stop';
}): Promise<void> {
  const { record, log, tenants, operation } = parts;
  const outcome: Outcome = { status: 'success' };
  const actor: Actor = { id: 'server', type: 'service' };
  const done = await Promise.allSettled(
    tenants.map((tenant) => record({ tenant, kind: 'system', action: 'execute', operation, outcome, actor })),
  );
  for (const result of done) {
    if (result.status === 'rejected')
      log.error({ err: result.reason }, `the ${operation} of the server could not be recorded`);
  }
}

function keyServiceOf(parts: {
  readonly world: World;
  readonly paths: Paths;
  readonly ledger: Ledger;
  readonly keyrings: OpenedKeyrings;
}): KeyService {
  const { world, paths, ledger, keyrings } = parts;
  return new KeyService({
    keyrings,
    sources: [
      (tenant) => ledger.wrappedSeeds(tenant),
      (tenant) => wrappedKeysOf(world, { dir: paths.index, keysDir: paths.keys, tenant }),
    ],
    tenants: () => ledger.tenants(),
    world,
  });
}

/** The configuration named another key than the last start did: that is on record too. */
async function recordTurned(parts: {
  readonly record: RecordOwn;
  readonly log: Logger;
  readonly ledger: Ledger;
  readonly turned: OpenedKeyrings['turned'];
}): Promise<void> {
  const { record, log, ledger, turned } = parts;
  const actor: Actor = { id: 'server', type: 'service' };
  const recordChange = recordKeyChanges({ record, tenants: () => ledger.tenants(), actor });
  for (const one of turned) {
    log.warn({ tenant: one.tenant, from: one.from, to: one.to }, 'another key-encryption key is current');
    try {
      await recordChange({ kind: 'turn', ...one });
    } catch (error) {
      log.error({ err: error }, 'that another key-encryption key is current could not be recorded');
    }
  }
}

async function announce(world: World, path: string, { url, tls }: ServerConfig): Promise<void> {
  const text = JSON.stringify({ url, ...(tls?.caFile === undefined ? {} : { ca: tls.caFile }) });
  await world.disk.replace(path, new TextEncoder().encode(`${text}\n`), { mode: 0o600 });
}

/** The console that comes along, when it is built. It is found by name, since the server must not import it. */
async function builtConsole(world: World): Promise<string | undefined> {
  try {
    const dir = join(dirname(createRequire(import.meta.url).resolve('@watchglass/console/package.json')), 'dist');
    return (await world.disk.size(join(dir, 'index.html'))) === undefined ? undefined : dir;
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'MODULE_NOT_FOUND') return undefined;
    throw error;
  }
}
