/**
 * Console sessions. The cookie is 32 random bytes and only its SHA-256 is stored; a session ends after 30 idle minutes,
 * 12 hours, a new password, or when the person is disabled. What the person may do is looked up at each request.
 */
import { hash } from 'node:crypto';
import { ServerError } from '../errors.ts';
import type { World } from '../world/world.ts';
import type { Origin, PersonPrincipal, Session, Sessions } from './access.ts';
import { actorOf, sourceOf } from './change.ts';
import type { RecordOwn } from './own-event.ts';
import type { PeopleStore } from './people.ts';
import { type State, text } from './state.ts';
import type { StateMark } from './state-mark.ts';

export const sessionIdleMs: number = 30 * 60_000;
export const sessionAbsoluteMs: number = 12 * 3_600_000;
/** Being seen is written at most this often: a request costs no fsync. */
const seenPeriodMs = 60_000;
const cookiePattern = /^[A-Za-z0-9_-]{43}$/;

export function openSessions(parts: {
  readonly state: State;
  readonly world: World;
  readonly people: PeopleStore;
  readonly record: RecordOwn;
  readonly mark: StateMark;
}): Sessions {
  const { state, world, people, record, mark } = parts;
  const insert = state.prepare(
    'INSERT INTO sessions (hash, id, person, principal, seen_ms, ends_ms) VALUES (?, ?, ?, ?, ?, ?)',
  );
  const select = state.prepare('SELECT id, principal, seen_ms, ends_ms FROM sessions WHERE hash = ?');
  const touch = state.prepare('UPDATE sessions SET seen_ms = ? WHERE hash = ?');
  const remove = state.prepare('DELETE FROM sessions WHERE hash = ?');
  const removeStale = state.prepare('DELETE FROM sessions WHERE ends_ms <= ? OR seen_ms <= ?');

  const recordSession = (principal: PersonPrincipal, operation: string, origin: Origin | undefined): Promise<void> =>
    record({
      tenant: principal.tenant,
      kind: 'auth',
      action: 'execute',
      operation,
      outcome: { status: 'success' },
      actor: actorOf(principal),
      ...sourceOf(origin),
    });

  const find = (cookie: string, use: boolean): Session | undefined => {
    if (!cookiePattern.test(cookie)) return undefined;
    const key = hash('sha256', cookie, 'hex');
    const row = select.get(key);
    if (row === undefined) return undefined;
    const nowMs = world.clock.now();
    const seenMs = Number(row.seen_ms);
    const endsMs = Number(row.ends_ms);
    const principal = current(JSON.parse(text(row, 'principal')) as PersonPrincipal, people);
    if (nowMs >= endsMs || nowMs - seenMs >= sessionIdleMs || principal === undefined) {
      remove.run(key);
      return undefined;
    }
    if (use && nowMs - seenMs >= seenPeriodMs) touch.run(nowMs, key);
    const id = text(row, 'id');
    return { id, principal: { ...principal, session: id }, endsMs };
  };

  return {
    get: (cookie) => find(cookie, true),
    look: (cookie) => find(cookie, false),
    async create(principal, origin) {
      const cookie = Buffer.from(world.random.bytes(32)).toString('base64url');
      const id = `s-${Buffer.from(world.random.bytes(8)).toString('hex')}`;
      const nowMs = world.clock.now();
      const owner = current(principal, people);
      if (owner === undefined)
        throw new ServerError('sign-in-failed', 'expected a person in force, got a disabled one');
      await recordSession({ ...owner, session: id }, 'session-open', origin);
      removeStale.run(nowMs, nowMs - sessionIdleMs);
      insert.run(hash('sha256', cookie, 'hex'), id, owner.id, JSON.stringify(owner), nowMs, nowMs + sessionAbsoluteMs);
      return { id, cookie };
    },
    async end(cookie, origin) {
      const session = find(cookie, false);
      if (session === undefined) return;
      // Ending comes first here: a person who leaves must be gone even when the record can't be written.
      remove.run(hash('sha256', cookie, 'hex'));
      mark.advance();
      await mark.settled();
      await recordSession(session.principal, 'logout', origin);
    },
  };
}

/** The principal with today's roles; undefined when the person is disabled. People of another issuer stay as their token said. */
export function current(principal: PersonPrincipal, people: Pick<PeopleStore, 'get'>): PersonPrincipal | undefined {
  const person = people.get(principal.id);
  if (person === undefined) return principal;
  if (person.disabled) return undefined;
  return { ...principal, username: person.username, name: person.name, roles: person.roles, tenant: person.tenant };
}
