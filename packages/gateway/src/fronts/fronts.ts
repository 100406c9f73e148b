/**
 * Opens the doors for other proxies: questions by HTTP, by SPOP and by gRPC, and the datagrams of their access logs; takes them down in that order, and lets what is
 * under way be answered and recorded. A door is a unix socket, an address of this machine, or asks for a client certificate: the configuration allows no other.
 */
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { chmod, lstat, unlink } from 'node:fs/promises';
import { type AddressInfo, connect, createServer as createNetServer, type Server, type Socket } from 'node:net';
import { createServer as createTlsServer } from 'node:tls';
import type { TrustedProxies } from '@watchglass/record/source';
import type { Own } from '../capture/own-event.ts';
import { cannotListen } from '../http/listening.ts';
import { tlsRules } from '../identity/own-certificate.ts';
import { type Asked, fieldsAskedFor, frontNames } from './asked.ts';
import { type AuthzJudge, createAuthzServer, type MutualTls } from './authz-server.ts';
import { Decision, type DecisionParts, type Verdict } from './decision.ts';
import { type Outcome, parseOutcomeLine } from './outcome-lines.ts';
import { ownerOf } from './owner.ts';
import { Reconciler } from './reconciler.ts';
import { type SpopAgent, serveSpop } from './spop-agent.ts';

/** Either a path of a unix socket, or a host and a port. */
export interface DoorSettings {
  readonly socket: string | undefined;
  readonly host: string;
  readonly port: number | undefined;
  readonly tls: MutualTls | undefined;
}

/** Whether many workers open it together. */
type SharedDoor = DoorSettings & { readonly together: boolean };

export interface FrontSettings {
  readonly authz: DoorSettings | undefined;
  readonly spop: DoorSettings | undefined;
  readonly grpc: DoorSettings | undefined;
  readonly outcomes:
    | {
        readonly host: string;
        readonly port: number | undefined;
        readonly withinMs: number;
        readonly openMax: number;
      }
    | undefined;
  readonly searchForms: boolean;
  readonly inFlightMax: number;
}

export interface Fronts extends AsyncDisposable {
  /** A path or a port, where the door is open. */
  readonly authz: string | number | undefined;
  readonly spop: string | number | undefined;
  readonly grpc: string | number | undefined;
  readonly outcomes: number | undefined;
  readonly reconciler: Reconciler | undefined;
}

export interface FrontsTogether {
  readonly slot: number;
  readonly count: number;
  /** An outcome of what another worker allowed. */
  readonly passOn: (slot: number, outcome: Outcome) => void;
}

/** Answers under way, and outcomes on their way, get this long when the gateway stops. */
const lastAnswersMs = 2_000;
const lastOutcomesMs = 500;
const datagramBufferBytes = 4 * 1_024 * 1_024;

export async function openFronts(
  settings: FrontSettings,
  parts: Omit<DecisionParts, 'onIntent' | 'searchForms' | 'inFlightMax'> & {
    readonly own: Own;
    readonly proxies: TrustedProxies;
    /** Fields that the API gets besides the usual ones, in lower case. */
    readonly forwardHeaders: readonly string[];
    readonly onFault: (error: unknown) => void;
    /** One of many workers that open the same doors: the primary has made room for them. */
    readonly together?: FrontsTogether | undefined;
  },
): Promise<Fronts> {
  await using stack = new AsyncDisposableStack();
  const { recorder, floods, own, proxies, onFault, metrics, together } = parts;
  const { outcomes } = settings;
  const reconciler =
    outcomes === undefined
      ? undefined
      : stack.use(new Reconciler({ ...outcomes, recorder, floods, own, startedMs: Date.now() }));
  if (reconciler !== undefined) stack.defer(() => reconciler.close(lastOutcomesMs));
  const take = (outcome: Outcome | undefined): void => {
    const owner = together === undefined ? undefined : ownerOf(outcome?.auditId, together.count);
    if (outcome === undefined || owner === undefined || owner === together?.slot) reconciler?.join(outcome);
    else together?.passOn(owner, outcome);
  };
  const outcomesPort =
    outcomes?.port === undefined || reconciler === undefined
      ? undefined
      : await listenForDatagrams(stack, { host: outcomes.host, port: outcomes.port, take });
  const decision = new Decision({
    ...parts,
    searchForms: settings.searchForms,
    inFlightMax: settings.inFlightMax,
    slot: together?.slot,
    onIntent: (intent, { requestId }) => reconciler?.expect(intent, requestId),
  });
  const judge = {
    decide: (asked: Asked): Promise<Verdict> => decision.decide(asked),
    refuseInput: (asked: Asked, reason: string): Promise<Verdict> => decision.refuseInput(asked, reason),
    fields: (): readonly string[] => fieldsAskedFor(parts.policies.current),
  };
  const onOutcomes =
    reconciler === undefined
      ? undefined
      : (lines: string): void => {
          for (const line of lines.split('\n')) if (line.trim() !== '') take(parseOutcomeLine(line));
        };
  const authz =
    settings.authz === undefined
      ? undefined
      : await openDoor(stack, { ...settings.authz, together: together !== undefined }, (tls) => {
          const server = createAuthzServer({ judge, proxies, tls, onFault, onOutcomes });
          return { server, drain: () => server.closeIdleConnections() };
        });
  const spop =
    settings.spop === undefined
      ? undefined
      : await openSpop(stack, { ...settings.spop, together: together !== undefined }, { judge, onFault });
  const grpc =
    settings.grpc === undefined
      ? undefined
      : await openGrpc(stack, settings.grpc, {
          ...parts,
          judge,
          onOutcome: reconciler === undefined ? undefined : take,
        });
  for (const front of frontNames) {
    for (const said of ['yes', 'no'] as const) {
      metrics.watch(
        `watchglass_gateway_front_${front}_${said}`,
        `Questions of this front that were answered ${said}, since the start`,
        () => decision.decided[front][said],
      );
    }
  }
  if (reconciler !== undefined) watchReconciler(metrics, reconciler);
  const opened = stack.move();
  return { authz, spop, grpc, outcomes: outcomesPort, reconciler, [Symbol.asyncDispose]: () => opened.disposeAsync() };
}

async function openSpop(
  stack: AsyncDisposableStack,
  door: SharedDoor,
  parts: { readonly judge: AuthzJudge; readonly onFault: (error: unknown) => void },
): Promise<string | number> {
  const agents = new Set<SpopAgent>();
  const serve = (socket: Socket): void => {
    const agent = serveSpop(socket, parts);
    agents.add(agent);
    socket.once('close', () => agents.delete(agent));
  };
  return await openDoor(stack, door, (tls) => ({
    server: tls === undefined ? createNetServer(serve) : createMutualTlsServer(tls, serve),
    drain: () => {
      for (const agent of agents) agent.drain();
    },
  }));
}

async function openGrpc(
  stack: AsyncDisposableStack,
  door: DoorSettings,
  parts: {
    readonly judge: AuthzJudge;
    readonly forwardHeaders: readonly string[];
    readonly onOutcome: ((outcome: Outcome) => void) | undefined;
    readonly onFault: (error: unknown) => void;
    readonly together?: FrontsTogether | undefined;
  },
): Promise<string | number> {
  // Loaded only where somebody asks by it.
  const { createGrpcDoor } = await import('./grpc-server.ts');
  const { serve, drain } = createGrpcDoor(parts);
  return await openDoor(stack, { ...door, together: parts.together !== undefined }, (tls) => ({
    server: tls === undefined ? createNetServer(serve) : createMutualTlsServer({ ...tls, protocol: 'h2' }, serve),
    drain: () => drain(lastAnswersMs),
  }));
}

function createMutualTlsServer(
  { cert, key, clientCa, protocol }: MutualTls & { readonly protocol?: string },
  serve: (socket: Socket) => void,
): Server {
  const alpn = protocol === undefined ? {} : { ALPNProtocols: [protocol] };
  return createTlsServer(
    { ...tlsRules, ...alpn, cert, key, ca: clientCa, requestCert: true, rejectUnauthorized: true },
    serve,
  );
}

function watchReconciler(metrics: DecisionParts['metrics'], reconciler: Reconciler): void {
  const { status } = reconciler;
  const numbers: readonly (readonly [string, string, () => number])[] = [
    [
      'open_intents',
      'Requests that a front was told to let through, and whose outcome is awaited',
      () => reconciler.openCount,
    ],
    ['outcomes_joined', 'Outcomes that completed their intent', () => status.joined + status.joinedLate],
    ['outcomes_missing', 'Intents whose outcome did not come in time', () => status.outcomesMissing],
    ['intents_missing', 'Outcomes of requests that were not asked about', () => status.intentsMissing],
    ['outcomes_unreadable', 'Log lines that could not be read', () => status.unreadable],
  ];
  for (const [name, help, read] of numbers) metrics.watch(`watchglass_gateway_front_${name}`, help, read);
}

interface Doorkeeper {
  readonly server: Server;
  /** Ends each connection as soon as what is under way on it is answered. */
  drain(): void;
}

/** Opens it, and sees to it that it is closed. */
async function openDoor(
  stack: AsyncDisposableStack,
  door: SharedDoor,
  make: (tls: MutualTls | undefined) => Doorkeeper,
): Promise<string | number> {
  const { server, drain } = make(door.tls);
  const connections = new Set<Socket>();
  server.on('connection', (socket: Socket) => {
    connections.add(socket);
    socket.once('close', () => connections.delete(socket));
  });
  if (door.socket !== undefined && !door.together) await removeStale(door.socket);
  try {
    if (door.socket === undefined) server.listen(door.port ?? 0, door.host);
    else server.listen(door.socket);
    await once(server, 'listening');
  } catch (cause) {
    throw cannotListen(door.socket ?? `${door.host}:${door.port}`, cause);
  }
  // Who may ask is who may write to it: the owner and the group.
  if (door.socket !== undefined) await chmod(door.socket, 0o660);
  stack.defer(async () => {
    const closed = new Promise<void>((resolve) => server.close(() => resolve()));
    drain();
    const late = setTimeout(() => {
      for (const socket of connections) socket.destroy();
    }, lastAnswersMs);
    await closed;
    clearTimeout(late);
  });
  return door.socket ?? (server.address() as AddressInfo).port;
}

/** The socket of a process that is gone. One that somebody answers on stays, and listening fails. */
export async function removeStale(path: string): Promise<void> {
  const found = await lstat(path).catch(() => undefined);
  if (found?.isSocket() !== true) return;
  const probe = connect(path);
  const alive = await Promise.race([
    once(probe, 'connect').then(() => true),
    new Promise<boolean>((resolve) => probe.once('error', () => resolve(false))),
  ]).catch(() => false);
  probe.destroy();
  if (!alive) await unlink(path);
}

async function listenForDatagrams(
  stack: AsyncDisposableStack,
  {
    host,
    port,
    take,
  }: { readonly host: string; readonly port: number; readonly take: (outcome: Outcome | undefined) => void },
): Promise<number> {
  const socket = createSocket({ type: host.includes(':') ? 'udp6' : 'udp4', recvBufferSize: datagramBufferBytes });
  socket.on('message', (bytes) => take(parseOutcomeLine(bytes.toString('utf8'))));
  const listening = once(socket, 'listening');
  socket.bind(port, host);
  try {
    await listening;
  } catch (cause) {
    throw cannotListen(`${host}:${port}`, cause, 'hear datagrams');
  }
  socket.on('error', () => undefined);
  stack.defer(() => new Promise<void>((resolve) => socket.close(() => resolve())));
  return socket.address().port;
}
