/**
 * Shuts out for a while who fails too often: so many failures within a window, and nothing more is heard from there until a time has passed that doubles with
 * every further block. Bounded: the oldest key that isn't blocked is forgotten first.
 *
 * One that begins with what an earlier process kept goes on with it. Where that was damaged it is wary for as long as a block may last: one failure is enough, so whoever was locked out and goes on
 * failing is locked out again at once.
 *
 * What a key is `party.ts` says: an address, the /64 of an IPv6 one, a client or a person whose token held. Never a proxy: everybody behind it would be shut out with one.
 */

import type { KeptBlock } from './lockout-file.ts';

export interface LockoutSettings {
  readonly failuresMax: number;
  readonly windowMs: number;
  /** Of the first block. */
  readonly blockMs: number;
  readonly blockMsMax: number;
  readonly keysMax: number;
}

export interface LockoutNews {
  readonly kind: 'begin' | 'end';
  readonly key: string;
  /** Of this block, as it was decided. */
  readonly blockMs: number;
}

/** What a request asks of it. */
export interface Lockouts {
  /** How long the key is still blocked; 0 if it isn't. */
  blockedMs(key: string): number;
  /** A promise where others count too: it resolves once a block that this began is in force for all of them. Never rejects. */
  fail(key: string): void | Promise<void>;
}

export interface LockoutOptions {
  readonly onNews: (news: LockoutNews) => void;
  /** What an earlier process kept. */
  readonly kept?: { readonly blocks: readonly KeptBlock[]; readonly waryUntilMs: number } | undefined;
  readonly now?: () => number;
}

interface Standing {
  failuresCount: number;
  windowEndsMs: number;
  /** 0 while it isn't blocked. */
  blockedUntilMs: number;
  blocksCount: number;
  blockMs: number;
  /** When all of it is forgotten. */
  forgetMs: number;
}

const blocksGrowingMax = 20;

export class Lockout implements Lockouts {
  readonly #settings: LockoutSettings;
  readonly #onNews: (news: LockoutNews) => void;
  readonly #now: () => number;
  readonly #standings = new Map<string, Standing>();
  readonly #waryUntilMs: number;
  #blockedCount = 0;

  constructor(settings: LockoutSettings, options: LockoutOptions) {
    const { kept } = options;
    this.#settings = settings;
    this.#onNews = options.onNews;
    this.#now = options.now ?? (() => performance.now());
    this.#waryUntilMs = this.#now() + (kept?.waryUntilMs ?? 0) - Date.now();
    for (const block of kept?.blocks.slice(-settings.keysMax) ?? []) this.#goOn(block);
  }

  /** What is worth keeping, by the machine's clock. */
  kept(): readonly KeptBlock[] {
    return [...this.#standings.keys()].flatMap((key) => this.keptOf(key) ?? []);
  }

  keptOf(key: string): KeptBlock | undefined {
    const standing = this.#standings.get(key);
    if (standing === undefined || standing.blocksCount === 0) return undefined;
    const { blocksCount, blockMs, blockedUntilMs, forgetMs } = standing;
    const aheadMs = Date.now() - this.#now();
    return {
      key,
      blockMs,
      blocksCount,
      untilMs: blockedUntilMs === 0 ? 0 : blockedUntilMs + aheadMs,
      forgetMs: forgetMs + aheadMs,
    };
  }

  get blockedCount(): number {
    return this.#blockedCount;
  }

  get size(): number {
    return this.#standings.size;
  }

  /** Who is blocked now, and for how long. */
  blocked(): { readonly key: string; readonly leftMs: number }[] {
    return [...this.#standings.keys()].flatMap((key) => {
      const leftMs = this.blockedMs(key);
      return leftMs > 0 ? [{ key, leftMs }] : [];
    });
  }

  blockedMs(key: string): number {
    // Nobody pays for the look-up while nobody is blocked.
    if (this.#blockedCount === 0) return 0;
    const standing = this.#standings.get(key);
    if (standing === undefined || standing.blockedUntilMs === 0) return 0;
    const leftMs = standing.blockedUntilMs - this.#now();
    if (leftMs > 0) return leftMs;
    this.#end(key, standing);
    return 0;
  }

  /** Failures while blocked count for nothing: the block neither grows nor moves. */
  fail(key: string): void {
    if (this.blockedMs(key) > 0) return;
    const { windowMs, blockMs, blockMsMax } = this.#settings;
    const nowMs = this.#now();
    const failuresMax = nowMs < this.#waryUntilMs ? 1 : this.#settings.failuresMax;
    const standing = this.#standingOf(key, nowMs);
    if (standing.windowEndsMs <= nowMs) {
      standing.failuresCount = 0;
      standing.windowEndsMs = nowMs + windowMs;
    }
    standing.failuresCount += 1;
    standing.forgetMs = Math.max(standing.forgetMs, standing.windowEndsMs);
    if (standing.failuresCount < failuresMax) return;
    standing.blockMs = Math.min(blockMsMax, blockMs * 2 ** standing.blocksCount);
    standing.blocksCount = Math.min(blocksGrowingMax, standing.blocksCount + 1);
    standing.blockedUntilMs = nowMs + standing.blockMs;
    standing.failuresCount = 0;
    standing.windowEndsMs = 0;
    // Who comes back right after a block and fails again is the same one.
    standing.forgetMs = standing.blockedUntilMs + blockMsMax;
    this.#blockedCount += 1;
    this.#onNews({ kind: 'begin', key, blockMs: standing.blockMs });
  }

  /** A clock that was set back meanwhile makes nothing last longer than it may. */
  #goOn({ key, blockMs, blocksCount, untilMs, forgetMs }: KeptBlock): void {
    const { blockMsMax } = this.#settings;
    const nowMs = this.#now();
    const [leftMs, knownMs] = [untilMs - Date.now(), forgetMs - Date.now()];
    if (knownMs <= 0) return;
    const blocked = leftMs > 0;
    if (blocked) this.#blockedCount += 1;
    this.#standings.set(key, {
      failuresCount: 0,
      windowEndsMs: 0,
      blockedUntilMs: blocked ? nowMs + Math.min(leftMs, blockMsMax) : 0,
      blocksCount: Math.min(blocksGrowingMax, blocksCount),
      blockMs: Math.min(blockMs, blockMsMax),
      forgetMs: nowMs + Math.min(knownMs, 2 * blockMsMax),
    });
  }

  /** Ends what is over, and forgets. To be called every now and then, so that each end is told. */
  sweep(): void {
    const nowMs = this.#now();
    for (const [key, standing] of this.#standings) {
      if (standing.blockedUntilMs > 0 && standing.blockedUntilMs <= nowMs) this.#end(key, standing);
      if (standing.forgetMs <= nowMs && standing.blockedUntilMs === 0) this.#standings.delete(key);
    }
  }

  #standingOf(key: string, nowMs: number): Standing {
    const known = this.#standings.get(key);
    if (known !== undefined && known.forgetMs > nowMs) return known;
    if (known === undefined && this.#standings.size >= this.#settings.keysMax) this.#forgetOne();
    const fresh = { failuresCount: 0, windowEndsMs: 0, blockedUntilMs: 0, blocksCount: 0, blockMs: 0, forgetMs: 0 };
    this.#standings.set(key, fresh);
    return fresh;
  }

  #forgetOne(): void {
    let lookedAt = 0;
    for (const [key, { blockedUntilMs }] of this.#standings) {
      lookedAt += 1;
      if (blockedUntilMs > 0 && lookedAt < 64) continue;
      const standing = this.#standings.get(key) as Standing;
      if (standing.blockedUntilMs > 0) this.#end(key, standing);
      this.#standings.delete(key);
      return;
    }
    // All of a small table are blocked: the oldest block gives way.
    const [oldest] = this.#standings;
    if (oldest === undefined) return;
    this.#end(...oldest);
    this.#standings.delete(oldest[0]);
  }

  #end(key: string, standing: Standing): void {
    standing.blockedUntilMs = 0;
    this.#blockedCount -= 1;
    this.#onNews({ kind: 'end', key, blockMs: standing.blockMs });
  }
}
