/** Names of tenants: short enough for a path and a host name, and never two spellings of one. */
import { RecordError } from './errors.ts';
import type { TenantId } from './event.ts';

/** Lower-case letters, digits and hyphens, 1 to 63 characters, starting with a letter. */
export const tenantPattern: RegExp = /^[a-z][a-z0-9-]{0,62}$/;

/**
 * Mints a `TenantId`.
 *
 * @throws {RecordError} `tenant-invalid`
 */
export function parseTenantId(text: string): TenantId {
  if (typeof text !== 'string' || !tenantPattern.test(text)) {
    throw new RecordError(
      'tenant-invalid',
      'expected a tenant of 1 to 63 lower-case letters, digits and hyphens starting with a letter, such as clinic-a',
    );
  }
  return text as TenantId;
}
