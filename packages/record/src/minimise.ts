/**
 * Minimisation: what an event may hold when it leaves the edge. No PHI unless somebody decided so.
 *
 * Identifiers of patients and resources stay: they are the point of an audit trail, and exist only in sealed frames and
 * blocks. Free text is scrubbed by allow-lists (`scrub.ts`), values of changes go or are hashed, lists are capped.
 * `minimise(minimise(e))` equals `minimise(e)`.
 */
import { hmacSha256 } from '#crypto';
import { encodeHex, encodeUtf8 } from './bytes.ts';
import { isCounter, isCountersEvent } from './counters.ts';
import { encodeEvent } from './encode.ts';
import { RecordError } from './errors.ts';
import type {
  Actor,
  Change,
  Event,
  Exposure,
  MinimisedEvent,
  Outcome,
  Purpose,
  RequestFacts,
  Source,
  Target,
} from './event.ts';
import {
  scrubField,
  scrubPointer,
  scrubQueryName,
  scrubReason,
  scrubReference,
  scrubRoute,
  scrubUserAgent,
} from './scrub.ts';

export interface MinimisationPolicy {
  /** The values before and after a change: none, their HMAC-SHA-256 under this key of 32 bytes, or as they are. */
  readonly changes:
    | { readonly kind: 'none' }
    | { readonly kind: 'hash'; readonly key: Uint8Array }
    | { readonly kind: 'keep' };
  readonly targetsMax: number;
  readonly patientsMax: number;
  readonly changesMax: number;
  /** An event longer than this, encoded, loses the ends of its lists and says so. At most 64,000. */
  readonly bytesMax: number;
}

/** Values of changes go; lists as long as the schema allows; room left in the record for the envelope. */
export const defaultMinimisation: MinimisationPolicy = {
  changes: { kind: 'none' },
  targetsMax: 256,
  patientsMax: 1024,
  changesMax: 256,
  bytesMax: 64_000,
};

/**
 * Reduces an event to what the policy lets through.
 *
 * Where a list is cut, its first items stay and `exposure.truncated` says so. An event that is minimal already is returned itself.
 *
 * @param event from `parseEvent`, or built by code that follows its type
 * @throws {RecordError} `event-too-large` where even without lists the event is above the policy's `bytesMax`
 * @example
 * await spool.append([minimise(parseEvent(input))]);
 */
export function minimise(event: Event, policy: MinimisationPolicy = defaultMinimisation): MinimisedEvent {
  const { outcome, actor, source, targets, exposure, purpose, request, changes } = event;
  const small: Mutable<Partial<Event>> = {};
  if (outcome.reason !== undefined) small.outcome = minimiseOutcome(outcome, outcome.reason);
  if (actor.roles !== undefined) small.actor = minimiseActor(actor, actor.roles);
  if (source !== undefined) small.source = minimiseSource(source);
  if (targets !== undefined) small.targets = mapped(upTo(targets, policy.targetsMax), minimiseTarget);
  if (exposure?.patients !== undefined) small.exposure = capPatients(exposure, exposure.patients, policy.patientsMax);
  if (purpose?.justification !== undefined) small.purpose = minimisePurpose(purpose);
  if (request !== undefined) small.request = minimiseRequest(request);
  if (changes !== undefined)
    small.changes = mapped(upTo(changes, policy.changesMax), (change) =>
      isCounter(change) && isCountersEvent(event) ? change : minimiseChange(change, policy),
    );
  const result = withMembers(event, small);
  const cut = (targets?.length ?? 0) > policy.targetsMax || (changes?.length ?? 0) > policy.changesMax;
  return fit(cut ? truncated(result) : result, policy.bytesMax) as MinimisedEvent;
}

type Mutable<T> = { -readonly [K in keyof T]: T[K] };

/**
 * The object with these members; one that is given as undefined goes. Where they are what it has, it is the object itself: nearly all events are minimal
 * already, and whoever gets the same one back knows that nothing was taken out.
 */
function withMembers<T extends object>(from: T, members: { [K in keyof T]?: T[K] | undefined }): T {
  let changed: T | undefined;
  for (const name in members) {
    if (members[name] === from[name]) continue;
    changed ??= { ...from };
    if (members[name] === undefined) delete changed[name];
    else changed[name] = members[name] as T[typeof name];
  }
  return changed ?? from;
}

/** `map`, but the list itself where every item stays. */
function mapped<T>(list: readonly T[], map: (item: T) => T): readonly T[] {
  let changed: T[] | undefined;
  for (let i = 0; i < list.length; i++) {
    const item = map(list[i] as T);
    if (item === list[i]) continue;
    changed ??= list.slice();
    changed[i] = item;
  }
  return changed ?? list;
}

/** `filter`, but the list itself where every item stays. */
function kept<T>(list: readonly T[], keep: (item: T, position: number) => boolean): readonly T[] {
  return list.every(keep) ? list : list.filter(keep);
}

function upTo<T>(list: readonly T[], countMax: number): readonly T[] {
  return list.length <= countMax ? list : list.slice(0, countMax);
}

/** Each item once, the first of each. Lists here have at most 64 items. */
function once(list: readonly string[]): readonly string[] {
  return kept(list, (item, position) => list.indexOf(item) === position);
}

function minimiseOutcome(outcome: Outcome, reason: string): Outcome {
  return withMembers(outcome, { reason: scrubReason(reason) });
}

function minimiseActor(actor: Actor, roles: readonly string[]): Actor {
  return withMembers(actor, { roles: once(roles) });
}

function minimiseSource(source: Source): Source {
  const { userAgent, device, network } = source;
  if (userAgent === undefined && device === undefined && network === undefined) return source;
  return withMembers(source, {
    ...(userAgent !== undefined && { userAgent: scrubUserAgent(userAgent) }),
    ...(device !== undefined && { device: scrubReference(device) }),
    ...(network !== undefined && { network: scrubReference(network) }),
  });
}

function minimiseTarget(target: Target): Target {
  const { fields } = target;
  if (fields === undefined) return target;
  return withMembers(target, { fields: kept(fields, (field) => scrubField(field) !== undefined) });
}

function minimisePurpose(purpose: Purpose): Purpose {
  return withMembers(purpose, { justification: scrubReference(purpose.justification as string) });
}

function minimiseRequest(request: RequestFacts): RequestFacts {
  const { route, query, id } = request;
  const small: { -readonly [K in keyof RequestFacts]?: RequestFacts[K] | undefined } = {};
  if (route !== undefined) small.route = scrubRoute(route);
  if (query !== undefined) small.query = once(mapped(query, scrubQueryName));
  if (id !== undefined) small.id = scrubReference(id);
  return withMembers(request, small);
}

const hashed = /^hmac-sha256:[0-9a-f]{64}$/;

function minimiseChange(change: Change, { changes }: MinimisationPolicy): Change {
  const small: { -readonly [K in keyof Change]?: Change[K] | undefined } = { path: scrubPointer(change.path) };
  for (const side of ['before', 'after'] as const) {
    const value = change[side];
    if (value === undefined || changes.kind === 'keep') continue;
    if (changes.kind === 'none') small[side] = undefined;
    else if (!hashed.test(value)) small[side] = hashValue(value, changes.key);
  }
  return withMembers(change, small);
}

function hashValue(value: string, key: Uint8Array): string {
  if (key.length !== 32)
    throw new RecordError('argument-invalid', `expected a key of 32 bytes for changes, got ${key.length}`);
  return `hmac-sha256:${encodeHex(hmacSha256(key, encodeUtf8(value)))}`;
}

function capPatients(exposure: Exposure, patients: NonNullable<Exposure['patients']>, patientsMax: number): Exposure {
  return patients.length <= patientsMax
    ? exposure
    : { ...exposure, patients: patients.slice(0, patientsMax), truncated: true };
}

/** Takes from the lists until the event fits: changes first, then targets and their fields, patients last. */
function fit(event: Event, bytesMax: number): Event {
  let small = event;
  while (isLong(small) && length(small) > bytesMax) {
    const { changes = [], targets = [], exposure } = small;
    const patients = exposure?.patients ?? [];
    if (changes.length > 0) small = truncated({ ...small, changes: changes.slice(0, changes.length >> 1) });
    else if (targets.length > 8)
      small = truncated({ ...small, targets: targets.slice(0, Math.floor(targets.length * 0.9)) });
    else if (targets.some((target) => target.fields !== undefined)) {
      small = truncated({ ...small, targets: targets.map(({ fields: _fields, ...target }) => target) });
    } else if (patients.length > 8) {
      const fewer = patients.slice(0, Math.floor(patients.length * 0.9));
      small = truncated({ ...small, exposure: { ...exposure, patients: fewer } });
    } else {
      throw new RecordError(
        'event-too-large',
        `expected an event of at most ${bytesMax} bytes without its lists; send shorter texts`,
      );
    }
  }
  return small;
}

function truncated(event: Event): Event {
  return { ...event, exposure: { ...event.exposure, truncated: true } };
}

/** Could it be too long? Short lists of small items, nearly all events, aren't measured. */
function isLong({ changes, targets, exposure }: Event): boolean {
  if ((exposure?.patients?.length ?? 0) > 32 || (targets?.length ?? 0) > 8) return true;
  if (targets?.some((target) => (target.fields?.length ?? 0) > 8)) return true;
  return (
    (changes?.length ?? 0) > 16 ||
    (changes?.some(({ before, after }) => before !== undefined || after !== undefined) ?? false)
  );
}

function length(event: Event): number {
  try {
    return encodeEvent(event).length;
  } catch (error) {
    if (error instanceof RecordError && error.code === 'event-too-large') return Number.POSITIVE_INFINITY;
    throw error;
  }
}
