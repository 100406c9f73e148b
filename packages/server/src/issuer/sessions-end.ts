/**
 * How sessions end here: one by its person's wish (end-session.ts), or all of a person when access/ says so. Everybody concerned is told: the application of the session, and who asked to
 * hear of all of them (a gateway, which has tokens of every application before it). Whatever moment the server is killed at: what has ended stays ended, and whoever has to hear of it hears.
 */
import type { Provider } from 'oidc-provider';
import type { Access, AccessEnd, Origin, RecordOwn } from '../access/access.ts';
import { sourceOf } from '../access/change.ts';
import type { Issued } from '../access/issued.ts';
import type { BackChannel, Hearer } from './back-channel.ts';
import type { IssuerClient } from './issuer-client.ts';
import { noteEndedGrant } from './record-tokens.ts';
import type { AppSignIn, SignIns } from './sign-ins.ts';

export interface SessionsEnd {
  /** As its person wants it: recorded, then ended, then told. */
  one(signIn: AppSignIn, origin: Origin): Promise<void>;
  /** What access/ ended. */
  all(end: AccessEnd): void;
}

export function createSessionsEnd(parts: {
  readonly provider: Provider;
  readonly people: Pick<Access['people'], 'get'>;
  readonly signIns: SignIns;
  readonly issued: Issued;
  readonly clients: readonly IssuerClient[];
  readonly backChannel: BackChannel;
  readonly record: RecordOwn;
}): SessionsEnd {
  const { provider, people, signIns, issued, clients, backChannel } = parts;
  const hearers = clients.flatMap((client) =>
    client.logoutUri === undefined
      ? []
      : [{ client: client.id, url: client.logoutUri, ofAll: client.logoutOfAll === true } as const],
  );

  const tell = (heard: readonly Hearer[], person: string, sid?: string): void => {
    const tenant = people.get(person)?.tenant;
    if (tenant === undefined) return;
    for (const hearer of heard) backChannel.tell(hearer, { tenant, person, ...(sid === undefined ? {} : { sid }) });
  };

  /** Told first: one that is told twice is told, one that is forgotten first is not. */
  const endOfGrant = (signIn: AppSignIn): void => {
    const concerned = hearers.filter((hearer) => hearer.ofAll || hearer.client === signIn.client);
    tell(concerned, signIn.person, signIn.sid);
    signIns.endGrant(signIn.grantId);
  };

  // A code or refresh token that was used twice, or one that its client gave back: the access tokens that came of it are over too (RFC 7009 §2.1).
  provider.on('grant.revoked', (ctx, grantId) => {
    noteEndedGrant(ctx);
    const signIn = signIns.ofGrant(grantId);
    if (signIn !== undefined) endOfGrant(signIn);
  });

  backChannel.resume(hearers);
  for (const signIn of signIns.grantless()) endOfGrant(signIn);
  return {
    async one(signIn, origin) {
      const { sid, person: id, client, grantId, offline } = signIn;
      const person = people.get(id);
      if (person === undefined) return;
      tell(
        hearers.filter((hearer) => hearer.ofAll || hearer.client === client),
        id,
        sid,
      );
      signIns.end(sid);
      if (!offline) issued.dropGrant(grantId);
      // Beside each other: who leaves must be gone even when the record can't be written.
      const done = await Promise.allSettled([
        issued.settled(),
        parts.record({
          tenant: person.tenant,
          kind: 'auth',
          action: 'execute',
          operation: 'logout',
          outcome: { status: 'success' },
          actor: {
            id,
            type: person.roles.includes('patient') ? 'patient' : 'human',
            roles: person.roles,
            client,
            session: sid,
            authentication: { method: 'id-token' },
          },
          ...sourceOf(origin),
        }),
      ]);
      for (const one of done) if (one.status === 'rejected') throw one.reason;
    },
    all({ person, of }) {
      if (of === 'access-tokens') {
        // Their sessions go on, with today's roles; what tokens say of yesterday's is over.
        tell(
          hearers.filter(({ ofAll }) => ofAll),
          person,
        );
        return;
      }
      signIns.forget(person);
      tell(hearers, person);
    },
  };
}
