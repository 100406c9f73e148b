/**
 * Places of what lasts, as a worker takes them from its primary: how many one person has, and how many there are, is counted for all workers together, and those of one that died are free. While the
 * primary gives no answer each worker has its share.
 */
import { OwnPlaces, type PlaceRefusal, type PlaceSettings, type Places } from '../tunnel/places.ts';
import { answerMsMax, type Primary, shortened } from './asking.ts';

export class AskedPlaces implements Places {
  readonly #primary: Primary;
  readonly #alone: OwnPlaces;
  readonly #tickets = new Map<object, number>();
  #lastTicket = 0;

  constructor(primary: Primary, { perHolderMax, countMax }: PlaceSettings, count: number) {
    const share = (max: number): number => Math.max(1, Math.floor(max / count));
    this.#primary = primary;
    this.#alone = new OwnPlaces({ perHolderMax: share(perHolderMax), countMax: share(countMax) });
  }

  enter(one: object, holder: string): PlaceRefusal | undefined | Promise<PlaceRefusal | undefined> {
    return this.#primary.answers ? this.#ask(one, holder) : this.#alone.enter(one, holder);
  }

  /** What was asked is answered before this is heard, or was given up. */
  leave(one: object): void {
    this.#alone.leave(one);
    const ticket = this.#tickets.get(one);
    if (ticket === undefined) return;
    this.#tickets.delete(one);
    this.#primary.tell('place-leave', ticket);
  }

  async #ask(one: object, holder: string): Promise<PlaceRefusal | undefined> {
    this.#lastTicket += 1;
    const ticket = this.#lastTicket;
    this.#tickets.set(one, ticket);
    try {
      const refusal = await this.#primary.ask('place', [ticket, shortened(holder)], answerMsMax);
      return refusal === 'too-many' || refusal === 'too-many-of-one' ? refusal : undefined;
    } catch {
      return this.#alone.enter(one, holder);
    }
  }
}
