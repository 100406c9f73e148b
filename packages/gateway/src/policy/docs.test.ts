/** docs/policy.md says what the code does: the same keys, and examples that are policies. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { describe, it } from 'node:test';

import { z } from 'zod';

import { runCases } from './cases.ts';
import { cedarSchema, loadCedar } from './cedar.ts';
import { eveningMs } from './policy.fixture.ts';
import { parsePolicy } from './policy.ts';
import { policySchema } from './policy-schema.ts';

const page = readFileSync(new URL('../../../../docs/policy.md', import.meta.url), 'utf8');

function blocks(language: string): string[] {
  return [...page.matchAll(new RegExp(`^\`\`\`${language}\\n(.*?)^\`\`\``, 'gms'))].map((match) => match[1] ?? '');
}

/** Paths of all keys, such as `breakGlass.minutes` and `roles.*.allow[].types`. */
function keysOf(schema: z.ZodType): readonly string[] {
  interface Node {
    readonly properties?: Readonly<Record<string, Node>>;
    readonly items?: Node;
    readonly additionalProperties?: Node | boolean;
  }
  const keys: string[] = [];
  const collect = (node: Node, path: string): void => {
    const { properties, items, additionalProperties } = node;
    if (properties !== undefined)
      for (const [key, below] of Object.entries(properties)) collect(below, path === '' ? key : `${path}.${key}`);
    else if (typeof additionalProperties === 'object') collect(additionalProperties, `${path}.*`);
    else if (items?.properties !== undefined) collect(items, `${path}[]`);
    else keys.push(path);
  };
  collect(z.toJSONSchema(schema, { io: 'input', unrepresentable: 'any' }) as Node, '');
  return keys;
}

describe('docs/policy.md', () => {
  it('lists every key and no other', () => {
    const table = page.split('\n## Every key\n')[1]?.split('\n## ')[0] ?? '';
    const listed = [...table.matchAll(/^\| `([^`]+)` +\|/gm)].map((match) => match[1] ?? '');
    assert.deepEqual(listed.toSorted(), keysOf(policySchema).toSorted());
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
