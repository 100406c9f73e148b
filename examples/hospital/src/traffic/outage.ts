/**
 * Patience with a gateway that is away: after an unreachable request everybody waits, longer each time up to
 * {@link waitMaxMs}; the first answer ends it. People the gateway asked to come back later rest on their own.
 */
const waitMinMs = 250;
export const waitMaxMs = 8000;

export class Outage {
  readonly #monotonicMs: () => number;
  readonly #resting = new Map<string, number>();
  #waitMs = 0;
  #untilMs = 0;

  constructor(monotonicMs: () => number) {
    this.#monotonicMs = monotonicMs;
  }

  /** Milliseconds until the gateway should be tried again; 0 when it may be now. */
  get remainingMs(): number {
    return Math.max(0, this.#untilMs - this.#monotonicMs());
  }

  failed(): void {
    // Requests that were under way together fail together; they count once.
    if (this.remainingMs > 0) return;
    this.#waitMs = Math.min(waitMaxMs, Math.max(waitMinMs, this.#waitMs * 2));
    this.#untilMs = this.#monotonicMs() + this.#waitMs;
  }

  answered(): void {
    this.#waitMs = 0;
    this.#untilMs = 0;
  }

  rest(person: string, ms: number): void {
    this.#resting.set(person, this.#monotonicMs() + ms);
  }

  isResting(person: string): boolean {
    const until = this.#resting.get(person);
    if (until === undefined) return false;
    if (until > this.#monotonicMs()) return true;
    this.#resting.delete(person);
    return false;
  }
}
