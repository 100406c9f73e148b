/**
 * The key-encryption keys, for whoever keeps them: look, rotate, wrap anew. Keys that tenants share are the operator's alone; an administrator has to do with
 * those of their own tenant, where it brings some.
 */
import type { TenantId } from '@watchglass/record';
import type { FastifyInstance } from 'fastify';
import { sourceOf } from '../access/change.ts';
import { type ErrorPlace, ServerError } from '../errors.ts';
import type { KeyService, RecordKeyChange } from '../ledger/kek/key-service.ts';
import { recordKeyChanges } from '../review/key-events.ts';
import type { RewrapJob } from '../review/rewrap-job.ts';
import { type AskedRequest, type AuditDeps, mountAudited } from './audited.ts';
import { originOf } from './authenticate.ts';

export interface KeyRoutesDeps extends AuditDeps {
  readonly keys: Pick<KeyService, 'list' | 'rotate'>;
  readonly rewraps: Pick<RewrapJob, 'start' | 'status'>;
  readonly tenants: () => readonly TenantId[];
}

export function mountKeyRoutes(app: FastifyInstance, deps: KeyRoutesDeps): void {
  const { keys, rewraps, tenants } = deps;
  const recordOf = ({ principal, request }: AskedRequest): RecordKeyChange =>
    recordKeyChanges({
      record: deps.record,
      tenants,
      actor: deps.access.actorOf(principal),
      source: sourceOf(originOf(request)),
    });
  mountAudited(app, deps, {
    method: 'GET',
    url: '/v1/keys',
    operation: 'keys-list',
    action: 'read',
    right: 'configure',
    handle: async ({ principal, tenant }) => {
      const list = await keys.list(principal.kind === 'operator' ? tenants() : [tenant]);
      const job = principal.kind === 'operator' ? (rewraps.status ?? null) : null;
      return { body: { keys: list, rewrap: job }, audit: { count: list.length } };
    },
  });
  mountAudited(app, deps, {
    method: 'POST',
    url: '/v1/keys/rotate',
    operation: 'keys-rotate',
    action: 'update',
    right: 'configure',
    handle: async (asked) => {
      const { of, key } = bodyOf(asked.request.body, ['key']);
      const turned = await keys.rotate({ tenant: ringOf(of, asked), key, record: recordOf(asked) });
      const targets = [{ type: 'KeyEncryptionKey', id: turned.to, role: 'object' }];
      return { body: { from: turned.from ?? null, to: turned.to }, audit: { targets } };
    },
  });
  mountAudited(app, deps, {
    method: 'POST',
    url: '/v1/keys/rewrap',
    operation: 'keys-rewrap-start',
    action: 'execute',
    right: 'configure',
    handle: async (asked) => {
      const { of } = bodyOf(asked.request.body, []);
      const ring = ringOf(of, asked);
      const started = rewraps.start({
        tenants: ring === undefined ? tenants() : [asked.tenant],
        record: recordOf(asked),
      });
      return { status: 202, body: { rewrap: started }, audit: {} };
    },
  });
}

type Whose = 'installation' | 'tenant';

/** @throws ServerError `forbidden`: a tenant's administrator has no say about what others use too */
function ringOf(of: Whose, { principal, tenant }: AskedRequest): string | undefined {
  if (of === 'tenant') return tenant;
  if (principal.kind === 'operator') return undefined;
  throw new ServerError(
    'forbidden',
    'the keys of the installation are for its operator; say `of: tenant` for those of your own tenant',
  );
}

function bodyOf(body: unknown, optional: readonly string[]): { readonly of: Whose; readonly key: string | undefined } {
  const members = (typeof body === 'object' && body !== null ? body : {}) as Record<string, unknown>;
  const errors: ErrorPlace[] = [];
  const { of, key } = members;
  if (of !== 'installation' && of !== 'tenant')
    errors.push({ path: '/of', expected: '`installation` or `tenant`', got: of === undefined ? 'nothing' : typeof of });
  if (key !== undefined && (typeof key !== 'string' || !/^[!-~]{1,230}$/.test(key)))
    errors.push({ path: '/key', expected: '1 to 230 printable ASCII characters', got: typeof key });
  for (const member of Object.keys(members)) {
    if (!['of', 'tenant', ...optional].includes(member))
      errors.push({ path: '', expected: `only ${['of', 'tenant', ...optional].join(', ')}`, got: 'another member' });
  }
  const [first] = errors;
  if (first !== undefined)
    throw new ServerError('input-invalid', `${first.path}: expected ${first.expected}, got ${first.got}`, { errors });
  return { of: of as Whose, key: key as string | undefined };
}
