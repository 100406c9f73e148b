/** What was counted instead of being recorded one by one, as one event each: `repeated-123-times`. */
import type { Flood } from './capture/flood.ts';
import type { EventDraftFacts, Recorder } from './capture/recorder.ts';

export function recordFloods(recorder: Recorder, floods: readonly Flood<EventDraftFacts>[]): void {
  for (const { sample, count } of floods) {
    const times = count < 1_000 ? String(count) : `${Math.floor(count / 1_000)}k`;
    const { id: _id, ...rest } = sample;
    void recorder.record([
      { ...rest, time: new Date().toISOString(), outcome: { ...sample.outcome, reason: `repeated-${times}-times` } },
    ]);
  }
}
