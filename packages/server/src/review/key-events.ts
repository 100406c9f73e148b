/**
 * A change of the key-encryption keys as events of the logs it is about: the new value, public parts only. Keys that tenants share are everybody's matter, so
 * each tenant's log has their changes.
 */
import type { Actor, Change, TenantId } from '@watchglass/record';
import type { OwnEvent, RecordOwn } from '../access/own-event.ts';
import type { KeyChange, RecordKeyChange } from '../ledger/kek/key-service.ts';

/** Records changes as made by `actor`; resolves once every log concerned has them. */
export function recordKeyChanges(parts: {
  readonly record: RecordOwn;
  readonly tenants: () => readonly TenantId[];
  readonly actor: Actor;
  readonly source?: Pick<OwnEvent, 'source'>;
}): RecordKeyChange {
  return async (change) => {
    const concerned = parts.tenants().filter((tenant) => change.tenant === undefined || change.tenant === tenant);
    const { operation, action, target, changes } = factsOf(change);
    await Promise.all(
      concerned.map((tenant) =>
        parts.record({
          tenant,
          kind: 'access-change',
          action,
          operation,
          outcome: { status: 'success' },
          actor: parts.actor,
          ...parts.source,
          targets: [{ type: 'KeyEncryptionKey', id: target, role: 'object' }],
          changes,
        }),
      ),
    );
  };
}

interface Facts {
  readonly operation: string;
  readonly action: OwnEvent['action'];
  /** Id of the key it is about. */
  readonly target: string;
  readonly changes: readonly Change[];
}

function factsOf(change: KeyChange): Facts {
  const value = (path: string, after: string | number, before?: string): Change => ({
    path,
    op: 'replace',
    ...(before === undefined ? {} : { before }),
    after: String(after),
  });
  switch (change.kind) {
    case 'turn':
      return {
        operation: 'kek-current',
        action: 'update',
        target: change.to,
        changes: [
          value('/keys/current', change.to, change.from),
          value('/keys/ring', change.tenant === undefined ? 'shared' : 'own'),
        ],
      };
    case 'rewrap':
      return {
        operation: 'keys-rewrap',
        action: 'execute',
        target: change.to,
        changes: [value('/rewrap/files', change.files)],
      };
    case 'rewrapped':
      return {
        operation: 'keys-rewrapped',
        action: 'execute',
        target: change.to,
        changes: [
          value('/rewrap/files', change.files),
          value('/rewrap/left', change.left),
          value('/rewrap/failed', change.failed),
        ],
      };
    case 'destroy':
      return {
        operation: 'kek-destroy',
        action: 'delete',
        target: change.id,
        changes: [value('/keys/files', change.files)],
      };
    case 'destroyed':
      return {
        operation: 'kek-destroyed',
        action: 'delete',
        target: change.id,
        changes: [value('/keys/state', change.until === undefined ? 'destroyed' : `ending ${change.until}`)],
      };
    default:
      return change satisfies never;
  }
}
