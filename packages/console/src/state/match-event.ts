/** Would an event that has just arrived be in the list? Judged here only to count what is new; the list itself comes from the server. */
import type { ListedEvent } from '../api/client.ts';
import type { EventQuery } from './explorer-state.ts';

/** `unknown` where only the server can tell: plain identifiers and free text. */
export type Match = 'yes' | 'no' | 'unknown';

export function matchEvent(event: ListedEvent, query: EventQuery): Match {
  const { kind, action, operation, outcome, actor, from, to } = query;
  if (kind !== undefined && event.kind !== kind) return 'no';
  if (action !== undefined && event.action !== action) return 'no';
  if (operation !== undefined && event.operation !== operation) return 'no';
  if (outcome !== undefined && event.outcome.status !== outcome) return 'no';
  if (actor !== undefined && event.actor.id !== actor) return 'no';
  const timeMs = Date.parse(event.time);
  if (from !== undefined && timeMs < Date.parse(from)) return 'no';
  if (to !== undefined && timeMs >= Date.parse(to)) return 'no';
  const plain = query.patient !== undefined || query.resource !== undefined || query.q !== undefined;
  return plain ? 'unknown' : 'yes';
}
