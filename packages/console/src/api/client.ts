/**
 * All that the console knows of the server: the shapes of its answers, checked at this door, and one function a request.
 * The console holds no token: the session is a cookie that scripts can't read, and the server signs people in.
 *
 * Searches go as bodies, so that no identifier stands in a URL. An ended session is reported to `onSignedOut` and thrown.
 */
import {
  actorTypes,
  changeOps,
  type DataClass,
  type Envelope,
  type Event,
  type Exposure,
  eventActions,
  eventKinds,
  outcomeStatuses,
} from '@watchglass/record';
import { ConsoleError } from '../errors.ts';
import type { EventQuery } from '../state/explorer-state.ts';
import { type NamedPerson, nobodyKnown, type People } from '../text/people.ts';
import { type Completeness, completeness } from './completeness.ts';
import { isRecordingRefusal, noteRecording } from './recording.ts';
import { type ServerStatus, serverStatus } from './server-status.ts';
import { type Check, count, flag, instant, list, object, oneOf, orNull, record, text, textOrCount } from './shape.ts';

/** A stored event, flattened; patients and resources are shown by pseudonym (`·7F3K`). */
export interface ListedEvent extends Omit<Event, 'v' | 'exposure'>, Partial<Envelope> {
  readonly index: number;
  readonly exposure?: ListedExposure;
  /** Base64 of the leaf hash; where one event was asked for. */
  readonly leaf?: string;
}

export interface ListedExposure extends Exposure {
  /** How many patients the event holds: a page lists only the first of many. */
  readonly patientCount?: number;
}

// A class that only a newer server knows is still a word that can be shown.
const dataClass = text as Check<DataClass>;

const listedEvent: Check<ListedEvent> = object(
  {
    index: count,
    id: text,
    time: text,
    tenant: text,
    emitter: object({ id: text, seq: count }),
    kind: oneOf(eventKinds),
    action: oneOf(eventActions),
    outcome: object({ status: oneOf(outcomeStatuses) }, { code: textOrCount, reason: text }),
    actor: object(
      { id: text },
      {
        type: oneOf(actorTypes),
        shared: flag,
        roles: list(text),
        client: text,
        session: text,
        tokenId: text,
        authentication: object({ method: text }, { mfa: flag, assurance: text, time: text }),
        onBehalfOf: list(object({ id: text }, { type: oneOf(actorTypes) })),
      },
    ),
  },
  {
    operation: text,
    received: text,
    submitter: text,
    intake: text,
    digest: text,
    leaf: text,
    source: object(
      {},
      { address: text, port: count, userAgent: text, device: text, network: text, asn: count, country: text },
    ),
    site: text,
    targets: list(
      object(
        { type: text },
        { id: text, version: text, patient: text, fields: list(text), classes: list(dataClass), role: text },
      ),
    ),
    exposure: object(
      {},
      {
        patients: list(object({ id: text }, { classes: list(dataClass), count })),
        patientCount: count,
        count,
        bytes: count,
        truncated: flag,
      },
    ),
    purpose: object({ code: text }, { justification: text }),
    request: object(
      {},
      {
        method: text,
        route: text,
        query: list(text),
        status: count,
        requestBytes: count,
        responseBytes: count,
        durationMs: count,
        traceparent: text,
        id: text,
      },
    ),
    changes: list(object({ path: text, op: oneOf(changeOps) }, { before: text, after: text })),
    completes: text,
  },
);

const namedPerson: Check<NamedPerson> = object({ name: text }, { department: text });
/** Names come beside what they name, and are no part of the event. */
const withPeople = object({}, { people: record(namedPerson) });

/** An event by itself. */
export interface NamedEvent {
  readonly event: ListedEvent;
  readonly people: People;
}

function namedEvent(value: unknown, at: string): NamedEvent {
  return { event: listedEvent(value, at), people: withPeople(value, at).people ?? nobodyKnown };
}

/** A page, newest first. */
export interface EventPage {
  readonly events: readonly ListedEvent[];
  /** Staff among the actors. */
  readonly people?: People;
  /** Where the older ones begin. */
  readonly next: string | null;
  /** Of all matches. */
  readonly count: number;
  /** `count` is a lower bound. */
  readonly countTruncated?: boolean;
  /** So many entries of the log can't be found yet, and may be missing here. */
  readonly unindexed?: number;
}

const eventPage: Check<EventPage> = object(
  { events: list(listedEvent), next: orNull(text), count },
  { countTruncated: flag, people: record(namedPerson), unindexed: count },
);

export interface FacetValue {
  readonly value: string;
  readonly count: number;
}

/** Counts over time by outcome, and the most frequent values. */
export interface Summary {
  readonly count: number;
  /** Milliseconds since 1970, as all times here. */
  readonly from: number;
  readonly to: number;
  readonly stepMs: number;
  readonly series: readonly SummaryPoint[];
  readonly facets: Readonly<Record<FacetName, readonly FacetValue[]>>;
  /** Staff among the actors counted. */
  readonly people?: People;
  /** What is counted is the newest part. */
  readonly truncated?: boolean;
  readonly unindexed?: number;
}

export interface SummaryPoint {
  /** Start of the bucket. */
  readonly time: number;
  readonly success: number;
  readonly denied: number;
  readonly failed: number;
  readonly error: number;
}

export type FacetName = 'kind' | 'action' | 'operation' | 'outcome' | 'actor' | 'route';

const facet = list(object({ value: text, count }));
const summaryAnswer: Check<Summary> = object(
  {
    count,
    from: instant,
    to: instant,
    stepMs: count,
    series: list(object({ time: instant, success: count, denied: count, failed: count, error: count })),
    facets: object({ kind: facet, action: facet, operation: facet, outcome: facet, actor: facet, route: facet }),
  },
  { people: record(namedPerson), truncated: flag, unindexed: count },
);

export interface Person {
  readonly id: string;
  readonly username: string;
  /** For display. */
  readonly name?: string;
  readonly roles: readonly string[];
  readonly rights: readonly string[];
}

const person: Check<Person> = object(
  { id: text, username: text, roles: list(text), rights: list(text) },
  { name: text },
);
const signedIn = object(
  {
    signedIn: flag,
    person,
    tenant: text,
  },
  { tenants: list(text), vkeys: record(text), demo: flag },
);
const signedOut = object({ signedIn: flag }, { demo: flag });

export type Session =
  | { readonly kind: 'signed-out'; readonly demo: boolean }
  | {
      readonly kind: 'signed-in';
      readonly demo: boolean;
      readonly person: Person;
      /** The person's own. */
      readonly tenant: string;
      readonly tenants: readonly string[];
      /** Verifier keys by tenant, as the server states them now. */
      readonly vkeys: Readonly<Record<string, string>>;
    };

type Listener = () => void;
const signedOutListeners = new Set<Listener>();

/** Called when any answer says that the session has ended. */
export function onSignedOut(listener: Listener): () => void {
  signedOutListeners.add(listener);
  return () => signedOutListeners.delete(listener);
}

export async function fetchSession(signal: AbortSignal): Promise<Session> {
  const answer = await askJson('/v1/session', { signal });
  if (signedOut(answer, '').signedIn) {
    const { person, tenant, tenants, vkeys, demo } = signedIn(answer, '');
    return { kind: 'signed-in', demo: demo ?? false, person, tenant, tenants: tenants ?? [tenant], vkeys: vkeys ?? {} };
  }
  return { kind: 'signed-out', demo: signedOut(answer, '').demo ?? false };
}

/** Where a browser goes to sign in; it comes back to `to`, a path. */
export function signInAddress(to: string): string {
  return `/auth/login?to=${encodeURIComponent(to)}`;
}

/** Ends the session here; returns where the identity provider ends its own, if it does. */
export async function signOut(): Promise<void> {
  await ask('/auth/logout', { method: 'POST' });
}

export async function searchEvents(
  query: EventQuery,
  page: { readonly cursor?: string; readonly limit: number },
  signal: AbortSignal,
): Promise<EventPage> {
  return eventPage(await postJson('/v1/events/search', { ...query, ...page }, signal), '');
}

export async function summariseEvents(query: EventQuery, buckets: number, signal: AbortSignal): Promise<Summary> {
  return summaryAnswer(await postJson('/v1/events/summary', { ...query, buckets }, signal), '');
}

export async function fetchEvent(tenant: string, index: number, signal: AbortSignal): Promise<NamedEvent> {
  return namedEvent(await askJson(`/v1/events/${index}?tenant=${encodeURIComponent(tenant)}`, { signal }), '');
}

/** What somebody can find who looked at an event. */
export const findings = ['justified', 'unjustified', 'unclear'] as const;
export type Finding = (typeof findings)[number];

const reviewsMax = 20;

/** What was found about one event, the newest first. */
export async function searchReviews(tenant: string, index: number, signal: AbortSignal): Promise<EventPage> {
  const asked = { tenant, kind: 'review', action: 'create', resource: `Event/${index}`, limit: reviewsMax };
  return eventPage(await postJson('/v1/events/search', asked, signal), '');
}

/** Is on record when it resolves. */
export async function reviewEvent(tenant: string, index: number, finding: Finding): Promise<void> {
  await ask(`/v1/events/${index}/review`, {
    method: 'POST',
    body: JSON.stringify({ tenant, finding }),
    headers: { 'content-type': 'application/json' },
  });
}

/** The text of a tlog-proof; asking for it is itself recorded. */
export async function fetchProof(tenant: string, index: number, signal: AbortSignal): Promise<string> {
  return (await ask(`/v1/events/${index}/proof?tenant=${encodeURIComponent(tenant)}`, { signal })).text();
}

export interface BundleFile {
  readonly name: string;
  readonly content: Blob;
}

/** A bundle of evidence with one event; making it is an event, too. */
export async function makeBundle(
  tenant: string,
  asked: { readonly index: number; readonly purpose: string; readonly reason: string },
): Promise<BundleFile> {
  const { index, purpose, reason } = asked;
  const response = await ask('/v1/bundles', {
    method: 'POST',
    body: JSON.stringify({ tenant, indexes: [index], purpose, reason }),
    headers: { 'content-type': 'application/json' },
  });
  const name = /filename="([\w.-]+)"/.exec(response.headers.get('content-disposition') ?? '')?.[1];
  return { name: name ?? `evidence-${tenant}-${index}.html`, content: await response.blob() };
}

/** The newest checkpoint, a signed note. Public: costs no record. */
export async function fetchCheckpoint(tenant: string, signal: AbortSignal): Promise<string> {
  return (await ask(`/log/${tenant}/checkpoint`, { signal, cache: 'no-store' })).text();
}

/** A public resource of a log: a tile by its C2SP path (`tile/0/000`), a seal, a statement on a key. */
export async function fetchLogFile(tenant: string, path: string, signal: AbortSignal): Promise<Uint8Array> {
  return new Uint8Array(await (await ask(`/log/${tenant}/${path}`, { signal })).arrayBuffer());
}

/** The report of red intervals from `from` until now. */
export async function fetchCompleteness(tenant: string, from: string, signal: AbortSignal): Promise<Completeness> {
  return completeness(await askJson(`/v1/completeness?${new URLSearchParams({ tenant, from })}`, { signal }), '');
}

/** How the server says it is doing. */
export async function fetchStatus(tenant: string, signal: AbortSignal): Promise<ServerStatus> {
  return serverStatus(await askJson(`/v1/status?tenant=${encodeURIComponent(tenant)}`, { signal }), '');
}

export interface TailHandlers {
  readonly onEvent: (named: NamedEvent) => void;
  /** `open` again after every reconnection. */
  readonly onState: (state: 'open' | 'reconnecting' | 'closed') => void;
}

/** Follows new events until closed. Opening and closing are each one record. */
export function openTail(tenant: string, handlers: TailHandlers): { close(): void } {
  const source = new EventSource(`/v1/events/tail?tenant=${encodeURIComponent(tenant)}`);
  source.onopen = () => handlers.onState('open');
  source.onerror = () => handlers.onState(source.readyState === EventSource.CLOSED ? 'closed' : 'reconnecting');
  source.onmessage = (message: MessageEvent<string>) => {
    const value: unknown = JSON.parse(message.data);
    for (const event of Array.isArray(value) ? value : [value]) handlers.onEvent(namedEvent(event, '/tail'));
  };
  return { close: () => source.close() };
}

async function askJson(path: string, init: RequestInit): Promise<unknown> {
  const response = await ask(path, init);
  try {
    return await response.json();
  } catch (cause) {
    throw new ConsoleError('unexpected-answer', `Expected JSON from ${plainPath(path)}. Reload the page.`, { cause });
  }
}

function postJson(path: string, body: unknown, signal: AbortSignal): Promise<unknown> {
  return askJson(path, {
    method: 'POST',
    body: JSON.stringify(body),
    headers: { 'content-type': 'application/json' },
    signal,
  });
}

async function ask(path: string, init: RequestInit): Promise<Response> {
  let response: Response;
  try {
    response = await fetch(path, { credentials: 'same-origin', redirect: 'error', ...init });
  } catch (cause) {
    if (init.signal?.aborted) throw cause;
    throw new ConsoleError(
      'unreachable',
      'Nothing was lost: the console only reads. Check that the server runs, then try again.',
      {
        cause,
      },
    );
  }
  if (response.ok) {
    if (isRecorded(path)) noteRecording(undefined);
    return response;
  }
  const error = await problemOf(response, path);
  if (isRecordingRefusal(error)) noteRecording(error);
  if (response.status === 401) {
    for (const listener of signedOutListeners) listener();
  }
  throw error;
}

/** Answers of these are recorded first, so one says that the ledger takes records. The status alone answers without. */
function isRecorded(path: string): boolean {
  return path.startsWith('/v1/events');
}

const problem = object({}, { code: text, title: text, detail: text });

async function problemOf(response: Response, path: string): Promise<ConsoleError> {
  const { status } = response;
  try {
    const { code, title, detail } = problem(await response.json(), '');
    return new ConsoleError(code ?? `http-${status}`, detail ?? `Status ${status}.`, {
      status,
      ...(title && { title }),
    });
  } catch (cause) {
    return new ConsoleError(
      `http-${status}`,
      `${plainPath(path)} answered with status ${status}. Try again in a moment.`,
      {
        status,
        title: `The server answered ${status}`,
        cause,
      },
    );
  }
}

const plainPath = (path: string): string => path.split('?', 1)[0] ?? path;
