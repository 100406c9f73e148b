/** A path of the listener that the gateway answers itself, without a token: what it says, and the event that says that it did. */
import type { IncomingMessage, ServerResponse } from 'node:http';

import type { Captured } from '../capture/capture.ts';
import type { RequestCounters } from '../capture/counters.ts';
import type { Floods } from '../capture/flood.ts';
import type { EventDraftFacts, Recorded } from '../capture/recorder.ts';
import { ownAnswerHeaders } from './refusal.ts';
import { Refused } from './refused.ts';

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
  /** Where the event can't be recorded: who said it has to be able to say it again. */
  readonly unhear?: () => Promise<void>;
}

/** Recorded before it is answered; but what an issuer says is in force before that: a record that fails must keep nobody in. Throws `Refused`. */
export async function serveDoor(
  door: Door,
  exchange: { readonly request: IncomingMessage; readonly response: ServerResponse; readonly captured: Captured },
  parts: {
    readonly floods: Floods;
    readonly counters: RequestCounters;
    readonly securityHeaders: Readonly<Record<string, string>>;
    readonly record: (event: EventDraftFacts) => Promise<Recorded>;
  },
): Promise<void> {
  const { request, response, captured } = exchange;
  const { floods, counters } = parts;
  const { status, headers, body, event, floodKey, unhear } = await door.serve(request, captured);
  if (floodKey !== undefined && !(await floods.admit(floodKey, event))) counters.mark(captured, 'flooded');
  else if ((await parts.record(event)).kind === 'unrecorded') {
    await unhear?.();
    throw new Refused('audit-unavailable', undefined);
  }
  if (response.headersSent || response.destroyed) return;
  const length = status === 204 ? {} : { 'content-length': String(Buffer.byteLength(body ?? '')) };
  response.writeHead(status, { ...parts.securityHeaders, ...ownAnswerHeaders, ...headers, ...length });
  response.end(request.method === 'HEAD' ? undefined : body);
  counters.answered += 1;
}
