/** docs/attacks.md has all thirty rows of the table of attacks, and each names a test that there is. */
import assert from 'node:assert/strict';
import { globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';

const rowsCount = 30;
const page = readFileSync(new URL('../../../docs/attacks.md', import.meta.url), 'utf8');
const titles = globSync('**/*.test.ts', { cwd: import.meta.dirname })
  .map((file) => readFileSync(join(import.meta.dirname, file), 'utf8'))
  .flatMap((text) => [...text.matchAll(/\b(?:describe|it|test)\(\s*'(row (\d+): [^'\n]+)'/g)])
  .map(([, title = '', row = '']) => ({ title, row: Number(row) }));

describe('the table of attacks', () => {
  for (let row = 1; row <= rowsCount; row++) {
    it(`has a test of row ${row}, and the page names it`, () => {
      const line = new RegExp(`^\\| ${row} +\\|.*\\| \`([^\`]+)\` +\\|$`, 'm').exec(page);
      assert.ok(line !== null, 'docs/attacks.md has no such row');
      const own = titles.filter((one) => one.row === row).map(({ title }) => title);
      assert.ok(own.includes(line[1] ?? ''), `expected one of ${JSON.stringify(own)}, got ${line[1]}`);
    });
  }

  it('has no other rows', () => {
    const rows = [...page.matchAll(/^\| (\d+) +\|/gm)].map(([, row]) => Number(row));
    assert.deepEqual(
      rows,
      Array.from({ length: rowsCount }, (_, n) => n + 1),
    );
    assert.deepEqual(
      titles.filter(({ row }) => row < 1 || row > rowsCount),
      [],
    );
  });
});
