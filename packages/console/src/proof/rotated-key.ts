/**
 * The server states another key than this browser remembers: do the log's statements on its keys lead from one to the other? Public resources only, verified here; what
 * they don't explain stays a changed key, and a key that was revoked as stolen is never followed.
 */
import {
  fateInChain,
  formatVerifierKey,
  type KeyChain,
  type KeyStatements,
  openKeyChain,
  parseVerifierKey,
  RecordError,
  type Rotation,
} from '@watchglass/record';
import type { RememberedLog } from './log-memory.ts';

export type RotatedKey =
  | { readonly kind: 'followed'; readonly rotations: readonly Rotation[]; readonly seal: string | undefined }
  | { readonly kind: 'revoked'; readonly rotation: Rotation }
  | { readonly kind: 'unexplained'; readonly reason: string };

export function followRotations(log: RememberedLog, stated: string, statements: KeyStatements): RotatedKey {
  try {
    const pinned = parseVerifierKey(log.vkey);
    const chain = openStatements(log, statements);
    const fate = fateInChain(pinned, chain);
    if (fate.kind === 'revoked') return { kind: 'revoked', rotation: fate.rotation };
    if (formatVerifierKey(chain.current) !== stated || fate.kind === 'unknown')
      return { kind: 'unexplained', reason: 'no statement of the log leads from the remembered key to the stated one' };
    const from = chain.rotations.findIndex(({ old }) => formatVerifierKey(old) === log.vkey);
    const rotations = from < 0 ? [] : chain.rotations.slice(from).filter(({ kind }) => kind !== 'added');
    return { kind: 'followed', rotations, seal: newestSeal(statements) };
  } catch (error) {
    if (!(error instanceof RecordError)) throw error;
    return { kind: 'unexplained', reason: error.message };
  }
}

/** @throws {RecordError} `key-chain-broken`, `key-invalid` */
export function openStatements({ vkey, seal }: RememberedLog, statements: KeyStatements): KeyChain {
  const known = seal === undefined ? undefined : new TextEncoder().encode(seal);
  return openKeyChain(statements, { key: parseVerifierKey(vkey), seal: known });
}

/** The newest seal of statements that were verified: no key stolen later can put another one in its place. */
export function newestSeal({ seals }: KeyStatements): string | undefined {
  const newest = seals.at(-1);
  return newest === undefined ? undefined : new TextDecoder().decode(newest);
}
