/**
 * Sees what makes a record doubtful while the ledger runs: a wall clock that was stepped, and a disk that was full for a while. Each becomes an event of
 * every log it concerns, once it can be stored. A process that is killed meanwhile tells nothing: then the start without a stop does (docs/completeness.md).
 */
import type { Clock } from '../world/world.ts';
import { LedgerError } from './errors.ts';
import type { OwnFacts } from './own-events.ts';
import type { OwnWriter } from './own-writer.ts';
import type { TenantLog } from './tenant-log.ts';

/** The two clocks drift apart by far less than this between two looks. */
const stepMsMin = 1_000;
/** Two readings further apart than this say nothing about each other: the process stood still between them. */
const readingMsMax = 100;
/** A full disk is tried again this often, where nothing else tries. */
const retryMs = 60_000;
/** Steps that wait to be told, a log. */
const stepsMax = 64;

interface Step {
  readonly beforeMs: number;
  readonly afterMs: number;
}

interface Spell {
  readonly sinceMs: number;
  readonly size: number;
  tryAtMs: number;
}

export class RecordingWatch {
  readonly #clock: Pick<Clock, 'now' | 'monotonicMs'>;
  readonly #own: Pick<OwnWriter, 'append'>;
  readonly #steps = new Map<TenantLog, Step[]>();
  readonly #spells = new Map<TenantLog, Spell>();
  #wallMs: number;
  #monotonicMs: number;

  constructor(clock: Pick<Clock, 'now' | 'monotonicMs'>, own: Pick<OwnWriter, 'append'>) {
    this.#clock = clock;
    this.#own = own;
    this.#wallMs = clock.now();
    this.#monotonicMs = clock.monotonicMs();
  }

  /** Called with everything that an append was refused with. */
  refused(log: TenantLog, error: unknown): void {
    if (!(error instanceof LedgerError) || error.code !== 'storage-full' || this.#spells.has(log)) return;
    this.#spells.set(log, {
      sinceMs: this.#clock.now(),
      size: log.head.size,
      tryAtMs: this.#clock.monotonicMs() + retryMs,
    });
  }

  tick(logs: Iterable<TenantLog>): void {
    const step = this.#look();
    for (const log of logs) {
      const waiting = this.#steps.get(log) ?? [];
      if (step !== undefined) waiting.push(step);
      this.#steps.set(log, []);
      for (const one of waiting.slice(-stepsMax)) this.#tellStep(log, one);
      this.#tellSpell(log);
    }
  }

  #look(): Step | undefined {
    const earlierMs = this.#clock.monotonicMs();
    const wallMs = this.#clock.now();
    const monotonicMs = this.#clock.monotonicMs();
    if (monotonicMs - earlierMs > readingMsMax) return undefined;
    const expectedMs = this.#wallMs + (monotonicMs - this.#monotonicMs);
    this.#wallMs = wallMs;
    this.#monotonicMs = monotonicMs;
    return Math.abs(wallMs - expectedMs) < stepMsMin ? undefined : { beforeMs: expectedMs, afterMs: wallMs };
  }

  #tellStep(log: TenantLog, step: Step): void {
    this.#own.append(
      log,
      () => stepFacts(step),
      () => this.#steps.get(log)?.push(step),
    );
  }

  /** At once when something was stored since, and otherwise now and then: the event itself is the trial. */
  #tellSpell(log: TenantLog): void {
    const spell = this.#spells.get(log);
    const nowMs = this.#clock.monotonicMs();
    if (spell === undefined || (log.head.size === spell.size && nowMs < spell.tryAtMs)) return;
    this.#spells.delete(log);
    this.#own.append(
      log,
      () => spellFacts(spell.sinceMs, this.#clock.now()),
      () => this.#spells.set(log, { ...spell, size: log.head.size, tryAtMs: nowMs + retryMs }),
    );
  }
}

function stepFacts({ beforeMs, afterMs }: Step): OwnFacts {
  return {
    operation: 'clock-stepped',
    outcome: { status: 'failed' },
    changes: [
      { path: '/clock/expected', op: 'replace', after: new Date(beforeMs).toISOString() },
      { path: '/clock/found', op: 'replace', after: new Date(afterMs).toISOString() },
    ],
  };
}

function spellFacts(sinceMs: number, untilMs: number): OwnFacts {
  return {
    operation: 'recording-resumed',
    outcome: { status: 'failed', reason: 'storage-full' },
    changes: [
      { path: '/paused/since', op: 'replace', after: new Date(sinceMs).toISOString() },
      { path: '/paused/until', op: 'replace', after: new Date(untilMs).toISOString() },
    ],
  };
}
