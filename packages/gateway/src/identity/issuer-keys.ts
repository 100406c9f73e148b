/**
 * The signing keys of one issuer, by discovery or from a named JWKS, cached.
 *
 * Attacks it is made for: unknown `kid`s cost one fetch per cooldown, not one each; redirects aren't followed; an answer is bounded in size and time;
 * keys named inside a token are never looked at. While the issuer is unreachable, known keys hold for a bounded time past their age, and then nobody gets
 * in: that is `unavailable`, not an invalid token.
 */
import { createLocalJWKSet, errors, type JSONWebKeySet, type JWTVerifyGetKey } from 'jose';
import { type Agent, request } from 'undici';

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
  /** Called when keys past their age are still used because the issuer doesn't answer. */
  readonly onStale?: () => void;
}

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
  fetchCount = 0;

  constructor(options: IssuerKeysOptions) {
    this.#options = options;
    // Not the wall clock: one that stepped back would keep revoked keys, and keep new ones out.
    this.#now = options.now ?? ((): number => performance.now());
  }

  get known(): boolean {
    return this.#keys !== undefined;
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

  /** Fetches the keys if there are none yet; for readiness. */
  async prepare(): Promise<boolean> {
    await this.#refreshIfOld();
    return this.known;
  }

  #current(): ReturnType<typeof createLocalJWKSet> {
    if (this.#keys === undefined || !this.#isUsable()) {
      throw new KeysUnavailableError(this.#options.issuer, this.#lastError);
    }
    if (this.#now() - this.#fetchedAtMs > maxAgeMs) this.#options.onStale?.();
    return this.#keys;
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
    const signal = AbortSignal.timeout(timeoutMs);
    const { statusCode, body } = await request(url, {
      dispatcher: this.#options.dispatcher,
      signal,
      headers: { accept: 'application/json' },
    });
    const chunks: Buffer[] = [];
    let bytes = 0;
    for await (const chunk of body as AsyncIterable<Buffer>) {
      bytes += chunk.length;
      if (bytes > answerBytesMax) throw new Error(`expected at most ${answerBytesMax} bytes`);
      chunks.push(chunk);
    }
    if (statusCode !== 200) throw new Error(`expected status 200, got ${statusCode}`);
    return JSON.parse(Buffer.concat(chunks).toString('utf8'));
  }
}

/** Keys over plain HTTP could be anybody's, except on this machine. */
export function isSafeUrl(text: string): boolean {
  if (!URL.canParse(text)) return false;
  const { protocol, hostname } = new URL(text);
  return protocol === 'https:' || (protocol === 'http:' && /^(localhost|127\.\d+\.\d+\.\d+|\[::1\])$/.test(hostname));
}
