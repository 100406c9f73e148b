import assert from 'node:assert/strict';
import { test } from 'node:test';
import { minute, TestLog } from './completeness.fixture.ts';
import type { CompletenessReport } from './report.ts';

const startMs = Date.UTC(2026, 2, 14, 8);
const at = (ms: number): string => new Date(startMs + ms).toISOString();
const hour = 60 * minute;

/** Kind, from and to in minutes, evidence. */
function seen({ red }: CompletenessReport): unknown[] {
  const minutes = (text: string): number => (Date.parse(text) - startMs) / minute;
  return red.map(({ kind, from, to, evidence, ongoing }) => [
    kind,
    minutes(from),
    minutes(to),
    evidence,
    ...(ongoing ? ['ongoing'] : []),
  ]);
}

/** An idle log since half a day ago until now, six hours after the start. */
function quietLog(): TestLog {
  const log = new TestLog(startMs + 6 * hour);
  log.idle(startMs - 24 * hour, startMs);
  return log;
}

test('a quiet log is clear, and says from where to where and what it rests on', async () => {
  const log = quietLog();
  log.idle(startMs, startMs + 6 * hour + 1);
  log.emitterStates = [{ id: 'ward-app', lastSeq: 9, received: 9, gaps: [] }];
  const report = await log.report({ from: at(0) });
  assert.deepEqual([report.verdict, report.red, report.unexamined], ['clear', [], []]);
  assert.deepEqual(report.examined, {
    from: at(0),
    to: at(6 * hour),
    first: 288,
    end: log.entries.length,
    signs: log.entries.length - 288 + 12,
  });
  assert.match(report.words, /No red interval\. Examined: entries 288 to 360 of the log, 1 emitter, 0 of which/);
  assert.match(report.limits.join(), /1 emitter counts no requests: its silence can’t be told/);
});

test('a server that was stopped, killed or stood still is a pause, from the last entry on', async () => {
  const log = quietLog();
  log.idle(startMs, startMs + 30 * minute);
  const stop = log.add({ atMs: startMs + 31 * minute, emitter: 'server', operation: 'stop' });
  const start = log.add({ atMs: startMs + 33 * minute, emitter: 'server', operation: 'start' });
  log.heartbeat(startMs + 38 * minute);
  const last = log.heartbeat(startMs + 43 * minute);
  // A starting process first says what it sealed.
  log.add({ atMs: startMs + 59 * minute, operation: 'epoch-sealed' });
  const again = log.add({ atMs: startMs + 60 * minute, emitter: 'server', operation: 'start' });
  const before = log.heartbeat(startMs + 65 * minute);
  const after = log.heartbeat(startMs + 95 * minute);
  log.idle(startMs + 100 * minute, startMs + 6 * hour);
  const report = await log.report({ from: at(0) });
  assert.deepEqual(seen(report), [
    ['recording-paused', 31, 33, [stop, start]],
    ['recording-paused', 43, 60, [last, again]],
    ['recording-paused', 65, 95, [before, after]],
  ]);
  assert.equal(report.verdict, 'red');
  assert.match(report.red[0]?.words ?? '', /was stopped and started again, at most 2 min/);
  assert.match(report.red[1]?.words ?? '', /without a stop on record/);
  assert.match(report.red[2]?.words ?? '', /Nothing was recorded for 30 min/);
  // What is asked for decides, and the interval is shown whole.
  assert.deepEqual(seen(await log.report({ from: at(50 * minute), to: at(55 * minute) })), [
    ['recording-paused', 43, 60, [last, again]],
  ]);
  assert.equal((await log.report({ from: at(34 * minute), to: at(42 * minute) })).verdict, 'clear');
});

test('a pause is found between events that are no signs, and a ledger that has been silent till now is one', async () => {
  const log = quietLog();
  for (let at = 0; at < 100; at++) log.add({ atMs: startMs + at * minute, kind: 'api', emitter: 'ward-app' });
  const before = log.entries.length - 1;
  for (let at = 130; at < 300; at++) log.add({ atMs: startMs + at * minute, kind: 'api', emitter: 'ward-app' });
  const newest = log.entries.length - 1;
  const report = await log.report({ from: at(0) });
  assert.deepEqual(seen(report), [
    ['recording-paused', 99, 130, [before, before + 1]],
    ['recording-paused', 299, 360, [newest, newest + 1]],
  ]);
  assert.ok(log.reads < 700);
});

test('where too much lies between two signs, it is said which part was not looked at', async () => {
  const log = new TestLog(startMs + 300 * 24 * hour);
  for (let at = 0; at < 300 * 24 * 12; at++)
    log.add({ atMs: startMs + at * 5 * minute, kind: 'api', emitter: 'ward-app' });
  const report = await log.report({ from: at(0) });
  assert.equal(report.verdict, 'partial');
  assert.match(report.words, /not everything was/);
  assert.ok(report.unexamined.length > 0);
  assert.ok(log.reads < 1_000, `${log.reads} reads`);
});

test('a disk that was full, and a clock that was set back or ahead, are named with when', async () => {
  const log = quietLog();
  log.idle(startMs, startMs + 30 * minute);
  const full = log.add({
    atMs: startMs + 30 * minute,
    operation: 'recording-resumed',
    changes: { '/paused/since': at(26 * minute), '/paused/until': at(30 * minute) },
  });
  log.idle(startMs + 35 * minute, startMs + 60 * minute);
  const back = log.add({
    atMs: startMs - 3 * 24 * hour,
    operation: 'clock-stepped',
    changes: { '/clock/expected': at(60 * minute), '/clock/found': at(-3 * 24 * hour) },
  });
  const ahead = log.add({
    atMs: startMs + 62 * minute,
    operation: 'clock-stepped',
    changes: { '/clock/expected': at(-3 * 24 * hour + minute), '/clock/found': at(62 * minute) },
  });
  log.idle(startMs + 65 * minute, startMs + 6 * hour);
  const report = await log.report({ from: at(0) });
  assert.deepEqual(
    report.red.map(({ kind, to, evidence }) => [kind, to, evidence.includes(full) || evidence.includes(back)]),
    [
      ['clock-stepped', at(62 * minute), true],
      ['recording-paused', at(30 * minute), true],
    ],
  );
  assert.ok(report.red[0]?.evidence.includes(ahead));
  assert.match(report.red[1]?.words ?? '', /The disk under the ledger was full/);
});

test('received times that go back in the ledger’s own events are a stepped clock, though nothing was told of it', async () => {
  const log = quietLog();
  log.idle(startMs, startMs + 2 * hour);
  const before = log.entries.length - 1;
  log.idle(startMs + hour, startMs + 6 * hour);
  const report = await log.report({ from: at(0) });
  assert.deepEqual(seen(report), [['clock-stepped', 60, 115, [before, before + 1]]]);
  assert.match(report.red[0]?.words ?? '', /set back by 55 min/);
});

test('missing numbers are red until they come, and only those that still miss are counted', async () => {
  const log = quietLog();
  log.idle(startMs, startMs + 30 * minute);
  const hole = {
    '/seq/first': 40,
    '/seq/last': 51,
    '/seq/count': 12,
    '/seq/since': at(29 * minute),
    '/seq/after': at(20 * minute),
  };
  const gap = log.add({ atMs: startMs + 30 * minute, operation: 'sequence-gap', target: 'ward-app', changes: hole });
  log.add({
    atMs: startMs + 31 * minute,
    operation: 'sequence-gap-closed',
    target: 'ward-app',
    changes: { '/seq/first': 42, '/seq/last': 45 },
  });
  log.add({
    atMs: startMs + 31 * minute,
    operation: 'sequence-gap-closed',
    target: 'another',
    changes: { '/seq/first': 1, '/seq/last': 99 },
  });
  log.idle(startMs + 35 * minute, startMs + 6 * hour);
  const report = await log.report({ from: at(0) });
  assert.deepEqual(seen(report), [['sequence-gap', 20, 29, [gap]]]);
  assert.match(report.red[0]?.words ?? '', /8 events of ward-app never arrived: numbers 40–41, 46–51/);
  log.add({
    atMs: startMs + 6 * hour,
    operation: 'sequence-gap-closed',
    target: 'ward-app',
    changes: { '/seq/first': 40, '/seq/last': 51 },
  });
  assert.equal((await log.report({ from: at(0) })).verdict, 'clear');
  // Nobody but the ledger can say so.
  const forged = quietLog();
  forged.idle(startMs, startMs + 30 * minute);
  forged.add({ atMs: startMs + 30 * minute, operation: 'sequence-gap', target: 'ward-app', changes: hole });
  forged.add({
    atMs: startMs + 31 * minute,
    operation: 'sequence-gap-closed',
    target: 'ward-app',
    submitter: 'key:k2',
    changes: { '/seq/first': 1, '/seq/last': 99 },
  });
  forged.idle(startMs + 35 * minute, startMs + 6 * hour);
  assert.equal((await forged.report({ from: at(0) })).red.length, 1);
});

test('a heartbeat that doesn’t agree with the log is named', async () => {
  const log = quietLog();
  log.idle(startMs, startMs + 30 * minute);
  const before = log.entries.length - 1;
  const wrong = log.heartbeat(startMs + 30 * minute, 7);
  log.idle(startMs + 35 * minute, startMs + 6 * hour);
  const report = await log.report({ from: at(0) });
  assert.deepEqual(seen(report), [['counts-differ', 25, 30, [before, wrong]]]);
  assert.match(report.red[0]?.words ?? '', /counted 7 entries since its last heartbeat, and its log grew by 1/);
});

test('what can’t be found yet is said, and then nothing is clear', async () => {
  const log = quietLog();
  log.idle(startMs, startMs + 6 * hour + 1);
  log.unindexed = 3;
  const report = await log.report({ from: at(0) });
  assert.equal(report.verdict, 'partial');
  assert.match(report.unexamined[0]?.words ?? '', /3 entries can’t be found yet/);
});

test('a time that makes no sense is refused by name, and one without entries is no fault', async () => {
  const log = quietLog();
  for (const query of [
    { from: at(hour), to: at(0) },
    { from: at(7 * hour) },
    { from: '1999-01-01' },
    { from: 'yesterday' },
    { until: at(0) },
  ] as Record<string, string>[]) {
    await assert.rejects(log.report(query), { code: 'query-invalid' });
  }
  const empty = new TestLog(startMs);
  const report = await empty.report();
  assert.deepEqual([report.verdict, report.examined.first, report.examined.end], ['clear', 0, 0]);
  assert.match(report.words, /no entries of the log/);
});
