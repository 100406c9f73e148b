/**
 * Asks an origin every now and then whether it is well: a GET of the gateway's own, without a token and about nobody, on a connection of its own, so that neither a
 * full pool nor a connection from better days decides. Single answers are no events; what they add up to is for its condition to say (condition.ts).
 */
import { Pool } from 'undici';

import type { HealthSettings } from './condition.ts';

type Connect = NonNullable<Pool.Options['connect']>;

export class HealthProbe implements AsyncDisposable {
  readonly #settings: HealthSettings;
  readonly #pool: Pool;
  readonly #ended = new AbortController();
  readonly #onProbe: (succeeded: boolean) => void;
  #timer: NodeJS.Timeout | undefined;
  #probing: Promise<void> = Promise.resolve();

  constructor(
    origin: string,
    settings: HealthSettings,
    options: { readonly connect: Connect; readonly onProbe: (succeeded: boolean) => void },
  ) {
    this.#settings = settings;
    this.#onProbe = options.onProbe;
    this.#pool = new Pool(origin, { connections: 1, allowH2: false, connect: options.connect });
    this.#next(0);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#ended.abort();
    clearTimeout(this.#timer);
    await this.#probing;
    await this.#pool.destroy();
  }

  #next(waitMs: number): void {
    this.#timer = setTimeout(() => {
      this.#probing = this.#probe().then((succeeded) => {
        if (this.#ended.signal.aborted) return;
        this.#onProbe(succeeded);
        this.#next(this.#settings.everyMs);
      });
    }, waitMs);
    this.#timer.unref();
  }

  async #probe(): Promise<boolean> {
    const signal = AbortSignal.any([this.#ended.signal, AbortSignal.timeout(this.#settings.timeoutMs)]);
    try {
      const { statusCode, body } = await this.#pool.request({
        method: 'GET',
        path: this.#settings.path,
        headers: { 'user-agent': 'watchglass-health', accept: '*/*' },
        reset: true,
        signal,
      });
      // The head said it; the body isn't waited for.
      body.on('error', () => undefined);
      body.destroy();
      return statusCode >= 200 && statusCode < 300;
    } catch {
      return false;
    }
  }
}
