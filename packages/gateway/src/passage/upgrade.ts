/**
 * A WebSocket, from its handshake to its end:
 *
 *     capture → authenticate → limits → authorise → origin → reserve → intent → dial → record → 101 → (frames) → end
 *
 * It is judged like a change: an intent is durable before the API is asked, and that it was opened before the client hears of it. Nobody reads its frames, which each of its events
 * says; so who may have only a part of what is asked for can't have it at all.
 */
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';

import type { Reservation } from '@watchglass/sdk';
import { type Captured, elapsedMs, interactionEvent } from '../capture/capture.ts';
import { drawBytes } from '../capture/random.ts';
import { type EventDraftFacts, type Recorded, type Recorder, smallEventBytesMax } from '../capture/recorder.ts';
import { acceptOf, type Handshake, ownProtocol, readHandshake } from '../http/websocket.ts';
import { within } from '../trace/request-trace.ts';
import { type Dialled, dial } from '../tunnel/dial.ts';
import type { LastingOnes, Place } from '../tunnel/lasting.ts';
import { Tunnel, type TunnelEnd } from '../tunnel/tunnel.ts';
import type { Lease, Upstream } from '../upstream/upstream.ts';
import type { Upstreams } from '../upstream/upstreams.ts';
import type { Metrics } from '../watch/metrics.ts';
import type { Admission, Admitted, Carried } from './admission.ts';
import { type ConsultParts, consultBefore } from './consult.ts';
import { placeOf } from './event-stream.ts';
import { leaseOf } from './lease.ts';
import { onwardHeaders } from './onward.ts';
import { faultEvents, type Intent, intentEvents } from './outcome.ts';
import { refusals, tooLateBy } from './refusal.ts';
import { denied, Refused, violation } from './refused.ts';
import { type StandingParts, standingOf } from './standing.ts';

export interface WebSocketSettings {
  /** Pages of other origins that may open one; the gateway's own may, and what is no browser says none. */
  readonly origins: readonly string[];
  readonly handshakeTimeoutMs: number;
  /** Nothing moved in either direction. */
  readonly idleTimeoutMs: number;
  readonly lifetimeMs: number;
  readonly messageBytesMax: number;
}

export interface UpgradeParts extends StandingParts, ConsultParts {
  readonly recorder: Recorder;
  readonly upstreams: Upstreams;
  readonly metrics: Metrics;
  readonly counters: { answered: number };
  readonly lasting: LastingOnes;
  readonly webSockets: WebSocketSettings;
  readonly publicUrl: URL;
  readonly securityHeaders: Readonly<Record<string, string>>;
}

/** What a client asks on a connection that it would have turned into a WebSocket. */
export interface Upgrading {
  readonly socket: Socket;
  /** What was sent behind the request. */
  readonly head: Uint8Array;
}

type RecordOf = (captured: Captured, ...what: Parameters<Recorder['record']>) => Promise<Recorded>;

interface Opening {
  readonly admitted: Admitted;
  readonly carried: Carried;
  readonly handshake: Handshake;
  readonly intents: readonly Intent[];
  readonly reservation: Reservation;
  readonly place: Place;
}

export class Upgrades {
  readonly #parts: UpgradeParts;
  readonly #admission: Admission;
  readonly #record: RecordOf;

  constructor(parts: UpgradeParts, admission: Admission, record: RecordOf) {
    this.#parts = parts;
    this.#admission = admission;
    this.#record = record;
  }

  /** Resolves once the WebSocket is over and its end on record. Throws `Refused` where it doesn't come to be. */
  async serve(
    request: IncomingMessage,
    response: ServerResponse,
    captured: Captured,
    { socket, head }: Upgrading,
  ): Promise<void> {
    const handshake = readHandshake(request, head);
    if (typeof handshake === 'string') throw handshakeRefused(captured, handshake);
    // As if it had been said in its own field: from here on there is one way to authenticate.
    if (handshake.token !== undefined) request.headers.authorization = `Bearer ${handshake.token}`;
    const admitted = await this.#admission.admit(request, response, captured);
    this.#judge(admitted);
    using place = await placeOf(admitted, this.#parts.lasting);
    const consulted = await consultBefore(admitted, await this.#admission.readRequest(admitted), this.#parts);
    const { upstream } = this.#parts.upstreams.of(admitted.interaction);
    captured.trace?.finish('decide');
    using lease = await leaseOf(upstream, consulted, { safe: false });
    const reservation = this.#parts.recorder.reserve((3 + consulted.events.length) * smallEventBytesMax);
    if (reservation === undefined) throw new Refused('audit-unavailable', undefined);
    try {
      const { carried } = consulted;
      const intents = intentEvents(consulted.admitted, carried, () => this.#parts.recorder.newId(captured.timeMs));
      const first = [...consulted.events, ...intents];
      const recorded = await this.#record(captured, first, reservation, tooLateBy('audit-unavailable'));
      if (recorded.kind === 'unrecorded') throw new Refused('audit-unavailable', undefined);
      await consulted.commit();
      const opening = { admitted: consulted.admitted, carried, handshake, intents, reservation, place };
      await this.#open(opening, await this.#dial(opening, upstream, lease), socket);
    } finally {
      reservation.release();
    }
  }

  /** Beyond what the policy says. */
  #judge(admitted: Admitted): void {
    const { webSockets, publicUrl } = this.#parts;
    const { origin } = admitted.request.headers;
    // RFC 6455 §10.2: a page of another origin could use what the browser brings by itself, such as a client certificate.
    if (origin !== undefined && origin !== publicUrl.origin && !webSockets.origins.includes(origin))
      throw denied(admitted, 'origin-refused', 'origin');
    // Who keeps consents is asked about the patients of an answer, and here nobody sees them.
    if (admitted.asker?.policy.consent !== undefined) throw denied(admitted, 'consent-refused', 'consent-unseen');
  }

  async #dial({ admitted, handshake }: Opening, upstream: Upstream, lease: Lease): Promise<Dialled> {
    const { captured, target } = admitted;
    const { publicUrl, webSockets } = this.#parts;
    const ask = (): Promise<Dialled> =>
      dial(lease.pool, {
        path: target,
        headers: onwardHeaders(admitted, upstream, { publicUrl }),
        key: drawBytes(16).toString('base64'),
        protocols: handshake.protocols,
        timeoutMs: webSockets.handshakeTimeoutMs,
      });
    const dialled = await within(captured.trace, 'upstream', ask, (got) => ({
      origin: lease.origin,
      ...(got.kind === 'open' ? { status: 101 } : { fault: got.fault }),
    }));
    // One that answers, but not with a WebSocket, is there all the same.
    if (dialled.kind === 'open' || dialled.fault === 'upstream-invalid') lease.succeeded();
    else lease.failed();
    return dialled;
  }

  async #open(opening: Opening, dialled: Dialled, socket: Socket): Promise<void> {
    const { admitted, carried, intents, reservation } = opening;
    const { captured } = admitted;
    if (dialled.kind === 'fault') {
      const { fault } = dialled;
      const events = faultEvents(admitted, carried, { fault, status: refusals[fault].status, intents });
      const recorded = await this.#record(captured, events, reservation);
      throw new Refused(recorded.kind === 'durable' ? fault : 'outcome-unrecorded', undefined);
    }
    const events = [openedEvent(admitted, intents)];
    const opened = await this.#record(captured, events, reservation, tooLateBy('outcome-unrecorded'));
    if (opened.kind === 'unrecorded') {
      dialled.socket.destroy();
      throw new Refused('outcome-unrecorded', undefined);
    }
    // From here on it is bounded by its own number, and not one of the requests under way.
    this.#parts.limiting.leave(captured);
    // Its end is one small event; room for more, for hours, would be room that others don't have.
    reservation.shrinkTo(smallEventBytesMax);
    const end = await this.#join(opening, dialled, socket);
    await this.#record(captured, [endedEvent(admitted, end)], reservation);
    this.#parts.metrics.lastingEnds.inc({ kind: 'websocket', reason: end.reason });
  }

  #join(
    { admitted, handshake, place }: Opening,
    { socket: upstream, protocol }: Extract<Dialled, { kind: 'open' }>,
    client: Socket,
  ): Promise<TunnelEnd> {
    const { webSockets, metrics } = this.#parts;
    const { response, interaction, captured } = admitted;
    const chosen = protocol ?? (handshake.ownOffered ? ownProtocol : undefined);
    response.detachSocket(client);
    // From here on the tunnel knows how long nothing moved, and says so as it ends.
    client.setTimeout(0);
    if (client.writable) client.write(this.#agreement(captured, handshake, chosen));
    metrics.requests.inc({ interaction: interaction.name, status: '101' });
    this.#parts.counters.answered += 1;
    // The trace is of how it came to be: it isn't kept open for hours.
    captured.trace?.note({ status: 101 });
    captured.trace?.end();
    const { messageBytesMax, idleTimeoutMs, lifetimeMs } = webSockets;
    const tunnel = new Tunnel({ client, upstream, messageBytesMax, drawMask: () => drawBytes(4) });
    const standing = standingOf(admitted, this.#parts);
    const beganMs = performance.now();
    place.begin({
      standing: (nowMs) => {
        if (tunnel.idleMs() >= idleTimeoutMs) return 'idle';
        return performance.now() - beganMs >= lifetimeMs ? 'lifetime' : standing(nowMs);
      },
      end: (reason) => tunnel.end(reason),
    });
    return tunnel.ended;
  }

  /** RFC 6455 §4.2.2. */
  #agreement({ id, auditId }: Captured, { key }: Handshake, protocol: string | undefined): string {
    const fields: readonly (readonly [string, string])[] = [
      ['Upgrade', 'websocket'],
      ['Connection', 'Upgrade'],
      ['Sec-WebSocket-Accept', acceptOf(key)],
      ...(protocol === undefined ? [] : [['Sec-WebSocket-Protocol', protocol] as const]),
      ...Object.entries(this.#parts.securityHeaders),
      ['X-Request-Id', id],
      ['X-Audit-Id', auditId],
    ];
    const lines = fields.map(([name, value]) => `${name}: ${value}\r\n`);
    return `HTTP/1.1 101 Switching Protocols\r\n${lines.join('')}\r\n`;
  }
}

function handshakeRefused(captured: Captured, fault: string): Refused {
  const version = fault === 'websocket-version';
  const {
    code,
    event,
    headers,
    floodKey = '',
  } = violation(captured, version ? 'upgrade-required' : 'protocol-violation', fault);
  // RFC 6455 §4.4.
  const more = version ? { upgrade: 'websocket', 'sec-websocket-version': '13' } : {};
  return new Refused(code, event, { headers: { ...headers, ...more }, floodKey });
}

/** Nobody reads what is said in it. */
function openedEvent(admitted: Admitted, [intent]: readonly Intent[]): EventDraftFacts {
  const { captured, interaction, actor, purpose } = admitted;
  return interactionEvent({
    captured,
    interaction,
    actor,
    parameterNames: admitted.parameters.map(({ name }) => name),
    outcome: { status: 'success', code: 101, reason: 'opened' },
    facts: { status: 101, durationMs: elapsedMs(captured) },
    rest: {
      id: captured.auditId,
      exposure: { truncated: true },
      ...(purpose === undefined ? {} : { purpose }),
      ...(intent === undefined ? {} : { completes: intent.id }),
    },
  });
}

const inOrder: ReadonlySet<string> = new Set([
  'closed-by-client',
  'closed-by-upstream',
  'going-away',
  'idle',
  'lifetime',
]);

/** `code` is that of the close frame, where there was one. */
function endedEvent(admitted: Admitted, end: TunnelEnd): EventDraftFacts {
  const { captured, interaction, actor } = admitted;
  const { reason, closeCode, receivedBytes, sentBytes } = end;
  const broken = /-gone$|^message-too-large$|-frame-|^gateway-fault$/.test(reason);
  return interactionEvent({
    captured,
    interaction,
    actor,
    parameterNames: [],
    outcome: {
      status: inOrder.has(reason) ? 'success' : broken ? 'failed' : 'denied',
      ...(closeCode === undefined ? {} : { code: closeCode }),
      reason,
    },
    facts: { status: 101, requestBytes: receivedBytes, responseBytes: sentBytes, durationMs: elapsedMs(captured) },
    rest: { exposure: { bytes: sentBytes, truncated: true }, completes: captured.auditId },
  });
}

/** What is there for WebSockets only isn't there for others. Throws `Refused`. */
export function refuseWithoutUpgrade(admitted: Admitted): void {
  if (admitted.interaction.name !== 'subscribe') return;
  throw denied(admitted, 'upgrade-required', 'upgrade-required', { headers: { upgrade: 'websocket' } });
}
