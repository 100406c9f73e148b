import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { test } from 'node:test';
import { errorTable, RecordError } from './errors.ts';

test('an error has its code, cause and details', () => {
  const cause = new Error('below');
  const error = new RecordError('event-invalid', 'expected x, got y', { cause, details: { errors: [] } });
  assert.equal(error.name, 'RecordError');
  assert.equal(error.cause, cause);
  assert.deepEqual(error.details, { errors: [] });
  assert.ok(!('cause' in new RecordError('event-invalid', 'x')));
});

test('every code of the table is thrown somewhere, and means something', () => {
  const sources: string[] = [];
  const visit = (dir: URL): void => {
    for (const entry of readdirSync(dir, { withFileTypes: true })) {
      if (entry.isDirectory()) visit(new URL(`${entry.name}/`, dir));
      else if (entry.name.endsWith('.ts') && !/(test|fixture)\.ts$|^errors\.ts$/.test(entry.name)) {
        sources.push(readFileSync(new URL(entry.name, dir), 'utf8'));
      }
    }
  };
  visit(new URL('./', import.meta.url));
  const all = sources.join('\n');
  for (const [code, meaning] of Object.entries(errorTable)) {
    assert.ok(all.includes(`'${code}'`), `${code} is thrown nowhere`);
    assert.match(meaning, /\.$/);
  }
});
