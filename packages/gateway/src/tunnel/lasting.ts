/**
 * What lasts: WebSockets, and answers that go on as events come. A request is judged once, when it begins; what lasts for hours is looked at again all the time, and ended when whoever
 * has it would not be let in any more. How many there are is bounded (places.ts).
 */
import type { PlaceRefusal, Places } from './places.ts';

export interface Lasting {
  /** Why it may go on no longer; undefined while it may. */
  standing(nowMs: number): string | undefined;
  /** Ends it, soon; more than once does no harm. */
  end(reason: string): void;
}

export interface LastingSettings {
  /** Who counts those of one person and of all. */
  readonly places: Places;
  /** Of this process, whatever others have. */
  readonly countMax: number;
}

const lookEveryMs = 500;

export type LastingRefusal = 'going-away' | PlaceRefusal;

/** Whoever took it gives it back, by disposing of it. */
export interface Place extends Disposable {
  /** From here on it is looked at. One that begins while all are being ended is ended, too. */
  begin(one: Lasting): void;
}

export class LastingOnes implements Disposable {
  readonly #settings: LastingSettings;
  readonly #now: () => number;
  readonly #all = new Set<Lasting>();
  #count = 0;
  #timer: NodeJS.Timeout | undefined;
  #goingAway = false;

  constructor(settings: LastingSettings, now: () => number = Date.now) {
    this.#settings = settings;
    this.#now = now;
  }

  /** Places that are taken here. */
  get count(): number {
    return this.#count;
  }

  /** A place for one of that person, or why there is none. A promise where others are asked; never rejects. */
  enter(holder: string): Place | LastingRefusal | Promise<Place | LastingRefusal> {
    const { countMax, places } = this.#settings;
    if (this.#goingAway) return 'going-away';
    if (this.#count >= countMax) return 'too-many';
    this.#count += 1;
    const place = this.#placeOf();
    const settle = (refusal: PlaceRefusal | undefined): Place | PlaceRefusal => {
      if (refusal === undefined) return place;
      place[Symbol.dispose]();
      return refusal;
    };
    const entering = places.enter(place, holder);
    return entering instanceof Promise ? entering.then(settle) : settle(entering);
  }

  #placeOf(): Place {
    let begun: Lasting | undefined;
    let left = false;
    const place: Place = {
      begin: (one) => {
        begun = one;
        this.#begin(one);
      },
      [Symbol.dispose]: () => {
        if (left) return;
        left = true;
        this.#settings.places.leave(place);
        this.#leave(begun);
      },
    };
    return place;
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

  #begin(one: Lasting): void {
    this.#all.add(one);
    if (this.#goingAway) one.end('going-away');
    this.#timer ??= setInterval(() => this.look(), lookEveryMs).unref();
  }

  #leave(one: Lasting | undefined): void {
    this.#count -= 1;
    if (one !== undefined) this.#all.delete(one);
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
