/** A path of the listener that the gateway answers itself, without a token: what it says, and the event that says that it did. */
import type { IncomingMessage } from 'node:http';

import type { Captured } from '../capture/capture.ts';
import type { EventDraftFacts } from '../capture/recorder.ts';

export interface Door {
  isAskedFor(request: Pick<IncomingMessage, 'method' | 'url' | 'headers'>): boolean;
  /** Throws `Refused`. */
  serve(request: IncomingMessage, captured: Captured): Promise<DoorAnswer>;
}

export interface DoorAnswer {
  readonly status: number;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string;
  readonly event: EventDraftFacts;
  /** There where it may come without end: then the first ones are events, and the rest is counted. */
  readonly floodKey?: string;
}
