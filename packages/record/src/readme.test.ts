import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';

const readme = readFileSync(new URL('../README.md', import.meta.url), 'utf8');
const root = fileURLToPath(new URL('../../../', import.meta.url));

test('the examples of the README print what they say', () => {
  const examples = [...readme.matchAll(/^```ts\n([\s\S]*?)^```$/gm)].map((match) => match[1] as string);
  assert.equal(examples.length, 2);
  for (const example of examples) {
    const said = [...example.matchAll(/console\.log\(.*?\); \/\/ (.*)$/gm)].map((match) => match[1]);
    assert.ok(said.length > 0);
    const out = execFileSync(process.execPath, ['--input-type=module-typescript', '--eval', example], {
      cwd: root,
      encoding: 'utf8',
    });
    assert.deepEqual(out.trimEnd().split('\n'), said);
  }
});
