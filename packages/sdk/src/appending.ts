/** Events on their way into a spool, together or not at all, and whoever waits for them. */
import type { EventBody } from './outgoing.ts';

export interface Appended {
  readonly firstSeq: number;
  readonly lastSeq: number;
}

export class Appending {
  readonly bodies: readonly EventBody[];
  readonly bytes: number;
  /** Resolves once they are durable; rejects where it is known that they aren't. */
  readonly appended: Promise<Appended>;
  /** Which others, being written by then, they say of that they came too late: nothing may stand between. */
  readonly corrects: Appending | undefined;
  readonly #settling: PromiseWithResolvers<Appended> = Promise.withResolvers<Appended>();
  durable = false;

  constructor(bodies: readonly EventBody[], bytes: number, { corrects }: { readonly corrects?: Appending } = {}) {
    this.bodies = bodies;
    this.bytes = bytes;
    this.corrects = corrects;
    this.appended = this.#settling.promise;
  }

  /** They have no way in. */
  static refused(error: unknown): Appending {
    const refused = new Appending([], 0);
    refused.reject(error);
    return refused;
  }

  /** What they correct stands there, and goes on saying what isn't so until they do. */
  get owed(): boolean {
    return this.corrects?.durable === true;
  }

  resolve(appended: Appended): void {
    this.durable = true;
    this.#settling.resolve(appended);
  }

  reject(error: unknown): void {
    this.#settling.reject(error);
  }
}
