/** docs/gateway.md says what the code does: the same configuration keys, the same refusals, a test of each fault. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { describe, it } from 'node:test';

import { configKeys } from './config/config.ts';
import { refusals } from './passage/refusal.ts';

const page = readFileSync(new URL('../../../docs/gateway.md', import.meta.url), 'utf8');

function firstCells(section: string): string[] {
  const text = page.split(`\n## ${section}\n`)[1]?.split('\n## ')[0] ?? '';
  return [...text.matchAll(/^\| `([^`]+)` +\|/gm)].map((match) => match[1] ?? '');
}

describe('docs/gateway.md', () => {
  it('lists every configuration key and no other', () => {
    assert.deepEqual(firstCells('Configuration').toSorted(), configKeys().toSorted());
  });

  it('lists every refusal with its status and no other', () => {
    assert.deepEqual(firstCells('Refusals').toSorted(), Object.keys(refusals).toSorted());
    for (const [code, { status }] of Object.entries(refusals))
      assert.match(page, new RegExp(`^\\| \`${code}\` +\\| ${status} `, 'm'), code);
  });

  it('names a test of every fault around the gateway, and leaves out none', () => {
    const tests = readFileSync(new URL('../../../test/fault/gateway-faults.test.ts', import.meta.url), 'utf8');
    const titles = [...tests.matchAll(/^test\('([^'\n]+)'/gm)].map(([, title = '']) => title);
    const section = page.split('\n## What fails around it\n')[1]?.split('\n## ')[0] ?? '';
    const named = [...section.matchAll(/^\|.*\| `([^`]+) …` +\|$/gm)].map(([, beginning = '']) => beginning);
    const found = named.map((beginning) => titles.filter((title) => title.startsWith(beginning)));
    assert.deepEqual(found.flat().toSorted(), titles.toSorted());
    assert.ok(found.every((own) => own.length === 1) && titles.length > 0);
  });
});
