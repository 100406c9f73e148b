/**
 * Spares an API that is down: when so many requests failed within a window, and no fewer than went well, nothing more is sent to it for a while; then one request
 * is let through to see, the trial, and its outcome alone decides. What failed is for the caller to say.
 *
 * One trial is out at a time, however long it takes: nothing but its own holder gives it back. What was under way before it neither closes nor reopens anything.
 */

export interface BreakerSettings {
  readonly failuresMax: number;
  readonly windowMs: number;
  /** Until the first request that tries again; doubles with each that fails. */
  readonly openMs: number;
  readonly openMsMax: number;
}

export type BreakerNews = 'opened' | 'closed';

/** What somebody may ask an API with. Whoever has one says once how it ended. */
export interface Pass {
  /** The trial that it is; 0 for any other request. */
  readonly trial: number;
}

/** What a replica asks before a request goes, and tells after it. */
export interface Breaking {
  /** From the failures that opened it to the success that closed it. */
  readonly open: boolean;
  /** A pass, or how long to wait with the next. A promise where others are asked too; never rejects. `slow`: see `Breaker.admit`. */
  admit(slow?: boolean): Pass | number | Promise<Pass | number>;
  succeeded(pass: Pass): void;
  failed(pass: Pass): void;
  /** It came to nothing for another reason. */
  unknown(pass: Pass): void;
}

type State =
  | { readonly kind: 'closed' }
  | { readonly kind: 'open'; readonly openMs: number; readonly untilMs: number }
  | { readonly kind: 'trying'; readonly openMs: number; readonly trial: number };

export const ordinary: Pass = { trial: 0 };

export class Breaker implements Breaking {
  readonly #settings: BreakerSettings;
  readonly #now: () => number;
  readonly #onNews: (news: BreakerNews) => void;
  readonly #onChange: () => void;
  #state: State = { kind: 'closed' };
  #lastTrial = 0;
  #windowEndsMs = 0;
  #failuresCount = 0;
  #successesCount = 0;

  constructor(
    settings: BreakerSettings,
    options: {
      readonly onNews: (news: BreakerNews) => void;
      /** Called when `open` or `sparedMs` are others, but for time that goes by and a trial that begins. */
      readonly onChange?: () => void;
      readonly now?: (() => number) | undefined;
    },
  ) {
    this.#settings = settings;
    this.#onNews = options.onNews;
    this.#onChange = options.onChange ?? (() => undefined);
    this.#now = options.now ?? (() => performance.now());
  }

  get open(): boolean {
    return this.#state.kind !== 'closed';
  }

  /** How long until somebody may try; undefined while it is closed. */
  get sparedMs(): number | undefined {
    const state = this.#state;
    if (state.kind === 'closed') return undefined;
    return state.kind === 'trying' ? state.openMs : Math.max(0, state.untilMs - this.#now());
  }

  /**
   * A `slow` request goes as fast as its client likes, and may be broken off by it: it is a trial only where for as long again nobody else came to be one. So who
   * sends bodies that never end can neither keep an API spared nor have every request be a trial.
   */
  admit(slow = false): Pass | number {
    const state = this.#state;
    switch (state.kind) {
      case 'closed':
        return ordinary;
      case 'trying':
        return state.openMs;
      case 'open': {
        const waitMs = state.untilMs + (slow ? this.#settings.openMs : 0) - this.#now();
        if (waitMs > 0) return waitMs;
        this.#lastTrial += 1;
        this.#state = { kind: 'trying', openMs: state.openMs, trial: this.#lastTrial };
        return { trial: this.#lastTrial };
      }
      default:
        return state satisfies never;
    }
  }

  succeeded({ trial }: Pass): void {
    if (this.#state.kind === 'closed') {
      this.countSuccesses(1);
      return;
    }
    if (this.#state.kind !== 'trying' || this.#state.trial !== trial) return;
    this.#windowEndsMs = 0;
    this.#turn({ kind: 'closed' });
    this.#onNews('closed');
  }

  failed({ trial }: Pass): void {
    const { failuresMax, openMs, openMsMax } = this.#settings;
    const state = this.#state;
    switch (state.kind) {
      case 'closed': {
        const nowMs = this.#turnWindow();
        this.#failuresCount += 1;
        if (this.#failuresCount < failuresMax || this.#failuresCount < this.#successesCount) return;
        this.#turn({ kind: 'open', openMs, untilMs: nowMs + openMs });
        this.#onNews('opened');
        return;
      }
      case 'trying': {
        if (state.trial !== trial) return;
        const longer = Math.min(openMsMax, state.openMs * 2);
        this.#turn({ kind: 'open', openMs: longer, untilMs: this.#now() + longer });
        return;
      }
      case 'open':
        // One that was under way before.
        return;
      default:
        state satisfies never;
    }
  }

  /** The next one may see. */
  unknown({ trial }: Pass): void {
    const state = this.#state;
    if (state.kind !== 'trying' || state.trial !== trial) return;
    this.#turn({ kind: 'open', openMs: state.openMs, untilMs: this.#now() });
  }

  /** So many went well elsewhere. */
  countSuccesses(count: number): void {
    this.#turnWindow();
    this.#successesCount += count;
  }

  #turn(state: State): void {
    this.#state = state;
    this.#onChange();
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
