/**
 * What lasts: WebSockets, and answers that go on as events come. A request is judged once, when it begins; what lasts for hours is looked at again all the time, and ended when whoever
 * has it would not be let in any more. How many there are of one person and of all is bounded here.
 */

export interface Lasting {
  /** Whose it is. */
  readonly holder: string;
  /** Why it may go on no longer; undefined while it may. */
  standing(nowMs: number): string | undefined;
  /** Ends it, soon; more than once does no harm. */
  end(reason: string): void;
}

export interface LastingSettings {
  /** Of one person, and of all. */
  readonly perHolderMax: number;
  readonly countMax: number;
}

const lookEveryMs = 500;

export type LastingRefusal = 'going-away' | 'too-many' | 'too-many-of-one';

export class LastingOnes implements Disposable {
  readonly #settings: LastingSettings;
  readonly #now: () => number;
  readonly #all = new Set<Lasting>();
  readonly #counts = new Map<string, number>();
  #timer: NodeJS.Timeout | undefined;
  #goingAway = false;

  constructor(settings: LastingSettings, now: () => number = Date.now) {
    this.#settings = settings;
    this.#now = now;
  }

  get count(): number {
    return this.#all.size;
  }

  /** Why there is no room for another one; undefined where there is. */
  refusal(holder: string): LastingRefusal | undefined {
    if (this.#goingAway) return 'going-away';
    if (this.#all.size >= this.#settings.countMax) return 'too-many';
    return (this.#counts.get(holder) ?? 0) >= this.#settings.perHolderMax ? 'too-many-of-one' : undefined;
  }

  /** Call what comes back once it is over. One that comes while all are being ended is ended, too. */
  add(one: Lasting): () => void {
    this.#all.add(one);
    this.#counts.set(one.holder, (this.#counts.get(one.holder) ?? 0) + 1);
    if (this.#goingAway) one.end('going-away');
    this.#timer ??= setInterval(() => this.look(), lookEveryMs).unref();
    return () => this.#leave(one);
  }

  /** Looks at each of them now. */
  look(): void {
    const nowMs = this.#now();
    for (const one of this.#all) {
      const reason = standingOf(one, nowMs);
      if (reason !== undefined) one.end(reason);
    }
  }

  /** Ends all of them, and lets no other in. */
  [Symbol.dispose](): void {
    this.#goingAway = true;
    for (const one of this.#all) one.end('going-away');
  }

  #leave(one: Lasting): void {
    if (!this.#all.delete(one)) return;
    const count = (this.#counts.get(one.holder) ?? 0) - 1;
    if (count > 0) this.#counts.set(one.holder, count);
    else this.#counts.delete(one.holder);
    if (this.#all.size > 0) return;
    clearInterval(this.#timer);
    this.#timer = undefined;
  }
}

/** Who can't be judged may not go on. */
function standingOf(one: Lasting, nowMs: number): string | undefined {
  try {
    return one.standing(nowMs);
  } catch {
    return 'gateway-fault';
  }
}
