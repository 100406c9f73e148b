/**
 * Everything that is decided about a request before the upstream is asked: is the message sound, what is it, who asks, may they, and what does its
 * body add to that. Ends early by throwing `Refused`.
 */
import type { IncomingMessage, ServerResponse } from 'node:http';

import type { Actor, Purpose, Target } from '@watchglass/record';
import {
  actorOf,
  anonymous,
  authenticationEvent,
  type Captured,
  interactionEvent,
  namedTargets,
} from '../capture/capture.ts';
import type { RequestCounters } from '../capture/counters.ts';
import { recordedNamesOf } from '../capture/operation-names.ts';
import type { Recorder } from '../capture/recorder.ts';
import { type ExportLinks, isExportLink } from '../exposure/export-links.ts';
import { type Learned, learnExposure } from '../exposure/exposure.ts';
import { learnMapped } from '../exposure/json-exposure.ts';
import { isMapped } from '../exposure/json-map.ts';
import type { PageLink, PageLinks } from '../exposure/page-links.ts';
import { type Route, recogniseIn } from '../exposure/route.ts';
import { type BatchEntry, conditionally, parseBatch } from '../fhir/batch.ts';
import type { Interaction } from '../fhir/fhir-interaction.ts';
import { bareId } from '../fhir/reference.ts';
import { isAnother } from '../fhir/sent-resource.ts';
import { BodyCounter, declaredLength, RequestBodyError, readBody } from '../http/body.ts';
import { canonicalise, type Parameter, parametersMax, parseParameters } from '../http/canonical.ts';
import { chooseAccept, wantsJson } from '../http/headers.ts';
import { isForm, isJson, isUtf8 } from '../http/media-type.ts';
import { hasBody } from '../http/message.ts';
import { parseOneReading } from '../http/one-reading.ts';
import type { Presentation } from '../identity/dpop.ts';
import type { Authentication, Authenticator, Principal } from '../identity/token.ts';
import { type Allowed, type Asker, authorise, authoriseEntry, openToAll } from '../policy/authorise.ts';
import { circumstancesOf } from '../policy/conditions.ts';
import type { Policy } from '../policy/tables.ts';
import { within } from '../trace/request-trace.ts';
import { followedPage } from './followed-page.ts';
import type { Limiting } from './limiting.ts';
import { createsProvenance } from './provenance.ts';
import { tooLateBy } from './refusal.ts';
import {
  denied,
  deniedByPolicy,
  noRoute,
  notAuthenticated,
  Refused,
  ruleTarget,
  soundTarget,
  violation,
} from './refused.ts';
import { mustBePosted } from './search-by-post.ts';

export interface AdmissionParts {
  /** The longest prefix first. */
  readonly routes: readonly Route[];
  readonly exportLinks: ExportLinks;
  readonly pageLinks: PageLinks;
  readonly authenticator: Authenticator;
  readonly limiting: Limiting;
  readonly recorder: Pick<Recorder, 'record'>;
  readonly counters: Pick<RequestCounters, 'mark'>;
  /** How clients reach the gateway: what proofs of possession are made for. */
  readonly publicUrl: URL;
  /** The policy in force: a request keeps to its end the one it began with. */
  readonly policies: { readonly current: Policy };
  /** How much of a body is read for what it is about. */
  readonly exposureBytesMax: number;
  readonly requestBytesMax: number;
}

export interface Admitted {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  readonly captured: Captured;
  readonly interaction: Interaction;
  readonly parameters: readonly Parameter[];
  /** Undefined for what the policy leaves to anybody. */
  readonly asker: Asker | undefined;
  readonly actor: Actor;
  /** By the head alone. */
  readonly decision: Allowed;
  readonly purpose: Purpose | undefined;
  /** What the event of its outcome has to say besides. */
  readonly flags?: readonly Target[];
  /** It goes on with a search, by a link that the gateway made. */
  readonly page?: PageLink;
  /** Fields of the answer. */
  readonly notices?: Readonly<Record<string, string>>;
  /** What the upstream is asked for. */
  readonly accept: string;
  /** Path and query, exactly as they came; of a link what it leads to. */
  readonly target: string;
}

export interface Carried {
  readonly body: Buffer | BodyCounter | null;
  /** Those of the query, and those of a form. */
  readonly parameters: readonly Parameter[];
  readonly entries: readonly BatchEntry[];
  /** Once everything that decides was read. */
  readonly decision: Allowed;
  /** What the body says it is about. */
  readonly learned: Learned | undefined;
}

const formBytesMax = 64 * 1024;
const methods: ReadonlySet<string> = new Set(['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE']);

export class Admission {
  readonly #parts: AdmissionParts;

  constructor(parts: AdmissionParts) {
    this.#parts = parts;
  }

  /** Judges the head. */
  async admit(request: IncomingMessage, response: ServerResponse, captured: Captured): Promise<Admitted> {
    const policy = this.#parts.policies.current;
    const target = soundTarget(request, captured);
    const { interaction, ...recognised } = this.#recognise(request, target, captured);
    const { route } = recordedNamesOf(interaction, policy.operations);
    captured.trace?.note({ route, interaction: interaction.name });
    const open = policy.anonymous.has(interaction.name) && request.headers.authorization === undefined;
    const known = open ? undefined : this.#authenticate(request, captured, route);
    const principal = known instanceof Promise ? await known : known;
    captured.trace?.begin('decide');
    const purpose = purposeOf(request, policy);
    const asked = {
      captured,
      interaction,
      parameters: recognised.parameters,
      actor: principal === undefined ? anonymous : actorOf(principal),
      purpose: purpose === 'refused' ? undefined : purpose,
    };
    const counted = this.#parts.limiting.known(asked, principal);
    if (counted !== undefined) await counted;
    const page = followedPage(asked, this.#parts.pageLinks);
    // A page is judged as the search that it continues.
    const parameters = page?.parameters ?? asked.parameters;
    const facts = { ...asked, parameters };
    if (page === undefined && mustBePosted(this.#parts, { ...target, interaction }))
      throw denied(facts, 'search-by-post', 'search-by-post');
    const asker = principal === undefined ? undefined : askerOf({ ...facts, request, policy, principal });
    const decision =
      asker === undefined
        ? openToAll
        : authorise({ ...asker, interaction: judgedAs(interaction), parameters, formToCome: interaction.form });
    if (decision.kind === 'denied') throw deniedByPolicy(facts, decision, policy);
    // A link is for whom it was made.
    if (isExportLink(interaction) && interaction.link.actor !== facts.actor.id)
      throw denied(facts, 'forbidden', 'export-of-another');
    // It would be judged, and then not be sent.
    if (isExportLink(interaction) && parameters.length > 0) throw denied(facts, 'target-refused', 'export-query');
    if (purpose === 'refused') throw denied(facts, 'purpose-refused', 'purpose');
    const provenance = createsProvenance({ request, interaction }, asker);
    if (provenance === 'denied') throw denied(facts, 'forbidden', 'provenance');
    const accept = chooseAccept(request.headers.accept, parameters, preferredType(interaction));
    if (accept.kind === 'unreadable') throw denied(facts, 'not-acceptable', 'not-acceptable');
    return {
      ...facts,
      request,
      response,
      asker,
      decision,
      ...(provenance === undefined ? {} : { flags: [{ type: 'Provenance', role: 'header' }] }),
      ...(page === undefined ? {} : { page, flags: [{ type: 'Bundle', role: 'page' }] }),
      accept: accept.accept,
      target: page?.target ?? askedFor(interaction, target),
    };
  }

  /** Is it a WebSocket that a route lets through? Says nothing about who may. */
  isSubscription(request: IncomingMessage): boolean {
    const target = canonicalise(request.url ?? '');
    if (target.kind === 'refused') return false;
    const { segments, parameters } = target;
    const asked = { method: request.method ?? '', segments, parameters, links: this.#parts.exportLinks };
    const recognition = recogniseIn(this.#parts.routes, asked);
    return recognition.kind === 'interaction' && recognition.interaction.name === 'subscribe';
  }

  /** Reads the body, as far as something in it decides. A promise only where there is one. */
  readRequest(admitted: Admitted): Carried | Promise<Carried> {
    const { request, interaction, parameters, decision } = admitted;
    const nothing: Carried = { body: null, parameters, entries: [], decision, learned: undefined };
    if (!hasBody(request)) {
      if (interaction.name === 'batch') throw denied(admitted, 'body-unreadable', 'body-missing');
      return interaction.form ? { ...nothing, ...this.#readForm(admitted, Buffer.alloc(0)) } : nothing;
    }
    return this.#readBody(admitted, nothing);
  }

  async #readBody(admitted: Admitted, nothing: Carried): Promise<Carried> {
    const { request, interaction } = admitted;
    const bytesMax = this.#bodyBytesMax(admitted);
    // Until here a client that waits for 100 Continue hasn't sent a byte of it.
    if (request.headers.expect !== undefined) admitted.response.writeContinue();
    const length = declaredLength(request);
    // A large one goes through as it comes; what it is about is then known from its path and its answer only.
    if (length !== undefined && length > this.#parts.exposureBytesMax)
      return { ...nothing, body: new BodyCounter(request, bytesMax) };
    const body = await readBody(request, bytesMax).catch((error: unknown) => {
      if (!(error instanceof RequestBodyError)) throw error;
      throw error.fault === 'too-large'
        ? denied(admitted, 'body-too-large', 'body-too-large')
        : denied(admitted, 'body-unreadable', 'client-closed');
    });
    if (interaction.form) return { ...nothing, body, ...this.#readForm(admitted, body) };
    if (interaction.name === 'batch') return { ...nothing, body, entries: await this.#readBatch(admitted, body) };
    const contentType = request.headers['content-type'];
    if (!isJson(contentType) || body.length === 0) return { ...nothing, body };
    const sent = parseOneReading(body);
    if (sent === undefined) throw denied(admitted, 'body-unreadable', 'not-json');
    if (isMapped(interaction))
      return {
        ...nothing,
        body,
        learned: learnMapped(body, { interaction, of: 'request', contentType, complete: true }),
      };
    if (isAnother(interaction, sent)) throw denied(admitted, 'body-unreadable', 'resource-mismatch');
    return { ...nothing, body, learned: learnExposure(body, { contentType, complete: true }) };
  }

  /** The condition of a create counts as its parameters. */
  #recognise(
    request: IncomingMessage,
    { segments, parameters }: { readonly segments: readonly string[]; readonly parameters: readonly Parameter[] },
    captured: Captured,
  ): { readonly interaction: Interaction; readonly parameters: readonly Parameter[] } {
    if (!methods.has(request.method ?? '')) {
      throw noRoute(captured, 'method-not-allowed', { allow: [...methods].join(', '), connection: 'close' });
    }
    const recognition = recogniseIn(this.#parts.routes, {
      method: captured.method,
      segments,
      parameters,
      links: this.#parts.exportLinks,
    });
    switch (recognition.kind) {
      case 'interaction': {
        const { interaction } = recognition;
        const condition = request.headers['if-none-exist'];
        if (condition === undefined) return { interaction, parameters };
        const conditional = typeof condition === 'string' ? conditionally(interaction, condition) : undefined;
        if (conditional === undefined) throw violation(captured, 'protocol-violation', 'if-none-exist');
        return { interaction: conditional.interaction, parameters: [...parameters, ...conditional.parameters] };
      }
      case 'no-route':
        throw noRoute(captured, 'not-found');
      case 'method-not-allowed':
        throw noRoute(captured, 'method-not-allowed', { allow: recognition.allow });
      default:
        return recognition satisfies never;
    }
  }

  #authenticate(request: IncomingMessage, captured: Captured, route: string): Principal | Promise<Principal> {
    const found = within(captured.trace, 'authenticate', () =>
      this.#parts.authenticator.authenticate(request.headers.authorization, () => this.#present(request, captured)),
    );
    return found instanceof Promise
      ? found.then((authentication) => this.#letIn(captured, route, authentication))
      : this.#letIn(captured, route, found);
  }

  #letIn(captured: Captured, route: string, authentication: Authentication): Principal | Promise<Principal> {
    switch (authentication.kind) {
      case 'authenticated': {
        const { principal, settle } = authentication;
        return settle === undefined ? principal : this.#recordFirstUse(captured, principal, settle);
      }
      case 'missing':
        throw notAuthenticated(captured, 'token-missing', { reason: 'token-missing', route });
      case 'invalid': {
        const { reason, principal, headers } = authentication;
        const known = principal === undefined ? {} : { actor: actorOf(principal) };
        throw notAuthenticated(captured, 'token-invalid', { reason, route, ...known }, headers);
      }
      case 'unavailable': {
        const { reason = 'issuer-keys-unavailable' } = authentication;
        throw notAuthenticated(captured, 'identity-unavailable', { reason, route });
      }
      default:
        return authentication satisfies never;
    }
  }

  #present(request: IncomingMessage, { method, certificate }: Captured): Presentation {
    const { dpop } = request.headers;
    const [path] = (request.url ?? '').split('?', 1);
    return {
      method,
      url: this.#parts.publicUrl.href.replace(/\/+$/, '') + path,
      proof: typeof dpop === 'string' ? dpop : undefined,
      certificate,
    };
  }

  /** Nobody comes in unrecorded; where it can't be said now, the next request says it. */
  async #recordFirstUse(captured: Captured, principal: Principal, settle: (said: boolean) => void): Promise<Principal> {
    const events = [authenticationEvent(captured, principal)];
    const recorded = await this.#parts.recorder.record(events, undefined, tooLateBy('audit-unavailable'));
    settle(recorded.kind === 'durable');
    if (recorded.kind === 'durable') {
      this.#parts.counters.mark(captured, 'recorded');
      return principal;
    }
    throw new Refused('audit-unavailable', undefined);
  }

  /** The bound of the body, once its declared length and type are in order. */
  #bodyBytesMax(admitted: Admitted): number {
    const { request, interaction } = admitted;
    const { exposureBytesMax, limiting } = this.#parts;
    const requestBytesMax = limiting.bodyBytesMax(interaction, this.#parts.requestBytesMax);
    const length = declaredLength(request);
    const batch = interaction.name === 'batch';
    // Of a body without a length nobody knows whether it can be held: it has to be one that can.
    const bytesMax = interaction.form
      ? formBytesMax
      : batch || length === undefined
        ? exposureBytesMax
        : requestBytesMax;
    if (length !== undefined && length > bytesMax) throw denied(admitted, 'body-too-large', 'body-too-large');
    const contentType = request.headers['content-type'];
    const sound = interaction.form ? isForm(contentType) : !batch || isJson(contentType);
    const oneReading = isUtf8(contentType) || !(interaction.form || isJson(contentType));
    if (!sound || !oneReading) throw denied(admitted, 'unsupported-media-type', 'content-type');
    return bytesMax;
  }

  /** A form decides like a query, so it is judged like one. */
  #readForm(admitted: Admitted, body: Buffer): Pick<Carried, 'parameters' | 'decision'> {
    const form = parseParameters(body.toString('latin1'));
    if (typeof form === 'string') throw denied(admitted, 'body-unreadable', form);
    const parameters = [...admitted.parameters, ...form];
    if (parameters.length > parametersMax) throw denied(admitted, 'body-unreadable', 'target-query');
    if (!form.every(wantsJson)) throw denied({ ...admitted, parameters }, 'not-acceptable', 'not-acceptable');
    const { asker, interaction } = admitted;
    if (asker === undefined) return { parameters, decision: admitted.decision };
    const decision = authorise({ ...asker, interaction, parameters });
    if (decision.kind === 'denied') throw deniedByPolicy({ ...admitted, parameters }, decision, asker.policy);
    return { parameters, decision };
  }

  /** One entry that isn't allowed denies all of them, and each is recorded. */
  async #readBatch(admitted: Admitted, body: Buffer): Promise<readonly BatchEntry[]> {
    const { asker, captured, actor, interaction } = admitted;
    const batch = parseBatch(body, interaction.route.replace(/\/$/, ''));
    if (batch.kind === 'unreadable') {
      throw denied(admitted, batch.reason === 'too-many-entries' ? 'body-too-large' : 'body-unreadable', batch.reason);
    }
    if (asker === undefined) throw denied(admitted, 'forbidden', 'policy');
    await this.#parts.limiting.entries(admitted, asker.principal, batch.entries);
    const verdicts = batch.entries.map((entry) => authoriseEntry({ ...asker, ...entry }));
    const first = verdicts.find((verdict) => verdict.kind === 'denied');
    if (first === undefined) return batch.entries;
    const more = batch.entries.map((entry, position) => {
      const verdict = verdicts[position];
      const rule = verdict?.kind === 'denied' ? ruleTarget(verdict, asker.policy.digest) : undefined;
      return interactionEvent({
        captured,
        interaction: entry.interaction,
        actor,
        parameterNames: entry.parameters.map(({ name }) => name),
        outcome: { status: 'denied', code: 403, reason: verdict?.kind === 'denied' ? verdict.reason : 'batch-denied' },
        facts: { status: 403 },
        ...(rule === undefined ? {} : { rest: { targets: [...namedTargets(entry.interaction), rule] } }),
      });
    });
    throw deniedByPolicy(admitted, first, { digest: asker.policy.digest, more });
  }
}

/** Path and query, exactly as they came; of a link what it leads to. */
function askedFor(
  interaction: Interaction,
  { path, query }: { readonly path: string; readonly query: string | undefined },
): string {
  if (isExportLink(interaction)) return interaction.link.url.slice(new URL(interaction.link.url).origin.length);
  return query === undefined ? path : `${path}?${query}`;
}

/** Whoever may export may ask how it goes, fetch its files and cancel it. */
function judgedAs(interaction: Interaction): Interaction {
  return isExportLink(interaction) ? { ...interaction, operation: '$export' } : interaction;
}

/** What the upstream is asked for instead of FHIR JSON. */
function preferredType(interaction: Interaction): string | undefined {
  if (interaction.operation === 'export-file') return 'application/fhir+ndjson';
  return isMapped(interaction) || isExportLink(interaction) ? 'application/json' : undefined;
}

/** What the header says that the policy names; `refused` where that is no purpose it allows. */
function purposeOf(request: IncomingMessage, { purposeOfUse }: Policy): Purpose | 'refused' | undefined {
  const value = purposeOfUse === undefined ? undefined : request.headers[purposeOfUse.header];
  if (purposeOfUse === undefined || value === undefined) return undefined;
  return typeof value === 'string' && purposeOfUse.allow.has(value) ? { code: value } : 'refused';
}

function askerOf(of: {
  readonly request: IncomingMessage;
  readonly captured: Captured;
  readonly policy: Policy;
  readonly principal: Principal;
  readonly purpose: Purpose | undefined;
}): Asker {
  const { request, captured, policy, principal, purpose } = of;
  const glassPatient = policy.breakGlass === undefined ? undefined : request.headers[policy.breakGlass.patientHeader];
  return {
    policy,
    principal,
    circumstances: circumstancesOf(principal, {
      timeMs: captured.timeMs,
      address: captured.source.address,
      purpose: purpose?.code,
    }),
    glassPatient: bareId(glassPatient),
  };
}
