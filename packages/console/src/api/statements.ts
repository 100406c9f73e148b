/** What a log states about its keys: seals and statements on keys, as bytes. Public resources: costs no record. Nothing is believed here. */
import type { KeyStatements } from '@watchglass/record';
import { statementsMax } from '@watchglass/record';
import { ConsoleError } from '../errors.ts';
import { fetchLogFile } from './client.ts';

export async function fetchStatements(tenant: string, origin: string, signal: AbortSignal): Promise<KeyStatements> {
  const [rotations, seals] = await Promise.all([
    fetchAll(tenant, 'rotations', signal),
    fetchAll(tenant, 'seals', signal),
  ]);
  return { origin, rotations, seals };
}

async function fetchAll(tenant: string, folder: 'rotations' | 'seals', signal: AbortSignal): Promise<Uint8Array[]> {
  const list: unknown = JSON.parse(new TextDecoder().decode(await fetchLogFile(tenant, folder, signal)));
  if (!Array.isArray(list) || list.length > statementsMax || !list.every(Number.isSafeInteger))
    throw new ConsoleError('unexpected-answer', `expected at most ${statementsMax} numbers of ${folder}`);
  const found: Uint8Array[] = [];
  for (const number of list) found.push(await fetchLogFile(tenant, `${folder}/${number}`, signal));
  return found;
}
