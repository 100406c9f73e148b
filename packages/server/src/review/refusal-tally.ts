/**
 * Refused attempts, counted and recorded once a minute: whoever knocks with wrong keys leaves a trace in the ledger and cannot flood it.
 */
import type { TenantId } from '@watchglass/record';
import type { OwnEvent, RecordOwn } from '../access/access.ts';
import { sourceOf } from '../access/change.ts';
import type { World } from '../world/world.ts';

const periodMs = 60_000;
/** Different (what, address) pairs kept apart within a period; further addresses share one. */
const linesMax = 32;

export interface RefusalTallyOptions {
  readonly world: World;
  readonly record: RecordOwn;
  /** Whose log takes them: who was refused belongs to no tenant. */
  readonly tenant: TenantId;
}

export interface Refusal {
  /** The operation that was refused, e.g. `write-key`. */
  readonly operation: string;
  /** From the table of errors.ts. */
  readonly code: string;
  readonly address: string | undefined;
}

export class RefusalTally implements AsyncDisposable {
  readonly #options: RefusalTallyOptions;
  readonly #lines: Map<string, { readonly refusal: Refusal; count: number }> = new Map();
  #timer: { cancel(): void } | undefined;

  constructor(options: RefusalTallyOptions) {
    this.#options = options;
  }

  add(refusal: Refusal): void {
    let key = `${refusal.operation}\0${refusal.code}\0${refusal.address ?? ''}`;
    let kept = refusal;
    if (!this.#lines.has(key) && this.#lines.size >= linesMax) {
      kept = { ...refusal, address: undefined };
      key = `${refusal.operation}\0${refusal.code}\0`;
    }
    const line = this.#lines.get(key);
    if (line === undefined) this.#lines.set(key, { refusal: kept, count: 1 });
    else line.count += 1;
    this.#timer ??= this.#options.world.clock.after(periodMs, () => {
      this.#timer = undefined;
      // What could not be recorded stays in the tally and is tried again with the next refusal.
      this.flush().catch(() => undefined);
    });
  }

  /** Records what was counted so far; what can't be recorded stays counted. */
  async flush(): Promise<void> {
    const lines = [...this.#lines];
    this.#lines.clear();
    const recorded = await Promise.allSettled(
      lines.map(([, { refusal, count }]) => this.#options.record(this.#event(refusal, count))),
    );
    recorded.forEach((result, position) => {
      if (result.status === 'fulfilled') return;
      const [key, line] = lines[position] as (typeof lines)[number];
      const again = this.#lines.get(key);
      if (again === undefined) this.#lines.set(key, line);
      else again.count += line.count;
    });
    const failed = recorded.find((result) => result.status === 'rejected');
    if (failed !== undefined) throw failed.reason;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#timer?.cancel();
    // At the end there is nobody left to refuse: a ledger that takes no records any more loses this count, and only this.
    await this.flush().catch(() => undefined);
  }

  #event({ operation, code, address }: Refusal, count: number): OwnEvent {
    return {
      tenant: this.#options.tenant,
      kind: 'auth',
      action: 'execute',
      operation,
      // Groups of three digits: the minimiser takes out longer numbers.
      outcome: {
        status: 'denied',
        code,
        reason: `${count.toLocaleString('en').replaceAll(',', ' ')} requests refused`,
      },
      actor: { id: 'unauthenticated', type: 'service' },
      ...sourceOf(address === undefined ? undefined : { address }),
    };
  }
}
