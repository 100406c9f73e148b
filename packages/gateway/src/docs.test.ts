/** docs/gateway.md says what the code does: the same configuration keys, the same refusals. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { describe, it } from 'node:test';

import { configKeys } from './config.ts';
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
});
