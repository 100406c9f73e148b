/**
 * Wrapping anew in the background of the server: one job at a time, asked for once and looked at until it is over. What it did stays done whatever ends it; asking
 * again goes on.
 */
import { RecordError } from '@watchglass/record';
import { ServerError } from '../errors.ts';
import type { KeyService, RewrapOptions, RewrapReport } from '../ledger/kek/key-service.ts';

export interface RewrapStatus {
  readonly state: 'running' | 'done' | 'failed';
  readonly done: number;
  readonly total: number;
  readonly rewrapped: number;
  readonly already: number;
  readonly left: number;
  readonly failed: RewrapReport['failed'];
  /** Why it ended early; its code is one of the errors of record or of the ledger. */
  readonly error?: { readonly code: string; readonly message: string };
}

/** Places shown of files that don't open. */
const shownMax = 100;

export class RewrapJob implements AsyncDisposable {
  readonly #keys: Pick<KeyService, 'rewrap'>;
  readonly #stop: AbortController = new AbortController();
  #status: RewrapStatus | undefined;
  #running: Promise<void> | undefined;

  constructor(keys: Pick<KeyService, 'rewrap'>) {
    this.#keys = keys;
  }

  /** Undefined before the first. */
  get status(): RewrapStatus | undefined {
    return this.#status;
  }

  /** @throws ServerError `over-capacity` while one runs */
  start(options: Pick<RewrapOptions, 'tenants' | 'record'>): RewrapStatus {
    if (this.#running !== undefined)
      throw new ServerError('over-capacity', 'keys are being wrapped anew already; GET /v1/keys says how far it is', {
        retryAfterMs: 1_000,
      });
    const begun: RewrapStatus = { state: 'running', done: 0, total: 0, rewrapped: 0, already: 0, left: 0, failed: [] };
    this.#status = begun;
    this.#running = this.#run(options).finally(() => {
      this.#running = undefined;
    });
    return begun;
  }

  async #run(options: Pick<RewrapOptions, 'tenants' | 'record'>): Promise<void> {
    const before = (): RewrapStatus => this.#status as RewrapStatus;
    try {
      const report = await this.#keys.rewrap({
        ...options,
        signal: this.#stop.signal,
        onProgress: ({ done, total }) => {
          this.#status = { ...before(), done, total };
        },
      });
      const failed = report.failed.slice(0, shownMax);
      this.#status = { ...before(), ...report, failed, state: report.failed.length === 0 ? 'done' : 'failed' };
    } catch (error) {
      // A message of ours names keys and files, no people; another error's might quote anything.
      const code = error instanceof Error && 'code' in error ? String(error.code) : 'internal';
      const message = error instanceof RecordError ? error.message : 'it was ended; the log of the server says why';
      this.#status = { ...before(), state: 'failed', error: { code, message } };
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort(new Error('the server is stopping'));
    await this.#running;
  }
}
