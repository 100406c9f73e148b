/**
 * The event of a request: what is known when it arrives, who is calling once that is verified, how it ended. No id of a path, no value of a
 * query, no name of a parameter that may mean anything and no header value gets in here, except the user agent and, by policy, the purpose of use. Members stand in the order of the schema, so that nobody has to
 * arrange them (docs/format.md, "Packed records").
 */
import { type IncomingMessage, METHODS } from 'node:http';

import type { Actor, Outcome, OutcomeStatus, RequestFacts, Source, Target } from '@watchglass/record';
import { peerAddress } from '@watchglass/record/source';
import { parseTraceparent } from '@watchglass/trace';
import type { Interaction } from '../fhir/fhir-interaction.ts';
import { certificateThumbprint } from '../identity/client-certificate.ts';
import type { Principal } from '../identity/token.ts';
import type { RequestTrace } from '../trace/request-trace.ts';
import type { Counted } from './counters.ts';
import { recordedNamesOf } from './operation-names.ts';
import { recordedNames } from './parameter-names.ts';
import { drawBytes } from './random.ts';
import type { EventDraftFacts } from './recorder.ts';
import { timestamp } from './timestamp.ts';

/** What every event of one request shares. */
export interface Captured {
  readonly id: string;
  /** Of the event that stands for the request: `X-Audit-Id`. */
  readonly auditId: string;
  readonly timeMs: number;
  readonly startedMs: number;
  readonly method: string;
  readonly traceparent: string;
  readonly source: Source;
  /** Of the client certificate of the connection: `x5t#S256`. */
  readonly certificate: string | undefined;
  readonly site: string | undefined;
  /** Names of parameters that may be repeated, besides those that everybody knows. */
  readonly knownParameters: ReadonlySet<string>;
  /** And of operations. */
  readonly knownOperations: ReadonlySet<string>;
  /** Where its phases are told; undefined without tracing. */
  readonly trace?: RequestTrace | undefined;
  readonly counted: Counted;
}

export function capture(
  request: Pick<IncomingMessage, 'headers' | 'socket'> & { readonly method?: string | undefined },
  options: {
    readonly id: string;
    readonly auditId: string;
    readonly timeMs: number;
    readonly address: string | undefined;
    readonly site: string | undefined;
    readonly knownParameters: ReadonlySet<string>;
    readonly knownOperations: ReadonlySet<string>;
    readonly trace?: RequestTrace | undefined;
  },
): Captured {
  const userAgent = request.headers['user-agent'];
  const certificate = certificateThumbprint(request.socket);
  // A port says nothing once a proxy stands in between.
  const port = options.address === peerAddress(request.socket) ? request.socket.remotePort : undefined;
  return {
    id: options.id,
    auditId: options.auditId,
    timeMs: options.timeMs,
    startedMs: performance.now(),
    method: plainMethod(request.method),
    traceparent: options.trace?.traceparent ?? continueTrace(request.headers.traceparent),
    source: {
      ...(options.address === undefined ? {} : { address: options.address }),
      ...(port === undefined ? {} : { port }),
      ...(userAgent === undefined ? {} : { userAgent: userAgent.slice(0, 512).replace(/[^\x20-\x7e]/g, '?') }),
      ...(certificate === undefined ? {} : { device: `x5t-S256:${certificate}` }),
    },
    certificate,
    site: options.site,
    knownParameters: options.knownParameters,
    knownOperations: options.knownOperations,
    trace: options.trace,
    counted: { fate: undefined },
  };
}

const knownMethods: ReadonlySet<string> = new Set(METHODS);

/** A method that can stand in an event: behind a front it is a text like any other. */
export function plainMethod(method: string | undefined): string {
  return method !== undefined && knownMethods.has(method) ? method : 'OTHER';
}

/** The caller's trace with a span of our own, or a new trace (W3C Trace Context §3.2). */
function continueTrace(inbound: string | string[] | undefined): string {
  const drawn = drawBytes(24).toString('hex');
  const span = drawn.slice(32);
  const caller = parseTraceparent(inbound);
  return caller === undefined ? `00-${drawn.slice(0, 32)}-${span}-00` : `00-${caller.traceId}-${span}-${caller.flags}`;
}

export const anonymous: Actor = { id: 'anonymous' };

/** One for each token that is remembered. */
const actors = new WeakMap<Principal, Actor>();

/** Who it was, as the verified token says. */
export function actorOf(principal: Principal): Actor {
  const known = actors.get(principal);
  if (known !== undefined) return known;
  const actor = makeActor(principal);
  actors.set(principal, actor);
  return actor;
}

function makeActor(principal: Principal): Actor {
  const { id, roles, client, session, tokenId, method = 'bearer', mfa, assurance, authenticatedAt } = principal;
  return {
    id,
    type: typeOf(principal),
    ...(roles.length === 0 ? {} : { roles }),
    ...(client === undefined ? {} : { client }),
    ...(session === undefined ? {} : { session }),
    ...(tokenId === undefined ? {} : { tokenId }),
    authentication: {
      method,
      ...(mfa === undefined ? {} : { mfa }),
      ...(assurance === undefined ? {} : { assurance }),
      ...(authenticatedAt === undefined ? {} : { time: authenticatedAt }),
    },
  };
}

/** A token of the client itself stands for no person (RFC 9068 §2.2). */
function typeOf({ id, client, roles }: Principal): 'human' | 'service' | 'patient' {
  if (client !== undefined && client === id) return 'service';
  return roles.includes('patient') ? 'patient' : 'human';
}

/** What the request names: the resource of its path, or the type it searches. */
export function namedTargets(interaction: Interaction): readonly Target[] {
  const { type, id, version, compartment } = interaction;
  const targets: Target[] = [];
  if (type !== undefined) {
    targets.push({
      type,
      ...(id === undefined ? {} : { id }),
      ...(version === undefined ? {} : { version }),
      ...patientOf(interaction),
      role: interaction.name === 'search' || interaction.name === 'history' ? 'query' : 'object',
    });
  }
  if (compartment !== undefined) {
    const patient = compartment.type === 'Patient' ? { patient: compartment.id } : {};
    targets.push({ type: compartment.type, id: compartment.id, ...patient, role: 'compartment' });
  }
  return targets;
}

function patientOf({ type, id, patients }: Interaction): { readonly patient?: string } {
  const patient = patients === undefined ? (type === 'Patient' ? id : undefined) : patients[0];
  return patient === undefined ? {} : { patient };
}

/** The event of a recognised interaction. */
export function interactionEvent(input: {
  readonly captured: Captured;
  readonly interaction: Interaction;
  readonly actor: Actor;
  readonly outcome: Outcome;
  readonly parameterNames: readonly string[];
  readonly facts: RequestFacts;
  readonly rest?: Partial<Pick<EventDraftFacts, 'id' | 'targets' | 'exposure' | 'completes' | 'purpose'>>;
}): EventDraftFacts {
  const { captured, interaction, parameterNames, rest = {} } = input;
  const { id, targets = namedTargets(interaction), exposure, purpose, completes } = rest;
  const { knownParameters, knownOperations } = captured;
  const { operation, route } = recordedNamesOf(interaction, knownOperations);
  const query =
    parameterNames.length === 0 ? {} : { query: recordedNames(parameterNames, interaction, knownParameters) };
  return {
    ...(id === undefined ? {} : { id }),
    time: timestamp(captured.timeMs),
    kind: 'api',
    action: interaction.action,
    operation,
    outcome: input.outcome,
    actor: input.actor,
    ...where(captured),
    targets,
    ...(exposure === undefined ? {} : { exposure }),
    ...(purpose === undefined ? {} : { purpose }),
    request: requestFacts(captured, { route, ...query, ...input.facts }),
    ...(completes === undefined ? {} : { completes }),
  };
}

/** The event of something refused before it was understood, or before it was known who asks. */
export function refusalEvent(input: {
  readonly captured: Captured;
  readonly kind: 'auth' | 'network' | 'system';
  readonly operation: string;
  readonly status: number;
  readonly reason: string;
  readonly route?: string;
  readonly actor?: Actor;
}): EventDraftFacts {
  const { captured } = input;
  return {
    time: timestamp(captured.timeMs),
    kind: input.kind,
    action: 'execute',
    operation: input.operation,
    outcome: { status: input.status < 500 ? 'denied' : 'error', code: input.status, reason: input.reason },
    actor: input.actor ?? anonymous,
    ...where(captured),
    request: requestFacts(captured, {
      ...(input.route === undefined ? {} : { route: input.route }),
      status: input.status,
      durationMs: elapsedMs(captured),
    }),
  };
}

/** The event of a token that is let in for the first time. How they signed in stands behind the class of it (RFC 8176 `amr`). */
export function authenticationEvent(captured: Captured, principal: Principal): EventDraftFacts {
  const { assurance, methods = [] } = principal;
  const said = [...(assurance === undefined ? [] : [assurance]), ...(methods.length === 0 ? [] : [`amr=${methods}`])];
  const actor = actorOf(principal);
  return {
    time: timestamp(captured.timeMs),
    kind: 'auth',
    action: 'execute',
    operation: 'authenticate',
    outcome: { status: 'success' },
    actor: {
      ...actor,
      authentication: {
        method: 'bearer',
        ...actor.authentication,
        ...(said.length === 0 ? {} : { assurance: said.join(' ').slice(0, 128).trimEnd() }),
      },
    },
    ...where(captured),
    request: requestFacts(captured, {}),
  };
}

/** The event of an answer of the gateway's own to whoever asks, which holds nothing about anybody: how to sign in, or that a script may call. */
export function discoveryEvent(input: {
  readonly captured: Captured;
  readonly status: number;
  readonly operation: 'smart-configuration' | 'preflight';
  readonly route?: string;
  readonly reason?: string;
}): EventDraftFacts {
  const { captured, status, operation, route, reason } = input;
  const outcome = { status: outcomeOfStatus(status), code: status, ...(reason === undefined ? {} : { reason }) };
  return {
    time: timestamp(captured.timeMs),
    kind: 'api',
    action: 'read',
    operation,
    outcome,
    actor: anonymous,
    ...where(captured),
    request: requestFacts(captured, {
      ...(route === undefined ? {} : { route }),
      status,
      durationMs: elapsedMs(captured),
    }),
  };
}

/** The event of a session that its issuer ended, or of somebody who said so and was not believed. */
export function logoutEvent(input: {
  readonly captured: Captured;
  readonly status: number;
  readonly reason: string | undefined;
  readonly route: string;
  readonly actor: Actor;
  readonly issuer: string | undefined;
}): EventDraftFacts {
  const { captured, status, reason, issuer } = input;
  const event = refusalEvent({ ...input, kind: 'auth', operation: 'backchannel-logout', reason: reason ?? '' });
  return {
    ...event,
    outcome: status < 400 ? { status: 'success', code: status } : event.outcome,
    ...(issuer === undefined || issuer.length > 256
      ? {}
      : { targets: [{ type: 'Issuer', id: issuer, role: 'object' }] }),
    request: requestFacts(captured, { route: input.route, status, durationMs: elapsedMs(captured) }),
  };
}

/** FHIR's 0, 4, 8 and 12 of an HTTP status. */
export function outcomeOfStatus(status: number): OutcomeStatus {
  if (status < 400) return 'success';
  if (status === 401 || status === 403) return 'denied';
  return status < 500 ? 'failed' : 'error';
}

export function elapsedMs(captured: Captured): number {
  return Math.round((performance.now() - captured.startedMs) * 1_000) / 1_000;
}

function where({ source, site }: Captured): Pick<EventDraftFacts, 'source' | 'site'> {
  return site === undefined ? { source } : { source, site };
}

function requestFacts({ method, traceparent, id }: Captured, facts: RequestFacts): RequestFacts {
  return { method, ...facts, traceparent, id };
}
