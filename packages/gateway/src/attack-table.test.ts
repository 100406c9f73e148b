/**
 * docs/attacks.md has all thirty rows of the table of attacks, each with a test that there is and the events that its test demands. No row is tested but through
 * `attack`, which takes no case without its event.
 */
import assert from 'node:assert/strict';
import { globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';

import { marksOfRow, rowsCount } from './attack.fixture.ts';

const page = readFileSync(new URL('../../../docs/attacks.md', import.meta.url), 'utf8');
const sources = globSync('**/*.test.ts', { cwd: import.meta.dirname }).map((file) => ({
  file,
  text: readFileSync(join(import.meta.dirname, file), 'utf8'),
}));
const titles = sources
  .flatMap(({ text }) => [...text.matchAll(/^attack\(\s*(\d+),\s*'([^'\n]+)'/gm)])
  .map(([, row = '', title = '']) => ({ row: Number(row), title: `row ${row}: ${title}` }));

/** The last two cells of a row: its events, and its test. */
function cellsOf(row: number): { readonly events: readonly string[]; readonly test: string } {
  const line = page.split('\n').find((one) => new RegExp(`^\\| ${row} +\\|`).test(one));
  assert.ok(line !== undefined, 'docs/attacks.md has no such row');
  const [events = '', test = ''] = line.split(' | ').slice(-2);
  return { events: codesIn(events), test: codesIn(test)[0] ?? '' };
}

function codesIn(cell: string): readonly string[] {
  return [...cell.matchAll(/`([^`]+)`/g)].map(([, code = '']) => code);
}

describe('the table of attacks', () => {
  for (let row = 1; row <= rowsCount; row++) {
    it(`has a test of row ${row}, and the page names it and its events`, () => {
      const own = titles.filter((one) => one.row === row).map(({ title }) => title);
      assert.equal(own.length, 1);
      const { events, test } = cellsOf(row);
      assert.equal(test, own[0]);
      assert.deepEqual(events, marksOfRow(row));
      assert.ok(events.length > 0);
    });
  }

  it('has no other rows', () => {
    const rows = [...page.matchAll(/^\| (\d+) +\|/gm)].map(([, row]) => Number(row));
    assert.deepEqual(
      rows,
      Array.from({ length: rowsCount }, (_, n) => n + 1),
    );
    assert.equal(titles.length, rowsCount);
  });

  it('has no row whose test could leave out its event', () => {
    for (const { file, text } of sources) assert.doesNotMatch(text, /\b(?:describe|it|test)\(\s*['`]row \d/, file);
  });
});
