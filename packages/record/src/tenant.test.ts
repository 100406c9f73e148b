import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseTenantId } from './tenant.ts';

test('a tenant is lower-case letters, digits and hyphens, starting with a letter', () => {
  for (const name of ['a', 'clinic', 'clinic-a-2', 'a'.repeat(63)]) assert.equal(parseTenantId(name), name);
  for (const name of ['', 'A', '1a', '-a', 'a_b', 'a.b', 'a/b', '..', 'a\n', 'ä', 'a'.repeat(64), undefined as never]) {
    assert.throws(() => parseTenantId(name), { code: 'tenant-invalid' });
  }
});
