/** The plain fields of an event as names and values, by group; what an event doesn't have is left out. */
import type { StoredRecord } from '@watchglass/record';
import type { ListedEvent } from '../api/client.ts';
import type { StateChange } from '../state/use-explorer-state.ts';
import { actionLabels, actorTypeLabels, kindLabels, plainWords, purposeLabel } from '../text/labels.ts';
import { formatBytes, formatCount } from '../text/number.ts';
import { nameOf, type People, placeOf } from '../text/people.ts';
import { reasonWords } from '../text/reasons.ts';
import { formatFullTime, formatSpan } from '../time/format.ts';
import type { Zone } from '../time/range.ts';

export interface Field {
  readonly name: string;
  readonly value: string;
  /** An identifier, a hash or a time. */
  readonly mono?: boolean;
  readonly copy?: boolean;
  /** Narrows the list to this value. */
  readonly filter?: StateChange;
}

type Options = Omit<Field, 'name' | 'value'>;

/** A field in a list of none or one. */
function field(name: string, value: string | number | undefined, options: Options = {}): readonly Field[] {
  return value === undefined || value === '' ? [] : [{ name, value: String(value), ...options }];
}

export function whatFields({ kind, action, operation, outcome, purpose, completes }: ListedEvent): readonly Field[] {
  return [
    ...field('Kind', kindLabels[kind], { filter: { kind } }),
    ...field('Action', actionLabels[action], { filter: { action } }),
    ...field('Operation', operation, { mono: true, filter: { operation } }),
    ...field('Code', outcome.code, { mono: true }),
    ...field('Reason', outcome.reason === 'intent' ? undefined : outcome.reason && reasonWords(outcome.reason)),
    ...field('Purpose', purpose && `${purposeLabel(purpose.code)} (${purpose.code})`),
    ...field('Justification', purpose?.justification, { mono: true }),
    ...field('Completes', completes, { mono: true, copy: true }),
  ];
}

export function whoFields({ actor }: ListedEvent, people: People, zone: Zone): readonly Field[] {
  const type = actor.type && actorTypeLabels[actor.type];
  return [
    ...field('Name', nameOf(actor, people)),
    ...field('Id', actor.id, { mono: true, copy: true, filter: { actor: actor.id } }),
    ...field('Type', actor.shared ? `${type ?? 'Account'}, shared account` : type),
    ...field('Roles', actor.roles?.map(plainWords).join(', ')),
    ...field('Department', placeOf(actor, people)),
    ...field('Client', actor.client, { mono: true, filter: { q: actor.client } }),
    ...field('Signed in', actor.authentication && describeAuthentication(actor.authentication, zone)),
    ...field('On behalf of', actor.onBehalfOf?.map((one) => nameOf(one, people) ?? one.id).join(' ← '), { mono: true }),
    ...field('Session', actor.session, { mono: true, copy: true }),
    ...field('Token id', actor.tokenId, { mono: true, copy: true }),
  ];
}

export function whereFields({ source = {}, site }: ListedEvent): readonly Field[] {
  const { address, port } = source;
  return [
    ...field('Address', address && port ? `${address}:${port}` : address, { mono: true, filter: { q: address } }),
    ...field('Device', source.device),
    ...field('Network', source.network),
    ...field('AS number', source.asn, { mono: true }),
    ...field('Country', source.country),
    ...field('User agent', source.userAgent),
    ...field('Seen by', site, { mono: true }),
  ];
}

export function requestFields({ request = {} }: ListedEvent): readonly Field[] {
  const { method, route, durationMs, requestBytes, responseBytes } = request;
  return [
    ...field('Route', route && [method, route].filter(Boolean).join(' '), { mono: true, filter: { q: route } }),
    ...field('Parameters', request.query?.join(', '), { mono: true }),
    ...field('Status', request.status, { mono: true }),
    ...field('Took', durationMs === undefined ? undefined : formatSpan(durationMs)),
    ...field('Sent', requestBytes === undefined ? undefined : formatBytes(requestBytes)),
    ...field('Answered', responseBytes === undefined ? undefined : formatBytes(responseBytes)),
    ...field('Trace', request.traceparent, { mono: true, copy: true }),
    ...field('Request id', request.id, { mono: true, copy: true }),
  ];
}

/** `opened`: the record the leaf holds, where these rights open it. */
export function recordFields(event: ListedEvent, zone: Zone, opened: StoredRecord | undefined): readonly Field[] {
  const { id, time, received, emitter, submitter, intake } = event;
  return [
    ...field('Id', id, { mono: true, copy: true }),
    ...field('Happened', formatFullTime(time, zone), { mono: true }),
    ...field('Received', received && formatFullTime(received, zone), { mono: true }),
    ...field('Emitter', `${emitter.id}, number ${formatCount(emitter.seq)}`, { mono: true }),
    ...field('Submitted by', submitter, { mono: true }),
    ...field('Door', intake ?? opened?.intake, { mono: true }),
    ...field('Sent bytes', opened?.digest, { mono: true, copy: true }),
  ];
}

function describeAuthentication(
  authentication: NonNullable<ListedEvent['actor']['authentication']>,
  zone: Zone,
): string {
  const { method, mfa, assurance, time } = authentication;
  const factor = mfa === undefined ? undefined : mfa ? 'with a second factor' : 'no second factor';
  // The last word of a URN is the one that says something.
  const level = assurance?.startsWith('urn:') ? assurance.slice(assurance.lastIndexOf(':') + 1) : assurance;
  const by = method === 'bearer' ? 'bearer token' : plainWords(method);
  return [by, factor, level && `assurance ${level}`, time && formatFullTime(time, zone)].filter(Boolean).join(', ');
}
