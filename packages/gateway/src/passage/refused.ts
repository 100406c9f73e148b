/** How a request is ended early inside the pipeline: thrown there, caught at its top, recorded, and only then said. */
import type { Actor, Purpose, Target } from '@watchglass/record';
import { neighbourhood } from '@watchglass/record/source';
import {
  type Captured,
  elapsedMs,
  interactionEvent,
  namedTargets,
  outcomeOfStatus,
  refusalEvent,
} from '../capture/capture.ts';
import type { EventDraftFacts } from '../capture/recorder.ts';
import type { Interaction } from '../fhir/fhir-interaction.ts';
import { canonicalise, type Parameter, type Target as RequestTarget } from '../http/canonical.ts';
import { messageFault } from '../http/message.ts';
import type { Denied } from '../policy/authorise.ts';
import type { Assurance } from '../policy/conditions.ts';
import { bearerChallenge, type RefusalCode, refusals } from './refusal.ts';

export interface RefusedOptions {
  readonly headers?: Readonly<Record<string, string>>;
  /** Set for what anybody can cause without a token: repetitions are counted instead of recorded. */
  readonly floodKey?: string;
  /** How many of them are recorded one by one. */
  readonly floodSinglesMax?: number;
  /** Recorded with it: the entries of a batch. */
  readonly more?: readonly EventDraftFacts[];
}

export class Refused {
  readonly code: RefusalCode;
  /** Undefined where the record itself is what failed. */
  readonly event: EventDraftFacts | undefined;
  readonly headers: Readonly<Record<string, string>>;
  readonly floodKey: string | undefined;
  readonly floodSinglesMax: number | undefined;
  readonly more: readonly EventDraftFacts[];

  constructor(code: RefusalCode, event: EventDraftFacts | undefined, options: RefusedOptions = {}) {
    this.code = code;
    this.event = event;
    this.headers = options.headers ?? {};
    this.floodKey = options.floodKey;
    this.floodSinglesMax = options.floodSinglesMax;
    this.more = options.more ?? [];
  }
}

/** The message itself is unsound: nobody asks who sent it, and the connection ends. */
export function violation(captured: Captured, code: RefusalCode, reason: string): Refused {
  const { status } = refusals[code];
  const event = refusalEvent({ captured, kind: 'network', operation: 'protocol-violation', status, reason });
  return new Refused(code, event, {
    headers: { connection: 'close' },
    floodKey: `violation ${reason} ${neighbourhood(captured.source.address)}`,
  });
}

/** What the head asks for, where it has one reading only. Throws `Refused`. */
export function soundTarget(
  request: Parameters<typeof messageFault>[0] & { readonly url?: string | undefined },
  captured: Captured,
): Extract<RequestTarget, { kind: 'canonical' }> {
  const fault = messageFault(request);
  if (fault !== undefined)
    throw violation(captured, fault === 'too-many-headers' ? 'headers-too-large' : 'protocol-violation', fault);
  const target = canonicalise(request.url ?? '');
  if (target.kind === 'canonical') return target;
  const { reason } = target;
  throw violation(captured, reason === 'target-too-long' ? 'target-too-long' : 'target-refused', reason);
}

/** Nothing is served there, or not like that. */
export function noRoute(
  captured: Captured,
  code: 'not-found' | 'method-not-allowed',
  headers: Record<string, string> = {},
): Refused {
  const { status } = refusals[code];
  const event = refusalEvent({ captured, kind: 'network', operation: 'no-route', status, reason: code });
  return new Refused(code, event, { headers, floodKey: `${code} ${neighbourhood(captured.source.address)}` });
}

/** Nobody proved to be anybody. */
export function notAuthenticated(
  captured: Captured,
  code: 'token-missing' | 'token-invalid' | 'identity-unavailable',
  facts: { readonly reason: string; readonly route: string; readonly actor?: Actor },
  headers: Readonly<Record<string, string>> = {},
): Refused {
  const { status } = refusals[code];
  const event = refusalEvent({ captured, kind: 'auth', operation: 'authenticate', status, ...facts });
  return new Refused(code, event, {
    headers: status === 401 ? { 'www-authenticate': bearerChallenge(code), ...headers } : {},
    floodKey: `auth ${facts.reason} ${neighbourhood(captured.source.address)}`,
  });
}

interface Facts {
  readonly captured: Captured;
  readonly interaction: Interaction;
  readonly actor: Actor;
  readonly parameters: readonly Parameter[];
  readonly purpose?: Purpose | undefined;
}

/** A recognised interaction of somebody who is known: always an event of its own. */
export function denied(
  facts: Facts,
  code: RefusalCode,
  reason: string,
  options: RefusedOptions & { readonly rule?: Target | undefined } = {},
): Refused {
  const { rule, headers, ...rest } = options;
  const { captured, interaction, actor, purpose } = facts;
  const { status } = refusals[code];
  const event = interactionEvent({
    captured,
    interaction,
    actor,
    parameterNames: facts.parameters.map(({ name }) => name),
    outcome: { status: outcomeOfStatus(status), code: status, reason },
    facts: { status, durationMs: elapsedMs(captured) },
    rest: {
      id: captured.auditId,
      ...(rule === undefined ? {} : { targets: [...namedTargets(interaction), rule] }),
      ...(purpose === undefined ? {} : { purpose }),
    },
  });
  const challenge = code === 'insufficient-scope' ? { 'www-authenticate': bearerChallenge(code) } : {};
  return new Refused(code, event, { ...rest, headers: { ...challenge, ...headers } });
}

/** The same, by the policy: the event names the rule, and who has to sign in better is told how. */
export function deniedByPolicy(
  facts: Facts,
  decision: Denied,
  options: { readonly digest: string; readonly more?: readonly EventDraftFacts[] },
): Refused {
  const { code, reason, assurance } = decision;
  return denied(facts, code, reason, {
    rule: ruleTarget(decision, options.digest),
    ...(assurance === undefined ? {} : { headers: { 'www-authenticate': stepUpChallenge(assurance) } }),
    ...(options.more === undefined ? {} : { more: options.more }),
  });
}

/** The rule that decided, by its name or place, and the policy by the beginning of its SHA-256. */
export function ruleTarget({ rule }: Pick<Denied, 'rule'>, digest: string): Target | undefined {
  return rule === undefined
    ? undefined
    : { type: 'Rule', id: rule.slice(0, 256), version: digest.slice(0, 16), role: 'rule' };
}

/** RFC 9470 §3. */
export function stepUpChallenge({ acr, maxAgeSeconds }: Assurance): string {
  const wanted = [
    'Bearer realm="watchglass"',
    'error="insufficient_user_authentication"',
    ...(acr === undefined ? [] : [`acr_values="${acr.join(' ')}"`]),
    ...(maxAgeSeconds === undefined ? [] : [`max_age="${maxAgeSeconds}"`]),
  ];
  return wanted.join(', ');
}
