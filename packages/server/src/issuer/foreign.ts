/** The keys of an issuer that isn't ours: found by OpenID discovery at the first token, then fetched and kept by jose. */
import { createRemoteJWKSet, type JWTVerifyGetKey } from 'jose';
import { ServerError } from '../errors.ts';

const timeoutMs = 5_000;
const cooldownMs = 30_000;
const keysAgeMaxMs = 10 * 60_000;
const documentBytesMax = 65_536;

/** Nothing is fetched until somebody asks: an issuer that is down must not keep the server from starting. */
export function foreignKeys(issuer: string): JWTVerifyGetKey {
  let discovered: Promise<JWTVerifyGetKey> | undefined;
  return async (header, token) => {
    discovered ??= discover(issuer).catch((error: unknown) => {
      discovered = undefined;
      throw error;
    });
    return (await discovered)(header, token);
  };
}

async function discover(issuer: string): Promise<JWTVerifyGetKey> {
  const url = `${issuer.replace(/\/$/, '')}/.well-known/openid-configuration`;
  try {
    const answer = await fetch(url, { redirect: 'error', signal: AbortSignal.timeout(timeoutMs) });
    const text = await answer.text();
    if (!answer.ok || text.length > documentBytesMax)
      throw new TypeError(`status ${answer.status}, ${text.length} characters`);
    const document = JSON.parse(text) as { readonly issuer?: unknown; readonly jwks_uri?: unknown };
    if (document.issuer !== issuer) throw new TypeError('the document names another issuer');
    if (typeof document.jwks_uri !== 'string') throw new TypeError('the document has no jwks_uri');
    const keys = new URL(document.jwks_uri);
    if (keys.protocol !== 'https:' && keys.protocol !== new URL(issuer).protocol)
      throw new TypeError('the keys lie at an address without TLS');
    return createRemoteJWKSet(keys, {
      timeoutDuration: timeoutMs,
      cooldownDuration: cooldownMs,
      cacheMaxAge: keysAgeMaxMs,
    });
  } catch (error) {
    throw new ServerError(
      'unavailable',
      `expected an OpenID discovery document at ${url}; check issuer.url and that the issuer runs`,
      {
        cause: error,
        retryAfterMs: 5_000,
      },
    );
  }
}
