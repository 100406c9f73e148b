/**
 * One look at one log: its keys, followed from those remembered; then its head, followed from the one remembered. Says what to remember, what to tell, and what was found;
 * remembers nothing itself. What looks wrong is looked at twice: a server that is just being started with another key shows the old and the new within a moment.
 */
import type { Client } from '../client.ts';
import { followKeys, type KeyMemory, type KeyNews } from './follow-keys.ts';
import { type FollowFinding, followLog, type Head, parseHead } from './follow-log.ts';
import type { Remembered } from './follow-state.ts';
import { followSuccession } from './follow-succession.ts';
import type { LogName } from './remote-statements.ts';

export interface News {
  readonly code: KeyNews['code'] | 'log-succeeded';
  readonly message: string;
}

export interface Look {
  /** To remember from now on; absent where nothing of it is to be believed. */
  readonly next?: { readonly memory: KeyMemory; readonly head: Head; readonly grew: boolean };
  readonly news: readonly News[];
  readonly finding?: FollowFinding;
}

export interface Looking {
  readonly client: Client;
  readonly log: LogName;
  readonly before: Remembered | undefined;
  /** `--vkey`, where it is of this log. */
  readonly given: string | undefined;
  readonly signal: AbortSignal;
}

export async function lookAtLog(looking: Looking): Promise<Look> {
  const look = await lookOnce(looking);
  const code = look.finding?.code;
  return code === 'key-changed' || code === 'signature-wrong' || code === 'rolled-back' ? lookOnce(looking) : look;
}

async function lookOnce(looking: Looking): Promise<Look> {
  const { log, before } = looking;
  return before === undefined || before.origin === log.origin
    ? lookAtSame(looking, before)
    : lookAtSuccessor(looking, before);
}

async function lookAtSame(
  { client, log, given, signal }: Looking,
  before: (KeyMemory & { readonly checkpoint?: string }) | undefined,
): Promise<Look> {
  const remembered = before?.checkpoint === undefined ? undefined : parseHead(before.checkpoint);
  const keys = await followKeys({ client, log, before, sizeBefore: remembered?.size ?? 0, given, signal });
  if (keys.kind !== 'followed')
    return { news: [], finding: { code: keys.kind, tenant: log.tenant, message: keys.message } };
  const { memory, news, stated } = keys;
  const step = await followLog({ client, log, vkey: memory.vkey, stated, before: remembered, signal });
  if (step.head === undefined) return { news: [], ...(step.finding === undefined ? {} : { finding: step.finding }) };
  const grew = remembered === undefined || step.head.size > remembered.size;
  return { next: { memory, head: step.head, grew }, news };
}

async function lookAtSuccessor(looking: Looking, before: Remembered): Promise<Look> {
  const { client, log, signal } = looking;
  const { tenant } = log;
  const head = before.checkpoint === undefined ? undefined : parseHead(before.checkpoint);
  const { origin, vkey } = before;
  const succession = await followSuccession({ client, log, before: { origin, vkey, head }, signal });
  if (!('vkey' in succession))
    return { news: [], finding: { code: succession.kind, tenant, message: succession.message } };
  const look = await lookAtSame(looking, { vkey: succession.vkey });
  if (look.next === undefined) return look;
  const { kind, message } = succession;
  return kind === 'events-lost'
    ? {
        ...look,
        finding: {
          code: kind,
          tenant,
          message,
          ...(before.checkpoint === undefined ? {} : { evidence: before.checkpoint }),
        },
      }
    : { ...look, news: [{ code: 'log-succeeded', message }, ...look.news] };
}
