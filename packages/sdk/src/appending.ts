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
  readonly resolve: (appended: Appended) => void;
  readonly reject: (error: unknown) => void;
  /** They say of others, which are being written, that they came too late: nothing may stand between. */
  readonly correcting: boolean;

  constructor(
    bodies: readonly EventBody[],
    bytes: number,
    { correcting = false }: { readonly correcting?: boolean } = {},
  ) {
    this.bodies = bodies;
    this.bytes = bytes;
    this.correcting = correcting;
    const { promise, resolve, reject } = Promise.withResolvers<Appended>();
    this.appended = promise;
    this.resolve = resolve;
    this.reject = reject;
  }

  /** They have no way in. */
  static refused(error: unknown): Appending {
    const refused = new Appending([], 0);
    refused.reject(error);
    return refused;
  }
}
