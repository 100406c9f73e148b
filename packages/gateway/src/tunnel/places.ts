/**
 * How many of what lasts there are, of one person and of all. Taken before it is known what becomes of it: of many that come at once none is let in beyond the bound. Only who has a place is kept,
 * so the memory is bounded by the places there are.
 */

export interface PlaceSettings {
  /** Of one person, and of all. */
  readonly perHolderMax: number;
  readonly countMax: number;
}

export type PlaceRefusal = 'too-many' | 'too-many-of-one';

export interface Places {
  /** Undefined when it has a place, else why there is none. `leave` is owed in any case. A promise where others count too; never rejects. */
  enter(one: object, holder: string): PlaceRefusal | undefined | Promise<PlaceRefusal | undefined>;
  /** For one that never entered it does nothing. */
  leave(one: object): void;
}

export class OwnPlaces implements Places {
  readonly #settings: PlaceSettings;
  readonly #holders = new Map<object, string>();
  readonly #counts = new Map<string, number>();

  constructor(settings: PlaceSettings) {
    this.#settings = settings;
  }

  enter(one: object, holder: string): PlaceRefusal | undefined {
    const { countMax, perHolderMax } = this.#settings;
    const own = this.#counts.get(holder) ?? 0;
    if (this.#holders.size >= countMax) return 'too-many';
    if (own >= perHolderMax) return 'too-many-of-one';
    this.#holders.set(one, holder);
    this.#counts.set(holder, own + 1);
    return undefined;
  }

  leave(one: object): void {
    const holder = this.#holders.get(one);
    if (holder === undefined) return;
    this.#holders.delete(one);
    const own = (this.#counts.get(holder) ?? 0) - 1;
    if (own > 0) this.#counts.set(holder, own);
    else this.#counts.delete(holder);
  }
}
