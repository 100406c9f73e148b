/**
 * The people of the embedded identity provider: who there are, adding one, and resetting one who lost what they sign in with. Both are the local operator's alone: an administrator who could would
 * give themselves the right to open records. The password is made here and shown once; whoever gets it is on record as `person-added`.
 */
import type { FastifyInstance } from 'fastify';
import type { NewPerson, Person, Principal } from '../access/access.ts';
import { freshPassword } from '../access/passwords.ts';
import { type ErrorPlace, ServerError } from '../errors.ts';
import type { World } from '../world/world.ts';
import { type AuditDeps, mountAudited } from './audited.ts';

export interface PeopleRoutesDeps extends AuditDeps {
  readonly world: World;
}

export function mountPeopleRoutes(app: FastifyInstance, deps: PeopleRoutesDeps): void {
  const { access, world } = deps;
  mountEnds(app, deps);
  mountAudited(app, deps, {
    method: 'GET',
    url: '/v1/people',
    operation: 'people-list',
    action: 'read',
    right: 'configure',
    handle: async ({ tenant }) => {
      const people = access.people.list(tenant).map(shownPerson);
      return { body: { people }, audit: { count: people.length } };
    },
  });
  mountAudited(app, deps, {
    method: 'POST',
    url: '/v1/people',
    operation: 'person-add',
    action: 'create',
    right: 'configure',
    handle: async ({ request, principal, tenant }) => {
      expectOperator(principal);
      const password = freshPassword(world);
      const person = await access.people.add({ ...personOf(request.body), tenant, password }, principal);
      return {
        status: 201,
        body: { ...shownPerson(person), password },
        audit: { targets: [{ type: 'Person', id: person.id, role: 'object' }] },
      };
    },
  });
  mountAudited(app, deps, {
    method: 'POST',
    url: '/v1/people/:id/reset',
    operation: 'person-reset',
    action: 'update',
    right: 'configure',
    handle: async ({ request, principal, tenant }) => {
      expectOperator(principal);
      const { id } = idOf(request.params, access.people, tenant);
      const password = freshPassword(world);
      // The password first: the old one alone must never be enough in between.
      await access.people.setPassword(id, password, principal);
      await access.factors.reset(id, principal);
      return { body: { id, password }, audit: { targets: [{ type: 'Person', id, role: 'object' }] } };
    },
  });
}

/** What ends is told to every application and gateway (docs/identity.md, "Sessions and their end"). */
function mountEnds(app: FastifyInstance, deps: PeopleRoutesDeps): void {
  const { people } = deps.access;
  const ends = [
    ['disable', 'person-disable', people.disable],
    ['sign-out', 'person-sign-out', people.signOut],
  ] as const;
  for (const [word, operation, end] of ends) {
    mountAudited(app, deps, {
      method: 'POST',
      url: `/v1/people/:id/${word}`,
      operation,
      action: 'update',
      right: 'configure',
      handle: async ({ request, principal, tenant }) => {
        const { id } = idOf(request.params, people, tenant);
        await end(id, principal);
        return { status: 204, audit: { targets: [{ type: 'Person', id, role: 'object' }] } };
      },
    });
  }
  mountAudited(app, deps, {
    method: 'POST',
    url: '/v1/people/:id/fhir-user',
    operation: 'person-fhir-user',
    action: 'update',
    right: 'configure',
    handle: async ({ request, principal, tenant }) => {
      // Whose record a patient sees hangs on it.
      expectOperator(principal);
      const { id } = idOf(request.params, people, tenant);
      const { fhirUser } = (request.body ?? {}) as { fhirUser?: unknown };
      const person = await people.setFhirUser(id, typeof fhirUser === 'string' ? fhirUser : '', principal);
      return { body: shownPerson(person), audit: { targets: [{ type: 'Person', id, role: 'object' }] } };
    },
  });
}

function idOf(params: unknown, people: AuditDeps['access']['people'], tenant: string): { readonly id: string } {
  const { id } = params as { id: string };
  if (people.get(id)?.tenant === tenant) return { id };
  throw new ServerError('not-found', 'expected the id of a person; GET /v1/people lists them');
}

function expectOperator({ kind }: Principal): void {
  if (kind === 'operator') return;
  throw new ServerError(
    'forbidden',
    'expected the operator of this installation, whose token lies in DIR/keys/operator.token',
  );
}

function shownPerson({ id, username, name, tenant, roles, department, fhirUser, disabled }: Person): object {
  return {
    ...{ id, username, name, tenant, roles },
    ...(department === undefined ? {} : { department }),
    ...(fhirUser === undefined ? {} : { fhirUser }),
    disabled,
  };
}

/** Types only: what a username or a role may be, access/ says. */
function personOf(body: unknown): Pick<NewPerson, 'username' | 'name' | 'roles' | 'department' | 'fhirUser'> {
  const given = (typeof body === 'object' && body !== null && !Array.isArray(body) ? body : {}) as Record<
    string,
    unknown
  >;
  const errors: ErrorPlace[] = Object.keys(given)
    .filter((member) => !['username', 'name', 'roles', 'department', 'fhirUser', 'tenant'].includes(member))
    .map(() => ({
      path: '',
      expected: 'only username, name, roles, department, fhirUser and tenant',
      got: 'another member',
    }));
  const text = (member: string): string => {
    const value = given[member];
    if (typeof value === 'string' && /^[^\p{C}]{1,128}$/u.test(value)) return value;
    errors.push({ path: `/${member}`, expected: 'a text of 1 to 128 characters', got: kindOf(value) });
    return '';
  };
  const username = text('username');
  const name = text('name');
  const department = given.department === undefined ? undefined : text('department');
  const fhirUser = given.fhirUser === undefined ? undefined : text('fhirUser');
  const roles = Array.isArray(given.roles)
    ? given.roles.filter((role): role is string => typeof role === 'string')
    : [];
  if (!Array.isArray(given.roles) || roles.length === 0 || roles.length !== given.roles.length) {
    errors.push({ path: '/roles', expected: 'a list of roles such as auditor', got: kindOf(given.roles) });
  }
  const [first] = errors;
  if (first !== undefined) {
    const place = first.path === '' ? 'the body' : first.path;
    throw new ServerError('input-invalid', `${place}: expected ${first.expected}, got ${first.got}`, { errors });
  }
  return {
    ...{ username, name, roles },
    ...(department === undefined ? {} : { department }),
    ...(fhirUser === undefined ? {} : { fhirUser }),
  };
}

function kindOf(value: unknown): string {
  if (typeof value === 'string') return `a text of ${value.length} characters`;
  return value === undefined ? 'nothing' : Array.isArray(value) ? `a list of ${value.length}` : typeof value;
}
