/** Which retention class an event belongs to (docs/format.md, "Names"). Chosen at write, from the kind alone, for good. */
import type { EventKind } from './event.ts';

export const retentionClasses = ['access', 'security', 'oversight'] as const;
/** A block, a seed, a token key and an index file serve one class, so that each can end on its own day. */
export type RetentionClass = (typeof retentionClasses)[number];

/** `api data file` → access; `auth access-change network` → security; `review system` → oversight. */
export function retentionClassOf(kind: EventKind): RetentionClass {
  switch (kind) {
    case 'api':
    case 'data':
    case 'file':
      return 'access';
    case 'auth':
    case 'access-change':
    case 'network':
      return 'security';
    case 'review':
    case 'system':
      return 'oversight';
    default:
      return kind satisfies never;
  }
}
