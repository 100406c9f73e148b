/**
 * What this browser remembers of a log: the verifier key it first saw (trust on first use) and the newest checkpoint it
 * has proven. A key is never replaced silently, and a checkpoint only by one that continues it.
 */

export interface RememberedLog {
  readonly vkey: string;
  /** RFC 3339: when the key was first seen here. */
  readonly since: string;
  /** Signed note. */
  readonly checkpoint?: string;
}

/** `localStorage`, or anything like it. */
export interface TextStore {
  getItem(key: string): string | null;
  setItem(key: string, value: string): void;
}

export type Pin =
  | { readonly kind: 'first-use'; readonly log: RememberedLog }
  | { readonly kind: 'same'; readonly log: RememberedLog }
  /** The server now states another key than the one remembered. Proofs go on being checked against the remembered one. */
  | { readonly kind: 'changed'; readonly log: RememberedLog; readonly stated: string };

const keyOf = (tenant: string): string => `watchglass.log.${tenant}`;

/** Holds the stated key against the remembered one, and remembers it when there is none. */
export function pinKey(store: TextStore, tenant: string, stated: string, now: string): Pin {
  const log = recall(store, tenant);
  if (!log) {
    const first = { vkey: stated, since: now };
    store.setItem(keyOf(tenant), JSON.stringify(first));
    return { kind: 'first-use', log: first };
  }
  return log.vkey === stated ? { kind: 'same', log } : { kind: 'changed', log, stated };
}

export function recall(store: TextStore, tenant: string): RememberedLog | undefined {
  const stored = store.getItem(keyOf(tenant));
  if (stored === null) return undefined;
  try {
    const value: unknown = JSON.parse(stored);
    if (typeof value !== 'object' || value === null) return undefined;
    const { vkey, since, checkpoint } = value as Record<string, unknown>;
    if (typeof vkey !== 'string' || typeof since !== 'string') return undefined;
    return { vkey, since, ...(typeof checkpoint === 'string' && { checkpoint }) };
  } catch {
    return undefined;
  }
}

/** After `checkGrowth` said `first` or `grown`. */
export function rememberCheckpoint(store: TextStore, tenant: string, checkpoint: string): void {
  const log = recall(store, tenant);
  if (log) store.setItem(keyOf(tenant), JSON.stringify({ ...log, checkpoint }));
}

/** A person decided to trust another key: the old checkpoint goes with the old key. */
export function trustKey(store: TextStore, tenant: string, vkey: string, now: string): void {
  store.setItem(keyOf(tenant), JSON.stringify({ vkey, since: now }));
}
