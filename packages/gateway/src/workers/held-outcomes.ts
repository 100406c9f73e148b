/**
 * Outcomes on their way to the worker that allowed what they complete. One that is just being started again gets them when it serves: it knows by the time in the id that an
 * earlier one allowed it. Bounded: what doesn't fit is lost like a line of a log, and the intent stands without its outcome.
 */
const heldMax = 4_096;

export class HeldOutcomes {
  readonly #tell: (slot: number, outcome: unknown) => boolean;
  readonly #held = new Map<number, unknown[]>();

  /** `tell`: false where nobody is there. */
  constructor(tell: (slot: number, outcome: unknown) => boolean) {
    this.#tell = tell;
  }

  /** `body`: a slot and what is for it. */
  pass(body: unknown): void {
    const [slot, outcome] = Array.isArray(body) ? (body as unknown[]) : [];
    if (typeof slot !== 'number' || this.#tell(slot, outcome)) return;
    const held = this.#held.get(slot) ?? [];
    if (held.length < heldMax) held.push(outcome);
    this.#held.set(slot, held);
  }

  flush(slot: number): void {
    const held = this.#held.get(slot) ?? [];
    this.#held.delete(slot);
    for (const outcome of held) this.#tell(slot, outcome);
  }
}
