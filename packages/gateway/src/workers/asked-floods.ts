/**
 * The one gate for refusals without end, as a worker asks it: for the first of a kind and source in a window, until the primary says that no more of them get an event of their own. From there on the worker counts
 * by itself, and tells its counts every second and when it ends. So a flood asks as many questions as it has events, whoever it strikes.
 *
 * A worker that is killed takes the counts of its last second along. While the primary gives no answer each worker has a gate of its own.
 */
import { type FloodGate, type Floods, floodKeysMax } from '../capture/flood.ts';
import type { EventDraftFacts } from '../capture/recorder.ts';
import { answerMsMax, type Primary, shortened } from './asking.ts';

const tellEveryMs = 1_000;
const countsMax = 200;

interface Counting {
  readonly sample: EventDraftFacts;
  /** Of the worker's clock. */
  readonly untilMs: number;
  count: number;
}

export class AskedFloods implements Floods, Disposable {
  readonly #primary: Primary;
  readonly #alone: FloodGate<EventDraftFacts>;
  /** What gets no event of its own any more, until the window ends. */
  readonly #counting = new Map<string, Counting>();
  #timer: NodeJS.Timeout | undefined;

  /** `alone`: the gate for when the primary is silent. */
  constructor(primary: Primary, alone: FloodGate<EventDraftFacts>) {
    this.#primary = primary;
    this.#alone = alone;
  }

  admit(key: string, sample: EventDraftFacts, ownSinglesMax?: number): boolean | Promise<boolean> {
    const short = this.#boundedOf(shortened(key));
    const known = this.#counting.get(short);
    if (known !== undefined && performance.now() < known.untilMs) {
      known.count += 1;
      this.#timer ??= setTimeout(() => this.#tell(), tellEveryMs).unref();
      return false;
    }
    if (!this.#primary.answers) return this.#alone.admit(key, sample, ownSinglesMax);
    return this.#ask(short, sample, ownSinglesMax);
  }

  flush(): void {
    this.#tell();
    this.#alone.flush();
  }

  [Symbol.dispose](): void {
    this.#tell();
    this.#alone[Symbol.dispose]();
  }

  async #ask(key: string, sample: EventDraftFacts, ownSinglesMax: number | undefined): Promise<boolean> {
    try {
      const answer = await this.#primary.ask('flood', [key, ownSinglesMax ?? null, sample], answerMsMax);
      const [admitted, leftMs] = Array.isArray(answer) ? (answer as readonly unknown[]) : [];
      if (typeof admitted !== 'boolean' || typeof leftMs !== 'number') return this.#alone.admit(key, sample);
      if (!admitted) this.#count(key, { sample, leftMs });
      return admitted;
    } catch {
      return this.#alone.admit(key, sample, ownSinglesMax);
    }
  }

  /** The one that was asked about is counted there already. */
  #count(key: string, { sample, leftMs }: { readonly sample: EventDraftFacts; readonly leftMs: number }): void {
    const count = this.#counting.get(key)?.count ?? 0;
    this.#counting.set(key, { sample, untilMs: performance.now() + leftMs, count });
  }

  /** Beyond the bound they share one count, which never has an event for one of them. */
  #boundedOf(key: string): string {
    return this.#counting.size < floodKeysMax || this.#counting.has(key) ? key : '*';
  }

  #tell(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    const nowMs = performance.now();
    let counts: [string, number, EventDraftFacts | null][] = [];
    for (const [key, counting] of this.#counting) {
      const over = counting.untilMs <= nowMs;
      // What it was like was told in this window already.
      if (counting.count > 0) counts.push([key, counting.count, over ? counting.sample : null]);
      counting.count = 0;
      if (over) this.#counting.delete(key);
      if (counts.length < countsMax) continue;
      this.#primary.tell('flood-counts', counts);
      counts = [];
    }
    if (counts.length > 0) this.#primary.tell('flood-counts', counts);
  }
}
