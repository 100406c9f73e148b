/** Counts what arrives while the live switch is on. Opening and closing the tail are records, so it opens only when asked for. */
import { useEffect, useRef, useState } from 'react';
import { type NamedEvent, openTail } from '../api/client.ts';
import type { EventQuery } from '../state/explorer-state.ts';
import { learnPeople } from '../state/known-people.ts';
import { matchEvent } from '../state/match-event.ts';

export interface LiveCount {
  readonly state: 'off' | 'connecting' | 'open' | 'reconnecting' | 'closed';
  /** New events that match, as far as the browser can tell. */
  readonly matching: number;
  /** New events that only the server can match. */
  readonly undecided: number;
}

const off: LiveCount = { state: 'off', matching: 0, undecided: 0 };
/** How often the counts are shown; events in between are only counted. */
const showEveryMs = 400;

/** Starts again from nothing whenever `asOfMs` or the question changes. `own` is the looker: their own looking isn't news. */
export function useLive(options: {
  readonly on: boolean;
  readonly tenant: string;
  readonly own: string;
  readonly query: EventQuery;
  readonly asOfMs: number;
}): LiveCount {
  const { on, tenant, own, query, asOfMs } = options;
  const [live, setLive] = useState<LiveCount>(off);
  const counted = useRef({ matching: 0, undecided: 0 });
  const asked = useRef({ query, own });

  useEffect(() => {
    asked.current = { query, own };
    counted.current = { matching: 0, undecided: 0 };
    // `asOfMs` stands for the refresh that brought everything up to now.
    if (asOfMs > 0) setLive((before) => ({ ...before, matching: 0, undecided: 0 }));
  }, [query, own, asOfMs]);

  useEffect(() => {
    if (!on) return;
    setLive({ ...off, state: 'connecting' });
    let timer: ReturnType<typeof setTimeout> | undefined;
    const show = (): void => {
      timer = undefined;
      setLive((before) => ({ ...before, ...counted.current }));
    };
    const count = ({ event, people }: NamedEvent): void => {
      learnPeople(tenant, people);
      if (event.kind === 'review' && event.actor.id === asked.current.own) return;
      const match = matchEvent(event, asked.current.query);
      if (match === 'no') return;
      if (match === 'yes') counted.current.matching++;
      else counted.current.undecided++;
      timer ??= setTimeout(show, showEveryMs);
    };
    const tail = openTail(tenant, { onEvent: count, onState: (state) => setLive((before) => ({ ...before, state })) });
    return () => {
      tail.close();
      clearTimeout(timer);
      setLive(off);
    };
  }, [on, tenant]);

  return live;
}
