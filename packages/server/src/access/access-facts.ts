/**
 * People, roles, write keys and sessions: what the logs say of them, event by event, and what `state.sqlite` holds (design §5.12). Whoever edits the file by hand
 * gives somebody a role, a password or a key that no event of the log says. Names, usernames and secrets are compared by their SHA-256.
 */
import { hash } from 'node:crypto';
import type { DatabaseSync } from 'node:sqlite';
import { readDatabase } from '../world/read-database.ts';
import { digestOf } from './change.ts';
import { FactorsHeard, factorOperations, readFactors } from './factor-facts.ts';
import type { HeardRecord, HeldFacts, Listener, SaidFacts } from './facts.ts';
import { saidAt } from './facts.ts';
import { sessionAbsoluteMs } from './sessions.ts';
import { factorsVersion, issuedVersion, stateVersion, text } from './state.ts';
import { type Standing, standingIn } from './state-mark.ts';

/** Sessions that are kept before ended ones are forgotten. */
const sessionsMax = 20_000;
/** Between the revocation of a key and a batch that was under way. */
const underWayMs = 60_000;
/** Submitters that were told and needn't be again. */
const strangersMax = 10_000;

/** Changes of a person who is there. */
const ofPeople = new Set([
  'role-granted',
  'role-revoked',
  'password-set',
  'fhir-user-set',
  'person-disabled',
  ...factorOperations,
]);

interface KnownKey {
  readonly tenant: string;
  revokedMs: number | undefined;
}

export class AccessListener implements Listener {
  readonly said: SaidFacts = new Map();
  readonly #people: Set<string> = new Set();
  readonly #keys: Map<string, KnownKey> = new Map();
  readonly #factors = new FactorsHeard();
  readonly #strangers: Set<string> = new Set();
  readonly #sessions: Map<string, { readonly openedMs: number; readonly index: number }> = new Map();

  hear(heard: HeardRecord): void {
    const { record } = heard;
    const { submitter, event, received } = record;
    const receivedMs = Date.parse(received);
    if (submitter !== 'self') {
      this.#submitted(heard, receivedMs);
      return;
    }
    if (event.kind === 'auth') this.#session(heard, receivedMs);
    if (event.kind !== 'access-change') return;
    const target = event.targets?.[0];
    if (target?.type === 'Person' && target.id !== undefined) this.#person(heard, target.id);
    if (target?.type === 'WriteKey' && target.id !== undefined) this.#writeKey(heard, target.id, receivedMs);
  }

  /** A key that is not known, or no more, is told once. */
  #submitted({ record: { submitter }, tenant, tell, partial }: HeardRecord, receivedMs: number): void {
    if (!submitter.startsWith('key:')) return;
    const key = this.#keys.get(submitter.slice(4));
    const isUnknown = key === undefined ? !partial : key.tenant !== tenant;
    const isRevoked = key?.revokedMs !== undefined && receivedMs > key.revokedMs + underWayMs;
    if ((!isUnknown && !isRevoked) || this.#strangers.has(submitter)) return;
    if (this.#strangers.size < strangersMax) this.#strangers.add(submitter);
    if (isUnknown)
      tell('submitter-unknown', 'a write key that the log says was created before', 'another, from here on');
    else tell('submitter-unknown', 'a write key in force', 'one that was revoked before, from here on');
  }

  #say({ tenant, index }: HeardRecord, name: string, value: string | null | undefined, mayLack = false): void {
    this.said.set(name, { value, tenant, index, ...(mayLack ? { mayLack } : {}) });
  }

  #person(heard: HeardRecord, id: string): void {
    const { record, tell, partial } = heard;
    const { event } = record;
    const at = `people/${id}`;
    const isKnown = this.#people.has(id);
    if (event.operation === 'person-added') {
      if (isKnown) tell('own-event-senseless', 'a person who is new', 'one who was added before');
      this.#people.add(id);
      this.#say(heard, at, heard.tenant);
      this.#say(heard, `${at}/username`, digestOf(saidAt(record, '/username') ?? ''));
      const name = saidAt(record, '/name');
      // Before they carried names, departments and passwords too.
      for (const path of ['name', 'department', 'fhirUser', 'password']) {
        const value = saidAt(record, `/${path}`);
        if (value !== undefined || name === undefined) this.#say(heard, `${at}/${path}`, value ?? null);
      }
      for (const { path, after } of event.changes ?? []) if (path === '/roles') this.#role(heard, id, after, true);
      return;
    }
    if (!ofPeople.has(event.operation ?? '')) return;
    // What was said, and not applied before the process was killed, is said again: a role granted twice makes sense.
    if (!isKnown && !partial)
      tell('own-event-senseless', 'a person who was added before', 'one whom the log does not know');
    this.#people.add(id);
    switch (event.operation) {
      case 'role-granted':
        this.#role(heard, id, saidAt(record, '/roles'), true);
        break;
      case 'role-revoked':
        this.#role(heard, id, event.changes?.find(({ path }) => path === '/roles')?.before, false);
        break;
      case 'password-set':
        this.#say(heard, `${at}/password`, saidAt(record, '/password') ?? null);
        break;
      case 'fhir-user-set':
        this.#say(heard, `${at}/fhirUser`, saidAt(record, '/fhirUser') ?? null);
        break;
      case 'person-disabled':
        this.#say(heard, `${at}/disabled`, 'true');
        break;
      default:
        this.#factors.hear(id, event, (name, value) => this.#say(heard, `${at}${name}`, value));
    }
  }

  #role(heard: HeardRecord, id: string, role: string | undefined, granted: boolean): void {
    const { tell } = heard;
    if (role === undefined) {
      tell('own-event-invalid', 'a role in /roles', 'none');
      return;
    }
    this.#say(heard, `people/${id}/roles/${role}`, granted ? 'granted' : undefined);
  }

  #writeKey(heard: HeardRecord, id: string, receivedMs: number): void {
    const { record, tenant, tell, partial } = heard;
    const at = `write-keys/${id}`;
    const known = this.#keys.get(id);
    if (record.event.operation === 'write-key-created') {
      if (known !== undefined) tell('own-event-senseless', 'a write key that is new', 'one that was created before');
      this.#keys.set(id, { tenant, revokedMs: undefined });
      this.#say(heard, at, tenant);
      this.#say(heard, `${at}/name`, digestOf(saidAt(record, '/name') ?? ''));
      this.#say(heard, `${at}/emitter`, digestOf(saidAt(record, '/emitter') ?? ''));
      this.#say(heard, `${at}/created-by`, digestOf(record.event.actor.id));
      this.#say(heard, `${at}/secret`, saidAt(record, '/secret') ?? null);
    } else if (record.event.operation === 'write-key-revoked') {
      if (known === undefined && !partial)
        tell('own-event-senseless', 'a write key that was created before', 'one that the log does not know');
      this.#keys.set(id, { tenant, revokedMs: receivedMs });
      this.#say(heard, `${at}/revoked`, 'true');
    }
  }

  /** Sessions end within hours, so those of years ago are forgotten. */
  #session(heard: HeardRecord, receivedMs: number): void {
    const { event } = heard.record;
    const id = event.actor.session;
    if (id === undefined) return;
    if (event.operation === 'session-open') {
      this.#say(heard, `sessions/${id}`, sessionValue(event.actor.id, event.actor.roles ?? []), true);
      this.#sessions.set(id, { openedMs: receivedMs, index: heard.index });
      if (this.#sessions.size <= sessionsMax) return;
      for (const [old, { openedMs }] of this.#sessions) {
        if (openedMs > receivedMs - 2 * sessionAbsoluteMs) break;
        this.#sessions.delete(old);
        this.said.delete(`sessions/${old}`);
      }
    } else if (event.operation === 'logout') this.#say(heard, `sessions/${id}`, undefined);
  }
}

/** What the file holds; undefined where there is none. @throws where it is damaged or of another version */
export function readAccessFacts(path: string, nowMs: number): HeldFacts {
  const state = readDatabase(path);
  try {
    const version = Number(state.prepare('PRAGMA user_version').get()?.user_version ?? 0);
    // A server that has not started since the files are older brings them up to date when it does.
    if (version < 1 || version > stateVersion)
      throw new TypeError(`expected version 1 to ${stateVersion}, got ${version}`);
    const facts: HeldFacts = new Map();
    // One moment of all tables.
    state.exec('BEGIN');
    readPeople(state, facts);
    if (version >= factorsVersion) readFactors(state, facts);
    readWriteKeys(state, facts);
    readSessions(state, facts, nowMs);
    return facts;
  } finally {
    state.close();
  }
}

/** How much has ended in the file, as it counts; undefined for one of a version that didn't. */
export function readStanding(path: string): Standing | undefined {
  const state = readDatabase(path);
  try {
    if (Number(state.prepare('PRAGMA user_version').get()?.user_version ?? 0) < issuedVersion) return undefined;
    const select = state.prepare('SELECT value FROM marks WHERE name = ?');
    return standingIn({
      get(name) {
        const row = select.get(name);
        return row === undefined ? undefined : text(row, 'value');
      },
    });
  } finally {
    state.close();
  }
}

function readPeople(state: DatabaseSync, facts: HeldFacts): void {
  const tenants = new Map<string, string>();
  for (const row of state.prepare('SELECT * FROM people').iterate()) {
    const id = text(row, 'id');
    const tenant = text(row, 'tenant');
    tenants.set(id, tenant);
    const put = (name: string, value: string): unknown => facts.set(`people/${id}${name}`, { value, tenant });
    put('', tenant);
    put('/username', digestOf(text(row, 'username')));
    put('/name', digestOf(text(row, 'name')));
    put('/password', digestOf(text(row, 'password')));
    if (typeof row.department === 'string') put('/department', digestOf(row.department));
    if (typeof row.fhir_user === 'string') put('/fhirUser', digestOf(row.fhir_user));
    if (row.disabled !== 0) put('/disabled', 'true');
  }
  for (const row of state.prepare('SELECT person, role FROM roles').iterate()) {
    const person = text(row, 'person');
    facts.set(`people/${person}/roles/${text(row, 'role')}`, { value: 'granted', tenant: tenants.get(person) ?? '' });
  }
}

function readWriteKeys(state: DatabaseSync, facts: HeldFacts): void {
  for (const row of state.prepare('SELECT * FROM write_keys').iterate()) {
    const tenant = text(row, 'tenant');
    const put = (name: string, value: string): unknown =>
      facts.set(`write-keys/${text(row, 'id')}${name}`, { value, tenant });
    put('', tenant);
    put('/name', digestOf(text(row, 'name')));
    put('/emitter', digestOf(text(row, 'emitter')));
    put('/created-by', digestOf(text(row, 'created_by')));
    put('/secret', digestOf(text(row, 'hash')));
    if (row.revoked !== null) put('/revoked', 'true');
  }
}

/** Those that could still be used. */
function readSessions(state: DatabaseSync, facts: HeldFacts, nowMs: number): void {
  for (const row of state.prepare('SELECT id, person, principal, ends_ms FROM sessions').iterate()) {
    if (Number(row.ends_ms) <= nowMs) continue;
    const principal = JSON.parse(text(row, 'principal')) as { id?: string; roles?: string[]; tenant?: string };
    const value =
      principal.id === row.person ? sessionValue(text(row, 'person'), principal.roles ?? []) : 'of two people';
    facts.set(`sessions/${text(row, 'id')}`, { value, tenant: principal.tenant ?? '' });
  }
}

function sessionValue(person: string, roles: readonly string[]): string {
  return `sha256:${hash('sha256', JSON.stringify([person, ...[...roles].sort()]), 'hex')}`;
}

/** The name of a fact as a finding may show it: a patient who signs in is a person too, and is named by a hash. */
export function shownName(name: string, isPatient: (person: string) => boolean): string {
  const [room, id = '', ...rest] = name.split('/');
  if (room !== 'people' || !isPatient(id)) return name;
  return [room, `patient-${hash('sha256', id, 'hex').slice(0, 12)}`, ...rest].join('/');
}
