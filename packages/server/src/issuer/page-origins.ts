/**
 * Which pages' scripts may use the token endpoint (Fetch Standard, CORS): those of an application's own origins. Some clients send every request with `credentials: 'include'`, and a browser
 * then keeps the answer from them unless it says that it takes credentials. It may: nothing there goes by a cookie, only by what the request itself proves.
 */
import type { KoaContextWithOIDC } from 'oidc-provider';

export function isPageOf(
  { redirectUris = [] }: { readonly redirectUris?: readonly string[] | undefined },
  origin: string,
): boolean {
  return redirectUris.some((uri) => URL.parse(uri)?.origin === origin);
}

const readableByPages: ReadonlySet<string> = new Set(['token', 'revocation', 'cors.token', 'cors.revocation']);

/** Of an answer that is for one origin, never for any. */
export async function takeCredentials(ctx: KoaContextWithOIDC, next: () => Promise<void>): Promise<void> {
  await next();
  const origin: unknown = ctx.response.get('access-control-allow-origin');
  if (!origin || origin === '*' || !readableByPages.has(ctx.oidc?.route ?? '')) return;
  ctx.set('access-control-allow-credentials', 'true');
}
