/**
 * Which tokens' first use is on record. Whoever gets `first` says it and tells how that went; meanwhile others let the token in, and don't take it for said: who is about to say
 * it may yet come to nothing. Bounded: the oldest is forgotten, and said once more when it is used again.
 */

export type FirstUse = 'first' | 'being-said' | 'said';

export interface FirstUses {
  /** A promise where others have to be asked; never rejects. */
  take(digest: string): FirstUse | Promise<FirstUse>;
  /** On record, or not: owed for a `first`. */
  settle(digest: string, said: boolean): void;
}

const usesMax = 50_000;

export class OwnFirstUses implements FirstUses {
  readonly #uses = new Map<string, Exclude<FirstUse, 'first'>>();
  readonly #max: number;

  constructor(max: number = usesMax) {
    this.#max = max;
  }

  isSaid(digest: string): boolean {
    return this.#uses.get(digest) === 'said';
  }

  take(digest: string): FirstUse {
    const known = this.#uses.get(digest);
    if (known !== undefined) return known;
    this.#put(digest, 'being-said');
    return 'first';
  }

  settle(digest: string, said: boolean): void {
    if (this.#uses.get(digest) !== 'being-said') return;
    if (said) this.#uses.set(digest, 'said');
    else this.#uses.delete(digest);
  }

  /** Somebody else said it. */
  note(digest: string): void {
    this.#put(digest, 'said');
  }

  #put(digest: string, use: Exclude<FirstUse, 'first'>): void {
    if (this.#uses.size >= this.#max && !this.#uses.has(digest)) {
      const [oldest] = this.#uses.keys();
      if (oldest !== undefined) this.#uses.delete(oldest);
    }
    this.#uses.set(digest, use);
  }
}
