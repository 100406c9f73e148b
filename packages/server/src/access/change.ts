/**
 * How a change of access happens, the same for all of them: one at a time, checked, recorded in the ledger, then applied.
 * Recording comes first: what can't be recorded does not happen. A crash between the two leaves a record of a change that
 * nobody was told of; the comparison of ledger and state finds it.
 */
import { hash } from 'node:crypto';
import { isIP } from 'node:net';
import type { Actor, Authentication, Change, EventAction, Source, Target, TenantId } from '@watchglass/record';
import { type ErrorPlace, ServerError } from '../errors.ts';
import type { Author, Origin } from './access.ts';
import type { RecordOwn } from './own-event.ts';
import type { StateMark } from './state-mark.ts';

export interface RecordedChange {
  readonly tenant: TenantId;
  readonly by: Author;
  readonly action: EventAction;
  /** e.g. `person-added`, `role-granted`, `write-key-revoked`. */
  readonly operation: string;
  readonly target: Target;
  readonly changes: readonly Change[];
  /** Where it was asked for, where that is known. */
  readonly origin?: Origin | undefined;
}

export interface Changes {
  /** Runs `check` (throws when the change can't be), records what it returns, and applies. */
  make<T>(steps: { readonly check: () => RecordedChange; readonly apply: () => T }): Promise<T>;
}

/** @param mark remembers that there was a change, where an older copy of the state would undo it */
export function createChanges(record: RecordOwn, mark?: StateMark): Changes {
  let last: Promise<unknown> = Promise.resolve();
  return {
    make({ check, apply }) {
      const run = async () => {
        const change = check();
        await record({
          tenant: change.tenant,
          kind: 'access-change',
          action: change.action,
          operation: change.operation,
          outcome: { status: 'success' },
          actor: actorOf(change.by),
          targets: [change.target],
          changes: change.changes,
          ...sourceOf(change.origin),
        });
        const result = apply();
        mark?.advance();
        await mark?.settled();
        return result;
      };
      const done = last.then(run, run);
      last = done.catch(() => undefined);
      return done;
    },
  };
}

/** The actor an author is in an event. */
export function actorOf(author: Author): Actor {
  if (author === 'server') return { id: 'server', type: 'service' };
  if (author.kind === 'operator') {
    // Whoever can read the file on the machine: a shared account, and said to be one.
    return { id: author.id, type: 'human', shared: true, roles: author.roles, authentication: author.authentication };
  }
  return {
    id: author.id,
    type: author.roles.includes('patient') ? 'patient' : 'human',
    roles: author.roles,
    ...(author.client === undefined ? {} : { client: author.client }),
    ...(author.session === undefined ? {} : { session: author.session }),
    ...(author.tokenId === undefined ? {} : { tokenId: author.tokenId }),
    authentication: author.authentication,
  };
}

/** The source of an event, or nothing where nothing is known. */
export function sourceOf(origin: Origin | undefined): { source?: Source } {
  const { address, userAgent } = origin ?? {};
  const source: Source = {
    ...(address !== undefined && isIP(address) !== 0 ? { address } : {}),
    ...(userAgent === undefined ? {} : { userAgent }),
  };
  return Object.keys(source).length === 0 ? {} : { source };
}

/** Throws `input-invalid` naming every place that isn't as expected. */
export function checkInput(
  places: readonly { readonly ok: boolean; readonly path: string; readonly expected: string; readonly got: string }[],
): void {
  const errors: ErrorPlace[] = places
    .filter(({ ok }) => !ok)
    .map(({ path, expected, got }) => ({ path, expected, got }));
  const [first] = errors;
  if (first === undefined) return;
  throw new ServerError('input-invalid', `expected ${first.expected} at ${first.at}, got ${first.got}`, { errors });
}

/** How a text is named in an error: by its length, since it may be anything. */
export function lengthOf(text: string): string {
  return `${text.length} characters`;
}

/** An `Authentication` of now. */
export function authenticatedBy(method: string, nowMs: number): Authentication {
  return { method, mfa: false, time: new Date(nowMs).toISOString() };
}

/**
 * How an event carries a new value that is a secret (an encoded password, the hash of a key) or a text of any kind: `sha256:` and its SHA-256. Enough to hold the
 * state against, and nothing to sign in with; what passwords are encoded to has a random salt in it.
 */
export function digestOf(value: string): string {
  return `sha256:${hash('sha256', value, 'hex')}`;
}
