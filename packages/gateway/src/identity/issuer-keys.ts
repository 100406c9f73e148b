/**
 * The signing keys of one issuer, by discovery or from a named JWKS, cached.
 *
 * Attacks it is made for: unknown `kid`s cost one fetch per cooldown, not one each; redirects aren't followed; an answer is bounded in size and time;
 * keys named inside a token are never looked at. While the issuer is unreachable, known keys hold for a bounded time past their age, and then nobody gets
 * in: that is `unavailable`, not an invalid token.
 */
import { createLocalJWKSet, errors, type JSONWebKeySet, type JWTVerifyGetKey } from 'jose';
import type { Agent } from 'undici';

import { askJson } from './bounded-json.ts';

const maxAgeMs = 10 * 60_000;
const staleMaxMs = 60 * 60_000;
const cooldownMs = 30_000;
const timeoutMs = 5_000;
/** Keys past their age are used when asking for new ones takes longer. */
const staleWaitMs = 500;
const answerBytesMax = 512 * 1024;

export interface IssuerKeysOptions {
  readonly issuer: string;
  /** Skips discovery. */
  readonly jwksUri?: string;
  readonly dispatcher: Agent;
  /** Milliseconds; for tests with a clock of their own. */
  readonly now?: () => number;
  /** Called once when keys past their age begin to be used because the issuer doesn't answer. */
  readonly onStale?: () => void;
  /** Called once when they may be used no longer, and nobody gets in. */
  readonly onGone?: () => void;
  /** Called when the issuer has answered again after either. */
  readonly onFresh?: () => void;
}

/** `stale`: past their age, and still used. `gone`: none that may be used. */
export type KeysState = 'fresh' | 'stale' | 'gone';

/** The issuer can't be asked, and nothing that is known may be used any longer. */
export class KeysUnavailableError extends Error {
  constructor(issuer: string, cause: unknown) {
    super(`expected signing keys from ${issuer}, got none; check that the gateway reaches it`, { cause });
    this.name = 'KeysUnavailableError';
  }
}

export class IssuerKeys {
  readonly #options: IssuerKeysOptions;
  readonly #now: () => number;
  #keys: ReturnType<typeof createLocalJWKSet> | undefined;
  #fetchedAtMs = Number.NEGATIVE_INFINITY;
  #triedAtMs = Number.NEGATIVE_INFINITY;
  #fetching: Promise<void> | undefined;
  #lastError: unknown;
  #state: KeysState = 'fresh';
  fetchCount = 0;

  constructor(options: IssuerKeysOptions) {
    this.#options = options;
    // Not the wall clock: one that stepped back would keep revoked keys, and keep new ones out.
    this.#now = options.now ?? ((): number => performance.now());
  }

  /** As it was when they were last used. */
  get state(): KeysState {
    return this.#state;
  }

  /** For `jwtVerify`: the key of a token's header, by `kid`. */
  readonly keyOf: JWTVerifyGetKey = async (header, token) => {
    await this.#refreshIfOld();
    try {
      return await this.#current()(header, token);
    } catch (error) {
      if (!(error instanceof errors.JWKSNoMatchingKey)) throw error;
      // Perhaps the issuer has a new key; asked at most once per cooldown, whoever asks.
      if (this.#now() - this.#triedAtMs < cooldownMs) throw error;
      await this.#refresh();
      return this.#current()(header, token);
    }
  };

  /** Fetches the keys if there are none yet; false while there are none that may be used. For readiness. */
  async prepare(): Promise<boolean> {
    await this.#refreshIfOld();
    return this.#isUsable();
  }

  #current(): ReturnType<typeof createLocalJWKSet> {
    if (this.#keys === undefined || !this.#isUsable()) {
      this.#become('gone');
      throw new KeysUnavailableError(this.#options.issuer, this.#lastError);
    }
    if (this.#now() - this.#fetchedAtMs > maxAgeMs) this.#become('stale');
    return this.#keys;
  }

  #become(state: KeysState): void {
    if (this.#state === state) return;
    this.#state = state;
    const { onStale, onGone, onFresh } = this.#options;
    switch (state) {
      case 'stale':
        onStale?.();
        break;
      case 'gone':
        onGone?.();
        break;
      case 'fresh':
        onFresh?.();
        break;
      default:
        state satisfies never;
    }
  }

  #isUsable(): boolean {
    return this.#keys !== undefined && this.#now() - this.#fetchedAtMs <= maxAgeMs + staleMaxMs;
  }

  async #refreshIfOld(): Promise<void> {
    if (this.#now() - this.#fetchedAtMs <= maxAgeMs) return;
    // Without any key a second is enough of a pause: at start the issuer may come up after the gateway.
    const pauseMs = this.#keys === undefined ? 1_000 : cooldownMs;
    if (this.#fetching === undefined && this.#now() - this.#triedAtMs < pauseMs) return;
    const late = Promise.withResolvers<void>();
    // An issuer that hangs holds nobody up for long whose key is known.
    const timer = this.#isUsable() ? setTimeout(() => late.resolve(), staleWaitMs) : undefined;
    await Promise.race([this.#refresh(), late.promise]);
    clearTimeout(timer);
  }

  async #refresh(): Promise<void> {
    this.#fetching ??= this.#fetch().finally(() => {
      this.#fetching = undefined;
    });
    await this.#fetching;
  }

  async #fetch(): Promise<void> {
    this.#triedAtMs = this.#now();
    this.fetchCount += 1;
    try {
      const jwksUri = this.#options.jwksUri ?? (await this.#discover());
      const document = (await this.#getJson(jwksUri)) as JSONWebKeySet;
      this.#keys = createLocalJWKSet(document);
      this.#fetchedAtMs = this.#now();
      this.#become('fresh');
    } catch (error) {
      this.#lastError = error;
    }
  }

  /** OpenID Connect Discovery §4.3: the document's issuer has to be the one that was asked for. */
  async #discover(): Promise<string> {
    const { issuer } = this.#options;
    const document = (await this.#getJson(`${issuer.replace(/\/$/, '')}/.well-known/openid-configuration`)) as {
      readonly issuer?: unknown;
      readonly jwks_uri?: unknown;
    };
    if (document.issuer !== issuer)
      throw new Error('expected the discovery document to name the issuer it was fetched from');
    if (typeof document.jwks_uri !== 'string') throw new Error('expected jwks_uri in the discovery document');
    if (!isSafeUrl(document.jwks_uri)) throw new Error('expected jwks_uri to be https, or on this machine');
    return document.jwks_uri;
  }

  async #getJson(url: string): Promise<unknown> {
    const { dispatcher } = this.#options;
    const { status, json } = await askJson(url, { dispatcher, timeoutMs, answerBytesMax });
    if (status !== 200) throw new Error(`expected status 200, got ${status}`);
    if (typeof json !== 'object' || json === null) throw new Error('expected a JSON object');
    return json;
  }
}

/** Keys over plain HTTP could be anybody's, except on this machine. */
export function isSafeUrl(text: string): boolean {
  if (!URL.canParse(text)) return false;
  const { protocol, hostname } = new URL(text);
  return protocol === 'https:' || (protocol === 'http:' && /^(localhost|127\.\d+\.\d+\.\d+|\[::1\])$/.test(hostname));
}
