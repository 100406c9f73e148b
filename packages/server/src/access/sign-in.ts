/**
 * Signing in with a password, and with what comes after it. Whatever the outcome, it is an event before the answer; a wrong password, an unknown and a
 * disabled person look and cost the same to whoever tries. Passwords and second factors share their locks, and a right password alone forgets no failure where
 * a second factor is to come. The typed username is kept out of the record unless it is
 * somebody's: people type their password there.
 */
import type { Actor, Authentication, Outcome, TenantId } from '@watchglass/record';
import type { World } from '../world/world.ts';
import type { Factors, Origin, People, Person, SignIn, Tenants } from './access.ts';
import { authenticatedBy, sourceOf } from './change.ts';
import type { Failures } from './failures.ts';
import { type Attempt, createLockout } from './lockout.ts';
import type { RecordOwn } from './own-event.ts';
import type { Passwords } from './passwords.ts';
import type { PeopleStore } from './people.ts';

/** When too many passwords wait to be checked, come again after this. */
const busyRetryMs = 2_000;
const passwordLengthMax = 1_024;
const usernameLengthMax = 65;

interface SignInFacts {
  readonly person: Person | undefined;
  readonly operation: 'login' | 'login-failed' | 'first-factor' | 'lockout';
  readonly outcome: Outcome;
  readonly authentication: Authentication;
  readonly client: string | undefined;
  readonly origin: Origin | undefined;
}

export function createSignIn(parts: {
  readonly world: World;
  readonly people: PeopleStore;
  readonly factors: Factors;
  readonly passwords: Passwords;
  readonly tenants: Tenants;
  readonly record: RecordOwn;
  readonly failures: Failures;
}): Pick<People, 'signIn' | 'prove'> {
  const { world, people, factors, passwords, tenants, record } = parts;
  const lockout = createLockout(world.clock, parts.failures);

  const recordSignIn = (facts: SignInFacts): Promise<void> => {
    const tenant = facts.person?.tenant ?? tenants.list()[0];
    return tenant === undefined ? Promise.resolve() : recordIn(tenant, facts);
  };
  const recordIn = (tenant: TenantId, facts: SignInFacts): Promise<void> => {
    const { person, client, authentication } = facts;
    const actor: Actor = {
      id: person?.id ?? 'unknown',
      type: person?.roles.includes('patient') === true ? 'patient' : 'human',
      ...(person === undefined ? {} : { roles: person.roles }),
      ...(client === undefined ? {} : { client }),
      authentication,
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

  /** What a try says when it failed, and the locks that it turned. */
  const refuse = async (attempt: Attempt, facts: Omit<SignInFacts, 'operation' | 'outcome'>, reason: string) => {
    await recordSignIn({ ...facts, operation: 'login-failed', outcome: { status: 'denied', reason } });
    for (const locked of lockout.locked(attempt))
      await recordSignIn({ ...facts, operation: 'lockout', outcome: { status: 'denied', reason: `${locked}-locked` } });
  };
  /** The answer where there is a lock; undefined where the attempt may go on, which is then counted. */
  const meetLock = async (
    attempt: Attempt,
    facts: Omit<SignInFacts, 'operation' | 'outcome'>,
  ): Promise<SignIn | undefined> => {
    const retryAfterMs = lockout.remainingMs(attempt);
    if (retryAfterMs > 0) {
      if (lockout.shouldRecord(attempt))
        await recordSignIn({ ...facts, operation: 'login-failed', outcome: { status: 'denied', reason: 'locked' } });
      return { kind: 'refused', reason: 'locked', retryAfterMs };
    }
    lockout.begin(attempt);
    return undefined;
  };

  const signIn: People['signIn'] = async ({ username: typed, password, client, origin }) => {
    // No username has 65 characters: what is kept of an attempt is bounded.
    const username = typed.trim().toLowerCase().slice(0, usernameLengthMax);
    const attempt = { username: username === '' ? ' ' : username, address: countedAddress(origin) };
    const person = people.find(username);
    const facts = { person, client, origin, authentication: { method: 'password', mfa: false } };

    const locked = await meetLock(attempt, facts);
    if (locked !== undefined) return locked;
    const usable = person !== undefined && !person.disabled && password.length <= passwordLengthMax;
    const encoded = usable ? people.passwordOf(person.id) : undefined;
    const matches = await passwords.matches(encoded, password.slice(0, passwordLengthMax));
    if (matches === 'busy') {
      // Or a storm of sign-ins would lock out whoever tries again and again meanwhile.
      lockout.withdraw(attempt);
      return { kind: 'refused', reason: 'busy', retryAfterMs: busyRetryMs };
    }
    if (!matches || person === undefined) {
      const reason = person === undefined ? 'unknown-person' : person.disabled ? 'disabled' : 'wrong-password';
      await refuse(attempt, facts, reason);
      return { kind: 'refused', reason: 'credentials' };
    }
    const { totp, passkeys } = factors.of(person.id);
    if (totp || passkeys.length > 0) {
      await recordSignIn({ ...facts, operation: 'first-factor', outcome: { status: 'success' } });
      // Not `succeeded`: whoever knows the password would guess codes without end, a right password between each two.
      lockout.withdraw(attempt);
      return { kind: 'first-factor', person };
    }
    await recordSignIn({ ...facts, operation: 'login', outcome: { status: 'success' } });
    lockout.succeeded(attempt);
    return { kind: 'person', person, authentication: authenticatedBy('password', world.clock.now()) };
  };

  const prove: People['prove'] = async ({ person, method, assurance, client, origin, check }) => {
    const attempt = { username: person?.username ?? '', address: countedAddress(origin) };
    const authentication: Authentication = { method, mfa: true, assurance };
    const facts = { person, client, origin, authentication };
    const locked = await meetLock(attempt, facts);
    if (locked !== undefined) return locked;
    const current = person === undefined ? undefined : people.get(person.id);
    const reason = current?.disabled === true ? 'disabled' : await check();
    if (reason !== undefined || current === undefined) {
      await refuse(attempt, { ...facts, authentication: { method, mfa: false } }, reason ?? 'unknown-person');
      return { kind: 'refused', reason: 'credentials' };
    }
    await recordSignIn({ ...facts, person: current, operation: 'login', outcome: { status: 'success' } });
    lockout.succeeded(attempt);
    const time = new Date(world.clock.now()).toISOString();
    return { kind: 'person', person: current, authentication: { ...authentication, time } };
  };
  return { signIn, prove };
}

function countedAddress(origin: Origin | undefined): string | undefined {
  return origin?.isProxy === true ? undefined : origin?.address;
}
