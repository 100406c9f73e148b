/**
 * What proves a person beyond the password: an authenticator app (TOTP), passkeys, recovery codes. Each enrolment, removal, recovery and reset is an event before it takes
 * effect, and is held against the state by the comparison of the two.
 *
 * The secrets of apps are sealed with a key of `keys/`, so that `state.sqlite` alone makes no codes; recovery codes (79 random bits) are kept as SHA-256.
 */
import { createCipheriv, createDecipheriv, hash, hkdfSync } from 'node:crypto';
import { join } from 'node:path';
import type { Change } from '@watchglass/record';
import { ServerError } from '../errors.ts';
import type { World } from '../world/world.ts';
import type { Author, Factors, Origin, Person, StoredPasskey } from './access.ts';
import { type Changes, digestOf } from './change.ts';
import { freshSecret, keepKeyFile } from './key-file.ts';
import { freshPassword } from './passwords.ts';
import type { PeopleStore } from './people.ts';
import { inTransaction, type State, text } from './state.ts';
import { matchTotp } from './totp.ts';

const recoveryCodesCount = 10;
const passkeysMax = 20;

export interface FactorsParts {
  readonly state: State;
  readonly world: World;
  readonly keysDir: string;
  readonly people: Pick<PeopleStore, 'get' | 'ended' | 'endEverything'>;
  readonly changes: Changes;
}

export async function openFactors(parts: FactorsParts): Promise<Factors> {
  const { state, world, people, changes } = parts;
  const secret = await keepKeyFile({
    world,
    path: join(parts.keysDir, 'factors.key'),
    make: () => freshSecret(world, ''),
    valid: (stored) => stored.length >= 43,
  });
  const seal = createSeal(world, secret);
  const selectTotp = state.prepare('SELECT secret, last_step FROM totp WHERE person = ?');
  const insertTotp = state.prepare(
    'INSERT OR REPLACE INTO totp (person, secret, last_step, created) VALUES (?, ?, ?, ?)',
  );
  const deleteTotp = state.prepare('DELETE FROM totp WHERE person = ?');
  const useStep = state.prepare('UPDATE totp SET last_step = ? WHERE person = ? AND last_step < ?');
  const selectPasskey = state.prepare('SELECT * FROM passkeys WHERE id = ?');
  const passkeysOf = state.prepare('SELECT * FROM passkeys WHERE person = ? ORDER BY created, id');
  const insertPasskey = state.prepare(
    'INSERT INTO passkeys (id, person, public_key, counter, name, transports, synced, created) VALUES (?, ?, ?, ?, ?, ?, ?, ?)',
  );
  const deletePasskey = state.prepare('DELETE FROM passkeys WHERE id = ?');
  const deletePasskeys = state.prepare('DELETE FROM passkeys WHERE person = ?');
  const useCounter = state.prepare(
    'UPDATE passkeys SET counter = ? WHERE id = ? AND (counter < ? OR (counter = 0 AND ? = 0))',
  );
  const codesOf = state.prepare('SELECT hash FROM recovery_codes WHERE person = ? ORDER BY hash');
  const insertCode = state.prepare('INSERT INTO recovery_codes (person, hash) VALUES (?, ?)');
  const deleteCode = state.prepare('DELETE FROM recovery_codes WHERE person = ? AND hash = ?');
  const deleteCodes = state.prepare('DELETE FROM recovery_codes WHERE person = ?');

  const mustGet = (id: string): Person => {
    const person = people.get(id);
    if (person === undefined || person.disabled)
      throw new ServerError('not-found', 'expected the id of a person in force, got one nobody has');
    return person;
  };
  const nowText = (): string => new Date(world.clock.now()).toISOString();
  const change = <T>(facts: {
    readonly person: string;
    readonly operation: string;
    readonly by: Author;
    readonly origin: Origin | undefined;
    readonly check?: () => void;
    readonly changes: () => readonly Change[];
    readonly apply: () => T;
  }): Promise<T> =>
    changes.make({
      check: () => {
        const { tenant } = mustGet(facts.person);
        facts.check?.();
        return {
          tenant,
          by: facts.by,
          origin: facts.origin,
          action: 'update',
          operation: facts.operation,
          target: { type: 'Person', id: facts.person, role: 'object' },
          changes: facts.changes(),
        };
      },
      apply: facts.apply,
    });

  return {
    of(person) {
      return {
        totp: selectTotp.get(person) !== undefined,
        passkeys: passkeysOf.all(person).map(passkeyOf),
        recoveryCodes: codesOf.all(person).length,
      };
    },
    passkey(id) {
      const row = selectPasskey.get(id);
      return row === undefined ? undefined : passkeyOf(row);
    },
    async setTotp(person, { secret: bytes, step }, by, origin) {
      const sealed = seal.close(bytes);
      await change({
        person,
        operation: 'totp-set',
        by,
        origin,
        changes: () => [{ path: '/totp', op: 'replace', after: digestOf(sealed) }],
        apply: () => insertTotp.run(person, sealed, step, nowText()),
      });
    },
    async removeTotp(person, by, origin) {
      await change({
        person,
        operation: 'totp-removed',
        by,
        origin,
        check: () => expectThere(selectTotp.get(person) !== undefined, 'an authenticator app'),
        changes: () => [{ path: '/totp', op: 'remove' }],
        apply: () => deleteTotp.run(person),
      });
    },
    matchTotp(person, code) {
      const row = selectTotp.get(person);
      if (row === undefined) return 'wrong';
      const nowMs = world.clock.now();
      const match = matchTotp(seal.open(text(row, 'secret')), { code, nowMs, lastStep: Number(row.last_step) });
      if (match.kind !== 'match') return match.kind;
      return useStep.run(match.step, person, match.step).changes === 1 ? 'match' : 'replayed';
    },
    async addPasskey(person, passkey, by, origin) {
      const { id, publicKey, counter, name, transports, synced } = passkey;
      await change({
        person,
        operation: 'passkey-added',
        by,
        origin,
        check: () => {
          if (selectPasskey.get(id) !== undefined)
            throw new ServerError('input-invalid', 'expected a passkey nobody has, got one that is enrolled');
          if (passkeysOf.all(person).length >= passkeysMax)
            throw new ServerError('input-invalid', `expected at most ${passkeysMax} passkeys; remove one first`);
        },
        changes: () => [{ path: `/passkeys/${passkeyName(id)}`, op: 'add', after: digestOf(publicKey) }],
        apply: () =>
          insertPasskey.run(id, person, publicKey, counter, name, transports.join(' '), synced ? 1 : 0, nowText()),
      });
    },
    async removePasskey(person, id, by, origin) {
      await change({
        person,
        operation: 'passkey-removed',
        by,
        origin,
        check: () => expectThere(selectPasskey.get(id)?.person === person, 'a passkey of the person'),
        changes: () => [{ path: `/passkeys/${passkeyName(id)}`, op: 'remove' }],
        apply: () => deletePasskey.run(id),
      });
    },
    countPasskey: (id, counter) => useCounter.run(counter, id, counter, counter).changes === 1,
    async newRecoveryCodes(person, by, origin) {
      const codes = Array.from({ length: recoveryCodesCount }, () => freshPassword(world));
      const hashes = codes.map(hashOfCode);
      await change({
        person,
        operation: 'recovery-codes-set',
        by,
        origin,
        changes: () => hashes.map((one) => ({ path: '/recovery', op: 'add', after: digestOf(one) })),
        apply: () =>
          inTransaction(state, () => {
            deleteCodes.run(person);
            for (const one of hashes) insertCode.run(person, one);
          }),
      });
      return codes;
    },
    async spendRecoveryCode(person, code, by, origin) {
      const typed = hashOfCode(code);
      const isThere = (): boolean => codesOf.all(person).some((row) => text(row, 'hash') === typed);
      if (!isThere()) return false;
      try {
        await change({
          person,
          operation: 'recovery-code-used',
          by,
          origin,
          check: () => expectThere(isThere(), 'a recovery code that was not used'),
          changes: () => [{ path: '/recovery', op: 'remove', before: digestOf(typed) }],
          apply: () => deleteCode.run(person, typed),
        });
        return true;
      } catch (error) {
        // Two with the same code at the same time: one of them was first.
        if (error instanceof ServerError && error.code === 'not-found') return false;
        throw error;
      }
    },
    async reset(person, by, origin) {
      await change({
        person,
        operation: 'factors-reset',
        by,
        origin,
        changes: () => [{ path: '/factors', op: 'remove' }],
        apply: () => {
          inTransaction(state, () => {
            for (const statement of [deleteTotp, deletePasskeys, deleteCodes]) statement.run(person);
            people.endEverything(person);
            people.ended({ person, of: 'everything' });
          });
        },
      });
    },
  };
}

/** How a passkey is named in the log: its id is long, and an authenticator may know it again elsewhere. */
export function passkeyName(id: string): string {
  return hash('sha256', id, 'hex').slice(0, 16);
}

function hashOfCode(code: string): string {
  return hash('sha256', code.toLowerCase().replaceAll(/[^a-z0-9]/g, ''), 'hex');
}

function passkeyOf(row: Record<string, unknown>): StoredPasskey {
  return {
    id: text(row, 'id'),
    person: text(row, 'person'),
    publicKey: text(row, 'public_key'),
    counter: Number(row.counter),
    name: text(row, 'name'),
    transports: text(row, 'transports').split(' ').filter(Boolean),
    synced: row.synced !== 0,
    created: text(row, 'created'),
  };
}

function expectThere(there: boolean, what: string): void {
  if (!there) throw new ServerError('not-found', `expected ${what}, got one that is not there`);
}

/** AES-256-GCM under a key derived from the secret in `keys/`. */
function createSeal(world: World, secret: string): { close(bytes: Uint8Array): string; open(sealed: string): Buffer } {
  const key = Buffer.from(hkdfSync('sha256', secret, '', 'watchglass totp secrets', 32));
  return {
    close(bytes) {
      const nonce = world.random.bytes(12);
      const cipher = createCipheriv('aes-256-gcm', key, nonce);
      return Buffer.concat([nonce, cipher.update(bytes), cipher.final(), cipher.getAuthTag()]).toString('base64url');
    },
    open(sealed) {
      const bytes = Buffer.from(sealed, 'base64url');
      const decipher = createDecipheriv('aes-256-gcm', key, bytes.subarray(0, 12), { authTagLength: 16 });
      decipher.setAuthTag(bytes.subarray(-16));
      return Buffer.concat([decipher.update(bytes.subarray(12, -16)), decipher.final()]);
    },
  };
}
