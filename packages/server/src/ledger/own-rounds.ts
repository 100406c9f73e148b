/**
 * What a ledger says of itself as time passes, without anybody's call: seals of months that ended, gaps that stay open, heartbeats of logs that are
 * idle, and what the watch saw. What can't be stored now is said by a later round.
 */
import type { Clock } from '../world/world.ts';
import { coverageFacts, heartbeatFacts } from './own-events.ts';
import type { OwnWriter } from './own-writer.ts';
import type { RecordingWatch } from './recording-watch.ts';
import type { TenantLog } from './tenant-log.ts';

const heartbeatMsUsual = 5 * 60_000;
const gapMsUsual = 30_000;

export interface OwnRoundsParts {
  readonly clock: Clock;
  readonly own: Pick<OwnWriter, 'append' | 'tickSeals'>;
  readonly watch: Pick<RecordingWatch, 'tick'>;
  /** How long a log is idle before it says so; 0 for never. */
  readonly heartbeatMs?: number | undefined;
  /** How long a hole in an emitter's numbers stays open before it is an event. */
  readonly gapMs?: number | undefined;
}

export class OwnRounds {
  readonly #parts: OwnRoundsParts;

  constructor(parts: OwnRoundsParts) {
    this.#parts = parts;
  }

  /** One round over the logs. */
  tick(logs: ReadonlyMap<string, TenantLog>): void {
    const { clock, own, watch, heartbeatMs = heartbeatMsUsual, gapMs = gapMsUsual } = this.#parts;
    const nowMs = clock.now();
    for (const log of logs.values()) {
      own.tickSeals(log, nowMs);
      for (const note of log.coverage.takeNotes(nowMs, gapMs))
        own.append(
          log,
          () => coverageFacts(note),
          () => log.coverage.giveBack(note),
        );
      // By the clock that never steps back: one that does must not silence a log.
      const monotonicMs = clock.monotonicMs();
      if (heartbeatMs > 0 && monotonicMs - log.lastEventMs >= heartbeatMs) {
        // Not again at the next tick, whatever becomes of this one.
        log.lastEventMs = monotonicMs;
        this.#heartbeat(log);
      }
    }
    watch.tick(logs.values());
  }

  #heartbeat(log: TenantLog): void {
    let told = { received: 0, refused: 0 };
    this.#parts.own.append(
      log,
      () => {
        const facts = heartbeatFacts(log);
        told = { received: log.received, refused: log.refused };
        log.received = 0;
        log.refused = 0;
        return facts;
      },
      () => {
        // What could not be told now is told by the next one.
        log.received += told.received;
        log.refused += told.refused;
      },
    );
  }
}
