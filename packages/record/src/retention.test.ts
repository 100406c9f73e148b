import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { eventKinds } from './event.ts';
import { retentionClasses, retentionClassOf } from './retention.ts';

test('each kind has the class that docs/format.md says', () => {
  const format = readFileSync(new URL('../../../docs/format.md', import.meta.url), 'utf8');
  const rows = [...format.matchAll(/^\| ((?:`[a-z-]+` ?)+) *\| `([a-z]+)` *\|$/gm)];
  const documented = new Map(
    rows.flatMap(([, kinds, name]) => [...(kinds as string).matchAll(/`([a-z-]+)`/g)].map((kind) => [kind[1], name])),
  );
  assert.equal(documented.size, eventKinds.length);
  for (const kind of eventKinds) {
    assert.equal(retentionClassOf(kind), documented.get(kind));
    assert.ok(retentionClasses.includes(retentionClassOf(kind)));
  }
});
