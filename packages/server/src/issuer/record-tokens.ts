/**
 * What happens at the token endpoint is an event before the answer leaves: a token renewed, a service's own token, a refresh token or a code used twice (what they gave ends),
 * a client that didn't prove to be one. When it can't be recorded, no token is given.
 */
import type { Actor, Outcome, TenantId } from '@watchglass/record';
import type { KoaContextWithOIDC } from 'oidc-provider';
import type { Access, RecordOwn } from '../access/access.ts';
import { sourceOf } from '../access/change.ts';
import { addressOf } from './request.ts';

/** Requests that ended everything of a grant. */
const endedGrant = new WeakSet<object>();

export function noteEndedGrant(ctx: object): void {
  endedGrant.add(ctx);
}

const methods: Readonly<Record<string, string>> = {
  client: 'client',
  'service-token': 'client',
  'code-exchange': 'code',
};

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
        method: methods[event.operation] ?? 'refresh-token',
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

function eventOf(ctx: KoaContextWithOIDC): { operation: string; outcome: Outcome } | undefined {
  const { status, body, oidc } = ctx;
  const code = (body as { error?: unknown } | undefined)?.error;
  const reason = typeof code === 'string' ? code.replaceAll('_', '-') : `status-${status}`;
  if (code === 'invalid_client') return { operation: 'client', outcome: { status: 'denied', reason } };
  const said = (operation: string, why = reason): { operation: string; outcome: Outcome } => ({
    operation,
    outcome: status === 200 ? { status: 'success' } : { status: 'denied', reason: why },
  });
  switch (oidc.params?.grant_type) {
    case 'refresh_token': {
      // Consumed, and not by this request: it was used before, or just now by another one.
      const { RefreshToken: token, RotatedRefreshToken: rotated } = oidc.entities;
      const reused = endedGrant.has(ctx) || (status !== 200 && token?.consumed !== undefined && rotated === undefined);
      return reused ? said('refresh-reuse', 'family-revoked') : said('token-refresh');
    }
    case 'client_credentials':
      return said('service-token');
    case 'authorization_code':
      // That somebody signed in is on record already. A code that was used before ends what it gave.
      return status === 200 ? undefined : said('code-exchange', endedGrant.has(ctx) ? 'code-replayed' : reason);
    default:
      return undefined;
  }
}
