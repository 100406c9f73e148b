/**
 * One request, from its head to its release:
 *
 *     capture → authenticate → authorise → reserve → (intent) → forward → learn → record → release
 *
 * The order is the promise. In `strict` mode the upstream is not asked before there is room for the event (for what may change something: before the intent is
 * durable), and no byte of its answer leaves before the event that says so is durable. Every way out of here is an event, or is counted where
 * the record itself is what failed.
 */
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import { clientAddress, neighbourhood, type TrustedProxies } from '@watchglass/record/source';
import type { Reservation } from '@watchglass/sdk';
import type { Pool } from 'undici';
import { type Captured, capture, elapsedMs, plainMethod, refusalEvent } from '../capture/capture.ts';
import type { RequestCounters } from '../capture/counters.ts';
import type { Floods } from '../capture/flood.ts';
import {
  type EventDraftFacts,
  type Recorded,
  type Recorder,
  requestEventsBytesMax,
  smallEventBytesMax,
} from '../capture/recorder.ts';
import { isExportLink } from '../exposure/export-links.ts';
import type { Learned } from '../exposure/exposure.ts';
import type { Interaction } from '../fhir/fhir-interaction.ts';
import { declaredLength, endWithBody } from '../http/body.ts';
import type { Cors } from '../http/cors.ts';
import { clientHeaders } from '../http/headers.ts';
import { hasBody } from '../http/message.ts';
import { asksForWebSocket } from '../http/websocket.ts';
import { withholdReason } from '../policy/authorise.ts';
import { type RequestTracer, within } from '../trace/request-trace.ts';
import type { Lease, Upstream } from '../upstream/upstream.ts';
import { Admission, type AdmissionParts, type Admitted, type Carried } from './admission.ts';
import { type Consulted, type ConsultParts, consultAfter, consultBefore } from './consult.ts';
import { type Door, serveDoor } from './door.ts';
import { asksForEvents, keepEvents, placeOf } from './event-stream.ts';
import { learnFile, throughGateway } from './export.ts';
import { faultCode } from './fault-code.ts';
import { type Held, type HeldBeginning, type HeldWhole, hold, type UpstreamFault } from './forward.ts';
import { learnFromHeld, readerBehind } from './learn.ts';
import { leaseOf, type Means, noteHeld, saidOf } from './lease.ts';
import type { PagingParts } from './link-lead.ts';
import { onwardHeaders } from './onward.ts';
import { faultEvents, type Intent, intentEvents, isChange, outcomeEvents, streamEndEvent } from './outcome.ts';
import { pagesThroughGateway, refuseUnsealed } from './paging.ts';
import { answerRefusal, type RefusalCode, refusals, tooLateBy } from './refusal.ts';
import { denied, Refused, violation } from './refused.ts';
import { needsSight, withoutReading, withUnseen } from './sideways.ts';
import { refuseWithoutUpgrade, type UpgradeParts, Upgrades, type Upgrading } from './upgrade.ts';

export interface PipelineParts extends AdmissionParts, ConsultParts, PagingParts, UpgradeParts {
  readonly recorder: Recorder;
  /** Of the other origins that files of exports may lie at. */
  readonly filePools: ReadonlyMap<string, Pool>;
  readonly proxies: TrustedProxies;
  readonly floods: Floods;
  readonly counters: RequestCounters;
  /** On every answer: `Strict-Transport-Security`, where the gateway is reached by https. */
  readonly securityHeaders: Readonly<Record<string, string>>;
  /** Paths that the gateway answers itself. */
  readonly doors: readonly Door[];
  readonly cors: Cors;
  readonly site: string | undefined;
  readonly knownParameters: ReadonlySet<string>;
  readonly inFlightMax: number;
  readonly tracing: RequestTracer | undefined;
}

export class Pipeline {
  readonly #parts: PipelineParts;
  readonly #admission: Admission;
  readonly #upgrades: Upgrades;
  /** Connections whose fault is on record already: what it did to a request on them needs no second event. */
  readonly #faulted = new WeakSet<Socket>();
  #inFlight = 0;
  #idle: PromiseWithResolvers<void> | undefined;

  constructor(parts: PipelineParts) {
    this.#parts = parts;
    this.#admission = new Admission(parts);
    this.#upgrades = new Upgrades(parts, this.#admission, (...what) => this.#record(...what));
  }

  /** Is it a WebSocket that a route lets through? Any other `Upgrade` is left out of account. */
  mayUpgrade(request: IncomingMessage): boolean {
    return asksForWebSocket(request) && this.#admission.isSubscription(request);
  }

  /** Serves one request to its end. Rejects only for a fault of the program itself. */
  async handle(request: IncomingMessage, response: ServerResponse, upgrading?: Upgrading): Promise<void> {
    const captured = this.#capture(request);
    this.#parts.counters.begin(captured);
    this.#inFlight += 1;
    try {
      await this.#serve(request, response, captured, upgrading);
    } catch (refused) {
      if (!(refused instanceof Refused)) {
        await this.#recordFault(captured);
        throw refused;
      }
      await this.#refuse(request, response, captured, refused);
    } finally {
      this.#parts.limiting.leave(captured);
      captured.trace?.end();
      this.#parts.counters.end(captured);
      this.#inFlight -= 1;
      if (this.#inFlight === 0) {
        this.#idle?.resolve();
        this.#idle = undefined;
      }
    }
  }

  /** Something here is broken. Nothing has left, and an intent may stand without its outcome. */
  async #recordFault(captured: Captured): Promise<void> {
    const fault = { operation: 'gateway-fault', status: 500, reason: 'gateway-fault' };
    await this.#record(captured, [refusalEvent({ captured, kind: 'system', ...fault })]);
  }

  /** Refuses a request that never gets to be served. */
  async refuseUnserved(request: IncomingMessage, response: ServerResponse, code: 'expectation-failed'): Promise<void> {
    const { counters } = this.#parts;
    const captured = this.#capture(request);
    counters.begin(captured);
    try {
      await this.#refuse(request, response, captured, violation(captured, code, code));
    } finally {
      counters.end(captured);
    }
  }

  /** Records a connection whose bytes never became a request; resolves when it may be answered. */
  async recordConnectionFault(
    socket: Socket,
    fault: { readonly status: number; readonly reason: string },
  ): Promise<void> {
    const { floods, recorder } = this.#parts;
    const captured = this.#capture({ headers: {}, socket, method: undefined });
    const event = refusalEvent({ captured, kind: 'network', operation: 'protocol-violation', ...fault });
    this.#countFault(fault.reason);
    this.#faulted.add(socket);
    if (await floods.admit(`violation ${fault.reason} ${neighbourhood(captured.source.address)}`, event))
      await recorder.record([event]);
  }

  /** Only counts: of a connection that never came to say anything, or was never taken. */
  countConnectionFault(reason: 'tls-handshake' | 'connections-max'): void {
    this.#countFault(reason);
  }

  #countFault(reason: string): void {
    this.#parts.metrics.connectionFaults.inc({ reason });
    this.#parts.counters.connectionFaults += 1;
  }

  /** Records events of a request, which thereby is on record. */
  async #record(captured: Captured, ...what: Parameters<Recorder['record']>): Promise<Recorded> {
    const recorded = await within(captured.trace, 'record', () => this.#parts.recorder.record(...what));
    if (recorded.kind === 'durable') this.#parts.counters.mark(captured, 'recorded');
    return recorded;
  }

  /** Resolves once nothing is under way any more, the events of it included. */
  async idle(): Promise<void> {
    while (this.#inFlight > 0) {
      this.#idle ??= Promise.withResolvers<void>();
      await this.#idle.promise;
    }
  }

  #capture(request: Pick<IncomingMessage, 'headers' | 'socket'> & { readonly method?: string | undefined }): Captured {
    const { recorder, proxies, site, knownParameters, policies } = this.#parts;
    const known = { knownParameters, knownOperations: policies.current.operations };
    const timeMs = Date.now();
    const address = clientAddress(request, proxies);
    const auditId = recorder.newId(timeMs);
    const { traceparent } = request.headers;
    const trace = this.#parts.tracing?.begin({ traceparent, method: plainMethod(request.method), auditId });
    return capture(request, { id: recorder.newId(timeMs), auditId, timeMs, address, site, ...known, trace });
  }

  async #serve(
    request: IncomingMessage,
    response: ServerResponse,
    captured: Captured,
    upgrading: Upgrading | undefined,
  ): Promise<void> {
    const toCome = this.#parts.limiting.atTheDoor(captured);
    if (toCome !== undefined) await toCome;
    const door = this.#parts.doors.find((one) => one.isAskedFor(request));
    if (door !== undefined) {
      const record = (event: EventDraftFacts): Promise<Recorded> =>
        this.#record(captured, [event], undefined, tooLateBy('audit-unavailable'));
      return serveDoor(door, { request, response, captured }, { ...this.#parts, record });
    }
    if (upgrading !== undefined) return this.#upgrades.serve(request, response, captured, upgrading);
    const admitted = await this.#admission.admit(request, response, captured);
    refuseWithoutUpgrade(admitted);
    using place = asksForEvents(admitted) ? await placeOf(admitted, this.#parts.lasting) : undefined;
    if (this.#inFlight - this.#parts.lasting.count > this.#parts.inFlightMax)
      throw denied(admitted, 'over-capacity', 'over-capacity');
    const read = this.#admission.readRequest(admitted);
    const carried = read instanceof Promise ? await read : read;
    refuseUnsealed(admitted, carried, this.#parts);
    const consulting = consultBefore(admitted, carried, this.#parts);
    const consulted = consulting instanceof Promise ? await consulting : consulting;
    captured.trace?.finish('decide');
    const leasing = this.#lease(consulted);
    using lease = leasing instanceof Promise ? await leasing : leasing;
    const reservation = this.#parts.recorder.reserve(
      requestEventsBytesMax + (consulted.events.length + consulted.carried.entries.length) * smallEventBytesMax,
    );
    if (reservation === undefined) throw new Refused('audit-unavailable', undefined);
    try {
      await this.#exchange(consulted, { reservation, lease, place });
    } finally {
      reservation.release();
    }
  }

  /** Intent, upstream, outcome, release. */
  async #exchange(consulted: Consulted, means: Means): Promise<void> {
    const { reservation, lease } = means;
    const { recorder } = this.#parts;
    const { admitted, carried, events, commit } = consulted;
    const intents = isChange(admitted, carried)
      ? intentEvents(admitted, carried, () => recorder.newId(admitted.captured.timeMs))
      : [];
    const first = [...events, ...intents];
    if (first.length > 0) {
      const recorded = await this.#record(admitted.captured, first, reservation, tooLateBy('audit-unavailable'));
      if (recorded.kind === 'unrecorded') throw new Refused('audit-unavailable', undefined);
    }
    await commit();
    const asked = await this.#ask(admitted, carried, { change: intents.length > 0, lease });
    try {
      await this.#conclude(consulted, asked, { ...means, intents });
    } catch (fault) {
      // Nobody else lets go of what waits at the upstream.
      if (asked.kind === 'beginning') asked.abandon();
      throw fault;
    }
  }

  async #conclude(
    { admitted, carried }: Consulted,
    asked: Held,
    means: Means & { readonly intents: readonly Intent[] },
  ): Promise<void> {
    const { reservation, lease, intents } = means;
    const { exposureBytesMax, metrics } = this.#parts;
    const answer = this.#throughGateway({ admitted, carried }, asked, lease);
    if (answer.kind === 'fault')
      return this.#releaseFault(admitted, carried, { fault: answer.fault, intents, reservation });
    const held = withoutReading(admitted, answer);
    const file =
      admitted.interaction.operation === 'export-file' &&
      admitted.request.method !== 'HEAD' &&
      held.kind === 'whole' &&
      held.status < 300
        ? await learnFile(held, exposureBytesMax)
        : undefined;
    const learned =
      file ?? withUnseen(admitted, carried, held, learnFromHeld(held, admitted.interaction, exposureBytesMax));
    if (learned.exposure.truncated === true && admitted.interaction.name !== 'capabilities') metrics.truncated.inc();
    const withheld = this.#withheld(admitted, carried, learned);
    if (withheld !== undefined)
      throw denied({ ...admitted, parameters: carried.parameters }, 'response-withheld', withheld);
    const consulting = consultAfter(admitted, carried, learned, this.#parts);
    const agreed = consulting instanceof Promise ? await consulting : consulting;
    const unrecorded = intents.length > 0 ? 'outcome-unrecorded' : 'audit-unavailable';
    const events = outcomeEvents(agreed, carried, { held, learned, intents });
    const recorded = await this.#record(agreed.captured, events, reservation, tooLateBy(unrecorded));
    if (recorded.kind === 'unrecorded') throw new Refused(unrecorded, undefined);
    if (held.kind === 'whole') this.#release(agreed, held);
    else await this.#releaseStream(agreed, held, means);
  }

  #throughGateway(
    of: { readonly admitted: Admitted; readonly carried: Carried },
    held: Held,
    lease: Lease | undefined,
  ): Held {
    if (held.kind === 'fault') return held;
    const { actor, interaction } = of.admitted;
    const { publicUrl } = this.#parts;
    const { exportLinks, origins } = this.#upstreamOf(interaction);
    const seal = {
      links: exportLinks,
      actor: actor.id,
      publicUrl,
      upstreamUrl: `${lease?.origin ?? origins[0]}${interaction.route}`,
    };
    const exported = throughGateway(held, interaction, seal);
    const moved = exported && pagesThroughGateway(exported, { ...of, origins, origin: lease?.origin }, this.#parts);
    if (moved !== undefined) return moved;
    if (held.kind === 'beginning') held.abandon();
    return { kind: 'fault', fault: 'upstream-invalid' };
  }

  /**
   * A change that was begun is seen to its end, whoever leaves meanwhile: nobody else could say how it ended. So is a trial, on which all others wait: a client must not be able to
   * keep it from coming to a verdict.
   */
  async #ask(
    admitted: Admitted,
    carried: Carried,
    { change, lease }: { readonly change: boolean; readonly lease: Lease | undefined },
  ): Promise<Held> {
    const { request, response, interaction } = admitted;
    const seenToItsEnd = change || lease?.isTrial === true;
    const ask = (): Promise<Held> =>
      hold(
        lease?.pool ?? (this.#filePoolOf(interaction) as Pool),
        {
          method: request.method ?? 'GET',
          path: admitted.target,
          // Where only files lie nobody needs to hear who asks.
          headers: lease === undefined ? ['Accept', admitted.accept] : this.#upstreamHeaders(admitted, carried),
          body: carried.body,
          events: asksForEvents(admitted) ? { silentMsMax: this.#parts.webSockets.idleTimeoutMs } : undefined,
        },
        {
          holdBytesMax: this.#parts.exposureBytesMax,
          deadlines: this.#upstreamOf(interaction).deadlines,
          client: seenToItsEnd ? undefined : response,
          again: change || lease === undefined ? undefined : () => lease.moveOn(),
        },
      );
    const held = await within(admitted.captured.trace, 'upstream', ask, (got) => saidOf(got, lease));
    if (lease !== undefined) noteHeld(lease, held, carried);
    if (change || !response.destroyed) return held;
    if (held.kind === 'beginning') held.abandon();
    return { kind: 'fault', fault: 'client-closed' };
  }

  /** The right to ask the API; undefined where only files lie. It isn't asked while it is known to be down: throws `Refused` then. */
  #lease(consulted: Consulted): Lease | undefined | Promise<Lease> {
    const { admitted, carried } = consulted;
    const { interaction } = admitted;
    if (this.#filePoolOf(interaction) !== undefined) return undefined;
    const { upstream, origin } = this.#parts.upstreams.of(interaction);
    return leaseOf(upstream, consulted, { safe: !isChange(admitted, carried), origin });
  }

  #upstreamOf(interaction: Interaction): Upstream {
    return this.#parts.upstreams.of(interaction).upstream;
  }

  #filePoolOf(interaction: Interaction): Pool | undefined {
    return isExportLink(interaction) ? this.#parts.filePools.get(new URL(interaction.link.url).origin) : undefined;
  }

  #upstreamHeaders(admitted: Admitted, carried: Carried): string[] {
    const { request, interaction } = admitted;
    const { body } = carried;
    const contentLength = body === null ? undefined : Buffer.isBuffer(body) ? body.length : declaredLength(request);
    return onwardHeaders(admitted, this.#upstreamOf(interaction), {
      publicUrl: this.#parts.publicUrl,
      unconditional: needsSight(admitted, carried),
      ...(contentLength === undefined ? {} : { contentLength }),
    });
  }

  #withheld(admitted: Admitted, carried: Carried, learned: Learned): string | undefined {
    const { asker, interaction } = admitted;
    // What was changed is changed: holding back its answer would only hide that.
    if (asker === undefined || !interaction.safe) return undefined;
    const { parameters, decision } = carried;
    return withholdReason({ ...asker, interaction, parameters, decision, learned });
  }

  #release(admitted: Admitted, held: HeldWhole): void {
    const { request, response, captured, interaction } = admitted;
    // Meanwhile the connection may have ended, or been refused for what came after the head.
    if (response.headersSent || response.destroyed) return;
    const bodyless = request.method === 'HEAD' || held.status === 204 || held.status === 304;
    this.#writeHead(admitted, held, bodyless ? undefined : String(held.body.length));
    if (bodyless) response.end();
    else endWithBody(response, held.body);
    this.#observe(interaction.name, held.status, captured);
  }

  /** Its event says `truncated`; a second one says how it ended. */
  async #releaseStream(admitted: Admitted, held: HeldBeginning, { reservation, place }: Means): Promise<void> {
    const { response, captured, interaction } = admitted;
    const { status } = held;
    let end = { bytes: 0, complete: false };
    const { lifetimeMs } = this.#parts.webSockets;
    const kept = keepEvents(admitted, held, { ...this.#parts, place, lifetimeMs });
    if (kept !== undefined) reservation.shrinkTo(smallEventBytesMax);
    const reader = readerBehind(held, interaction, this.#parts.exposureBytesMax);
    if (response.headersSent || response.destroyed) held.abandon();
    else {
      this.#writeHead(admitted, held, undefined);
      end = await held.streamTo(response, reader && ((chunk) => reader.push(chunk)));
      this.#observe(interaction.name, status, captured);
    }
    const reason = kept?.over(end.complete);
    const rest = await reader?.finish(end.complete);
    await this.#record(captured, streamEndEvent(admitted, { status, ...end, rest, reason }), reservation);
  }

  async #releaseFault(
    admitted: Admitted,
    carried: Carried,
    parts: { readonly fault: UpstreamFault; readonly intents: readonly Intent[]; readonly reservation: Reservation },
  ): Promise<void> {
    const { request, response, captured } = admitted;
    const { fault, intents } = parts;
    const code = faultCode(fault, carried);
    const events = faultEvents(admitted, carried, { fault, status: refusals[code].status, intents });
    const recorded = await this.#record(captured, events, parts.reservation);
    if (fault === 'client-closed') {
      response.destroy();
      return;
    }
    const unrecorded = intents.length > 0 ? 'outcome-unrecorded' : 'audit-unavailable';
    this.#answer(request, response, captured, recorded.kind === 'durable' ? code : unrecorded, {});
  }

  /** Without a length of our own the upstream's is kept: of a stream, or of what HEAD asks about. */
  #writeHead(
    { request, response, captured, notices, interaction }: Admitted,
    held: HeldWhole | HeldBeginning,
    ownLength: string | undefined,
  ): void {
    const length = ownLength ?? held.headers['content-length'];
    response.writeHead(held.status, {
      ...this.#parts.securityHeaders,
      ...clientHeaders(held.headers, {
        requestId: captured.id,
        auditId: captured.auditId,
        upstreamOrigins: this.#upstreamOf(interaction).origins,
        publicOrigin: this.#parts.publicUrl.origin,
      }),
      ...(typeof length === 'string' && held.status !== 204 ? { 'content-length': length } : {}),
      ...this.#parts.cors.headersFor(request.headers.origin, held.headers.vary),
      ...notices,
    });
  }

  /** A refusal is recorded before it is said, as far as the record can be had; saying no needs no room. */
  async #refuse(
    request: IncomingMessage,
    response: ServerResponse,
    captured: Captured,
    refused: Refused,
  ): Promise<void> {
    const { counters, floods } = this.#parts;
    const { event, floodKey, floodSinglesMax, more } = refused;
    await this.#parts.limiting.refused(captured, refused);
    const known = refused.code === 'body-unreadable' && this.#faulted.has(request.socket);
    if (known) counters.mark(captured, 'faulted');
    else if (event !== undefined) {
      if (floodKey === undefined || (await floods.admit(floodKey, event, floodSinglesMax)))
        await this.#record(captured, [event, ...more]);
      else counters.mark(captured, 'flooded');
    }
    this.#answer(request, response, captured, refused.code, refused.headers);
  }

  #answer(
    request: IncomingMessage,
    response: ServerResponse,
    captured: Captured,
    code: RefusalCode,
    headers: Readonly<Record<string, string>>,
  ): void {
    this.#parts.metrics.refusals.inc({ code });
    captured.trace?.note({ status: refusals[code].status, refusal: code });
    this.#parts.counters.refused += 1;
    if (response.headersSent || response.destroyed) return;
    const answer = answerRefusal(code, { accept: request.headers.accept, requestId: captured.id, headers });
    // What is left of a body nobody reads must not be taken for the next request.
    const unread = hasBody(request) && !request.complete ? { connection: 'close' } : {};
    const { securityHeaders, cors } = this.#parts;
    response.writeHead(answer.status, {
      ...securityHeaders,
      ...cors.headersFor(request.headers.origin),
      ...answer.headers,
      ...unread,
    });
    response.end(request.method === 'HEAD' ? undefined : answer.body);
  }

  #observe(interaction: string, status: number, captured: Captured): void {
    this.#parts.metrics.requests.inc({ interaction, status: String(status) });
    captured.trace?.note({ status });
    this.#parts.counters.answered += 1;
    this.#parts.metrics.duration.observe({ interaction }, elapsedMs(captured) / 1_000);
  }
}
