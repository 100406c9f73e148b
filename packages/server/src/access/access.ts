/**
 * Who may do what: tenants, people, roles, write keys, the operator, console sessions and tokens.
 *
 * State lives in `state.sqlite` and is working state only: every change, and every sign-in good or bad, is handed to
 * `record` and is durable in the ledger before it takes effect and before the answer leaves. When recording fails, the
 * change does not happen. Secrets are stored hashed and shown once.
 */
import type { Authentication, TenantId } from '@watchglass/record';
import type { Issued } from './issued.ts';
import type { OwnEvent } from './own-event.ts';
import type { Right } from './rights.ts';

export type { OwnActor, OwnEvent, RecordOwn, RecordPlaced } from './own-event.ts';
export { type Right, type Role, rightsOf } from './rights.ts';

/** A person as everybody above may see it: never with a password or its hash. */
export interface Person {
  readonly id: string;
  readonly username: string;
  /** Display name. */
  readonly name: string;
  readonly tenant: TenantId;
  readonly roles: readonly string[];
  readonly department?: string;
  /** Who they are in the FHIR API, such as `Practitioner/17`; of a patient, whose record is theirs: `Patient/17`. */
  readonly fhirUser?: string;
  readonly disabled: boolean;
}

/** What a person had before is no longer good: everything, or the access tokens only, which tell yesterday's roles. */
export interface AccessEnd {
  readonly person: string;
  readonly of: 'everything' | 'access-tokens';
}

/** A logout that a client has to hear of. */
export interface Logout {
  readonly tenant: TenantId;
  readonly person: string;
  /** One session; all that the person has without. */
  readonly sid?: string;
  /** Who is to be told. */
  readonly client: string;
  readonly sinceMs: number;
}

export interface Logouts {
  /** Durable when it returns. One that is kept already is kept from now on. */
  keep(logout: Logout): void;
  forget(logout: Pick<Logout, 'client' | 'person' | 'sid'>): void;
  list(): readonly Logout[];
}

/** Somebody at the door whose proof has been checked. */
export type Principal = PersonPrincipal | OperatorPrincipal;

export interface PersonPrincipal {
  readonly kind: 'person';
  readonly id: string;
  readonly username: string;
  readonly name: string;
  readonly roles: readonly string[];
  readonly tenant: TenantId;
  /** A public name of the console session, not its cookie. */
  readonly session?: string;
  /** The OAuth client. */
  readonly client?: string;
  /** The token's `jti`. */
  readonly tokenId?: string;
  readonly authentication: Authentication;
}

/** Whoever holds `keys/operator.token` on the machine. Belongs to no tenant: may name any. */
export interface OperatorPrincipal {
  readonly kind: 'operator';
  readonly id: 'operator';
  readonly username: 'operator';
  readonly name: 'Operator';
  readonly roles: readonly ['operator'];
  readonly authentication: Authentication;
}

/** Where a request came from; goes into the event. */
export interface Origin {
  readonly address?: string;
  /** The address is of a trusted proxy that doesn't say for whom it asks: what is counted for it is counted for nobody, or one of them would lock all out. */
  readonly isProxy?: true;
  readonly userAgent?: string;
}

/** Who makes a change: a principal, or the server itself at its start (`'server'`). */
export type Author = Principal | 'server';

export interface NewPerson {
  /** Default: a fresh `p-…`. 1–64 of `A-Z a-z 0-9 . _ -`. */
  readonly id?: string;
  /** 1–64 of `a-z 0-9 . _ -`, unique in the installation. */
  readonly username: string;
  readonly name: string;
  readonly tenant: TenantId;
  readonly roles: readonly string[];
  readonly department?: string;
  /** e.g. `Practitioner/17`. */
  readonly fhirUser?: string;
  /** 12–1,024 characters. */
  readonly password: string;
}

export type SignIn =
  | { readonly kind: 'person'; readonly person: Person; readonly authentication: Authentication }
  /** The password is right, and the person has a second factor, which is asked for next. */
  | { readonly kind: 'first-factor'; readonly person: Person }
  /** `credentials` is all the page may show of wrong password, unknown or disabled; `locked` and `busy` say when to come again. */
  | { readonly kind: 'refused'; readonly reason: 'credentials' }
  | { readonly kind: 'refused'; readonly reason: 'locked' | 'busy'; readonly retryAfterMs: number };

export interface People {
  /** @throws ServerError `input-invalid` (also when username or id is taken). */
  add(person: NewPerson, by: Author): Promise<Person>;
  find(username: string): Person | undefined;
  get(id: string): Person | undefined;
  list(tenant?: TenantId): readonly Person[];
  grantRole(id: string, role: string, by: Author): Promise<Person>;
  revokeRole(id: string, role: string, by: Author): Promise<Person>;
  setPassword(id: string, password: string, by: Author): Promise<void>;
  disable(id: string, by: Author): Promise<Person>;
  /** Who the person is in the FHIR API from the next sign-in on; where they were somebody else until then, everything they had as that ends. */
  setFhirUser(id: string, fhirUser: string, by: Author): Promise<Person>;
  /** Ends what the person is signed in to, here and at every application. */
  signOut(id: string, by: Author, origin?: Origin): Promise<void>;
  /**
   * When everything the person had was ended last, in milliseconds since 1970; 0 when it never was. What was begun before, and what was given before, is no longer good: a sign-in that waits
   * for its second step, a token.
   */
  endedMs(id: string): number;
  /** Told once a change is in force that ends what a person had: disabled, signed out, another password, factors reset, somebody else in the FHIR API, a role less. */
  onEnd(listener: (end: AccessEnd) => void): void;
  /** Argon2id, the same work for unknown people; ten failures in fifteen minutes lock the username and the address. Recorded. */
  signIn(attempt: {
    readonly username: string;
    readonly password: string;
    readonly client?: string;
    readonly origin?: Origin;
  }): Promise<SignIn>;
  /**
   * A factor beyond the password, under the same locks and into the same events. `person` is undefined for a passkey that nobody has. Of the answers only
   * `person` and `refused` are given.
   */
  prove(attempt: {
    readonly person: Person | undefined;
    /** `totp`, `recovery-code` or `passkey`. */
    readonly method: string;
    readonly assurance: string;
    readonly client?: string;
    readonly origin?: Origin;
    /** Undefined when it is proven; otherwise the reason for the event. */
    readonly check: () => Promise<string | undefined>;
  }): Promise<SignIn>;
}

/** A passkey as it is kept: the public key (COSE, base64url) and how often its authenticator says it was used. */
export interface StoredPasskey {
  readonly id: string;
  readonly person: string;
  readonly publicKey: string;
  readonly counter: number;
  /** What the person calls it. */
  readonly name: string;
  readonly transports: readonly string[];
  /** Copied between devices by a password manager. */
  readonly synced: boolean;
  /** RFC 3339, UTC. */
  readonly created: string;
}

/** What proves a person beyond the password. Every change is recorded; see factors.ts. */
export interface Factors {
  of(person: string): {
    readonly totp: boolean;
    readonly passkeys: readonly StoredPasskey[];
    readonly recoveryCodes: number;
  };
  passkey(id: string): StoredPasskey | undefined;
  /** `step` is the one of the code that confirmed it, which is used up. */
  setTotp(
    person: string,
    app: { readonly secret: Uint8Array; readonly step: number },
    by: Author,
    origin?: Origin,
  ): Promise<void>;
  removeTotp(person: string, by: Author, origin?: Origin): Promise<void>;
  /** A match uses the code up. */
  matchTotp(person: string, code: string): 'match' | 'wrong' | 'replayed';
  /** @throws ServerError `input-invalid` when it is enrolled already, or there are too many. */
  addPasskey(
    person: string,
    passkey: Omit<StoredPasskey, 'person' | 'created'>,
    by: Author,
    origin?: Origin,
  ): Promise<void>;
  removePasskey(person: string, id: string, by: Author, origin?: Origin): Promise<void>;
  /** False when the authenticator counted no further: it may have been copied. */
  countPasskey(id: string, counter: number): boolean;
  /** Shown here once; the ones of before are no good any more. */
  newRecoveryCodes(person: string, by: Author, origin?: Origin): Promise<readonly string[]>;
  spendRecoveryCode(person: string, code: string, by: Author, origin?: Origin): Promise<boolean>;
  /** Takes every factor but the password away, and ends the person's sessions. */
  reset(person: string, by: Author, origin?: Origin): Promise<void>;
}

/** A key that may write events, and nothing else. */
export interface WriteKey {
  readonly id: string;
  readonly tenant: TenantId;
  /** Fills `emitter.id` where a sender leaves it out. */
  readonly emitter: string;
  readonly name: string;
  /** RFC 3339, UTC. */
  readonly created: string;
  readonly createdBy: string;
  /** RFC 3339, UTC; absent while it is good. */
  readonly revoked?: string;
}

export interface WriteKeys {
  /** The secret (`wgk_…`) is shown here once and stored as SHA-256. */
  create(
    key: { readonly tenant: TenantId; readonly emitter: string; readonly name: string },
    by: Author,
  ): Promise<WriteKey & { readonly secret: string }>;
  /** From memory, by hash of the secret: nothing to time. Undefined for an unknown or revoked key. */
  verify(secret: string): WriteKey | undefined;
  list(tenant?: TenantId): readonly WriteKey[];
  /** @throws ServerError `not-found`. */
  revoke(id: string, by: Author): Promise<void>;
}

/** A console session. */
export interface Session {
  readonly id: string;
  readonly principal: PersonPrincipal;
  /** Milliseconds since 1970 at which it ends however busy it is. */
  readonly endsMs: number;
}

export interface Sessions {
  /** `cookie` is the value for the browser (32 random bytes, base64url); only its SHA-256 is stored. Recorded as `login`. */
  create(principal: PersonPrincipal, origin?: Origin): Promise<{ readonly id: string; readonly cookie: string }>;
  /** Undefined when unknown, ended, idle for 30 minutes, older than 12 hours, or the person is disabled. Roles are today's, not the sign-in's. */
  get(cookie: string): Session | undefined;
  /** The same, without counting as use: the session goes on idling. */
  look(cookie: string): Session | undefined;
  /** Recorded as `logout`; unknown cookies are fine. */
  end(cookie: string, origin?: Origin): Promise<void>;
}

export interface Operator {
  /** `wgo_…`, compared in constant time. */
  verify(token: string): OperatorPrincipal | undefined;
}

export interface Tokens {
  /** An `at+jwt` access token of the issuer for the audience of the server; undefined for anything else. */
  verify(jwt: string): Promise<PersonPrincipal | undefined>;
}

export interface Tenants {
  list(): readonly TenantId[];
  has(tenant: string): tenant is TenantId;
  /** Idempotent. */
  add(tenant: TenantId): void;
}

export interface Access extends AsyncDisposable {
  readonly tenants: Tenants;
  readonly people: People;
  readonly factors: Factors;
  readonly writeKeys: WriteKeys;
  readonly operator: Operator;
  readonly sessions: Sessions;
  readonly logouts: Logouts;
  /** What the embedded issuer gave. */
  readonly issued: Issued;
  readonly tokens: Tokens;
  /** Everything the principal may do. */
  rightsOf(principal: Principal): ReadonlySet<Right>;
  /** The event's actor for this principal. */
  actorOf(principal: Author): OwnEvent['actor'];
}
