/**
 * Write keys: bearer secrets that may add events to one tenant and do nothing else. Stored as SHA-256 (they are 256
 * random bits: nothing to stretch); looked up by that hash in memory, which gives nothing to time.
 */
import { hash } from 'node:crypto';
import type { TenantId } from '@watchglass/record';
import { ServerError } from '../errors.ts';
import type { World } from '../world/world.ts';
import type { Tenants, WriteKey, WriteKeys } from './access.ts';
import { actorOf, type Changes, checkInput, digestOf, lengthOf } from './change.ts';
import { freshSecret } from './key-file.ts';
import { isOwnEmitter } from './own-recorder.ts';
import { type State, text } from './state.ts';

/** Base64url of 32 bytes behind the prefix; anything longer isn't hashed at all. */
const secretPattern = /^wgk_[A-Za-z0-9_-]{43}$/;
const namePattern = /^[A-Za-z0-9][A-Za-z0-9 ._-]{0,63}$/;
const emitterPattern = /^[A-Za-z0-9][A-Za-z0-9._:/-]{0,63}$/;

export function openWriteKeys(parts: {
  readonly state: State;
  readonly world: World;
  readonly tenants: Tenants;
  readonly changes: Changes;
}): WriteKeys {
  const { state, world, tenants, changes } = parts;
  const all = state.prepare('SELECT * FROM write_keys ORDER BY created, id');
  const insert = state.prepare(
    'INSERT INTO write_keys (id, hash, tenant, emitter, name, created, created_by) VALUES (?, ?, ?, ?, ?, ?, ?)',
  );
  const markRevoked = state.prepare('UPDATE write_keys SET revoked = ? WHERE id = ?');

  const byHash = new Map<string, WriteKey>();
  for (const row of all.all()) byHash.set(text(row, 'hash'), toWriteKey(row));
  const byId = (id: string): [string, WriteKey] | undefined => [...byHash].find(([, key]) => key.id === id);
  const nowText = (): string => new Date(world.clock.now()).toISOString();

  return {
    create({ tenant, emitter, name }, by) {
      const id = `k-${Buffer.from(world.random.bytes(8)).toString('hex')}`;
      const secret = freshSecret(world, 'wgk_');
      return changes.make({
        check: () => {
          checkInput([
            {
              ok: tenants.has(tenant),
              path: '/tenant',
              expected: 'a tenant of this installation',
              got: lengthOf(tenant),
            },
            {
              ok: namePattern.test(name),
              path: '/name',
              expected: '1 to 64 letters, digits, spaces or . _ -',
              got: lengthOf(name),
            },
            {
              ok: emitterPattern.test(emitter) && !isOwnEmitter(emitter),
              path: '/emitter',
              expected: '1 to 64 letters, digits or . _ : / -, and not a name of our own such as `server`',
              got: lengthOf(emitter),
            },
          ]);
          return {
            tenant,
            by,
            action: 'create',
            operation: 'write-key-created',
            target: { type: 'WriteKey', id, role: 'object' },
            changes: [
              { path: '/name', op: 'add', after: name },
              { path: '/emitter', op: 'add', after: emitter },
              { path: '/secret', op: 'add', after: digestOf(hash('sha256', secret, 'hex')) },
            ],
          };
        },
        apply: () => {
          const key: WriteKey = { id, tenant, emitter, name, created: nowText(), createdBy: actorOf(by).id };
          const secretHash = hash('sha256', secret, 'hex');
          insert.run(id, secretHash, tenant, emitter, name, key.created, key.createdBy);
          byHash.set(secretHash, key);
          return { ...key, secret };
        },
      });
    },
    verify(secret) {
      if (!secretPattern.test(secret)) return undefined;
      const key = byHash.get(hash('sha256', secret, 'hex'));
      return key === undefined || key.revoked !== undefined ? undefined : key;
    },
    list: (tenant) => [...byHash.values()].filter((key) => tenant === undefined || key.tenant === tenant),
    async revoke(id, by) {
      await changes.make({
        check: () => {
          const [, key] = byId(id) ?? [];
          if (key === undefined || key.revoked !== undefined) {
            throw new ServerError('not-found', 'expected the id of a write key that is in force, got another');
          }
          return {
            tenant: key.tenant,
            by,
            action: 'delete',
            operation: 'write-key-revoked',
            target: { type: 'WriteKey', id, role: 'object' },
            changes: [{ path: '/name', op: 'remove', before: key.name }],
          };
        },
        apply: () => {
          const found = byId(id);
          if (found === undefined) return;
          const [secretHash, key] = found;
          const revoked = nowText();
          markRevoked.run(revoked, id);
          byHash.set(secretHash, { ...key, revoked });
        },
      });
    },
  };
}

function toWriteKey(row: Record<string, unknown>): WriteKey {
  return {
    id: text(row, 'id'),
    tenant: text(row, 'tenant') as TenantId,
    emitter: text(row, 'emitter'),
    name: text(row, 'name'),
    created: text(row, 'created'),
    createdBy: text(row, 'created_by'),
    ...(typeof row.revoked === 'string' ? { revoked: row.revoked } : {}),
  };
}
