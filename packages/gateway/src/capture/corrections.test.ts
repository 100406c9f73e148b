/** What is said of the group that an earlier process wrote last. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { doubtCorrections } from './corrections.ts';

const own = { actor: { id: 'gateway:g', type: 'service' }, kind: 'system', action: 'execute' };
let count = 0;

function line(event: object): string {
  count += 1;
  return JSON.stringify({
    emitter: { id: 'g', seq: count },
    v: 1,
    id: `01890000-0000-7000-8000-${String(count).padStart(12, '0')}`,
    time: '2026-01-01T00:00:00.000Z',
    kind: 'api',
    action: 'read',
    operation: 'read',
    outcome: { status: 'success', code: 200 },
    actor: { id: 'person-1' },
    targets: [{ type: 'Patient', id: '1', patient: '1' }],
    exposure: { patients: [{ id: '1' }], bytes: 9 },
    request: { method: 'GET', route: '/fhir/Patient/{id}', status: 200, responseBytes: 9, durationMs: 3 },
    ...event,
  });
}

const idIn = (text: string): string => (JSON.parse(text) as { id: string }).id;

describe('the last group of an earlier process', () => {
  it('has each answer in it doubted, by an event that completes it and names nothing that left', () => {
    const [read, opened] = [line({}), line({ outcome: { status: 'success', code: 101, reason: 'opened' } })];
    const doubts = doubtCorrections([read, opened]);
    assert.deepEqual(
      doubts.map(({ completes }) => completes),
      [read, opened].map(idIn),
    );
    const [{ outcome, exposure, request, targets } = assert.fail()] = doubts;
    assert.deepEqual(outcome, { status: 'error', reason: 'release-unknown' });
    assert.equal(exposure, undefined);
    assert.deepEqual(request, { method: 'GET', route: '/fhir/Patient/{id}' });
    assert.equal(targets?.[0]?.id, '1');
  });

  it('is left as it is where nothing in it says that an answer left', () => {
    const lines = [
      line({ outcome: { status: 'success', reason: 'intent' } }),
      line({ outcome: { status: 'denied', code: 403, reason: 'policy' } }),
      line({ outcome: { status: 'success', code: 200, reason: 'streamed' } }),
      line({ kind: 'auth', operation: 'authenticate' }),
      line({ ...own, operation: 'start', outcome: { status: 'success' } }),
    ];
    assert.deepEqual(doubtCorrections(lines), []);
    assert.deepEqual(doubtCorrections([]), []);
  });

  it('is believed where it was corrected, or where the process said goodbye in it', () => {
    const read = line({});
    const correction = line({
      outcome: { status: 'error', code: 503, reason: 'audit-unavailable' },
      completes: idIn(read),
    });
    assert.deepEqual(doubtCorrections([read, correction]), []);
    assert.deepEqual(
      doubtCorrections([line({}), line({ ...own, operation: 'stop', outcome: { status: 'success' } })]),
      [],
    );
  });
});
