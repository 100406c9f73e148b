/**
 * For whoever runs the installation: how it is doing, and the write keys.
 */

import type { TenantId } from '@watchglass/record';
import type { FastifyInstance } from 'fastify';
import type { WriteKey } from '../access/access.ts';
import { type ErrorPlace, ServerError } from '../errors.ts';
import { type AuditDeps, mountAudited } from './audited.ts';
import type { ApiDeps } from './server.ts';

export interface AdminRoutesDeps
  extends AuditDeps,
    Pick<ApiDeps, 'ledger' | 'indexes' | 'door' | 'version' | 'witnesses' | 'demo'> {}

export function mountAdminRoutes(app: FastifyInstance, deps: AdminRoutesDeps): void {
  const { access } = deps;
  mountAudited(app, deps, {
    method: 'GET',
    url: '/v1/status',
    operation: 'status',
    action: 'read',
    right: 'status',
    // It says why the ledger takes no records, and shows none.
    answersUnrecorded: true,
    handle: async ({ tenant }) => ({ body: statusOf(tenant, deps), audit: {} }),
  });
  mountAudited(app, deps, {
    method: 'GET',
    url: '/v1/write-keys',
    operation: 'write-keys-list',
    action: 'read',
    right: 'keys',
    handle: async ({ tenant }) => {
      const keys = access.writeKeys.list(tenant).map(shownKey);
      return { body: { keys }, audit: { count: keys.length } };
    },
  });
  mountAudited(app, deps, {
    method: 'POST',
    url: '/v1/write-keys',
    operation: 'write-key-create',
    action: 'create',
    right: 'keys',
    handle: async ({ request, principal, tenant }) => {
      const { name, emitter } = keyRequest(request.body);
      const { secret, ...key } = await access.writeKeys.create({ tenant, emitter, name }, principal);
      return { status: 201, body: { ...shownKey(key), secret }, audit: { targets: [keyTarget(key.id)] } };
    },
  });
  mountAudited(app, deps, {
    method: 'DELETE',
    url: '/v1/write-keys/:id',
    operation: 'write-key-revoke',
    action: 'delete',
    right: 'keys',
    handle: async ({ request, principal, tenant }) => {
      const { id } = request.params as { id: string };
      if (!access.writeKeys.list(tenant).some((key) => key.id === id)) {
        throw new ServerError('not-found', 'expected the id of a write key; GET /v1/write-keys lists them');
      }
      await access.writeKeys.revoke(id, principal);
      return { status: 204, audit: { targets: [keyTarget(id)] } };
    },
  });
}

function statusOf(tenant: TenantId, { ledger, indexes, door, version, witnesses, demo }: AdminRoutesDeps): object {
  // A log that is damaged may not be open at all, and that is when somebody looks here.
  const open = ledger.tenants().includes(tenant);
  return {
    version,
    demo,
    tenant,
    ledger: { state: ledger.state, ...(open ? headOf(tenant, ledger) : {}), ...ledger.statistics() },
    index: indexes.status().find((one) => one.tenant === tenant) ?? null,
    intake: door.statistics(),
    witnesses: witnesses().logs.find((one) => one.tenant === tenant) ?? null,
    emitters: open ? ledger.emitters(tenant) : [],
  };
}

function headOf(tenant: TenantId, ledger: AdminRoutesDeps['ledger']): object {
  const { size, root } = ledger.head(tenant);
  return { size, root: Buffer.from(root).toString('base64'), vkey: ledger.vkey(tenant) };
}

function shownKey({ id, tenant, emitter, name, created, createdBy, revoked }: WriteKey): WriteKey {
  return { id, tenant, emitter, name, created, createdBy, ...(revoked === undefined ? {} : { revoked }) };
}

function keyTarget(id: string): { readonly type: string; readonly id: string; readonly role: string } {
  return { type: 'WriteKey', id, role: 'object' };
}

function keyRequest(body: unknown): { readonly name: string; readonly emitter: string } {
  const members = (typeof body === 'object' && body !== null ? body : {}) as Record<string, unknown>;
  const errors: ErrorPlace[] = [];
  const textOf = (member: string, pattern: RegExp, expected: string): string => {
    const value = members[member];
    if (typeof value === 'string' && pattern.test(value)) return value;
    errors.push({
      path: `/${member}`,
      expected,
      got: typeof value === 'string' ? `a text of ${value.length} characters` : typeof value,
    });
    return '';
  };
  const name = textOf('name', /^[^\p{C}]{1,128}$/u, 'a text of 1 to 128 characters');
  const emitter = textOf('emitter', /^[!-~]{1,128}$/, '1 to 128 printable ASCII characters without spaces');
  for (const member of Object.keys(members)) {
    if (!['name', 'emitter', 'tenant'].includes(member))
      errors.push({ path: '', expected: 'only name, emitter and tenant', got: 'another member' });
  }
  const [first] = errors;
  if (first !== undefined)
    throw new ServerError(
      'input-invalid',
      `${first.path === '' ? 'the body' : first.path}: expected ${first.expected}, got ${first.got}`,
      { errors },
    );
  return { name, emitter };
}
