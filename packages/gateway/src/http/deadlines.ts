/**
 * Many waits of the same length on one timer: they end in the order in which they began, so only the oldest is looked at. A request waits for its upstream and for its
 * record, and a timer of its own for each would cost more than what it guards against.
 *
 * They stand in a list that links them, not in a Set: each table that a Set outgrows or shrinks out of points to the next one, so that one of them in the old generation
 * keeps all that came after it alive, and every request with it.
 */
export class Wait {
  readonly dueMs: number;
  onLate: (() => void) | undefined;
  before: Wait | undefined;
  behind: Wait | undefined;

  constructor(dueMs: number, onLate: () => void) {
    this.dueMs = dueMs;
    this.onLate = onLate;
  }
}

export class Deadlines {
  readonly #waitMs: number;
  #oldest: Wait | undefined;
  #newest: Wait | undefined;
  #timer: NodeJS.Timeout | undefined;

  constructor(waitMs: number) {
    this.#waitMs = waitMs;
  }

  /** `onLate` is called unless the wait ends in time; until then the process stays alive for it. */
  begin(onLate: () => void): Wait {
    const wait = new Wait(performance.now() + this.#waitMs, onLate);
    wait.before = this.#newest;
    if (this.#newest === undefined) this.#oldest = wait;
    else this.#newest.behind = wait;
    this.#newest = wait;
    if (this.#timer === undefined) this.#arm(this.#waitMs);
    else if (wait.before === undefined) this.#timer.ref();
    return wait;
  }

  /** Once is enough, more does no harm. */
  end(wait: Wait): void {
    if (wait.onLate === undefined) return;
    const { before, behind } = wait;
    if (before === undefined) this.#oldest = behind;
    else before.behind = behind;
    if (behind === undefined) this.#newest = before;
    else behind.before = before;
    wait.onLate = wait.before = wait.behind = undefined;
    // It goes on for the next one, but keeps nobody from leaving.
    if (this.#oldest === undefined) this.#timer?.unref();
  }

  #arm(leftMs: number): void {
    this.#timer = setTimeout(() => this.#look(), Math.ceil(leftMs));
  }

  #look(): void {
    this.#timer = undefined;
    const nowMs = performance.now();
    for (let oldest = this.#oldest; oldest !== undefined; oldest = this.#oldest) {
      if (oldest.dueMs > nowMs) {
        if (this.#timer === undefined) this.#arm(oldest.dueMs - nowMs);
        return;
      }
      const { onLate } = oldest;
      this.end(oldest);
      onLate?.();
    }
  }
}
