/**
 * What happens at the token endpoint is an event before the answer leaves: a token renewed, a refresh token used twice (its whole family ends), a client that
 * didn't prove to be one. When it can't be recorded, no token is given.
 */
import type { Actor, Outcome, TenantId } from '@watchglass/record';
import type { KoaContextWithOIDC } from 'oidc-provider';
import type { Access, RecordOwn } from '../access/access.ts';
import { sourceOf } from '../access/change.ts';
import { addressOf } from './request.ts';

export function recordTokens(parts: {
  readonly people: Pick<Access['people'], 'get'>;
  readonly record: RecordOwn;
  readonly homeTenant: TenantId;
}): (ctx: KoaContextWithOIDC, next: () => Promise<void>) => Promise<void> {
  return async (ctx, next) => {
    await next();
    if (ctx.oidc?.route !== 'token') return;
    const event = eventOf(ctx);
    if (event === undefined) return;
    const { client, entities } = ctx.oidc;
    const from = entities.RotatedRefreshToken ?? entities.RefreshToken;
    const person = from === undefined ? undefined : parts.people.get(from.accountId);
    const actor: Actor = {
      id: person?.id ?? client?.clientId ?? 'unknown',
      type: person === undefined ? 'service' : person.roles.includes('patient') ? 'patient' : 'human',
      ...(person === undefined ? {} : { roles: person.roles }),
      ...(client === undefined ? {} : { client: client.clientId }),
      authentication: {
        method: event.operation === 'client' ? 'client' : 'refresh-token',
        ...(from?.acr === undefined ? {} : { assurance: from.acr }),
      },
    };
    try {
      await parts.record({
        tenant: person?.tenant ?? parts.homeTenant,
        kind: 'auth',
        action: 'execute',
        operation: event.operation,
        outcome: event.outcome,
        actor,
        ...sourceOf(addressOf(ctx.req)),
      });
    } catch {
      ctx.status = 503;
      ctx.set('retry-after', '5');
      ctx.body = { error: 'temporarily_unavailable', error_description: 'nothing can be recorded now' };
    }
  };
}

function eventOf({ status, body, oidc }: KoaContextWithOIDC): { operation: string; outcome: Outcome } | undefined {
  const renews = oidc.params?.grant_type === 'refresh_token';
  if (status === 200) return renews ? { operation: 'token-refresh', outcome: { status: 'success' } } : undefined;
  const code = (body as { error?: unknown } | undefined)?.error;
  const reason = typeof code === 'string' ? code.replaceAll('_', '-') : `status-${status}`;
  if (code === 'invalid_client') return { operation: 'client', outcome: { status: 'denied', reason } };
  if (!renews) return undefined;
  // Consumed, and not by this request: it was used before.
  const { RefreshToken: token, RotatedRefreshToken: rotated } = oidc.entities;
  if (token?.consumed && rotated === undefined)
    return { operation: 'refresh-reuse', outcome: { status: 'denied', reason: 'family-revoked' } };
  return { operation: 'token-refresh', outcome: { status: 'denied', reason } };
}
