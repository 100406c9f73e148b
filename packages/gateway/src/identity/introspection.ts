/**
 * Opaque tokens: the issuer is asked what they are (RFC 7662).
 *
 * What it says is believed only where it is whole: `active` is `true`, issuer, audience and times are right. Silence, an error, a huge or unreadable answer is
 * `unavailable`: nobody gets in, and nobody is called a liar. How many questions are open at once is bounded, so that made-up tokens don't become a flood of
 * them at the issuer.
 */
import { randomUUID } from 'node:crypto';

import { type CryptoKey, type JWTPayload, type KeyObject, SignJWT } from 'jose';
import type { Dispatcher } from 'undici';

import { type Asked, askJson } from './bounded-json.ts';

const answerBytesMax = 64 * 1024;
const openMax = 64;
const assertionSeconds = 60;
const clockToleranceSeconds = 30;

/** How the gateway proves to the issuer that it may ask. */
export type ClientAuthentication =
  | { readonly kind: 'client_secret_basic'; readonly clientId: string; readonly secret: string }
  | {
      readonly kind: 'private_key_jwt';
      readonly clientId: string;
      readonly key: KeyObject | CryptoKey;
      readonly algorithm: string;
      readonly keyId: string | undefined;
    };

export interface IntrospectionOptions {
  readonly issuer: string;
  readonly audience: string;
  readonly endpoint: string;
  readonly client: ClientAuthentication;
  /** An answer without `aud` is refused. */
  readonly requireAudience: boolean;
  readonly timeoutMs: number;
  readonly dispatcher: Dispatcher;
  readonly now?: () => number;
  /** Why it could not be asked; nothing of the token. */
  readonly onProblem?: (problem: 'unreachable' | 'answer' | 'client-refused' | 'too-many') => void;
}

export type Introspected =
  | { readonly kind: 'active'; readonly payload: JWTPayload; readonly expiresMs: number }
  | { readonly kind: 'refused'; readonly reason: string }
  | { readonly kind: 'unavailable' };

export class Introspection {
  readonly #options: IntrospectionOptions;
  readonly #now: () => number;
  #open = 0;
  askedCount = 0;

  constructor(options: IntrospectionOptions) {
    this.#options = options;
    this.#now = options.now ?? Date.now;
  }

  /** Never rejects. */
  async ask(token: string): Promise<Introspected> {
    const { onProblem } = this.#options;
    if (this.#open >= openMax) {
      onProblem?.('too-many');
      return { kind: 'unavailable' };
    }
    this.#open += 1;
    this.askedCount += 1;
    try {
      const { status, json } = await this.#post(token);
      if (status === 401 || status === 403) {
        onProblem?.('client-refused');
        return { kind: 'unavailable' };
      }
      if (status !== 200 || !isObject(json) || typeof json.active !== 'boolean') {
        onProblem?.('answer');
        return { kind: 'unavailable' };
      }
      return this.#judge(json);
    } catch {
      onProblem?.('unreachable');
      return { kind: 'unavailable' };
    } finally {
      this.#open -= 1;
    }
  }

  async #post(token: string): Promise<Asked> {
    const { endpoint, client, dispatcher, timeoutMs } = this.#options;
    const form = new URLSearchParams({ token, token_type_hint: 'access_token' });
    const headers: Record<string, string> = { 'content-type': 'application/x-www-form-urlencoded' };
    if (client.kind === 'client_secret_basic') {
      // Each part form-encoded before they are joined (RFC 6749 §2.3.1).
      const pair = `${formEncoded(client.clientId)}:${formEncoded(client.secret)}`;
      headers.authorization = `Basic ${Buffer.from(pair).toString('base64')}`;
    } else {
      form.set('client_id', client.clientId);
      form.set('client_assertion_type', 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer');
      form.set('client_assertion', await this.#assertion(client));
    }
    return askJson(endpoint, {
      dispatcher,
      timeoutMs,
      answerBytesMax,
      method: 'POST',
      headers,
      body: form.toString(),
    });
  }

  /** RFC 7523 §3. The issuer itself is the audience, so that no other server can use it. */
  #assertion(client: Extract<ClientAuthentication, { kind: 'private_key_jwt' }>): Promise<string> {
    const nowSeconds = Math.floor(this.#now() / 1_000);
    return new SignJWT({})
      .setProtectedHeader({
        alg: client.algorithm,
        ...(client.keyId === undefined ? {} : { kid: client.keyId }),
      })
      .setIssuer(client.clientId)
      .setSubject(client.clientId)
      .setAudience(this.#options.issuer)
      .setJti(randomUUID())
      .setIssuedAt(nowSeconds)
      .setExpirationTime(nowSeconds + assertionSeconds)
      .sign(client.key);
  }

  #judge(answer: Readonly<Record<string, unknown>>): Introspected {
    const { issuer, audience, requireAudience } = this.#options;
    const refuse = (reason: string): Introspected => ({ kind: 'refused', reason });
    if (answer.active !== true) return refuse('token-inactive');
    const nowSeconds = this.#now() / 1_000;
    if (answer.iss !== undefined && answer.iss !== issuer) return refuse('token-issuer');
    const audiences = Array.isArray(answer.aud) ? answer.aud : answer.aud === undefined ? [] : [answer.aud];
    if (audiences.length === 0 ? requireAudience : !audiences.includes(audience)) return refuse('token-claim-aud');
    const { exp, nbf, iat } = answer;
    if (![exp, nbf, iat].every((time) => time === undefined || Number.isFinite(time))) return refuse('token-malformed');
    // An end is asked for: without one a token could never be forgotten once it is revoked.
    if (typeof exp !== 'number') return refuse('token-claim-exp');
    if (exp <= nowSeconds - clockToleranceSeconds) return refuse('token-expired');
    if (typeof nbf === 'number' && nbf > nowSeconds + clockToleranceSeconds) return refuse('token-claim-nbf');
    if (typeof iat === 'number' && iat > nowSeconds + clockToleranceSeconds) return refuse('token-from-the-future');
    // A token of the client itself may come without `sub`.
    const payload: JWTPayload = { ...answer, sub: (answer.sub ?? answer.client_id) as string };
    return { kind: 'active', payload, expiresMs: exp * 1_000 };
  }
}

function formEncoded(text: string): string {
  return new URLSearchParams({ x: text }).toString().slice(2);
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
