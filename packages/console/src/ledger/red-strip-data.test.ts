import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Completeness, completeness } from '../api/completeness.ts';
import { completenessTitle, kindTitle, stripMarks } from './red-strip-data.ts';

const report = (more: Record<string, unknown> = {}): Completeness =>
  completeness(
    {
      tenant: 'clinic',
      verdict: 'red',
      words: 'said',
      red: [],
      examined: { from: '1970-01-01T00:00:00Z', to: '1970-01-01T00:16:40Z', first: 3, end: 9, signs: 4 },
      unexamined: [],
      limits: [],
      emitters: [],
      ...more,
    },
    '',
  );
const interval = (fromMs: number, toMs: number): Record<string, unknown> => ({
  kind: 'recording-paused',
  from: new Date(fromMs).toISOString(),
  to: new Date(toMs).toISOString(),
  evidence: [3],
  words: 'said',
});

test('each interval lies where its time is, and none is too narrow to be seen', () => {
  const marks = stripMarks(report({ red: [interval(250_000, 500_000), interval(999_999, 1_000_000)] }));
  assert.deepEqual(marks[0], { state: 'red', left: 0.25, width: 0.25 });
  assert.equal(marks[1]?.width, 0.004);
  assert.ok((marks[1]?.left ?? 1) + 0.004 <= 1);
});

test('what reaches past an end is cut there, and what lies outside is not drawn', () => {
  const marks = stripMarks(
    report({
      red: [
        interval(-500_000, 100_000),
        interval(900_000, 5_000_000),
        interval(-9, -5),
        interval(1_000_001_000, 1_000_002_000),
      ],
    }),
  );
  assert.deepEqual(
    marks.map(({ left, width }) => [left, Number(width.toFixed(3))]),
    [
      [0, 0.1],
      [0.9, 0.1],
    ],
  );
});

test('what was not examined is drawn under the red, where it has a time', () => {
  const { from, to } = interval(0, 500_000);
  const marks = stripMarks(
    report({ red: [interval(0, 500_000)], unexamined: [{ from, to, words: 'x' }, { words: 'y' }] }),
  );
  assert.deepEqual(
    marks.map(({ state }) => state),
    ['unexamined', 'red'],
  );
});

test('nothing red is said of what was examined only', () => {
  assert.equal(completenessTitle(report({ verdict: 'clear' })), 'No red interval');
  assert.equal(completenessTitle(report({ verdict: 'partial' })), 'No red interval in what was examined');
  assert.equal(completenessTitle(report({ red: [interval(0, 1)] })), '1 red interval');
  assert.equal(completenessTitle(report({ red: [interval(0, 1)], redOmitted: 4 })), '5 red intervals');
  assert.deepEqual([kindTitle('clock-stepped'), kindTitle('newer-kind')], ['Clock stepped', 'newer kind']);
});

test('an answer that is no report is refused', () => {
  assert.throws(() => report({ red: [{ ...interval(0, 1), from: 'yesterday' }] }), { code: 'unexpected-answer' });
  assert.throws(() => report({ examined: null }), { code: 'unexpected-answer' });
});
