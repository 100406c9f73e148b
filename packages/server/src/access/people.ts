/** People, their roles and their passwords. Signing in is in `sign-in.ts`. */
import type { TenantId } from '@watchglass/record';
import { ServerError } from '../errors.ts';
import type { World } from '../world/world.ts';
import type { AccessEnd, Author, NewPerson, People, Person, Tenants } from './access.ts';
import { type Changes, checkInput, digestOf, lengthOf } from './change.ts';
import type { Passwords } from './passwords.ts';
import { operatorRole } from './rights.ts';
import { inTransaction, type State, text } from './state.ts';

const idPattern = /^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/;
const usernamePattern = /^[a-z0-9][a-z0-9._-]{0,63}$/;
const rolePattern = /^[a-z][a-z0-9-]{0,39}$/;
const nameLengthMax = 128;
const rolesMax = 16;
const fhirUserPattern = /^(?:Patient|Practitioner|PractitionerRole|RelatedPerson|Person)\/[A-Za-z0-9\-.]{1,64}$/;
const passwordLengthMin = 12;
const passwordLengthMax = 1_024;

/** What signing in needs beyond the public interface. */
export interface PeopleStore extends Omit<People, 'signIn' | 'prove'> {
  /** The encoded hash of the person's password. */
  passwordOf(id: string): string | undefined;
  /** Everything that the person had is over from now on, within the caller's transaction. */
  endEverything(id: string): void;
  /** Tells those who listen, in the same transaction: what they keep is kept, or the change is not made. */
  ended(end: AccessEnd): void;
}

export interface PeopleParts {
  readonly state: State;
  readonly world: World;
  readonly tenants: Tenants;
  readonly passwords: Passwords;
  readonly changes: Changes;
}

export function openPeople(parts: PeopleParts): PeopleStore {
  const { state, world, tenants, passwords, changes } = parts;
  const columns = 'id, username, name, tenant, department, fhir_user, disabled';
  const byUsername = state.prepare(`SELECT ${columns} FROM people WHERE username = ?`);
  const byId = state.prepare(`SELECT ${columns} FROM people WHERE id = ?`);
  const all = state.prepare(`SELECT ${columns} FROM people ORDER BY username`);
  const rolesOf = state.prepare('SELECT role FROM roles WHERE person = ? ORDER BY role');
  const password = state.prepare('SELECT password FROM people WHERE id = ?');
  const insertPerson = state.prepare(
    'INSERT INTO people (id, username, name, tenant, department, fhir_user, password, created) VALUES (?, ?, ?, ?, ?, ?, ?, ?)',
  );
  const insertRole = state.prepare('INSERT INTO roles (person, role) VALUES (?, ?)');
  const deleteRole = state.prepare('DELETE FROM roles WHERE person = ? AND role = ?');
  const updatePassword = state.prepare('UPDATE people SET password = ? WHERE id = ?');
  const disablePerson = state.prepare('UPDATE people SET disabled = 1 WHERE id = ?');
  const updateFhirUser = state.prepare('UPDATE people SET fhir_user = ? WHERE id = ?');
  const deleteSessions = state.prepare('DELETE FROM sessions WHERE person = ?');
  const updateEnded = state.prepare('UPDATE people SET ended_ms = ? WHERE id = ?');
  const selectEnded = state.prepare('SELECT ended_ms FROM people WHERE id = ?');
  const listeners = new Set<(end: AccessEnd) => void>();
  const ended = (end: AccessEnd): void => {
    for (const listener of listeners) listener(end);
  };

  const endEverything = (id: string): void => {
    deleteSessions.run(id);
    updateEnded.run(world.clock.now(), id);
  };

  const toPerson = (row: Record<string, unknown>): Person => {
    const id = text(row, 'id');
    const { department, fhir_user: fhirUser } = row;
    return {
      id,
      username: text(row, 'username'),
      name: text(row, 'name'),
      tenant: text(row, 'tenant') as TenantId,
      roles: rolesOf.all(id).map((role) => text(role, 'role')),
      ...(typeof department === 'string' ? { department } : {}),
      ...(typeof fhirUser === 'string' ? { fhirUser } : {}),
      disabled: row.disabled !== 0,
    };
  };
  const get = (id: string): Person | undefined => {
    const row = byId.get(id);
    return row === undefined ? undefined : toPerson(row);
  };
  const find = (username: string): Person | undefined => {
    const row = byUsername.get(username);
    return row === undefined ? undefined : toPerson(row);
  };
  const mustGet = (id: string): Person => {
    const person = get(id);
    if (person === undefined) throw new ServerError('not-found', 'expected the id of a person, got one nobody has');
    return person;
  };
  const targetOf = (person: { id: string }) => ({ type: 'Person', id: person.id, role: 'object' });

  const changeRole = (id: string, role: string, by: Author, grant: boolean): Promise<Person> =>
    changes.make({
      check: () => {
        const person = mustGet(id);
        const has = person.roles.includes(role);
        checkInput([
          {
            ok: isRole(role),
            path: '/role',
            expected: 'a role such as `privacy-officer`, and not `operator`',
            got: lengthOf(role),
          },
          {
            ok: has !== grant,
            path: '/role',
            expected: grant ? 'a role the person lacks' : 'a role the person has',
            got: role,
          },
        ]);
        return {
          tenant: person.tenant,
          by,
          action: 'update',
          operation: grant ? 'role-granted' : 'role-revoked',
          target: targetOf(person),
          changes: [
            grant ? { path: '/roles', op: 'add', after: role } : { path: '/roles', op: 'remove', before: role },
          ],
        };
      },
      apply: () =>
        inTransaction(state, () => {
          (grant ? insertRole : deleteRole).run(id, role);
          if (!grant) ended({ person: id, of: 'access-tokens' });
          return mustGet(id);
        }),
    });

  return {
    get,
    find,
    list: (tenant) =>
      all
        .all()
        .map(toPerson)
        .filter((person) => tenant === undefined || person.tenant === tenant),
    passwordOf(id) {
      const row = password.get(id);
      return row === undefined ? undefined : text(row, 'password');
    },
    async add(person, by) {
      const id = person.id ?? `p-${Buffer.from(world.random.bytes(10)).toString('hex')}`;
      checkInput(shapeOf(person, id, tenants));
      const encoded = await passwords.hash(person.password);
      return changes.make({
        check: () => {
          checkInput([
            {
              ok: find(person.username) === undefined,
              path: '/username',
              expected: 'a username nobody has',
              got: 'one that is taken',
            },
            { ok: get(id) === undefined, path: '/id', expected: 'an id nobody has', got: 'one that is taken' },
          ]);
          return {
            tenant: person.tenant,
            by,
            action: 'create',
            operation: 'person-added',
            target: targetOf({ id }),
            changes: [
              { path: '/username', op: 'add', after: person.username },
              { path: '/name', op: 'add', after: digestOf(person.name) },
              ...(person.department === undefined
                ? []
                : [{ path: '/department', op: 'add', after: digestOf(person.department) } as const]),
              ...(person.fhirUser === undefined
                ? []
                : [{ path: '/fhirUser', op: 'add', after: digestOf(person.fhirUser) } as const]),
              { path: '/password', op: 'add', after: digestOf(encoded) },
              ...person.roles.map((role) => ({ path: '/roles', op: 'add', after: role }) as const),
            ],
          };
        },
        apply: () =>
          inTransaction(state, () => {
            const { username, name, tenant, department = null, fhirUser = null } = person;
            insertPerson.run(
              id,
              username,
              name,
              tenant,
              department,
              fhirUser,
              encoded,
              new Date(world.clock.now()).toISOString(),
            );
            for (const role of person.roles) insertRole.run(id, role);
            return mustGet(id);
          }),
      });
    },
    grantRole: (id, role, by) => changeRole(id, role, by, true),
    revokeRole: (id, role, by) => changeRole(id, role, by, false),
    async setPassword(id, newPassword, by) {
      checkInput([passwordPlace(newPassword)]);
      const encoded = await passwords.hash(newPassword);
      await changes.make({
        check: () => {
          const person = mustGet(id);
          return {
            tenant: person.tenant,
            by,
            action: 'update',
            operation: 'password-set',
            target: targetOf(person),
            changes: [{ path: '/password', op: 'replace', after: digestOf(encoded) }],
          };
        },
        apply: () => {
          inTransaction(state, () => {
            updatePassword.run(encoded, id);
            endEverything(id);
            ended({ person: id, of: 'everything' });
          });
        },
      });
    },
    setFhirUser: (id, fhirUser, by) =>
      changes.make({
        check: () => {
          const person = mustGet(id);
          checkInput([fhirUserPlace(fhirUser)]);
          return {
            tenant: person.tenant,
            by,
            action: 'update',
            operation: 'fhir-user-set',
            target: targetOf(person),
            changes: [{ path: '/fhirUser', op: 'replace', after: digestOf(fhirUser) }],
          };
        },
        apply: () =>
          inTransaction(state, () => {
            const { fhirUser: before } = mustGet(id);
            updateFhirUser.run(fhirUser, id);
            // Of a patient the tokens that were given open the record of whoever they were taken for, and would be renewed for it.
            if (before !== undefined && before !== fhirUser) {
              endEverything(id);
              ended({ person: id, of: 'everything' });
            }
            return mustGet(id);
          }),
      }),
    signOut: (id, by, origin) =>
      changes.make({
        check: () => {
          const person = mustGet(id);
          const target = targetOf(person);
          return {
            tenant: person.tenant,
            by,
            action: 'update',
            operation: 'person-signed-out',
            target,
            changes: [{ path: '/sessions', op: 'remove' }],
            origin,
          };
        },
        apply: () => {
          inTransaction(state, () => {
            endEverything(id);
            ended({ person: id, of: 'everything' });
          });
        },
      }),
    onEnd: (listener) => void listeners.add(listener),
    ended,
    endEverything,
    endedMs: (id) => Number(selectEnded.get(id)?.ended_ms ?? 0),
    disable: (id, by) =>
      changes.make({
        check: () => {
          const person = mustGet(id);
          return {
            tenant: person.tenant,
            by,
            action: 'update',
            operation: 'person-disabled',
            target: targetOf(person),
            changes: [{ path: '/disabled', op: 'replace', after: 'true' }],
          };
        },
        apply: () => {
          const person = inTransaction(state, () => {
            disablePerson.run(id);
            endEverything(id);
            ended({ person: id, of: 'everything' });
            return mustGet(id);
          });
          return person;
        },
      }),
  };
}

function isRole(role: string): boolean {
  return rolePattern.test(role) && role !== operatorRole;
}

function shapeOf(person: NewPerson, id: string, tenants: Tenants): Parameters<typeof checkInput>[0] {
  return [
    { ok: idPattern.test(id), path: '/id', expected: '1 to 64 of A-Z a-z 0-9 . _ -', got: lengthOf(id) },
    {
      ok: usernamePattern.test(person.username),
      path: '/username',
      expected: '1 to 64 of a-z 0-9 . _ -',
      got: lengthOf(person.username),
    },
    {
      ok: person.name.length > 0 && person.name.length <= nameLengthMax,
      path: '/name',
      expected: `1 to ${nameLengthMax} characters`,
      got: lengthOf(person.name),
    },
    {
      ok: tenants.has(person.tenant),
      path: '/tenant',
      expected: 'a tenant of this installation',
      got: lengthOf(person.tenant),
    },
    {
      ok:
        person.roles.length <= rolesMax &&
        person.roles.every(isRole) &&
        new Set(person.roles).size === person.roles.length,
      path: '/roles',
      expected: `at most ${rolesMax} different roles such as \`nurse\`, and not \`operator\``,
      got: `${person.roles.length} of them`,
    },
    passwordPlace(person.password),
    ...(person.fhirUser === undefined ? [] : [fhirUserPlace(person.fhirUser)]),
  ];
}

function passwordPlace(password: string): Parameters<typeof checkInput>[0][number] {
  return {
    ok: password.length >= passwordLengthMin && password.length <= passwordLengthMax,
    path: '/password',
    expected: `${passwordLengthMin} to ${passwordLengthMax} characters`,
    got: lengthOf(password),
  };
}

function fhirUserPlace(fhirUser: string): Parameters<typeof checkInput>[0][number] {
  return {
    ok: fhirUserPattern.test(fhirUser),
    path: '/fhirUser',
    expected: 'a reference such as `Practitioner/17` or `Patient/17`',
    got: lengthOf(fhirUser),
  };
}
