/**
 * Spares an API that is down: when so many requests failed within a window, and no fewer than went well, nothing more is sent to it for a while; then one request
 * is let through to see, and its outcome decides. What failed is for the caller to say; that a client went away says nothing.
 */

export interface BreakerSettings {
  readonly failuresMax: number;
  readonly windowMs: number;
  /** Until the first request that tries again; doubles with each that fails. */
  readonly openMs: number;
  readonly openMsMax: number;
}

export type BreakerNews = 'opened' | 'closed';

type State =
  | { readonly kind: 'closed' }
  | { readonly kind: 'open'; readonly openMs: number; readonly untilMs: number }
  /** One request is under way to see; if nothing is heard of it until then, another may. */
  | { readonly kind: 'probing'; readonly openMs: number; readonly untilMs: number };

export class Breaker {
  readonly #settings: BreakerSettings;
  readonly #now: () => number;
  readonly #onNews: (news: BreakerNews) => void;
  #state: State = { kind: 'closed' };
  #windowEndsMs = 0;
  #failuresCount = 0;
  #successesCount = 0;

  constructor(
    settings: BreakerSettings,
    options: { readonly onNews: (news: BreakerNews) => void; readonly now?: (() => number) | undefined },
  ) {
    this.#settings = settings;
    this.#onNews = options.onNews;
    this.#now = options.now ?? (() => performance.now());
  }

  /** From the failures that opened it to the success that closed it. */
  get open(): boolean {
    return this.#state.kind !== 'closed';
  }

  /** 0 when a request may go; else how long to wait with the next. Whoever gets 0 says how it ended, by one of the three below. */
  waitMs(): number {
    if (this.#state.kind === 'closed') return 0;
    const nowMs = this.#now();
    const { openMs, untilMs } = this.#state;
    if (nowMs < untilMs) return untilMs - nowMs;
    this.#state = { kind: 'probing', openMs, untilMs: nowMs + openMs };
    return 0;
  }

  succeeded(): void {
    this.#turnWindow();
    this.#successesCount += 1;
    if (this.#state.kind !== 'probing') return;
    this.#state = { kind: 'closed' };
    this.#windowEndsMs = 0;
    this.#onNews('closed');
  }

  failed(): void {
    const { failuresMax, openMs, openMsMax } = this.#settings;
    const nowMs = this.#turnWindow();
    this.#failuresCount += 1;
    switch (this.#state.kind) {
      case 'closed':
        if (this.#failuresCount < failuresMax || this.#failuresCount < this.#successesCount) return;
        this.#state = { kind: 'open', openMs, untilMs: nowMs + openMs };
        this.#onNews('opened');
        return;
      case 'probing': {
        const longer = Math.min(openMsMax, this.#state.openMs * 2);
        this.#state = { kind: 'open', openMs: longer, untilMs: nowMs + longer };
        return;
      }
      case 'open':
        // One that was under way before.
        return;
      default:
        this.#state satisfies never;
    }
  }

  /** It came to nothing for another reason: the next one may see. */
  unknown(): void {
    if (this.#state.kind === 'probing') this.#state = { ...this.#state, kind: 'open', untilMs: this.#now() };
  }

  #turnWindow(): number {
    const nowMs = this.#now();
    if (nowMs >= this.#windowEndsMs) {
      this.#windowEndsMs = nowMs + this.#settings.windowMs;
      this.#failuresCount = 0;
      this.#successesCount = 0;
    }
    return nowMs;
  }
}
