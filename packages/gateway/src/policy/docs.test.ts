/** docs/policy.md says what the code does: the same keys, and examples that are policies. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { describe, it } from 'node:test';
import { runCases } from './cases.ts';
import { cedarSchema, loadCedar } from './cedar.ts';
import { eveningMs } from './policy.fixture.ts';
import { parsePolicy } from './policy.ts';
import { policyKeys } from './policy-schema.ts';

const page = readFileSync(new URL('../../../../docs/policy.md', import.meta.url), 'utf8');

function blocks(language: string): string[] {
  return [...page.matchAll(new RegExp(`^\`\`\`${language}\\n(.*?)^\`\`\``, 'gms'))].map((match) => match[1] ?? '');
}

describe('docs/policy.md', () => {
  it('lists every key and no other', () => {
    const table = page.split('\n## Every key\n')[1]?.split('\n## ')[0] ?? '';
    const listed = [...table.matchAll(/^\| `([^`]+)` +\|/gm)].map((match) => match[1] ?? '');
    assert.deepEqual(listed.toSorted(), policyKeys().toSorted());
  });

  it('has examples that are policies, the first of ten lines', () => {
    const policies = blocks('yaml').filter((text) => text.includes('version: 1'));
    assert.ok(policies.length >= 2);
    assert.ok((policies[0] ?? '').trimEnd().split('\n').length <= 10);
    for (const text of policies) parsePolicy(text, 'docs/policy.md');
  });

  it('has cases that come out as they say', () => {
    const [first] = blocks('yaml').filter((text) => text.includes('version: 1'));
    const [cases] = blocks('yaml').filter((text) => text.startsWith('cases:'));
    assert.ok(first !== undefined && cases !== undefined);
    const results = runCases(parsePolicy(first, 'docs/policy.md'), cases, { file: 'docs/policy.md', nowMs: eveningMs });
    assert.deepEqual(
      results.filter(({ passed }) => !passed),
      [],
    );
  });

  it('has Cedar that is loaded, and the shape it is held against', () => {
    const [shape, ...policies] = blocks('cedar');
    assert.equal(shape?.replace(/\s+/g, ' ').trim(), cedarSchema.replace(/\s+/g, ' ').trim());
    assert.ok(policies.length > 0);
    for (const text of policies) loadCedar(text, 'docs/policy.md');
  });
});
