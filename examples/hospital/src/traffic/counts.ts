/** What happened since the last line: counts and latencies, nothing about anybody. */
const latenciesMax = 20_000;

export class Counts {
  #ok = 0;
  #denied = 0;
  #failed = 0;
  #unreachable = 0;
  #skipped = 0;
  #misuse = 0;
  #latenciesMs: number[] = [];
  total = 0;

  answered(status: number, elapsedMs: number): void {
    this.total++;
    if (status < 400) this.#ok++;
    else if (status === 401 || status === 403) this.#denied++;
    else this.#failed++;
    if (this.#latenciesMs.length < latenciesMax) this.#latenciesMs.push(elapsedMs);
  }

  unreachable(): void {
    this.#unreachable++;
  }

  /** A request whose turn came while too many were under way. */
  skipped(): void {
    this.#skipped++;
  }

  misuse(): void {
    this.#misuse++;
  }

  /** One line, and a new beginning. */
  line(overMs: number): string {
    const count = this.#ok + this.#denied + this.#failed;
    const sorted = this.#latenciesMs.toSorted((one, other) => one - other);
    const at = (share: number): string => `${(sorted[Math.floor(sorted.length * share)] ?? 0).toFixed(0)} ms`;
    const line = [
      `traffic: ${count} requests (${(count / (overMs / 1000)).toFixed(1)}/s)`,
      `${this.#ok} ok`,
      `${this.#denied} denied`,
      `${this.#failed} failed`,
      `${this.#unreachable} unreachable`,
      ...(this.#skipped > 0 ? [`${this.#skipped} skipped`] : []),
      `misuse ${this.#misuse}`,
      `p50 ${at(0.5)}`,
      `p95 ${at(0.95)}`,
    ].join(', ');
    this.#ok = this.#denied = this.#failed = this.#unreachable = this.#skipped = this.#misuse = 0;
    this.#latenciesMs = [];
    return line;
  }
}
