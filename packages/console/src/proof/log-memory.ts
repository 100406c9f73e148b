/**
 * What this browser remembers of a log: the verifier key it first saw (trust on first use) and the newest checkpoint it
 * has proven. A key is replaced only by one that the log's statements lead to, or that a person decided for, and a checkpoint only by one that continues it.
 */

export interface RememberedLog {
  readonly vkey: string;
  /** RFC 3339: when the key was first seen here. */
  readonly since: string;
  /** Signed note. */
  readonly checkpoint?: string;
  /** Keys that `vkey` was followed from, oldest first: what they signed still holds. */
  readonly earlier?: readonly string[];
  /** The statement by which `vkey` came, where it was followed: its number, the month and the size it names. */
  readonly rotated?: RotationFacts;
  /** The newest verified seal of the log, byte for byte. */
  readonly seal?: string;
}

export interface RotationFacts {
  readonly number: number;
  readonly epoch: number;
  readonly size: number;
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
    const { vkey, since, checkpoint, earlier, rotated, seal } = value as Record<string, unknown>;
    if (typeof vkey !== 'string' || typeof since !== 'string') return undefined;
    return {
      vkey,
      since,
      ...(typeof checkpoint === 'string' && { checkpoint }),
      ...(Array.isArray(earlier) && { earlier: earlier.map(String) }),
      ...(isRotation(rotated) && { rotated }),
      ...(typeof seal === 'string' && { seal }),
    };
  } catch {
    return undefined;
  }
}

function isRotation(value: unknown): value is RotationFacts {
  const facts = value as Partial<Record<keyof RotationFacts, unknown>> | null | undefined;
  return [facts?.number, facts?.epoch, facts?.size].every(Number.isSafeInteger);
}

/** After `checkGrowth` said `first` or `grown`. */
export function rememberCheckpoint(store: TextStore, tenant: string, checkpoint: string): void {
  const log = recall(store, tenant);
  if (log) store.setItem(keyOf(tenant), JSON.stringify({ ...log, checkpoint }));
}

/** The statements of the log lead from the remembered key to this one. */
export function rememberRotation(
  store: TextStore,
  tenant: string,
  followed: { readonly vkey: string; readonly rotated: RotationFacts | undefined; readonly seal: string | undefined },
): void {
  const log = recall(store, tenant);
  if (!log) return;
  const earlier = [...(log.earlier ?? []), log.vkey];
  store.setItem(keyOf(tenant), JSON.stringify({ ...log, ...followed, earlier }));
}

export function rememberSeal(store: TextStore, tenant: string, seal: string | undefined): void {
  const log = recall(store, tenant);
  if (log && seal !== undefined) store.setItem(keyOf(tenant), JSON.stringify({ ...log, seal }));
}

/** A person decided to trust another key: the old checkpoint goes with the old key. */
export function trustKey(store: TextStore, tenant: string, vkey: string, now: string): void {
  store.setItem(keyOf(tenant), JSON.stringify({ vkey, since: now }));
}
