/**
 * Second factors, as the logs say them and as `state.sqlite` holds them (access-facts.ts): a passkey that no event knows lets somebody in whom nobody enrolled.
 * Counters and used steps change with each sign-in and are no facts.
 */
import type { DatabaseSync } from 'node:sqlite';
import type { Event } from '@watchglass/record';
import { digestOf } from './change.ts';
import { passkeyName } from './factors.ts';
import type { HeldFacts } from './facts.ts';
import { text } from './state.ts';

export const factorOperations = [
  'totp-set',
  'totp-removed',
  'passkey-added',
  'passkey-removed',
  'recovery-codes-set',
  'recovery-code-used',
  'factors-reset',
] as const;

/** What each person has, so that a reset can say of each that it ended. */
export class FactorsHeard {
  readonly #names: Map<string, Set<string>> = new Map();

  hear(
    person: string,
    { operation, changes = [] }: Pick<Event, 'operation' | 'changes'>,
    say: (name: string, value: string | undefined) => void,
  ): void {
    const names = this.#names.get(person) ?? new Set<string>();
    this.#names.set(person, names);
    const begin = (name: string, value: string): void => {
      names.add(name);
      say(name, value);
    };
    const end = (name: string): void => {
      names.delete(name);
      say(name, undefined);
    };
    const isEnded = (name: string): boolean =>
      operation === 'factors-reset' || (operation === 'recovery-codes-set' && name.startsWith('/recovery/'));
    for (const name of [...names].filter(isEnded)) end(name);
    if (operation === 'factors-reset') return;
    for (const { path, after, before } of changes) {
      if (path === '/recovery') {
        if (after !== undefined) begin(recoveryName(after), 'unused');
        else if (before !== undefined) end(recoveryName(before));
      } else if (after === undefined) end(path);
      else begin(path, after);
    }
  }
}

export function readFactors(state: DatabaseSync, facts: HeldFacts): void {
  const query = (table: string): string =>
    `SELECT factor.*, people.tenant FROM ${table} AS factor JOIN people ON people.id = factor.person`;
  const put = (row: Record<string, unknown>, name: string, value: string): unknown =>
    facts.set(`people/${text(row, 'person')}${name}`, { value, tenant: text(row, 'tenant') });
  for (const row of state.prepare(query('totp')).iterate()) put(row, '/totp', digestOf(text(row, 'secret')));
  for (const row of state.prepare(query('passkeys')).iterate())
    put(row, `/passkeys/${passkeyName(text(row, 'id'))}`, digestOf(text(row, 'public_key')));
  for (const row of state.prepare(query('recovery_codes')).iterate())
    put(row, recoveryName(digestOf(text(row, 'hash'))), 'unused');
}

function recoveryName(digest: string): string {
  return `/recovery/${digest.slice(-16)}`;
}
