/**
 * One origin that an API is reached at: its connections, how it is, and how many are under way to it. What it is told decides; it asks nothing by itself.
 */
import type { Pool } from 'undici';

import type { Breaking } from '../limits/breaker.ts';
import type { Condition } from './condition.ts';

export class Replica {
  readonly origin: string;
  readonly pool: Pool;
  /** For what may last: hours of it must not keep the connections from requests. */
  readonly lastingPool: Pool;
  readonly #condition: Condition;
  /** Requests, and connections that last, under way to it. */
  pendingCount = 0;

  constructor(options: {
    readonly origin: string;
    readonly pool: Pool;
    readonly lastingPool: Pool;
    readonly condition: Condition;
  }) {
    this.origin = options.origin;
    this.pool = options.pool;
    this.lastingPool = options.lastingPool;
    this.#condition = options.condition;
  }

  get breaker(): Breaking {
    return this.#condition.breaker;
  }

  get well(): boolean {
    return this.#condition.well;
  }

  /** Nothing is known against it. */
  get usable(): boolean {
    return this.#condition.well && !this.#condition.breaker.open;
  }
}
