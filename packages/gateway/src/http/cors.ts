/**
 * Which pages' scripts may read answers (Fetch Standard, CORS): those of the origins that the configuration names, exactly, and of no other, whatever the API says. What a script may
 * see hangs on the token it sends: cookies go neither way, and a browser's certificate alone opens nothing. So `credentials: 'include'`, which some clients always say, gives nobody
 * more, and is allowed.
 */

/** What a script may read besides the fields that any may. */
const exposed =
  'Content-Location, DPoP-Nonce, ETag, Last-Modified, Location, Retry-After, WWW-Authenticate, X-Audit-Id, X-Progress, X-Request-Id';
const methods = 'GET, HEAD, POST, PUT, PATCH, DELETE';
const preflightSeconds = 600;
const requestedCharsMax = 1_024;

export class Cors {
  readonly #origins: ReadonlySet<string>;

  constructor(origins: readonly string[]) {
    this.#origins = new Set(origins);
  }

  allows(origin: string | undefined): origin is string {
    return origin !== undefined && this.#origins.has(origin);
  }

  /** For an answer to a request of this origin; `vary` is what the answer has of its own. */
  headersFor(origin: string | undefined, vary?: string | readonly string[]): Readonly<Record<string, string>> {
    if (this.#origins.size === 0) return {};
    const varies = { vary: vary === undefined ? 'Origin' : `${vary}, Origin` };
    if (!this.allows(origin)) return varies;
    return {
      ...varies,
      'access-control-allow-origin': origin,
      'access-control-allow-credentials': 'true',
      'access-control-expose-headers': exposed,
    };
  }

  /** For the answer to a preflight. Which fields are asked for doesn't matter: the gateway drops those that it doesn't know. */
  preflightHeaders(origin: string, requested: string | undefined): Readonly<Record<string, string>> {
    const isSound = requested !== undefined && requested.length <= requestedCharsMax && /^[\w\-, ]+$/.test(requested);
    return {
      'access-control-allow-origin': origin,
      'access-control-allow-credentials': 'true',
      'access-control-allow-methods': methods,
      ...(isSound ? { 'access-control-allow-headers': requested } : {}),
      'access-control-max-age': String(preflightSeconds),
      vary: 'Origin, Access-Control-Request-Headers',
    };
  }
}
