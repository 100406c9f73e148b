/**
 * How one origin of an API is: whether its probes find it well, and whether it is spared because requests failed. All processes of a gateway have one opinion of it: who
 * owns it is told how probes and requests went, and the others hear what became of it (workers/heard-condition.ts).
 */
import { Breaker, type BreakerNews, type BreakerSettings, type Breaking } from '../limits/breaker.ts';

export interface HealthSettings {
  /** Asked with GET; any 2xx is well. */
  readonly path: string;
  readonly everyMs: number;
  readonly timeoutMs: number;
  /** So many in a row change its mind. */
  readonly healthyAfter: number;
  readonly unhealthyAfter: number;
}

export type ConditionNews = BreakerNews | 'down' | 'up';

export interface Condition {
  /** As the probes have it; well until they say otherwise. */
  readonly well: boolean;
  readonly breaker: Breaking;
}

/** Of each origin of each API. */
export interface Conditions {
  of(upstream: string, origin: string): Condition;
}

/** What others hear of it. */
export interface ConditionState {
  readonly upstream: string;
  readonly origin: string;
  readonly well: boolean;
  /** Undefined while it isn't spared; else how long until somebody may try. */
  readonly sparedMs?: number | undefined;
}

export class OwnCondition implements Condition {
  readonly breaker: Breaker;
  readonly #onNews: (news: ConditionNews) => void;
  readonly #onChange: () => void;
  readonly #health: Pick<HealthSettings, 'healthyAfter' | 'unhealthyAfter'> | undefined;
  #well = true;
  /** Probes in a row that say the opposite. */
  #contrary = 0;

  constructor(options: {
    readonly breaker: BreakerSettings;
    readonly health?: Pick<HealthSettings, 'healthyAfter' | 'unhealthyAfter'> | undefined;
    readonly onNews: (news: ConditionNews) => void;
    /** Called when what others hear of it is another. */
    readonly onChange?: () => void;
    readonly now?: (() => number) | undefined;
  }) {
    const { onChange = () => undefined, now } = options;
    this.#health = options.health;
    this.#onNews = options.onNews;
    this.#onChange = onChange;
    this.breaker = new Breaker(options.breaker, { onNews: options.onNews, onChange, now });
  }

  get well(): boolean {
    return this.#well;
  }

  probed(succeeded: boolean): void {
    if (this.#health === undefined) return;
    if (succeeded === this.#well) {
      this.#contrary = 0;
      return;
    }
    this.#contrary += 1;
    if (this.#contrary < (succeeded ? this.#health.healthyAfter : this.#health.unhealthyAfter)) return;
    this.#well = succeeded;
    this.#contrary = 0;
    this.#onNews(succeeded ? 'up' : 'down');
    this.#onChange();
  }
}
