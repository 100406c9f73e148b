/** Opens access: brings `state.sqlite` up to date, reads or makes the operator's token, and hands out the parts. */
import type { World } from '../world/world.ts';
import type { Access } from './access.ts';
import { actorOf, createChanges } from './change.ts';
import { openFactors } from './factors.ts';
import { checkKeysDirectory } from './key-file.ts';
import { openLogouts } from './logouts.ts';
import { openOperator } from './operator.ts';
import type { RecordOwn } from './own-event.ts';
import { openPasswords } from './passwords.ts';
import { openPeople } from './people.ts';
import { operatorRole, rightsOf } from './rights.ts';
import { openSessions } from './sessions.ts';
import { createSignIn } from './sign-in.ts';
import { openState } from './state.ts';
import { openTenants } from './tenants.ts';
import { openTokens, type TokenTrust } from './tokens.ts';
import { openWriteKeys } from './write-keys.ts';

export interface OpenAccessOptions {
  /** Of `state.sqlite`. */
  readonly path: string;
  /** `DIR/keys`. */
  readonly keysDir: string;
  readonly world: World;
  /** The ledger's append for our own events, handed in. */
  readonly record: RecordOwn;
  /** Whose access tokens are good here; none when left out. */
  readonly trust?: TokenTrust;
}

/** @throws ServerError `key-file-exposed`, `key-file-invalid`, `state-unknown`. */
export async function openAccess(options: OpenAccessOptions): Promise<Access> {
  const { world, record } = options;
  await checkKeysDirectory(world, options.keysDir);
  const operator = await openOperator(world, options.keysDir);
  // Made before SQLite does, which would let everybody on the machine read the hashes; its WAL follows the file's mode.
  await (await world.disk.open(options.path, 'append', 0o600)).close();
  const state = openState(options.path);
  const changes = createChanges(record);
  const passwords = openPasswords(world);
  const tenants = openTenants(state, world);
  const people = openPeople({ state, world, tenants, passwords, changes });
  const factors = await openFactors({ state, world, keysDir: options.keysDir, people, changes });
  const { signIn, prove } = createSignIn({ world, people, factors, passwords, tenants, record });
  return {
    tenants,
    people: { ...people, signIn, prove },
    factors,
    writeKeys: openWriteKeys({ state, world, tenants, changes }),
    operator,
    logouts: openLogouts(state),
    sessions: openSessions({ state, world, people, record }),
    tokens: openTokens({ world, trust: options.trust, people, tenants }),
    // Whatever a person is said to be, the operator is whoever holds the token of this machine.
    rightsOf: ({ kind, roles }) =>
      rightsOf(kind === 'operator' ? roles : roles.filter((role) => role !== operatorRole)),
    actorOf,
    async [Symbol.asyncDispose]() {
      if (state.isOpen) state.close();
    },
  };
}
