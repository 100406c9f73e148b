/**
 * Witnesses for the logs of a ledger (docs/witnesses.md): others who cosign that each log only grows, so that a log put back to an older copy, or rewritten, is found by whoever runs it and
 * by whoever verifies it.
 *
 * `start` asks them before anything is written, and resolves when all have answered or its deadline passed: a process that begins on an older copy doesn't sign
 * a second history first. From then on they are asked as the logs grow. Nothing waits for a witness: a receipt is given without.
 */
import { createHash } from 'node:crypto';
import type { Policy, TenantId } from '@watchglass/record';
import type { Http } from '../../world/http.ts';
import type { World } from '../../world/world.ts';
import type { LedgerReport } from '../ledger.ts';
import {
  TenantWitnessing,
  type TenantWitnessStatus,
  usualTimes,
  type WitnessedLedger,
  type WitnessTimes,
} from './tenant-witnessing.ts';

export interface WitnessPolicy {
  readonly policy: Policy;
  /** Its text: it is recorded when it changes. */
  readonly text: string;
}

export interface WitnessingOptions {
  readonly ledger: WitnessedLedger;
  readonly policies: ReadonlyMap<TenantId, WitnessPolicy>;
  /** `DIR/witnesses`. */
  readonly dir: string;
  readonly world: World;
  readonly http: Http;
  readonly report: (line: LedgerReport) => void;
  readonly times?: Partial<WitnessTimes>;
}

/** Less than the ledger takes until it first writes by itself. */
const startMsMax = 4_000;

export class Witnessing implements AsyncDisposable {
  readonly #options: WitnessingOptions;
  readonly #logs: readonly TenantWitnessing[];
  readonly #stopping: AbortController = new AbortController();
  #running: Promise<unknown> = Promise.resolve();

  constructor(options: WitnessingOptions) {
    this.#options = options;
    const { ledger, policies, world, http, dir, report } = options;
    const times = { ...usualTimes, ...options.times };
    this.#logs = [...policies].map(
      ([tenant, { policy }]) =>
        new TenantWitnessing({
          tenant,
          policy,
          ledger,
          world,
          http,
          times,
          report,
          memoryPath: `${dir}/${tenant}.json`,
        }),
    );
  }

  async start(): Promise<void> {
    const { world, dir } = this.#options;
    const { signal } = this.#stopping;
    if (this.#logs.length === 0) return;
    await world.disk.makeDirectory(dir);
    for (const log of this.#logs) await log.load();
    const first = this.#logs.map((log) => log.round(signal));
    this.#running = Promise.allSettled(this.#logs.map((log, at) => this.#run(log, first[at] as Promise<void>)));
    const over = new AbortController();
    await Promise.race([Promise.allSettled(first), world.clock.sleep(startMsMax, over.signal).catch(() => undefined)]);
    over.abort();
  }

  /** By tenant, for those with a policy. */
  status(): readonly TenantWitnessStatus[] {
    return this.#logs.map((log) => log.status());
  }

  /** Has each policy recorded that the log's own events don't state yet; `digest` is the SHA-256 of its text. */
  async recordPolicies(record: (tenant: TenantId, policy: Policy, digest: string) => Promise<void>): Promise<void> {
    for (const [at, [tenant, { policy, text }]] of [...this.#options.policies].entries()) {
      const log = this.#logs[at] as TenantWitnessing;
      const digest = createHash('sha256').update(text).digest('hex');
      if (log.recorded === digest) continue;
      await record(tenant, policy, digest);
      await log.remember(digest);
    }
  }

  async #run(log: TenantWitnessing, first: Promise<void>): Promise<void> {
    const { signal } = this.#stopping;
    try {
      await first;
      await log.run(signal);
    } catch (error) {
      if (signal.aborted) return;
      this.#options.report({
        level: 'error',
        message: `the witnesses are asked no more until a restart: ${error instanceof Error ? error.message : String(error)}`,
        details: { tenant: log.tenant },
      });
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stopping.abort(new Error('the server is stopping'));
    await this.#running;
  }
}
