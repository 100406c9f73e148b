/** Opens access: brings `state.sqlite` up to date, reads or makes the operator's token, and hands out the parts. */
import { dirname, join } from 'node:path';
import type { TenantId } from '@watchglass/record';
import type { World } from '../world/world.ts';
import type { Access, Operator } from './access.ts';
import { actorOf, createChanges } from './change.ts';
import { openFactors } from './factors.ts';
import { openFailures } from './failures.ts';
import { endWhatWasGiven, openIssued } from './issued.ts';
import { checkKeysDirectory } from './key-file.ts';
import { openLogouts } from './logouts.ts';
import { openOperator } from './operator.ts';
import type { RecordOwn } from './own-event.ts';
import { openPasswords } from './passwords.ts';
import { openPeople } from './people.ts';
import { operatorRole, rightsOf } from './rights.ts';
import { openSessions } from './sessions.ts';
import { createSignIn } from './sign-in.ts';
import { inTransaction, openMarks, openState, type State } from './state.ts';
import { openStateMark, stateMarkName } from './state-mark.ts';
import { openStateSeal, type StateSeal } from './state-seal.ts';
import { openTenants } from './tenants.ts';
import { openTokens, type TokenTrust } from './tokens.ts';
import { openWriteKeys } from './write-keys.ts';

interface OwnLog {
  readonly tenant: TenantId;
  readonly origin: string;
}

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
  /** A log that tells of these people: where another one goes on from it, after a restore, nothing that was given before is good. */
  readonly log?: OwnLog;
}

/** @throws ServerError `key-file-exposed`, `key-file-invalid`, `state-unknown`, `state-older`. */
export async function openAccess(options: OpenAccessOptions): Promise<Access> {
  const { world } = options;
  await checkKeysDirectory(world, options.keysDir);
  const operator = await openOperator(world, options.keysDir);
  // Made before SQLite does, which would let everybody on the machine read the hashes; its WAL follows the file's mode.
  await (await world.disk.open(options.path, 'append', 0o600)).close();
  const seal = await openStateSeal(world, options.keysDir);
  const state = openState(options.path);
  try {
    return await buildAccess({ ...options, state, seal, operator });
  } catch (error) {
    state.close();
    throw error;
  }
}

async function buildAccess(
  parts: OpenAccessOptions & { readonly state: State; readonly seal: StateSeal; readonly operator: Operator },
): Promise<Access> {
  const { world, record, state, seal, operator, keysDir } = parts;
  const { clock } = world;
  const mark = await openStateMark({
    ...{ state, path: join(dirname(parts.path), stateMarkName), world },
    atStranger: () => endWhatWasGiven(state, clock.now()),
  });
  if (parts.log !== undefined) follow(state, `log of ${parts.log.tenant}`, parts.log.origin, clock.now());
  // What is sealed by another key nobody could end meanwhile: it must not come back with that key.
  follow(state, 'sealed by', seal.nameOf('key', ''), clock.now());
  const issued = openIssued({ state, clock, seal, mark });
  const changes = createChanges(record, mark);
  const passwords = openPasswords(world);
  const tenants = openTenants(state, world);
  const people = openPeople({ state, world, tenants, passwords, changes });
  const factors = await openFactors({ state, world, keysDir, people, changes });
  const failures = openFailures({ state, clock, seal });
  const { signIn, prove } = createSignIn({ world, people, factors, passwords, tenants, record, failures });
  const sessions = openSessions({ state, world, people, record, mark });
  return {
    tenants,
    people: { ...people, signIn, prove },
    factors,
    writeKeys: openWriteKeys({ state, world, tenants, changes }),
    operator,
    logouts: openLogouts(state),
    issued,
    sessions,
    tokens: openTokens({ world, trust: parts.trust, people, tenants }),
    // Whatever a person is said to be, the operator is whoever holds the token of this machine.
    rightsOf: ({ kind, roles }) =>
      rightsOf(kind === 'operator' ? roles : roles.filter((role) => role !== operatorRole)),
    actorOf,
    async [Symbol.asyncDispose]() {
      if (state.isOpen) state.close();
    },
  };
}

/** Where it isn't what it was, everything that was given before is over. */
function follow(state: State, name: string, value: string, nowMs: number): void {
  const marks = openMarks(state);
  const before = marks.get(name);
  if (before === value) return;
  inTransaction(state, () => {
    if (before !== undefined) endWhatWasGiven(state, nowMs);
    marks.set(name, value);
  });
}
