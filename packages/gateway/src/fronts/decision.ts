/**
 * The gateway's decision for a request that another proxy holds:
 *
 *     canonicalise → address → rate → token → policy → durable intent → answer
 *
 * It is the same admission that our own proxy asks. What would need the body or the answer can't be seen from here, so it is refused. No front is told
 * yes before the intent is durable, and every no is an event, or is counted like any other.
 */
import { type IncomingMessage, ServerResponse } from 'node:http';

import { type Captured, interactionEvent, namedTargets, refusalEvent } from '../capture/capture.ts';
import type { RequestCounters } from '../capture/counters.ts';
import type { Floods } from '../capture/flood.ts';
import type { EventDraftFacts, Recorder } from '../capture/recorder.ts';
import { isExportLink } from '../exposure/export-links.ts';
import { isMapped } from '../exposure/json-map.ts';
import type { Parameter } from '../http/canonical.ts';
import { Admission, type AdmissionParts, type Admitted } from '../passage/admission.ts';
import type { PagingParts } from '../passage/link-lead.ts';
import { isOpaque } from '../passage/paging.ts';
import { answerRefusal, type RefusalCode, tooLateBy } from '../passage/refusal.ts';
import { denied, Refused, violation } from '../passage/refused.ts';
import { authoriseEntry } from '../policy/authorise.ts';
import type { Metrics } from '../watch/metrics.ts';
import { type Asked, captureAsked, type FrontName, messageOf } from './asked.ts';
import { ownedBy } from './owner.ts';

export type Verdict = Yes | No;

export interface Yes {
  readonly kind: 'yes';
  readonly auditId: string;
  readonly requestId: string;
  /** Printable ASCII; anything else of it percent-encoded. */
  readonly subject: string;
  readonly tenant: string;
  /** What the API is to be asked for. */
  readonly accept: string;
}

export interface No {
  readonly kind: 'no';
  readonly code: RefusalCode;
  readonly status: number;
  readonly auditId: string;
  readonly requestId: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Buffer;
}

/** Told of every yes, so that its outcome can be waited for. */
export type OnIntent = (intent: EventDraftFacts & { readonly id: string }, of: { readonly requestId: string }) => void;

export interface DecisionParts extends AdmissionParts, Pick<PagingParts, 'opaqueParameters'> {
  readonly recorder: Recorder;
  readonly floods: Floods;
  readonly counters: RequestCounters;
  readonly metrics: Metrics;
  readonly site: string | undefined;
  readonly knownParameters: ReadonlySet<string>;
  readonly tenant: string | undefined;
  /** Of this worker among many, which its audit ids say. */
  readonly slot?: number | undefined;
  readonly inFlightMax: number;
  /** Lets `POST …/_search` through for who may read everything, without having seen its form. */
  readonly searchForms: boolean;
  readonly onIntent: OnIntent;
}

/** What a form could ask for at the most, or the search that a page is of: whoever may do that may do what it asks. */
const unseenSearch: readonly Parameter[] = ['_include', '_has:x:y'].map((name) => ({ name, rawValue: '' }));

export class Decision {
  readonly #parts: DecisionParts;
  readonly #admission: Admission;
  readonly decided: Record<FrontName, { yes: number; no: number }> = {
    nginx: { yes: 0, no: 0 },
    forward: { yes: 0, no: 0 },
    envoy: { yes: 0, no: 0 },
    grpc: { yes: 0, no: 0 },
    haproxy: { yes: 0, no: 0 },
  };
  #inFlight = 0;

  constructor(parts: DecisionParts) {
    this.#parts = parts;
    this.#admission = new Admission(parts);
  }

  get inFlightCount(): number {
    return this.#inFlight;
  }

  /** Rejects only for a fault of the program itself, which is on record then: a front that hears nothing says 503. */
  async decide(asked: Asked): Promise<Verdict> {
    const { counters } = this.#parts;
    const message = messageOf(asked);
    const response = new ServerResponse(message);
    const captured = this.#capture(asked, message);
    counters.begin(captured);
    this.#inFlight += 1;
    try {
      const yes = await this.#judge(message, response, captured);
      this.decided[asked.front].yes += 1;
      counters.answered += 1;
      return yes;
    } catch (refused) {
      if (!(refused instanceof Refused)) {
        await this.#record(captured, [
          refusalEvent({
            captured,
            kind: 'system',
            operation: 'gateway-fault',
            status: 500,
            reason: 'gateway-fault',
          }),
        ]);
        throw refused;
      }
      this.decided[asked.front].no += 1;
      return await this.#refuse(message, captured, refused);
    } finally {
      this.#inFlight -= 1;
      this.#parts.limiting.leave(captured);
      counters.end(captured);
      // Whatever admission holds for as long as the exchange lasts is let go of.
      response.emit('close');
    }
  }

  /** What a front sent that is no question: recorded like a broken message. */
  async refuseInput(asked: Asked, reason: string): Promise<No> {
    const { counters } = this.#parts;
    const message = messageOf(asked);
    const captured = this.#capture(asked, message);
    counters.begin(captured);
    try {
      this.decided[asked.front].no += 1;
      return await this.#refuse(message, captured, violation(captured, 'protocol-violation', reason));
    } finally {
      counters.end(captured);
    }
  }

  #capture(asked: Asked, message: IncomingMessage): Captured {
    const { recorder, site, knownParameters, slot, policies } = this.#parts;
    const newId = (): string => recorder.newId(Date.now());
    const auditId = newId();
    return captureAsked(asked, message, {
      newId,
      auditId: slot === undefined ? auditId : ownedBy(auditId, slot),
      site,
      knownParameters,
      knownOperations: policies.current.operations,
    });
  }

  async #judge(message: IncomingMessage, response: ServerResponse, captured: Captured): Promise<Yes> {
    const { inFlightMax, limiting, onIntent, tenant } = this.#parts;
    await limiting.atTheDoor(captured);
    const admitted = await this.#admission.admit(message, response, captured);
    if (this.#inFlight > inFlightMax) throw denied(admitted, 'over-capacity', 'over-capacity');
    const unseen = this.#needsMore(admitted);
    if (unseen !== undefined) throw denied(admitted, 'not-behind-front', unseen);
    const intent = intentOf(admitted);
    const recorded = await this.#record(captured, [intent], undefined, tooLateBy('audit-unavailable'));
    if (recorded.kind === 'unrecorded') throw new Refused('audit-unavailable', undefined);
    onIntent(intent, { requestId: captured.id });
    return {
      kind: 'yes',
      auditId: captured.auditId,
      requestId: captured.id,
      subject: printable(admitted.actor.id),
      tenant: tenant ?? '',
      accept: admitted.accept,
    };
  }

  /** What the decision would have to see; undefined where the head was enough. */
  #needsMore({ asker, decision, interaction, parameters, page }: Admitted): string | undefined {
    // A front would send the link itself to an API that doesn't know it, and may answer with everything.
    if (page !== undefined || isExportLink(interaction)) return 'front-link';
    if (interaction.name === 'batch') return 'front-batch';
    // Another proxy would neither end it nor say how it ended.
    if (interaction.name === 'subscribe') return 'front-websocket';
    if (interaction.form && !this.#parts.searchForms) return 'front-form';
    if (asker === undefined) return undefined;
    // Who keeps consents is asked about the patients of an answer, too.
    if (asker.policy.consent !== undefined && interaction.name !== 'capabilities') return 'front-consent';
    // Everyone is told of broken glass, also by a header of the answer; and only the answer shows that it keeps to the one patient.
    if (decision.glass) return 'front-glass';
    // Held to what an entry of a batch is held to: nobody will see the answer before it leaves.
    const unseen = interaction.form || (!isMapped(interaction) && parameters.some((one) => isOpaque(one, this.#parts)));
    const all = unseen ? [...parameters, ...unseenSearch] : parameters;
    return authoriseEntry({ ...asker, interaction, parameters: all }).kind === 'denied' ? 'front-answer' : undefined;
  }

  async #refuse(message: IncomingMessage, captured: Captured, refused: Refused): Promise<No> {
    const { counters, floods, limiting, metrics } = this.#parts;
    await limiting.refused(captured, refused);
    const { event, floodKey, floodSinglesMax, more, code } = refused;
    if (event !== undefined) {
      if (floodKey === undefined || (await floods.admit(floodKey, event, floodSinglesMax)))
        await this.#record(captured, [event, ...more]);
      else counters.mark(captured, 'flooded');
    }
    metrics.refusals.inc({ code });
    counters.refused += 1;
    const { status, headers, body } = answerRefusal(code, {
      accept: message.headers.accept,
      requestId: captured.id,
      headers: refused.headers,
    });
    return { kind: 'no', code, status, headers, body, auditId: captured.auditId, requestId: captured.id };
  }

  async #record(captured: Captured, ...what: Parameters<Recorder['record']>): ReturnType<Recorder['record']> {
    const recorded = await this.#parts.recorder.record(...what);
    if (recorded.kind === 'durable') this.#parts.counters.mark(captured, 'recorded');
    return recorded;
  }
}

/** What leaves is seen by nobody here: said from the beginning, since an outcome may never come. */
function intentOf(admitted: Admitted): EventDraftFacts & { readonly id: string } {
  const { captured, interaction, actor, parameters, purpose, flags } = admitted;
  return {
    ...interactionEvent({
      captured,
      interaction,
      actor,
      parameterNames: parameters.map(({ name }) => name),
      outcome: { status: 'success', reason: 'intent' },
      facts: {},
      rest: {
        ...(flags === undefined ? {} : { targets: [...namedTargets(interaction), ...flags] }),
        ...(interaction.name === 'capabilities' ? {} : { exposure: { truncated: true } }),
        ...(purpose === undefined ? {} : { purpose }),
      },
    }),
    id: captured.auditId,
  };
}

/** Fit to stand in a header field, and read back in one way only. */
function printable(id: string): string {
  return /^[!-$&-~]*$/.test(id) ? id : id.replace(/[^!-$&-~]/gu, encodeURIComponent);
}
