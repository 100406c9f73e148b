/**
 * Passkeys (WebAuthn Level 3): the challenges, and whether an answer to one holds. The person must have been verified by the authenticator (fingerprint, face, PIN): the
 * UV flag is demanded and checked. A challenge lives five minutes, belongs to one visit and is used up by the first answer, good or bad.
 */
import { verifyAuthenticationResponse, verifyRegistrationResponse } from '@simplewebauthn/server';
import type { Factors, Person, StoredPasskey } from '../access/access.ts';
import type { World } from '../world/world.ts';

const challengeMs = 5 * 60_000;
const challengesMax = 10_000;
const credentialCharsMax = 16_384;
/** EdDSA, ES256, RS256 (COSE). */
const algorithms = [-8, -7, -257];

type Assertion = Parameters<typeof verifyAuthenticationResponse>[0]['response'];
type Registration = Parameters<typeof verifyRegistrationResponse>[0]['response'];

export interface Passkeys {
  /** Options for `navigator.credentials.get`, JSON; any passkey of this site, or those of one person. */
  ask(visit: string, person?: string): string;
  /** Options for `navigator.credentials.create`, JSON. */
  askNew(visit: string, person: Person): string;
  /** Whose passkey an answer names; nothing is checked yet. */
  named(answer: string): StoredPasskey | undefined;
  /** Undefined when it holds, and is then counted; otherwise the reason for the event. */
  check(visit: string, answer: string): Promise<string | undefined>;
  /** The new passkey; a reason where it doesn't hold. */
  enrol(visit: string, answer: string): Promise<Omit<StoredPasskey, 'person' | 'created' | 'name'> | string>;
}

export function createPasskeys(parts: {
  readonly world: World;
  readonly factors: Factors;
  /** Origin of the issuer; its host name is the relying party. */
  readonly origin: string;
}): Passkeys {
  const { world, factors, origin } = parts;
  const rpId = new URL(origin).hostname;
  const challenges = new Map<string, { readonly challenge: string; readonly untilMs: number }>();

  const begin = (visit: string): string => {
    const challenge = Buffer.from(world.random.bytes(32)).toString('base64url');
    challenges.delete(visit);
    challenges.set(visit, { challenge, untilMs: world.clock.monotonicMs() + challengeMs });
    const [oldest] = challenges.keys();
    if (challenges.size > challengesMax && oldest !== undefined) challenges.delete(oldest);
    return challenge;
  };
  const take = (visit: string): string | undefined => {
    const found = challenges.get(visit);
    challenges.delete(visit);
    return found !== undefined && world.clock.monotonicMs() < found.untilMs ? found.challenge : undefined;
  };
  const descriptors = (person: string) =>
    factors.of(person).passkeys.map(({ id, transports }) => ({ type: 'public-key', id, transports }));

  return {
    ask: (visit, person) =>
      JSON.stringify({
        challenge: begin(visit),
        rpId,
        timeout: challengeMs,
        userVerification: 'required',
        allowCredentials: person === undefined ? [] : descriptors(person),
      }),
    askNew: (visit, person) =>
      JSON.stringify({
        challenge: begin(visit),
        rp: { id: rpId, name: 'Watchglass' },
        user: {
          id: Buffer.from(person.id).toString('base64url'),
          name: person.username,
          displayName: person.name,
        },
        pubKeyCredParams: algorithms.map((alg) => ({ type: 'public-key', alg })),
        timeout: challengeMs,
        attestation: 'none',
        authenticatorSelection: { residentKey: 'required', requireResidentKey: true, userVerification: 'required' },
        excludeCredentials: descriptors(person.id),
      }),
    named(answer) {
      const id = parse<Assertion>(answer)?.id;
      return id === undefined ? undefined : factors.passkey(id);
    },
    async check(visit, answer) {
      const expectedChallenge = take(visit);
      const response = parse<Assertion>(answer);
      if (expectedChallenge === undefined) return 'passkey-challenge';
      const passkey = response === undefined ? undefined : factors.passkey(response.id);
      if (response === undefined || passkey === undefined) return 'passkey-unknown';
      try {
        const { verified, authenticationInfo } = await verifyAuthenticationResponse({
          response,
          expectedChallenge,
          expectedOrigin: origin,
          expectedRPID: rpId,
          requireUserVerification: true,
          // The counter is compared below, where a step back has a reason of its own.
          credential: { id: passkey.id, publicKey: Buffer.from(passkey.publicKey, 'base64url'), counter: 0 },
        });
        if (!verified) return 'passkey-signature';
        if (!authenticationInfo.userVerified) return 'passkey-unverified';
        return factors.countPasskey(passkey.id, authenticationInfo.newCounter) ? undefined : 'passkey-counter';
      } catch (error) {
        return reasonOf(error);
      }
    },
    async enrol(visit, answer) {
      const expectedChallenge = take(visit);
      const response = parse<Registration>(answer);
      if (expectedChallenge === undefined) return 'passkey-challenge';
      if (response === undefined) return 'passkey-invalid';
      try {
        const { verified, registrationInfo } = await verifyRegistrationResponse({
          response,
          expectedChallenge,
          expectedOrigin: origin,
          expectedRPID: rpId,
          requireUserVerification: true,
          supportedAlgorithmIDs: algorithms,
        });
        if (!verified || registrationInfo === undefined) return 'passkey-signature';
        if (!registrationInfo.userVerified) return 'passkey-unverified';
        const { credential, credentialBackedUp } = registrationInfo;
        return {
          id: credential.id,
          publicKey: Buffer.from(credential.publicKey).toString('base64url'),
          counter: credential.counter,
          transports: (credential.transports ?? []).filter((one) => /^[a-z-]{1,16}$/.test(one)).slice(0, 8),
          synced: credentialBackedUp,
        };
      } catch (error) {
        return reasonOf(error);
      }
    },
  };
}

/** The library says what doesn't hold in words only. */
function reasonOf(error: unknown): string {
  const said = error instanceof Error ? error.message : '';
  if (/user verification/i.test(said)) return 'passkey-unverified';
  if (/origin/i.test(said)) return 'passkey-origin';
  if (/RP ID/i.test(said)) return 'passkey-site';
  if (/challenge/i.test(said)) return 'passkey-challenge';
  return 'passkey-invalid';
}

function parse<T extends { id: string }>(answer: string): T | undefined {
  if (answer.length > credentialCharsMax) return undefined;
  try {
    const value: unknown = JSON.parse(answer);
    const id = (value as { id?: unknown } | null)?.id;
    return typeof id === 'string' && /^[A-Za-z0-9_-]{1,1400}$/.test(id) ? (value as T) : undefined;
  } catch {
    return undefined;
  }
}
