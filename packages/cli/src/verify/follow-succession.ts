/**
 * A followed log that goes by another origin now: a successor says in a signed statement which log it goes on from and where that was left. Believed where the key
 * that was believed so far signed it; what had been seen past the point where the old log was left is lost, and that is a finding.
 */
import {
  formatVerifierKey,
  openSuccession,
  parseRotation,
  parseSuccession,
  parseVerifierKey,
  RecordError,
  type Succession,
  sameKey,
} from '@watchglass/record';
import type { Client } from '../client.ts';
import { CliError } from '../errors.ts';
import type { LogName } from './remote-statements.ts';

export type FollowedSuccession =
  | { readonly kind: 'followed'; readonly vkey: string; readonly message: string }
  /** Followed as well, and events that were seen are not in it. */
  | { readonly kind: 'events-lost'; readonly vkey: string; readonly message: string }
  | { readonly kind: 'key-changed' | 'split-view'; readonly message: string };

export async function followSuccession(following: {
  readonly client: Client;
  readonly log: LogName;
  readonly before: {
    readonly origin: string;
    readonly vkey: string;
    readonly head: { readonly size: number; readonly root: Uint8Array } | undefined;
  };
  readonly signal: AbortSignal;
}): Promise<FollowedSuccession> {
  const { client, log, before, signal } = following;
  const another = `expected the log ${before.origin}, got ${log.origin}`;
  try {
    const statement = await readOptional(client, `/log/${log.tenant}/predecessor`, signal);
    if (statement === undefined)
      return { kind: 'key-changed', message: `${another}, which doesn't say that it goes on from it` };
    const vkey = await beganWith(client, log, signal);
    if (!sameKey(parseSuccession(statement).key, parseVerifierKey(before.vkey)))
      throw new RecordError('note-unverified', 'it goes on from a key that is not the one believed so far');
    const { succession, byPredecessor } = openSuccession(statement, parseVerifierKey(vkey));
    if (succession.origin !== log.origin || succession.predecessor !== before.origin)
      throw new RecordError('note-unverified', 'it is about other logs');
    if (!byPredecessor) throw new RecordError('note-unverified', 'the key believed so far did not sign it');
    return { ...heldAgainst(succession, before.head), vkey };
  } catch (error) {
    if (!(error instanceof RecordError)) throw error;
    return {
      kind: 'key-changed',
      message: `${another}; what it says of going on from it doesn't hold: ${error.message}`,
    };
  }
}

function heldAgainst(
  { predecessor, size, root, recovery }: Succession,
  head: { readonly size: number; readonly root: Uint8Array } | undefined,
): { kind: 'followed' | 'events-lost' | 'split-view'; message: string } {
  const left = `${predecessor} was left at ${size} events (recovery point ${recovery ?? 'not known'}) and another log goes on from it`;
  if (head !== undefined && head.size > size)
    return {
      kind: 'events-lost',
      message: `${left}; ${head.size} had been seen, so the last ${head.size - size} are lost, unless their senders send them again`,
    };
  if (head !== undefined && head.size === size && !Buffer.from(head.root).equals(root))
    return { kind: 'split-view', message: `${left}, with another root than the one that was signed for that size` };
  return { kind: 'followed', message: `${left}; nothing that was seen is lost` };
}

/** The Ed25519 key a log began with, as it says itself: the statement and the first seal are signed by it. */
async function beganWith(client: Client, { tenant }: LogName, signal: AbortSignal): Promise<string> {
  const first = await readOptional(client, `/log/${tenant}/rotations/1`, signal);
  if (first !== undefined) return formatVerifierKey(parseRotation(first).old);
  return (await client.getText(`/log/${tenant}/vkey`, signal)).split('\n')[0] as string;
}

async function readOptional(client: Client, path: string, signal: AbortSignal): Promise<Uint8Array | undefined> {
  try {
    return await client.get(path, signal);
  } catch (error) {
    if (error instanceof CliError && error.status === 404) return undefined;
    throw error;
  }
}
