import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Counters } from '@watchglass/record';
import { minute, TestLog } from './completeness.fixture.ts';

const startMs = Date.UTC(2026, 2, 14, 8);
const at = (ms: number): string => new Date(startMs + ms).toISOString();
const since = startMs + 1_000;

/** A log of which only the gateway matters: the server is alive throughout. */
class GatewayLog extends TestLog {
  constructor() {
    super(startMs + 60 * minute);
    this.idle(startMs - 60 * minute, startMs);
    this.emitterStates = [{ id: 'edge', lastSeq: 1, received: 1, gaps: [] }];
  }

  edge(minutes: number, operation: string, seq: number): number {
    return this.add({ atMs: startMs + minutes * minute, emitter: 'edge', operation, seq });
  }

  /** Counters of a gateway that recorded all its events so far, which are those numbered from `first` to before this one. */
  count(
    minutes: number,
    seq: number,
    more: Partial<Counters> = {},
    given: { submitter?: string; first?: number } = {},
  ): number {
    const { first = 1, ...rest } = given;
    const counters = { since, eventsRecorded: seq - first, ...more };
    return this.counters(startMs + minutes * minute, 'edge', counters, { seq, ...rest });
  }

  async found(): Promise<unknown[]> {
    const entries = this.entries.length;
    // Alive until now, without adding to what is told.
    for (let minutes = 0; minutes <= 60; minutes++)
      this.add({ atMs: startMs + minutes * minute, kind: 'api', emitter: 'app' });
    const { red } = await this.report({ from: at(0) });
    this.entries.length = entries;
    return red
      .filter(({ emitter }) => emitter === 'edge')
      .map(({ kind, from, to, evidence, words, ongoing }) => [
        kind,
        (Date.parse(from) - startMs) / minute,
        (Date.parse(to) - startMs) / minute,
        evidence,
        words,
        ...(ongoing ? ['ongoing'] : []),
      ]);
  }
}

/** A gateway that starts, counts every minute and stops. */
function wellBehaved(): GatewayLog {
  const log = new GatewayLog();
  log.edge(0, 'start', 1);
  for (let minutes = 1; minutes <= 30; minutes++)
    log.count(minutes, 2 * minutes, { received: minutes, recorded: minutes - 1, inFlight: 1 });
  return log;
}

test('a gateway whose counters add up, and that says goodbye, is never red', async () => {
  const log = wellBehaved();
  log.edge(31, 'stop', 61);
  assert.deepEqual(await log.found(), []);
  const { emitters } = await log.report({ from: at(0) });
  assert.deepEqual(emitters, [
    { id: 'edge', received: 1, lastSeq: 1, missing: 0, counts: true, lastSign: at(31 * minute) },
  ]);
});

test('a gateway that falls silent without a goodbye is red until it speaks again', async () => {
  const log = wellBehaved();
  const last = log.entries.length - 1;
  assert.deepEqual(
    (await log.found()).map((one) => (one as unknown[]).toSpliced(4, 1)),
    [['emitter-silent', 30, 60, [last], 'ongoing']],
  );
  const start = log.edge(40, 'start', 61);
  log.edge(40, 'spool-cut', 62);
  log.edge(41, 'stop', 63);
  const [red] = (await log.found()) as unknown[][];
  assert.deepEqual(red?.toSpliced(4, 1), ['emitter-silent', 30, 40, [last, start]]);
  assert.match(String(red?.[4]), /ended without saying goodbye/);
});

test('counters that are late by far are red, and those that only waited in a spool are not', async () => {
  const log = wellBehaved();
  const before = log.entries.length - 1;
  const late = log.count(38, 61, { received: 31, recorded: 31 });
  log.edge(39, 'stop', 62);
  const [red] = (await log.found()) as unknown[][];
  assert.deepEqual(red?.slice(0, 4), ['emitter-silent', 30, 38, [before, late]]);
  assert.match(String(red?.[4]), /counts its requests every 60 s/);
  const spooled = wellBehaved();
  for (let minutes = 31; minutes <= 38; minutes++)
    spooled.counters(
      startMs + 38 * minute,
      'edge',
      { since, received: 31, recorded: 31, eventsRecorded: 2 * minutes - 1 },
      {
        seq: 2 * minutes,
        happenedMs: startMs + minutes * minute,
      },
    );
  spooled.edge(39, 'stop', 77);
  assert.deepEqual(await spooled.found(), []);
});

test('a gateway that died before what is asked for is still silent', async () => {
  const log = new GatewayLog();
  const early = startMs - 20 * 24 * 60 * minute;
  const old = new TestLog(startMs + 60 * minute);
  old.emitterStates = log.emitterStates;
  for (let minutes = 0; minutes < 3; minutes++)
    old.counters(early + minutes * minute, 'edge', { since: early, eventsRecorded: minutes }, { seq: minutes + 1 });
  old.idle(startMs - 60 * minute, startMs + 61 * minute);
  const { red } = await old.report({ from: at(0) });
  assert.deepEqual(
    red.map(({ kind, from, ongoing }) => [kind, from, ongoing]),
    [['emitter-silent', new Date(early + 2 * minute).toISOString(), true]],
  );
});

const faults: readonly (readonly [string, (log: GatewayLog) => unknown, RegExp])[] = [
  [
    'requests that are not accounted for',
    (log) => log.count(31, 62, { received: 40, recorded: 31, inFlight: 1 }),
    /saw 40 requests and accounts for 32/,
  ],
  [
    'requests without a record',
    (log) => log.count(31, 62, { received: 34, recorded: 31, unrecorded: 3 }),
    /3 requests of edge ended with nothing on record/,
  ],
  [
    'events that were not durable',
    (log) => log.count(31, 62, { received: 31, recorded: 31, eventsUnrecorded: 2 }),
    /2 events of edge could not be made durable/,
  ],
  ['counters that fall', (log) => log.count(31, 62, { received: 5, recorded: 5 }), /went back/],
  [
    'more numbers than events',
    (log) => log.count(31, 90, { received: 31, recorded: 31, eventsRecorded: 61 }),
    /counted 2 events of its own, and numbered 30/,
  ],
  [
    'fewer numbers than events',
    (log) => log.count(31, 62, { received: 31, recorded: 31, eventsRecorded: 99 }),
    /counted 40 events of its own, and numbered 2/,
  ],
  [
    'counters by two keys at once',
    (log) => log.count(31, 62, { received: 31, recorded: 31 }, { submitter: 'key:k2' }),
    /two write keys/,
  ],
  [
    'counters that are no numbers',
    (log) =>
      log.add({
        atMs: startMs + 31 * minute,
        emitter: 'edge',
        seq: 62,
        operation: 'request-counters',
        changes: { '/received': 'many' },
      }),
    /can’t be read/,
  ],
  [
    'numbers past all counting',
    (log) => log.count(31, 62, { received: 9_999_999_999_999_998, recorded: 9_999_999_999_999_998 }),
    /can’t be read/,
  ],
];

for (const [what, add, words] of faults) {
  test(`red: ${what}`, async () => {
    const log = wellBehaved();
    const before = log.entries.length - 1;
    add(log);
    log.edge(32, 'stop', 120);
    const found = (await log.found()) as unknown[][];
    assert.deepEqual(
      found.map((one) => one.slice(0, 4)),
      [['counts-differ', 30, 31, [before, before + 1]]],
    );
    assert.match(String(found[0]?.[4]), words);
  });
}

test('the first count of a run is held against the number of its start', async () => {
  const log = new GatewayLog();
  const start = log.edge(0, 'start', 500);
  const count = log.count(1, 510, { eventsRecorded: 3, eventsPending: 2 });
  log.edge(2, 'stop', 511);
  const [red] = (await log.found()) as unknown[][];
  assert.deepEqual(red?.slice(0, 4), ['counts-differ', 0, 1, [start, count]]);
  assert.match(String(red?.[4]), /counted 3 to 5 events of its own, and numbered 10/);
});
