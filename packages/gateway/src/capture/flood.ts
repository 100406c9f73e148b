/**
 * Refusals without end must not become events without end. The first ones of a kind and source in a window are recorded one by one; the rest are
 * counted, and the window's end makes one event of each count. Nothing is lost but the repetition.
 */

const windowMs = 10_000;
const singleMax = 20;
const keysMax = 5_000;
/** Of all kinds and sources together: whoever has many addresses gets no more events out of it. */
const singlesMax = 1_000;

export interface Flood<T> {
  /** What the first counted refusal was like. */
  readonly sample: T;
  /** How many weren't recorded one by one. */
  readonly count: number;
}

interface Tally<T> {
  readonly sample: T;
  count: number;
  /** Of those, recorded one by one. */
  singles: number;
}

export class FloodGate<T> implements Disposable {
  readonly #tallies = new Map<string, Tally<T>>();
  readonly #onWindowEnd: (floods: readonly Flood<T>[]) => void;
  readonly #timer: NodeJS.Timeout;
  #singles = 0;

  constructor(onWindowEnd: (floods: readonly Flood<T>[]) => void, options: { readonly windowMs?: number } = {}) {
    this.#onWindowEnd = onWindowEnd;
    this.#timer = setInterval(() => this.flush(), options.windowMs ?? windowMs);
    this.#timer.unref();
  }

  /** True when this one deserves an event of its own. Beyond the bound of kinds and sources they share one count. */
  admit(key: string, sample: T, ownSinglesMax: number = singleMax): boolean {
    const bounded = this.#tallies.has(key) || this.#tallies.size < keysMax ? key : '*';
    const tally = this.#tallies.get(bounded) ?? { sample, count: 0, singles: 0 };
    tally.count += 1;
    this.#tallies.set(bounded, tally);
    if (bounded === '*' || tally.singles >= ownSinglesMax || this.#singles >= singlesMax) return false;
    tally.singles += 1;
    this.#singles += 1;
    return true;
  }

  /** Ends the window now. */
  flush(): void {
    const floods: Flood<T>[] = [];
    for (const { sample, count, singles } of this.#tallies.values())
      if (count > singles) floods.push({ sample, count: count - singles });
    this.#tallies.clear();
    this.#singles = 0;
    if (floods.length > 0) this.#onWindowEnd(floods);
  }

  [Symbol.dispose](): void {
    clearInterval(this.#timer);
    this.flush();
  }
}
