/** docs/api.md says what the code does: the rights of each role, every route below `/v1` and `/auth`, and each thing once. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { describe, it } from 'node:test';

import { operatorRole, rightsOf, watchglassRoles } from '../access/rights.ts';
import { openApi } from './openapi.ts';

const page = readFileSync(new URL('../../../../docs/api.md', import.meta.url), 'utf8');

describe('docs/api.md', () => {
  it('has the rights of each role', () => {
    for (const role of [...watchglassRoles, operatorRole]) {
      const [, named = ''] =
        page.replaceAll('\n', ' ').match(new RegExp(`${role.replace('-', ' ')} _([a-z ]+)_`)) ?? [];
      assert.deepEqual(named.split(' ').toSorted(), [...rightsOf([role])].toSorted(), role);
    }
  });

  it('names every route', () => {
    const { paths } = openApi('1') as { paths: Record<string, unknown> };
    const plain = (text: string): string => text.replaceAll(/\{[a-zA-Z]+\}|[A-Z]+-ID\b/g, '{}');
    // Those of the logs stand there by example.
    const named = Object.keys(paths).filter((path) => /^\/(v1|auth)\//.test(path));
    const missing = named.filter((path) => !plain(page).includes(plain(path)));
    assert.ok(named.length > 0);
    assert.deepEqual(missing, []);
  });

  it('has no heading twice', () => {
    const headings = page.match(/^#+ .+$/gm) ?? [];
    assert.deepEqual(headings, [...new Set(headings)]);
  });
});
