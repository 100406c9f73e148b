/**
 * Signing in with a password. Whatever the outcome, it is an event before the answer; a wrong password, an unknown and a
 * disabled person look and cost the same to whoever tries. The typed username is kept out of the record unless it is
 * somebody's: people type their password there.
 */
import type { Actor, Outcome, TenantId } from '@watchglass/record';
import type { World } from '../world/world.ts';
import type { Origin, People, Person, SignIn, Tenants } from './access.ts';
import { authenticatedBy, sourceOf } from './change.ts';
import { createLockout } from './lockout.ts';
import type { RecordOwn } from './own-event.ts';
import type { Passwords } from './passwords.ts';
import type { PeopleStore } from './people.ts';

/** When too many passwords wait to be checked, come again after this. */
const busyRetryMs = 2_000;
const passwordLengthMax = 1_024;
const usernameLengthMax = 65;

export function createSignIn(parts: {
  readonly world: World;
  readonly people: PeopleStore;
  readonly passwords: Passwords;
  readonly tenants: Tenants;
  readonly record: RecordOwn;
}): People['signIn'] {
  const { world, people, passwords, tenants, record } = parts;
  const lockout = createLockout(world.clock);

  const recordSignIn = (facts: {
    person: Person | undefined;
    operation: 'login' | 'login-failed';
    outcome: Outcome;
    client: string | undefined;
    origin: Origin | undefined;
  }): Promise<void> => {
    const tenant = facts.person?.tenant ?? tenants.list()[0];
    return tenant === undefined ? Promise.resolve() : recordIn(tenant, facts);
  };
  const recordIn = (tenant: TenantId, facts: Parameters<typeof recordSignIn>[0]): Promise<void> => {
    const { person, client } = facts;
    const actor: Actor = {
      id: person?.id ?? 'unknown',
      type: person?.roles.includes('patient') === true ? 'patient' : 'human',
      ...(person === undefined ? {} : { roles: person.roles }),
      ...(client === undefined ? {} : { client }),
      authentication: { method: 'password', mfa: false },
    };
    return record({
      tenant,
      kind: 'auth',
      action: 'execute',
      operation: facts.operation,
      outcome: facts.outcome,
      actor,
      ...sourceOf(facts.origin),
    });
  };

  return async ({ username: typed, password, client, origin }): Promise<SignIn> => {
    // No username has 65 characters: what is kept of an attempt is bounded.
    const username = typed.trim().toLowerCase().slice(0, usernameLengthMax);
    const attempt = { username, address: origin?.address };
    const person = people.find(username);
    const refuse = (reason: string): Promise<void> =>
      recordSignIn({ person, operation: 'login-failed', outcome: { status: 'denied', reason }, client, origin });

    const lockedMs = lockout.remainingMs(attempt);
    if (lockedMs > 0) {
      if (lockout.shouldRecord(attempt)) await refuse('locked');
      return { kind: 'refused', reason: 'locked', retryAfterMs: lockedMs };
    }
    lockout.begin(attempt);
    const usable = person !== undefined && !person.disabled && password.length <= passwordLengthMax;
    const encoded = usable ? people.passwordOf(person.id) : undefined;
    const matches = await passwords.matches(encoded, password.slice(0, passwordLengthMax));
    if (matches === 'busy') {
      // Or a storm of sign-ins would lock out whoever tries again and again meanwhile.
      lockout.withdraw(attempt);
      return { kind: 'refused', reason: 'busy', retryAfterMs: busyRetryMs };
    }
    if (!matches || person === undefined) {
      await refuse(person === undefined ? 'unknown-person' : person.disabled ? 'disabled' : 'wrong-password');
      return { kind: 'refused', reason: 'credentials' };
    }
    await recordSignIn({ person, operation: 'login', outcome: { status: 'success' }, client, origin });
    lockout.succeeded(attempt);
    return { kind: 'person', person, authentication: authenticatedBy('password', world.clock.now()) };
  };
}
