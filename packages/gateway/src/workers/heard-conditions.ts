/**
 * How the origins of the APIs are, as a worker has it from its primary, which alone probes and judges. What went wrong is told at once, what went well is counted and told every so often; who may try
 * whether an API is back is asked. So all workers together open a breaker by the failure that is one too many, and have one trial out.
 *
 * Not exact: what is sent in the moment until an opened breaker is heard of, and successes of the last `reportEveryMs`, which keep one closed. While the primary gives no answer each worker judges by itself.
 */
import { Breaker, type BreakerSettings, type Breaking, ordinary, type Pass } from '../limits/breaker.ts';
import type { Condition, ConditionState, Conditions } from '../upstream/condition.ts';
import { answerMsMax, type Primary } from './asking.ts';

const reportEveryMs = 200;

export class HeardConditions implements Conditions {
  readonly #primary: Primary;
  readonly #settings: (upstream: string) => BreakerSettings;
  readonly #all = new Map<string, HeardCondition>();

  constructor(
    primary: Primary,
    options: {
      readonly settings: (upstream: string) => BreakerSettings;
      readonly states: readonly ConditionState[];
    },
  ) {
    this.#primary = primary;
    this.#settings = options.settings;
    for (const state of options.states) this.hear(state);
  }

  of(upstream: string, origin: string): HeardCondition {
    const key = `${upstream} ${origin}`;
    const known = this.#all.get(key);
    if (known !== undefined) return known;
    const breaker = new HeardBreaker(this.#primary, { upstream, origin, settings: this.#settings(upstream) });
    const made = new HeardCondition(breaker);
    this.#all.set(key, made);
    return made;
  }

  hear(state: ConditionState): void {
    this.of(state.upstream, state.origin).hear(state);
  }
}

class HeardCondition implements Condition {
  readonly breaker: HeardBreaker;
  well = true;

  constructor(breaker: HeardBreaker) {
    this.breaker = breaker;
  }

  hear({ well, sparedMs }: ConditionState): void {
    this.well = well;
    this.breaker.hear(sparedMs);
  }
}

/** Given while the primary doesn't answer: how it ended is this worker's own business. */
interface AlonePass extends Pass {
  readonly alone: Pass;
}

class HeardBreaker implements Breaking {
  readonly #primary: Primary;
  readonly #where: readonly [upstream: string, origin: string];
  readonly #settings: BreakerSettings;
  /** What this worker finds by itself. */
  readonly #alone: Breaker;
  /** Of the worker's clock: when somebody may try; undefined while it is closed. */
  #tryAtMs: number | undefined;
  #successesCount = 0;
  #reporting: NodeJS.Timeout | undefined;

  constructor(
    primary: Primary,
    of: { readonly upstream: string; readonly origin: string; readonly settings: BreakerSettings },
  ) {
    this.#primary = primary;
    this.#where = [of.upstream, of.origin];
    this.#settings = of.settings;
    this.#alone = new Breaker(of.settings, { onNews: () => undefined });
  }

  get open(): boolean {
    return this.#primary.answers ? this.#tryAtMs !== undefined : this.#alone.open;
  }

  hear(sparedMs: number | undefined): void {
    this.#tryAtMs = sparedMs === undefined ? undefined : performance.now() + sparedMs;
  }

  admit(slow = false): Pass | number | Promise<Pass | number> {
    if (!this.#primary.answers) return this.#admitAlone(slow);
    if (this.#tryAtMs === undefined) return ordinary;
    const waitMs = this.#tryAtMs - performance.now();
    return waitMs > 0 ? waitMs : this.#ask(slow);
  }

  succeeded(pass: Pass): void {
    const alone = aloneIn(pass);
    if (alone !== undefined) this.#alone.succeeded(alone);
    else if (pass.trial > 0) this.#tell('succeeded', pass);
    else {
      this.#successesCount += 1;
      this.#reporting ??= setTimeout(() => this.#report(), reportEveryMs).unref();
    }
  }

  failed(pass: Pass): void {
    const alone = aloneIn(pass);
    if (alone !== undefined) this.#alone.failed(alone);
    else {
      this.#report();
      if (!this.#tell('failed', pass)) this.#alone.failed(ordinary);
    }
  }

  unknown(pass: Pass): void {
    const alone = aloneIn(pass);
    if (alone !== undefined) this.#alone.unknown(alone);
    else if (pass.trial > 0) this.#tell('unknown', pass);
  }

  async #ask(slow: boolean): Promise<Pass | number> {
    try {
      const answer = await this.#primary.ask('trial', [...this.#where, slow], answerMsMax, (late) => {
        const [trial] = saidIn(late);
        // A trial that nobody makes would be out for ever.
        if (typeof trial === 'number' && trial > 0) this.#tell('unknown', { trial });
      });
      const [trial, waitMs] = saidIn(answer);
      // Closed meanwhile: anybody may go.
      if (typeof trial === 'number') return trial === 0 ? ordinary : { trial };
      return typeof waitMs === 'number' ? waitMs : this.#settings.openMs;
    } catch {
      return this.#admitAlone(slow);
    }
  }

  #admitAlone(slow: boolean): Pass | number {
    const admitted = this.#alone.admit(slow);
    if (typeof admitted === 'number') return admitted;
    const pass: AlonePass = { trial: admitted.trial, alone: admitted };
    return pass;
  }

  #report(): void {
    clearTimeout(this.#reporting);
    this.#reporting = undefined;
    if (this.#successesCount > 0) this.#primary.tell('upstream-successes', [...this.#where, this.#successesCount]);
    this.#successesCount = 0;
  }

  #tell(how: 'succeeded' | 'failed' | 'unknown', { trial }: Pass): boolean {
    return this.#primary.tell('upstream-outcome', [...this.#where, how, trial]);
  }
}

function aloneIn(pass: Pass): Pass | undefined {
  return 'alone' in pass ? (pass as AlonePass).alone : undefined;
}

function saidIn(answer: unknown): readonly unknown[] {
  return Array.isArray(answer) ? (answer as readonly unknown[]) : [];
}
