import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path/posix';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { readVector, sampleRecord } from './event.fixture.ts';

const here = new URL('./', import.meta.url);

/** Every source a browser loads, from `index.ts` on. */
function reachable(): Map<string, string> {
  const sources = new Map<string, string>();
  const visit = (name: string): void => {
    if (sources.has(name)) return;
    const text = readFileSync(new URL(name, here), 'utf8');
    sources.set(name, text);
    for (const [, wanted] of text.matchAll(/^(?:import|export|\})[^'\n]*from '([^']+)';$/gm)) {
      if (wanted === '#crypto') visit('crypto-browser.ts');
      else if (wanted?.startsWith('.')) visit(join(dirname(name), wanted));
      else assert.match(wanted as string, /^@noble\//, `${name} imports ${wanted}`);
    }
  };
  visit('index.ts');
  return sources;
}

test('what a browser loads needs nothing of Node', () => {
  const sources = reachable();
  assert.ok(sources.size > 20);
  assert.ok(!sources.has('crypto-node.ts'));
  for (const [name, text] of sources) {
    const code = text.replace(/\/\*[\s\S]*?\*\/|\/\/.*$/gm, '');
    assert.doesNotMatch(code, /\bBuffer\b|\bprocess\.|node:/, name);
  }
});

test('what a browser loads verifies and opens a proof', () => {
  const { vkey, proof }: { readonly vkey: string; readonly proof: string } = readVector('proof');
  const script = `import { openProof } from '@watchglass/record';
    const { record } = openProof(${JSON.stringify(proof)}, { vkey: ${JSON.stringify(vkey)} });
    console.log(JSON.stringify(record));`;
  const flags = ['--conditions=browser', '--input-type=module', '--eval', script];
  const out = execFileSync(process.execPath, flags, { cwd: fileURLToPath(here), encoding: 'utf8' });
  assert.deepEqual(JSON.parse(out), sampleRecord);
});
