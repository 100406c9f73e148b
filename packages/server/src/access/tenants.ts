/** The tenants of the installation. Named by the configuration; a tenant that has been there once stays. */
import { parseTenantId, type TenantId } from '@watchglass/record';
import type { World } from '../world/world.ts';
import type { Tenants } from './access.ts';
import { type State, text } from './state.ts';

export function openTenants(state: State, world: World): Tenants {
  const insert = state.prepare('INSERT OR IGNORE INTO tenants (id, created) VALUES (?, ?)');
  const known = new Set<string>();
  for (const row of state.prepare('SELECT id FROM tenants').all()) known.add(parseTenantId(text(row, 'id')));
  return {
    list: () => ([...known] as TenantId[]).sort(),
    has: (tenant): tenant is TenantId => known.has(tenant),
    add(tenant) {
      if (known.has(tenant)) return;
      insert.run(tenant, new Date(world.clock.now()).toISOString());
      known.add(tenant);
    },
  };
}
