/**
 * Refusals without end must not become events without end. The first ones of a kind and source in a window are recorded one by one; the rest are
 * counted, and the window's end makes one event of each count. Nothing is lost but the repetition. Processes of one gateway have one gate (workers/asked-floods.ts).
 */
import type { EventDraftFacts } from './recorder.ts';

const windowMs = 10_000;
const singleMax = 20;
export const floodKeysMax = 5_000;
/** Of all kinds and sources together: whoever has many addresses gets no more events out of it. */
const singlesMax = 1_000;

export interface Flood<T> {
  /** What the first counted refusal was like. */
  readonly sample: T;
  /** How many weren't recorded one by one. */
  readonly count: number;
}

/** What is asked whenever something is refused that may come without end. */
export interface Floods {
  /** True when this one deserves an event of its own. A promise where others are asked; never rejects. */
  admit(key: string, sample: EventDraftFacts, ownSinglesMax?: number): boolean | Promise<boolean>;
  /** Says now what was counted. */
  flush(): void;
}

interface Tally<T> {
  readonly sample: T;
  count: number;
  /** Of those, recorded one by one. */
  singles: number;
}

export class FloodGate<T> implements Disposable {
  #tallies = new Map<string, Tally<T>>();
  /** Of the window before. */
  #before: ReadonlyMap<string, Tally<T>> = new Map();
  readonly #onWindowEnd: (floods: readonly Flood<T>[]) => void;
  readonly #windowMs: number;
  readonly #timer: NodeJS.Timeout;
  #beganMs = performance.now();
  #singles = 0;

  constructor(onWindowEnd: (floods: readonly Flood<T>[]) => void, options: { readonly windowMs?: number } = {}) {
    this.#onWindowEnd = onWindowEnd;
    this.#windowMs = options.windowMs ?? windowMs;
    this.#timer = setInterval(() => this.flush(), this.#windowMs);
    this.#timer.unref();
  }

  /** Until the window ends. */
  get leftMs(): number {
    return Math.max(0, this.#beganMs + this.#windowMs - performance.now());
  }

  /** True when this one deserves an event of its own. Beyond the bound of kinds and sources they share one count. */
  admit(key: string, sample: T, ownSinglesMax: number = singleMax): boolean {
    const bounded = this.#boundedOf(key);
    const tally = this.#tallyOf(bounded, sample);
    tally.count += 1;
    if (bounded === '*' || tally.singles >= ownSinglesMax || this.#singles >= singlesMax) return false;
    tally.singles += 1;
    this.#singles += 1;
    return true;
  }

  /** So many that have no event of their own. `sample` may be left out where one was given in this window or the one before it. */
  add(key: string, count: number, sample: T | undefined): void {
    const bounded = this.#boundedOf(key);
    const known = (this.#tallies.get(bounded) ?? this.#before.get(bounded))?.sample ?? sample;
    if (known !== undefined) this.#tallyOf(bounded, known).count += count;
  }

  #tallyOf(bounded: string, sample: T): Tally<T> {
    const tally = this.#tallies.get(bounded) ?? { sample, count: 0, singles: 0 };
    this.#tallies.set(bounded, tally);
    return tally;
  }

  #boundedOf(key: string): string {
    return this.#tallies.has(key) || this.#tallies.size < floodKeysMax ? key : '*';
  }

  /** Ends the window now. */
  flush(): void {
    const floods: Flood<T>[] = [];
    for (const { sample, count, singles } of this.#tallies.values())
      if (count > singles) floods.push({ sample, count: count - singles });
    this.#before = this.#tallies;
    this.#tallies = new Map();
    this.#singles = 0;
    this.#beganMs = performance.now();
    if (floods.length > 0) this.#onWindowEnd(floods);
  }

  [Symbol.dispose](): void {
    clearInterval(this.#timer);
    this.flush();
  }
}
