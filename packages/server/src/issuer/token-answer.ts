/**
 * What the token endpoint says beside the token (SMART App Launch 2.2, "Access token response"): the scopes as they were granted, which may be fewer than were asked for, and
 * the launch context. The same words as in the token itself, for the application to go by.
 */
import type { KoaContextWithOIDC } from 'oidc-provider';
import type { Access } from '../access/access.ts';
import { grantScopes, grantServiceScopes } from './claims.ts';
import type { IssuerClient } from './issuer-client.ts';
import type { SignIns } from './sign-ins.ts';
import { identityScopes, launchScopes } from './smart.ts';

export function answerTokens(parts: {
  readonly people: Pick<Access['people'], 'get'>;
  readonly clients: readonly IssuerClient[];
  readonly signIns: SignIns;
}): (ctx: KoaContextWithOIDC, next: () => Promise<void>) => Promise<void> {
  const { people, clients, signIns } = parts;
  return async (ctx, next) => {
    await next();
    if (ctx.oidc?.route !== 'token' || ctx.status !== 200) return;
    const { AccessToken: access, ClientCredentials: own, AuthorizationCode: code } = ctx.oidc.entities;
    const client = clients.find(({ id }) => id === ctx.oidc.client?.clientId);
    const body = ctx.body as Record<string, unknown>;
    if (own !== undefined) {
      body.scope = grantServiceScopes(own.scope?.split(' ') ?? [], client).join(' ');
      return;
    }
    const person = people.get(access?.accountId ?? '');
    if (access === undefined || person === undefined) return;
    const { context, offline } = signIns.ofGrant(access.grantId ?? '') ?? {};
    const from = code ?? ctx.oidc.entities.RefreshToken;
    const identity = (from?.scope?.split(' ') ?? []).filter((scope) =>
      [...identityScopes, ...launchScopes].includes(scope),
    );
    const granted = grantScopes(access.scope?.split(' ') ?? [], {
      roles: person.roles,
      client,
      patient: context?.patient,
    });
    body.scope = [...identity, ...granted, ...(offline === true ? ['offline_access'] : [])].join(' ');
    if (context === undefined) return;
    const { patient, encounter, intent, needPatientBanner } = context;
    Object.assign(body, {
      ...(patient === undefined ? {} : { patient, need_patient_banner: needPatientBanner }),
      ...(encounter === undefined ? {} : { encounter }),
      ...(intent === undefined ? {} : { intent }),
    });
  };
}
