/**
 * The end of a session, as its issuer tells it (OpenID Connect Back-Channel Logout 1.0): a signed logout token, posted as a form.
 *
 * It is believed only where it can be nothing else: the issuer's signature, our client id, the logout event, no `nonce`, made just now, never seen before. What it says is in force,
 * and kept across restarts, before the issuer hears that it is.
 */
import { errors, type JWTPayload, jwtVerify } from 'jose';

import { type IssuerKeys, KeysUnavailableError } from './issuer-keys.ts';
import { type ActorNames, actorId } from './principal.ts';
import { MemoryReplayStore, type ReleasingReplayStore, type Remembrance } from './replay-store.ts';
import { clockToleranceSeconds, type Revocation, type Revocations } from './revocations.ts';
import { claimedIssuer, headerFault, headerOf, verifyFault } from './token-header.ts';

const logoutEvent = 'http://schemas.openid.net/event/backchannel-logout';
const tokenCharsMax = 8_192;
const ageMaxSeconds = 300;
const remembered = 100_000;

/** What remembers logout tokens for one process. */
export function logoutMemory(): MemoryReplayStore {
  return new MemoryReplayStore({ entriesMax: remembered });
}

/** How long a form with a logout token may be. */
export const logoutFormBytesMax: number = 16 * 1024;

export interface LoggingOutIssuer extends ActorNames {
  readonly issuer: string;
  readonly algorithms: readonly string[];
  readonly keys: IssuerKeys;
  /** What the gateway is called at the issuer, as the client that hears of logouts. */
  readonly clientId: string;
}

/** Whose session of which issuer has ended. */
export interface EndedSession {
  readonly issuer: string;
  readonly actor: string | undefined;
  readonly session: string | undefined;
}

export type LogoutVerdict =
  /** `unhear` is for who can't say it on: the same token may then come again. What it ended stays ended. */
  | { readonly kind: 'ended'; readonly ended: EndedSession; readonly unhear: () => Promise<void> }
  | { readonly kind: 'refused'; readonly reason: string }
  /** In force or not, it can't be kept, or can't be checked; the issuer may try again. */
  | { readonly kind: 'unavailable'; readonly reason: string; readonly ended?: EndedSession };

export class BackChannelLogout {
  readonly #issuers: ReadonlyMap<string, LoggingOutIssuer>;
  readonly #revocations: Revocations;
  readonly #now: () => number;
  readonly #seen: ReleasingReplayStore;

  constructor(options: {
    readonly issuers: readonly LoggingOutIssuer[];
    readonly revocations: Revocations;
    /** This process's own without one. */
    readonly seen?: ReleasingReplayStore;
    readonly now?: () => number;
  }) {
    this.#issuers = new Map(options.issuers.map((issuer) => [issuer.issuer, issuer]));
    this.#revocations = options.revocations;
    this.#now = options.now ?? Date.now;
    this.#seen = options.seen ?? logoutMemory();
  }

  /** `form` is the body of the request. Never rejects. */
  async receive(form: string): Promise<LogoutVerdict> {
    const tokens = new URLSearchParams(form).getAll('logout_token');
    const [token = ''] = tokens;
    if (tokens.length !== 1 || token === '' || token.length > tokenCharsMax) return refuse('logout-request');
    const issuer = this.#issuers.get(claimedIssuer(token) ?? '');
    if (issuer === undefined) return refuse('token-issuer');
    const header = headerOf(token);
    if (header === undefined) return refuse('token-malformed');
    const fault = headerFault(header);
    if (fault !== undefined) return refuse(fault);
    // Older issuers name no type, or JWT: the event inside tells it from all other tokens.
    if (![undefined, 'jwt', 'logout+jwt', 'application/logout+jwt'].includes(header.typ?.toLowerCase()))
      return refuse('logout-type');
    try {
      const { payload } = await jwtVerify(token, issuer.keys.keyOf, {
        issuer: issuer.issuer,
        audience: issuer.clientId,
        algorithms: [...issuer.algorithms],
        clockTolerance: clockToleranceSeconds,
        requiredClaims: ['iat', 'jti', 'events'],
        currentDate: new Date(this.#now()),
      });
      return await this.#end(payload, issuer);
    } catch (error) {
      if (error instanceof KeysUnavailableError) return { kind: 'unavailable', reason: 'issuer-keys-unavailable' };
      // Perhaps a new key, within the cooldown that somebody else began: an issuer that hears of a refusal doesn't come again.
      if (error instanceof errors.JWKSNoMatchingKey) return { kind: 'unavailable', reason: 'token-key' };
      return refuse(verifyFault(error));
    }
  }

  /** Where nobody can say whether it was seen there is no room for it. */
  async #remember(issuer: string, jti: string): Promise<Remembrance> {
    try {
      return await this.#seen.take(issuer, jti, (ageMaxSeconds + clockToleranceSeconds) * 1_000);
    } catch {
      return 'full';
    }
  }

  /** §2.6, steps 4 to 8. */
  async #end(payload: JWTPayload, issuer: LoggingOutIssuer): Promise<LogoutVerdict> {
    const { iat, jti, sub, sid, events, nonce } = payload;
    const nowSeconds = this.#now() / 1_000;
    if (typeof iat !== 'number' || iat > nowSeconds + clockToleranceSeconds || iat < nowSeconds - ageMaxSeconds)
      return refuse('logout-time');
    const event = typeof events === 'object' && events !== null ? (events as Record<string, unknown>)[logoutEvent] : 0;
    if (typeof event !== 'object' || event === null || Array.isArray(event)) return refuse('logout-event');
    // With one it could be an ID token that somebody passes off.
    if (nonce !== undefined) return refuse('logout-nonce');
    const actor = actorId(sub, issuer);
    const session = typeof sid === 'string' && sid !== '' && sid.length <= 256 ? sid : undefined;
    if ((sub !== undefined && actor === undefined) || (sid !== undefined && session === undefined))
      return refuse('logout-subject');
    if (actor === undefined && session === undefined) return refuse('logout-subject');
    if (typeof jti !== 'string' || jti === '' || jti.length > 256) return refuse('logout-request');
    switch (await this.#remember(issuer.issuer, jti)) {
      case 'new':
        break;
      case 'seen':
        return refuse('logout-replay');
      default:
        return { kind: 'unavailable', reason: 'logout-memory-full' };
    }
    const ended: EndedSession = { issuer: issuer.issuer, actor, session };
    const unhear = async (): Promise<void> => this.#seen.release(issuer.issuer, jti);
    try {
      await this.#revocations.add(revocationsOf(ended, iat));
    } catch {
      // In force, but not kept: the issuer may say it again.
      await unhear();
      return { kind: 'unavailable', reason: 'logout-not-kept', ended };
    }
    return { kind: 'ended', ended, unhear };
  }
}

/** With a session, that session; of an issuer whose access tokens don't name theirs, all that its person had until then. */
function revocationsOf({ issuer, actor, session }: EndedSession, issuedUntil: number): readonly Revocation[] {
  if (session === undefined) return actor === undefined ? [] : [{ by: 'sub', value: actor, issuedUntil }];
  return [
    { by: 'sid', value: session, issuer },
    ...(actor === undefined ? [] : [{ by: 'sub-without-session', value: actor, issuedUntil } as const]),
  ];
}

function refuse(reason: string): LogoutVerdict {
  return { kind: 'refused', reason };
}
