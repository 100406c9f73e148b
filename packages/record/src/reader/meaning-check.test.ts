import assert from 'node:assert/strict';
import { test } from 'node:test';
import { countersOperation } from '../counters.ts';
import { encode } from '../encode.ts';
import type { Change, Event, StoredRecord } from '../event.ts';
import { retentionClassOf } from '../retention.ts';
import { uuidv7 } from '../uuid.ts';
import { MeaningCheck, type MeaningOptions } from './meaning-check.ts';
import { MeaningFindings } from './meaning-findings.ts';
import type { OpenedRecord } from './record-reader.ts';

const startMs = Date.UTC(2026, 2, 14, 9, 26, 53);
const epoch = (2026 - 1970) * 12 + 2;
const minuteMs = 60_000;
const run1 = new Uint8Array(16).fill(1);
const run2 = new Uint8Array(16).fill(2);

type Given = Partial<Omit<StoredRecord, 'event'>> & {
  readonly event?: Partial<Event>;
  readonly atMs?: number;
  readonly opened?: Partial<OpenedRecord>;
  readonly m?: Uint8Array;
};

let made = 0;

function recordOf({ event = {}, atMs = startMs, opened: _o, m: _m, ...envelope }: Given): StoredRecord {
  const time = new Date(atMs).toISOString();
  const random = new Uint8Array(10);
  new DataView(random.buffer).setUint32(6, ++made);
  return {
    received: time,
    submitter: 'key:k-1',
    intake: 'http',
    digest: 'ab'.repeat(32),
    ...envelope,
    event: {
      v: 1,
      id: uuidv7(atMs, random),
      time,
      tenant: 'clinic',
      emitter: { id: 'app', seq: 0 },
      kind: 'api',
      action: 'read',
      outcome: { status: 'success' },
      actor: { id: 'person-1' },
      ...event,
    },
  };
}

/** Codes found in a log of these records, with their indexes. Events are numbered by emitter where they have no number. */
function check(given: readonly Given[], options: Partial<MeaningOptions> = {}): string[] {
  const findings = new MeaningFindings();
  const checker = new MeaningCheck({
    tenant: 'clinic',
    size: given.length,
    idWindow: 1_000,
    wholeFrom: 0,
    findings,
    nowMs: startMs + 3_600_000,
    ...options,
  });
  const seqs = new Map<string, number>();
  for (const [index, one] of given.entries()) {
    const record = recordOf(one);
    const { id, seq } = record.event.emitter;
    const next = seq > 0 ? seq : (seqs.get(id) ?? 0) + 1;
    seqs.set(id, Math.max(next, seqs.get(id) ?? 0));
    const event = { ...record.event, emitter: { id, seq: next } };
    checker.look({
      index,
      m: one.m ?? encode({ ...record, event }),
      retentionClass: retentionClassOf(event.kind),
      epoch,
      writer: run1,
      ...one.opened,
    });
  }
  checker.end();
  return findings.list.map(({ code, index }) => `${code} ${index}`);
}

const own = (operation: string, event: Partial<Event> = {}, more: Given = {}): Given => ({
  submitter: 'self',
  intake: 'self',
  ...more,
  event: {
    kind: 'system',
    action: 'execute',
    operation,
    site: 'ledger',
    emitter: { id: 'ledger', seq: 0 },
    ...event,
  },
});
const says = (values: Readonly<Record<string, string>>): Change[] =>
  Object.entries(values).map(([path, after]) => ({ path, op: 'replace', after }));
const from = (id: string, seq: number, atMs: number = startMs): Given => ({ atMs, event: { emitter: { id, seq } } });

test('records of senders and of the server’s own, in order, mean what they say', () => {
  const beat = { '/received': '2', '/refused': '0', '/gapped': '0' };
  assert.deepEqual(
    check([
      {},
      own('start', { site: 'test', emitter: { id: 'server', seq: 0 } }),
      own('heartbeat', { changes: says(beat) }),
      { event: { kind: 'auth', operation: 'login' } },
      own('of-a-later-version', { changes: says({ '/anything': 'x' }) }),
    ]),
    [],
  );
});

test('a record that is not one, is spelled otherwise, or lies in the wrong place is told with its index', () => {
  const text = new TextEncoder();
  assert.deepEqual(check([{}, { m: text.encode('{"received":1}') }]), ['record-invalid 1']);
  const spaced = new TextDecoder().decode(encode(recordOf({ event: { emitter: { id: 'app', seq: 1 } } })));
  assert.deepEqual(check([{ m: text.encode(spaced.replace('"v":1', '"v": 1')) }]), ['record-invalid 0']);
  assert.deepEqual(check([{ event: { tenant: 'other' } }]), ['record-foreign 0']);
  assert.deepEqual(check([{ opened: { retentionClass: 'oversight' } }]), ['class-mismatch 0']);
});

test('an envelope that makes no sense is told', () => {
  for (const envelope of [
    { submitter: 'somebody' },
    { submitter: 'key:' },
    { intake: 'HTTP' },
    { submitter: 'self' },
    { intake: 'self' },
    { submitter: 'self', intake: 'self' },
    { atMs: Date.UTC(1999, 0, 1) },
    { atMs: startMs + 40 * 86_400_000 },
  ] satisfies Given[])
    assert.deepEqual([...new Set(check([envelope]))], ['envelope-invalid 0'], JSON.stringify(envelope));
  assert.deepEqual(check([{ event: { emitter: { id: 'server', seq: 1 } } }]), ['emitter-forged 0']);
});

test('the moment of receipt may step back between two runs of the server, and not within one', () => {
  const later = { atMs: startMs + 5 * minuteMs };
  assert.deepEqual(check([later, { opened: { writer: run2 } }]), []);
  assert.deepEqual(check([later, {}]), ['received-backwards 1']);
  assert.deepEqual(check([later, { atMs: startMs + 5 * minuteMs - 30_000 }]), []);
});

test('an id twice is told, unless so much lies between that the server may have forgotten it', () => {
  const id = uuidv7(startMs, new Uint8Array(10).fill(7));
  const twice = [{ event: { id } }, {}, {}, { event: { id } }];
  assert.deepEqual(check(twice), ['id-twice 3']);
  assert.deepEqual(check(twice, { idWindow: 2 }), []);
  assert.deepEqual(check(twice, { idWindow: 0 }), []);
  assert.deepEqual(check([{ event: { id }, atMs: startMs - 8 * 86_400_000 }, { event: { id } }]), []);
});

test('an own emitter counts without a hole', () => {
  const numbered = (seq: number): Given => own('other', { emitter: { id: 'ledger', seq } });
  assert.deepEqual(check([numbered(1), numbered(2), numbered(4)]), ['sequence-broken 2']);
  assert.deepEqual(check([numbered(1), numbered(2), numbered(2)]), ['sequence-broken 2']);
  assert.deepEqual(check([numbered(1), numbered(2), numbered(1)]), ['sequence-broken 2']);
  // What is between was shredded.
  assert.deepEqual(check([numbered(1), { ...numbered(4), opened: { index: 5 } }]), []);
});

test('numbers that are missing are told, unless the log says so, or there was no time to', () => {
  const missing = [from('app', 1), from('app', 4)];
  const late = from('ward', 1, startMs + 10 * minuteMs);
  const gap = (first: number, last: number, kind = 'sequence-gap'): Given =>
    own(kind, {
      targets: [{ type: 'Emitter', id: 'app', role: 'object' }],
      changes: says({ '/seq/first': `${first}`, '/seq/last': `${last}`, '/seq/count': `${last - first + 1}` }),
    });
  assert.deepEqual(check([...missing, late]), ['hole-unrecorded 1']);
  assert.deepEqual(check([...missing, gap(2, 3), late]), []);
  assert.deepEqual(check([...missing, gap(2, 3), from('app', 3), gap(2, 3, 'sequence-gap-closed'), late]), []);
  assert.deepEqual(check([...missing, from('app', 2), from('app', 3), late]), []);
  assert.deepEqual(check([...missing, from('ward', 1, startMs + minuteMs)]), []);
  assert.deepEqual(check([...missing, { ...late, opened: { writer: run2 } }]), []);
  assert.deepEqual(check([...missing, gap(2, 9)]), ['own-event-senseless 2']);
  assert.deepEqual(check([...missing, gap(3, 2)]), ['own-event-invalid 2']);
});

test('numbers that came twice are told, unless the log says so', () => {
  const twice = [from('app', 1), from('app', 2), from('app', 2)];
  const late = from('ward', 1, startMs + 10 * minuteMs);
  const repeat = own('sequence-repeat', {
    targets: [{ type: 'Emitter', id: 'app', role: 'object' }],
    changes: says({ '/seq/first': '2', '/seq/last': '2', '/seq/count': '1' }),
  });
  assert.deepEqual(check([...twice, late]), ['repeat-unrecorded 2']);
  assert.deepEqual(check([...twice, repeat, late]), []);
});

test('counters of one run never go back, and those of a gateway add up', () => {
  const beat = (received: number, more: Given = {}): Given =>
    own('heartbeat', { changes: says({ '/received': `${received}`, '/refused': '0', '/gapped': '0' }) }, more);
  assert.deepEqual(check([beat(5), beat(4)]), ['counter-backwards 1']);
  assert.deepEqual(check([beat(5), beat(4, { opened: { writer: run2 } })]), []);
  assert.deepEqual(check([own('heartbeat', { changes: says({ '/received': '1' }) })]), ['own-event-invalid 0']);

  const counters = (over: Readonly<Record<string, number>>): Given => {
    const values = {
      since: startMs,
      received: 9,
      recorded: 7,
      flooded: 1,
      faulted: 0,
      unrecorded: 0,
      inFlight: 1,
      answered: 7,
      refused: 1,
      connectionFaults: 0,
      eventsRecorded: 8,
      eventsPending: 0,
      eventsUnrecorded: 0,
      ...over,
    };
    const changes = Object.entries(values).map(([name, count]) => [`/${name}`, String(count)]);
    return { event: { kind: 'system', operation: countersOperation, changes: says(Object.fromEntries(changes)) } };
  };
  assert.deepEqual(check([counters({}), counters({ recorded: 8, inFlight: 0 })]), []);
  assert.deepEqual(check([counters({ received: 11 })]), ['counters-unbalanced 0']);
  assert.deepEqual(check([counters({}), counters({ recorded: 6, received: 8 })]), [
    'counter-backwards 1',
    'counter-backwards 1',
  ]);
  assert.deepEqual(check([counters({}), counters({ since: startMs + 1, recorded: 1, received: 3 })]), []);
});

test('what the log says of its seals, keys, shreds and holds must be able to be so where it stands', () => {
  const hash = `${'A'.repeat(43)}=`;
  const key = 'example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k';
  const about = (type: string, id: string): Pick<Event, 'targets'> => ({ targets: [{ type, id, role: 'object' }] });
  const hold = '0123456789abcdef0123456789abcdef';
  const added = own('hold-added', { ...about('Hold', hold), changes: says({ '/matter': 'm', '/reason': 'r' }) });
  const released = own('hold-released', about('Hold', hold));
  const shred = (operation: string, over: Readonly<Record<string, string>> = {}): Given =>
    own(operation, {
      ...about('Shred', 'access-600'),
      changes: says({
        '/terms': 'ab'.repeat(32),
        '/events': '1',
        '/first': '0',
        '/last': '0',
        '/ranges': 'ab'.repeat(32),
        '/days': '2192',
        '/plan': 'ab'.repeat(32),
        '/seeds': '1',
        ...over,
      }),
    });
  assert.deepEqual(check([added, released]), []);
  assert.deepEqual(check([released]), ['own-event-senseless 0']);
  assert.deepEqual(check([added, added]), ['own-event-senseless 1']);
  assert.deepEqual(check([added, released, released]), ['own-event-senseless 2']);
  assert.deepEqual(check([own('hold-added', { ...about('Hold', 'x'), changes: says({ '/matter': 'm' }) })]), [
    'own-event-invalid 0',
  ]);
  assert.deepEqual(check([{}, shred('shred-begun'), shred('shred-completed')]), []);
  assert.deepEqual(check([{}, shred('shred-completed')]), ['own-event-senseless 1']);
  assert.deepEqual(check([{}, shred('shred-begun', { '/last': '7' })]), ['own-event-senseless 1']);
  assert.deepEqual(check([{}, shred('shred-begun', { '/held': `${hold} 1` })]), ['own-event-senseless 1']);
  assert.deepEqual(check([{}, shred('shred-begun', { '/plan': 'the usual' })]), ['own-event-invalid 1']);

  const seal = (operation: string, epochOf: number, size = '0', vkey = key): Given =>
    own(operation, {
      ...about('Epoch', String(epochOf)),
      changes: says({ '/seal/size': size, '/seal/root': hash, '/seal/hash': hash, '/key': vkey }),
    });
  const wrongKey = check([seal('sealing-begun', 600, '0', 'no key')]);
  assert.deepEqual(wrongKey, ['own-event-invalid 0']);
  assert.deepEqual(check([seal('sealing-begun', 600, '5')]).slice(-1), ['own-event-senseless 0']);
  assert.deepEqual(check([seal('sealing-begun', 600), seal('epoch-sealed', 602)]), ['own-event-senseless 1']);
  assert.deepEqual(check([seal('sealing-begun', 600), seal('epoch-sealed', 601), seal('epoch-sealed', 601)]), []);
  const succeeds = own('log-succeeds', {
    changes: says({
      '/predecessor/origin': 'o',
      '/predecessor/size': '1',
      '/predecessor/root': hash,
      '/predecessor/hash': hash,
    }),
  });
  assert.deepEqual(check([succeeds]), []);
  assert.deepEqual(check([{}, succeeds]), ['own-event-senseless 1']);
});
