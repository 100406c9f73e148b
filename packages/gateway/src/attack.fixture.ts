/**
 * For tests only: how a row of the table of attacks is tested. Whoever strikes has to say what the record then holds, and that the API heard nothing: a case
 * that doesn't say so doesn't compile, and one whose event isn't there fails. docs/attacks.md is held equal to the kinds of event named here.
 */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { setImmediate } from 'node:timers/promises';
import { isDeepStrictEqual } from 'node:util';

import type { Event, EventAction, EventKind, OutcomeStatus } from '@watchglass/record';

import type { Road } from './gateway.fixture.ts';

export const rowsCount = 30;
const lateMs = 20_000;

/** What an event of an attack says. */
export interface Mark {
  readonly kind: EventKind;
  readonly action: EventAction;
  readonly operation: string;
  readonly status: OutcomeStatus;
  /** The HTTP status; undefined where the event has none. */
  readonly code: number | undefined;
  readonly reason: string | undefined;
  readonly actor: string;
  readonly client: string | undefined;
  /** Undefined for what the gateway says of itself. */
  readonly address: string | undefined;
}

export interface Strike {
  /** A gateway that the cases of a file share, or the promise of one for this case, which is closed after it. */
  readonly at: () => Road | Promise<Road>;
  /** Does it, and asserts how it ends. */
  readonly strike: (road: Road) => Promise<void>;
  /** What is on record afterwards that wasn't before: each of these at least once. At least one. */
  readonly leaves: readonly [Mark, ...Mark[]];
  /** How often the API is asked meanwhile. */
  readonly asksCount?: number;
}

/** `kind operation status`, as docs/attacks.md names them. */
const marksOfRows: Readonly<Record<number, readonly string[]>> = {
  ...rows(1, 7, ['network protocol-violation denied']),
  8: ['network no-route denied'],
  9: ['network no-route denied', 'network protocol-violation denied', 'api read success'],
  10: ['network protocol-violation denied'],
  11: ['network protocol-violation denied'],
  12: ['network protocol-violation denied'],
  ...rows(13, 17, ['auth authenticate denied']),
  18: ['auth authenticate denied', 'auth authenticate success'],
  ...rows(19, 20, ['auth authenticate denied']),
  21: [
    'system issuer-keys-stale failed',
    'system issuer-keys-gone error',
    'system issuer-keys-fresh success',
    'auth authenticate error',
  ],
  22: ['auth authenticate denied', 'auth authenticate error'],
  23: ['auth tokens-revoked success', 'auth authenticate denied'],
  24: ['api read success'],
  25: ['api read success', 'network protocol-violation denied'],
  26: ['api read success'],
  27: ['system policy-refused failed', 'network protocol-violation denied'],
  28: [
    'system record-failed error',
    'system record-resumed success',
    'system request-counters success',
    'system start success',
    'api read success',
    'api create success',
  ],
  29: ['network rate-limited denied', 'api read failed'],
  30: ['api batch denied', 'api read denied', 'api delete denied'],
};

export function marksOfRow(row: number): readonly string[] {
  return marksOfRows[row] ?? [];
}

/** The cases of one row: together they demand every kind of event that the row has, and no other. */
export function attack(row: number, title: string, cases: Readonly<Record<string, Strike>>): void {
  const sorts = new Set(Object.values(cases).flatMap(({ leaves }) => leaves.map(sortOf)));
  assert.deepEqual(sorts, new Set(marksOfRow(row)), `what the cases of row ${row} leave`);
  describe(`row ${row}: ${title}`, () => {
    for (const [name, one] of Object.entries(cases)) it(name, () => judge(one));
  });
}

async function judge({ at, strike, leaves, asksCount = 0 }: Strike): Promise<void> {
  const given = at();
  const road = await given;
  await using _own = given instanceof Promise ? road : null;
  const [askedBefore, seenBefore] = [road.asked.length, (await road.settled()).length];
  await strike(road);
  assert.equal(road.asked.length - askedBefore, asksCount, 'how often the API was asked');
  await onRecord(road, seenBefore, leaves);
}

/** Some events come a moment after the answer. */
async function onRecord(road: Road, seenBefore: number, leaves: readonly Mark[]): Promise<void> {
  for (const late = AbortSignal.timeout(lateMs); ; await setImmediate()) {
    const left = (await road.settled()).slice(seenBefore).map(markOf);
    const missing = leaves.find((mark) => !left.some((one) => isDeepStrictEqual(one, mark)));
    if (missing === undefined) return;
    const got = left.map((mark) => JSON.stringify(mark)).join('\n');
    assert.ok(!late.aborted, `expected on record:\n${JSON.stringify(missing)}\ngot:\n${got}`);
  }
}

export function markOf(event: Event): Mark {
  const { kind, action, operation = '', outcome, actor, source } = event;
  const { status, code, reason } = outcome;
  return {
    kind,
    action,
    operation,
    status,
    code: code === undefined ? undefined : Number(code),
    reason,
    actor: actor.id,
    client: actor.client,
    address: source?.address,
  };
}

function sortOf({ kind, operation, status }: Mark): string {
  return `${kind} ${operation} ${status}`;
}

/** From this machine, by nobody in particular. */
const here = { actor: 'anonymous', client: undefined, address: '127.0.0.1' } as const;

export function violation(code: number, reason: string): Mark {
  return {
    kind: 'network',
    action: 'execute',
    operation: 'protocol-violation',
    status: 'denied',
    code,
    reason,
    ...here,
  };
}

export function noRoute(code: 404 | 405, reason: 'not-found' | 'method-not-allowed'): Mark {
  return { kind: 'network', action: 'execute', operation: 'no-route', status: 'denied', code, reason, ...here };
}

/** A token that isn't believed; whose it was only where it held. */
export function unauthenticated(reason: string, who: Partial<Mark> = {}): Mark {
  const facts = { kind: 'auth', action: 'execute', operation: 'authenticate', status: 'denied', code: 401 } as const;
  return { ...facts, reason, ...here, ...who };
}

/** Who holds `road.token`. */
export const person = { actor: 'person-1', client: 'demo-cli' } as const;

export function read(who: Partial<Mark> = {}): Mark {
  const facts = { kind: 'api', action: 'read', operation: 'read', status: 'success', code: 200 } as const;
  return { ...facts, reason: undefined, ...here, ...person, ...who };
}

/** Said by the gateway of itself. */
export function own(
  operation: string,
  status: OutcomeStatus,
  rest: { readonly kind?: EventKind; readonly action?: EventAction; readonly reason?: string } = {},
): Mark {
  const { kind = 'system', action = 'execute', reason } = rest;
  const self = { actor: 'gateway:test-gateway', client: undefined, address: undefined } as const;
  return { kind, action, operation, status, code: undefined, reason, ...self };
}

function rows(first: number, last: number, marks: readonly string[]): Record<number, readonly string[]> {
  return Object.fromEntries(Array.from({ length: last - first + 1 }, (_, n) => [first + n, marks]));
}
