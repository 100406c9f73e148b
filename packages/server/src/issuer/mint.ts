/** Access tokens without a sign-in, the same in every claim as those of the provider: for the people of the demo. */
import { SignJWT } from 'jose';
import type { Person } from '../access/access.ts';
import type { World } from '../world/world.ts';
import { type Assurance, apiAudience, ownPatientOf, personClaims, scopesOf } from './claims.ts';
import { issuerAlgorithm, type SigningKey } from './signing-key.ts';

export interface TokenOrder {
  readonly person: Person;
  readonly clientId: string;
  readonly lifetimeSeconds: number;
  /** All that the roles hold, unless said. */
  readonly scope?: string;
  /** How and when they signed in; by password and now, unless said. */
  readonly assurance?: Assurance;
  readonly authTimeSeconds?: number;
}

export function mintAccessToken(
  by: { readonly issuer: string; readonly signingKey: SigningKey; readonly world: World },
  order: TokenOrder,
): Promise<string> {
  const nowSeconds = Math.floor(by.world.clock.now() / 1_000);
  const { person, assurance, authTimeSeconds = nowSeconds } = order;
  const own = ownPatientOf(person);
  return new SignJWT({
    ...personClaims(person, authTimeSeconds, assurance),
    client_id: order.clientId,
    scope: order.scope ?? scopesOf(person.roles),
    // A session of its own: it must not end with whichever one of the person's does.
    sid: random(by.world),
    ...(own === undefined ? {} : { patient: own }),
  })
    .setProtectedHeader({ alg: issuerAlgorithm, typ: 'at+jwt', kid: by.signingKey.kid })
    .setIssuer(by.issuer)
    .setSubject(person.id)
    .setAudience(apiAudience)
    .setJti(random(by.world))
    .setIssuedAt(nowSeconds)
    .setExpirationTime(nowSeconds + order.lifetimeSeconds)
    .sign(by.signingKey.privateKey);
}

function random(world: World): string {
  return Buffer.from(world.random.bytes(16)).toString('base64url');
}
