/**
 * Remembers what may be used once only: the `jti` of DPoP proofs and logout tokens, each for as long as it would still be accepted.
 *
 * Bounded in all and for each holder of a key. A full store says so, and whoever asked has to refuse: forgetting the oldest one would let it be replayed.
 * It is this process's own; gateways that share their clients can be given a shared one behind the same interface.
 */
import { createHash } from 'node:crypto';

export type Remembrance = 'new' | 'seen' | 'full';

/** What a shared store (one for many gateways) has to do as well. */
export interface ReplayStore {
  /** Takes `id` of `holder`, to be kept for `keepMs`. Rejects where nobody can say whether it was seen. */
  take(holder: string, id: string, keepMs: number): Remembrance | Promise<Remembrance>;
}

/** One in which what was taken in vain can be given back. */
export interface ReleasingReplayStore extends ReplayStore {
  /** What it was taken for did not happen. */
  release(holder: string, id: string): void | Promise<void>;
}

interface Taken {
  readonly holder: string;
  readonly untilMs: number;
}

export class MemoryReplayStore implements ReleasingReplayStore {
  readonly #entriesMax: number;
  readonly #perHolderMax: number;
  readonly #now: () => number;
  /** In the order of arrival. Those of one use are kept equally long, so the oldest end first. */
  readonly #taken = new Map<string, Taken>();
  readonly #perHolder = new Map<string, number>();

  constructor(options: {
    readonly entriesMax: number;
    /** So that one key doesn't fill it for all others. */
    readonly perHolderMax?: number;
    /** Milliseconds of a clock that never steps back. */
    readonly now?: () => number;
  }) {
    this.#entriesMax = options.entriesMax;
    this.#perHolderMax = options.perHolderMax ?? options.entriesMax;
    this.#now = options.now ?? ((): number => performance.now());
  }

  get size(): number {
    return this.#taken.size;
  }

  take(holder: string, id: string, keepMs: number): Remembrance {
    const nowMs = this.#now();
    this.#forget(nowMs);
    const key = keyOf(holder, id);
    if (this.#taken.has(key)) return 'seen';
    const held = this.#perHolder.get(holder) ?? 0;
    if (this.#taken.size >= this.#entriesMax || held >= this.#perHolderMax) return 'full';
    this.#taken.set(key, { holder, untilMs: nowMs + keepMs });
    this.#perHolder.set(holder, held + 1);
    return 'new';
  }

  release(holder: string, id: string): void {
    if (this.#taken.delete(keyOf(holder, id))) this.#countDown(holder);
  }

  #forget(nowMs: number): void {
    for (const [key, { holder, untilMs }] of this.#taken) {
      if (untilMs > nowMs) return;
      this.#taken.delete(key);
      this.#countDown(holder);
    }
  }

  #countDown(holder: string): void {
    const held = (this.#perHolder.get(holder) ?? 1) - 1;
    if (held === 0) this.#perHolder.delete(holder);
    else this.#perHolder.set(holder, held);
  }
}

/** Hashed, so that its length is bounded whatever a client makes up. */
function keyOf(holder: string, id: string): string {
  return createHash('sha256').update(holder).update('\0').update(id).digest('base64');
}
