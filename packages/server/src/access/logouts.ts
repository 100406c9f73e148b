/**
 * Logouts that somebody has yet to hear of: kept until they are heard, or until no token is left that they could end. A server that stops in between tells them after its next start; a change of
 * access and what has to be told of it are one transaction (people.ts).
 */
import type { TenantId } from '@watchglass/record';
import type { Logout, Logouts } from './access.ts';
import { type State, text } from './state.ts';

export function openLogouts(state: State): Logouts {
  const insert = state.prepare(
    'INSERT OR REPLACE INTO logouts (id, tenant, person, sid, client, since_ms) VALUES (?, ?, ?, ?, ?, ?)',
  );
  const remove = state.prepare('DELETE FROM logouts WHERE id = ?');
  const all = state.prepare('SELECT tenant, person, sid, client, since_ms FROM logouts ORDER BY since_ms');
  return {
    keep({ tenant, person, sid, client, sinceMs }) {
      insert.run(
        keyOf({ person, client, ...(sid === undefined ? {} : { sid }) }),
        tenant,
        person,
        sid ?? null,
        client,
        sinceMs,
      );
    },
    // What is still under way while the server stops is told again, not lost.
    forget: (logout) => void (state.isOpen && remove.run(keyOf(logout))),
    list: () =>
      all.all().map((row) => ({
        tenant: text(row, 'tenant') as TenantId,
        person: text(row, 'person'),
        client: text(row, 'client'),
        sinceMs: Number(row.since_ms),
        ...(typeof row.sid === 'string' ? { sid: row.sid } : {}),
      })),
  };
}

/** One for each that hears of it, however often it happens meanwhile: whoever hears late hears of all. */
function keyOf({ client, person, sid = '' }: Pick<Logout, 'client' | 'person' | 'sid'>): string {
  return JSON.stringify([client, person, sid]);
}
