/** Intents and outcomes held against each other: joined, late, missing, made up, too many. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import type { EventDraftFacts } from '../capture/recorder.ts';
import { parseOutcomeLine } from './outcome-lines.ts';
import { type OpenIntent, Reconciler } from './reconciler.ts';

const startedMs = 1_900_000_000_000;

function idAt(ms: number, n: number): string {
  const hex = ms.toString(16).padStart(12, '0');
  return `${hex.slice(0, 8)}-${hex.slice(8)}-7000-8000-${n.toString(16).padStart(12, '0')}`;
}

function intent(n: number): OpenIntent {
  return {
    id: idAt(startedMs + 5, n),
    time: '2026-01-01T00:00:00.000Z',
    kind: 'api',
    action: 'read',
    operation: 'read',
    outcome: { status: 'success', reason: 'intent' },
    actor: { id: 'person-1' },
    request: { method: 'GET', id: `request-${n}` },
    exposure: { truncated: true },
  };
}

function make(options: { readonly openMax?: number } = {}): {
  readonly one: Reconciler;
  readonly events: EventDraftFacts[];
} {
  const events: EventDraftFacts[] = [];
  const one = new Reconciler({
    recorder: {
      recordDurably: async (drafts) => {
        events.push(...drafts);
        return { kind: 'durable' };
      },
    },
    floods: { admit: () => true },
    own: { emitter: 'test', site: undefined },
    withinMs: 60_000,
    openMax: options.openMax ?? 100,
    startedMs,
  });
  return { one, events };
}

const line = (n: number, more: object = {}): string =>
  JSON.stringify({
    requestId: `request-${n}`,
    auditId: intent(n).id,
    status: 200,
    bytes: 9,
    ms: 1.5,
    upstream: 'a:1',
    ...more,
  });

describe('outcomes of fronts', () => {
  it('complete their intent, once', async () => {
    const { one, events } = make();
    using _ = one;
    one.expect(intent(1), 'request-1');
    one.join(parseOutcomeLine(line(1, { status: 404 })));
    one.join(parseOutcomeLine(line(1)));
    await one.flush();
    assert.equal(events.length, 2);
    assert.equal(events[0]?.completes, intent(1).id);
    assert.deepEqual(events[0]?.outcome, { status: 'failed', code: 404 });
    assert.deepEqual(events[0]?.exposure, { bytes: 9, truncated: true });
    assert.equal(events[0]?.id, undefined);
    assert.equal(events[1]?.outcome.reason, 'outcome-without-intent');
  });

  it('of another request complete nothing', async () => {
    const { one, events } = make();
    using _ = one;
    one.expect(intent(1), 'request-1');
    one.join(parseOutcomeLine(line(1, { requestId: 'request-2' })));
    await one.flush();
    assert.equal(events[0]?.outcome.reason, 'outcome-of-another');
    assert.equal(one.openCount, 1);
  });

  it('that do not come in time are raised, and so are the oldest past the bound', async () => {
    const { one, events } = make({ openMax: 2 });
    using _ = one;
    for (const n of [1, 2, 3]) one.expect(intent(n), `request-${n}`);
    assert.equal(one.openCount, 2);
    one.sweep(Date.now() + 59_000);
    assert.equal(one.openCount, 2);
    one.sweep(Date.now() + 61_000);
    assert.equal(one.openCount, 0);
    await one.flush();
    assert.deepEqual(
      events.map(({ completes, outcome }) => [completes, outcome.reason]),
      [1, 2, 3].map((n) => [intent(n).id, 'outcome-missing']),
    );
    assert.equal(one.status.outcomesMissing, 3);
  });

  it('that come too late complete their intent all the same, once, as long as it is remembered', async () => {
    const { one, events } = make({ openMax: 2 });
    using _ = one;
    for (const n of [1, 2, 3]) one.expect(intent(n), `request-${n}`);
    one.sweep(Date.now() + 61_000);
    one.join(parseOutcomeLine(line(3, { requestId: 'request-2' })));
    for (const n of [3, 3, 1]) one.join(parseOutcomeLine(line(n)));
    await one.flush();
    assert.deepEqual(
      events.slice(3).map(({ completes, outcome }) => [completes, outcome.code ?? outcome.reason]),
      [
        [undefined, 'outcome-of-another'],
        [intent(3).id, 200],
        [undefined, 'outcome-without-intent'],
        [undefined, 'outcome-without-intent'],
      ],
    );
    assert.equal(one.status.joinedLate, 1);
  });

  it('of what an earlier process allowed are recorded with less', async () => {
    const { one, events } = make();
    using _ = one;
    one.join(parseOutcomeLine(line(1, { auditId: idAt(startedMs - 1_000, 1) })));
    one.join(parseOutcomeLine(line(1, { auditId: idAt(startedMs - 61_000, 1) })));
    await one.flush();
    assert.deepEqual(
      events.map(({ operation, completes }) => [operation, completes]),
      [
        ['front-outcome', idAt(startedMs - 1_000, 1)],
        ['front-unasked', undefined],
      ],
    );
    assert.deepEqual(one.status, { joined: 0, joinedLate: 1, outcomesMissing: 0, intentsMissing: 1, unreadable: 0 });
  });

  it('that are still open when the gateway stops are raised', async () => {
    const { one, events } = make();
    using _ = one;
    one.expect(intent(1), 'request-1');
    one.expect(intent(2), 'request-2');
    const closed = one.close(20);
    one.join(parseOutcomeLine(line(1)));
    await closed;
    assert.deepEqual(
      events.map(({ outcome }) => outcome.reason),
      [undefined, 'outcome-missing'],
    );
  });
});

describe('a line of an access log', () => {
  it('is read behind a syslog head, and with the names that Caddy uses', () => {
    const auditId = intent(1).id;
    const own = parseOutcomeLine(`<190>Nov 24 20:00:00 tag: ${line(1)}`);
    assert.deepEqual(own, { auditId, requestId: 'request-1', status: 200, bytes: 9, durationMs: 1.5, passed: true });
    const caddy = {
      status: 200,
      size: 12,
      duration: 0.0025,
      resp_headers: { 'X-Audit-Id': [auditId], 'X-Request-Id': ['request-1'] },
    };
    assert.deepEqual(parseOutcomeLine(JSON.stringify(caddy)), {
      auditId,
      requestId: 'request-1',
      status: 200,
      bytes: 12,
      durationMs: 2.5,
      passed: true,
    });
  });

  it('is read with the names that Traefik uses', () => {
    const auditId = intent(1).id;
    const line = {
      DownstreamStatus: 200,
      OriginStatus: 200,
      DownstreamContentSize: 12,
      Duration: 2_500_000,
      'request_X-Audit-Id': auditId,
      'request_X-Request-Id': 'request-1',
    };
    const expected = { auditId, requestId: 'request-1', status: 200, bytes: 12, durationMs: 2.5, passed: true };
    assert.deepEqual(parseOutcomeLine(JSON.stringify(line)), expected);
    const refused = { DownstreamStatus: 403, OriginStatus: 0, DownstreamContentSize: 9, Duration: 1 };
    assert.equal(parseOutcomeLine(JSON.stringify(refused))?.passed, false);
  });

  it('says whether the API was asked', () => {
    for (const [said, passed] of [
      [{ status: 200, upstream: '<NOSRV>' }, false],
      [{ status: 503, upstream: '-' }, false],
      [{ status: 401, upstream: '' }, false],
      [{ status: 500, upstream: 'api' }, true],
      [{ status: 200 }, true],
      [{ status: 403 }, false],
    ] as const)
      assert.equal(parseOutcomeLine(JSON.stringify(said))?.passed, passed, JSON.stringify(said));
  });

  it('that is anything else is none, and ids and numbers that cannot be are left out', () => {
    for (const text of ['', 'GET / 200', '{', '{"a":', '{}x', 'x'.repeat(70_000)])
      assert.equal(parseOutcomeLine(text), undefined);
    const odd = parseOutcomeLine(JSON.stringify({ auditId: 'x', requestId: '\n', status: -1, bytes: -5, ms: '1' }));
    assert.deepEqual(odd, {
      auditId: undefined,
      requestId: undefined,
      status: undefined,
      bytes: undefined,
      durationMs: undefined,
      passed: false,
    });
  });
});
