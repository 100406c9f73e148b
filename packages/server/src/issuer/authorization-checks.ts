/**
 * What SMART asks of an authorization request beyond OAuth: the FHIR API the token is for (`aud`), and a launch that is good (`launch`). Both are looked at before anybody
 * signs in, and what is refused is an event: somebody tries launches of others, or has an application that was led to another server.
 */
import type { IncomingMessage } from 'node:http';
import type { TenantId } from '@watchglass/record';
import { errors, type KoaContextWithOIDC } from 'oidc-provider';
import type { RecordOwn } from '../access/access.ts';
import { sourceOf } from '../access/change.ts';
import type { World } from '../world/world.ts';
import { createAttemptLimit } from './attempt-limit.ts';
import type { Launches } from './launches.ts';
import { addressOf, countedAs, readForm } from './request.ts';
import { checkAudience, launchFault, type SmartSettings } from './smart.ts';

export const authorizationPath = '/auth';

type Check = (ctx: KoaContextWithOIDC, value: string | undefined) => Promise<void>;

export interface AuthorizationChecks {
  readonly aud: Check;
  readonly launch: Check;
  /** Marks the request: the provider drops `offline_access` where nobody is asked to consent, and nobody is. */
  readonly offline: Check;
}

export function createAuthorizationChecks(parts: {
  readonly smart: SmartSettings | undefined;
  readonly launches: Launches;
  readonly world: World;
  readonly record: RecordOwn;
  readonly homeTenant: TenantId;
}): AuthorizationChecks {
  const { smart, launches, record, homeTenant } = parts;
  const limit = createAttemptLimit(parts.world.clock);

  const refuse = async (ctx: KoaContextWithOIDC, reason: string): Promise<void> => {
    const client = ctx.oidc.client?.clientId;
    // Anybody can ask without end: beyond the limit of an address it is refused all the same, but not recorded one by one.
    if (limit.take(countedAs(ctx.req)) > 0) return;
    await record({
      tenant: homeTenant,
      kind: 'auth',
      action: 'execute',
      operation: 'authorization',
      outcome: { status: 'denied', reason },
      actor: { id: 'anonymous', type: 'human', ...(client === undefined ? {} : { client }) },
      ...sourceOf(addressOf(ctx.req)),
    });
  };
  return {
    async aud(ctx, value) {
      try {
        checkAudience(value, scopeOf(ctx), smart);
      } catch (error) {
        await refuse(ctx, value === undefined ? 'aud-missing' : 'aud-wrong');
        throw error;
      }
    },
    async launch(ctx, value) {
      const fault = launchFault(value, { scope: scopeOf(ctx), client: ctx.oidc.client?.clientId ?? '', launches });
      if (fault === undefined) return;
      await refuse(ctx, fault);
      throw new errors.InvalidRequest('the launch is not good (any more); launch again');
    },
    async offline(ctx) {
      const { params, client } = ctx.oidc;
      const asked = rawScope(ctx)?.split(' ').includes('offline_access') === true;
      if (params !== undefined) params.offline = asked && client?.grantTypeAllowed('refresh_token') ? 'yes' : undefined;
    },
  };
}

function scopeOf({ oidc }: KoaContextWithOIDC): string | undefined {
  const scope = oidc.params?.scope;
  return typeof scope === 'string' ? scope : undefined;
}

/** As it was sent, before the provider took out what it doesn't give. */
function rawScope({ query }: KoaContextWithOIDC): string | undefined {
  return typeof query.scope === 'string' ? query.scope : undefined;
}

/** `authorize-post` (SMART App Launch 2.2): a request that is posted goes on as one that is asked for; undefined where it can't be read. */
export async function postedAuthorization(request: IncomingMessage): Promise<string | undefined> {
  const form = await readForm(request);
  return form === undefined ? undefined : `${authorizationPath}?${form}`;
}
