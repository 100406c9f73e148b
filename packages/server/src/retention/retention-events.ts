/** Each step of retention as an event of the tenant's log: who, what, and the new value. */
import type { TenantId } from '@watchglass/record';
import type { Author } from '../access/access.ts';
import { actorOf } from '../access/change.ts';
import type { RecordPlaced } from '../access/own-event.ts';

/** An event holds so many changes; a plan of more units is named by its hash. */
const changesMax = 200;

/** Resolves to the index once the event is durable. */
export function recordStep(
  record: RecordPlaced,
  step: {
    readonly tenant: TenantId;
    readonly by: Author;
    readonly operation: string;
    readonly target: { readonly type: string; readonly id: string };
    /** Path, new value, and the one before. */
    readonly changes: readonly (readonly [path: string, after: string, before?: string | undefined])[];
  },
): Promise<number> {
  return record({
    tenant: step.tenant,
    kind: 'access-change',
    action: 'update',
    operation: step.operation,
    outcome: { status: 'success' },
    actor: actorOf(step.by),
    targets: [{ ...step.target, role: 'object' }],
    changes: step.changes.slice(0, changesMax).map(([path, after, before]) => ({
      path,
      op: 'replace',
      ...(before === undefined ? {} : { before }),
      after,
    })),
  });
}
