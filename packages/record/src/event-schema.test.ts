import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import fc from 'fast-check';
import { sampleEvent } from './event.fixture.ts';
import { eventSchema, eventShape } from './event-schema.ts';
import type { JsonSchema } from './json-schema.ts';
import { parseEvent } from './parse.ts';
import { arbitraryOf, follows, spoil, spoiling } from './shape.fixture.ts';

const accepts = (value: unknown): boolean => {
  try {
    parseEvent(value);
    return true;
  } catch (error) {
    assert.equal((error as { code?: unknown }).code, 'event-invalid');
    return false;
  }
};

test('the published JSON Schema is the one the parser is derived from', () => {
  const published = JSON.parse(readFileSync(new URL('../event.schema.json', import.meta.url), 'utf8')) as unknown;
  assert.deepEqual(published, JSON.parse(JSON.stringify(eventSchema)));
});

test('parser and JSON Schema both accept every event the description allows', () => {
  fc.assert(
    fc.property(arbitraryOf(eventShape), (event) => {
      assert.ok(follows(eventSchema, event));
      assert.deepEqual(parseEvent(event), event);
    }),
    { numRuns: 300 },
  );
});

test('parser and JSON Schema agree on spoiled events', () => {
  let refused = 0;
  fc.assert(
    fc.property(arbitraryOf(eventShape), spoiling, (event, choice) => {
      const spoiled = spoil(event, choice);
      const accepted = accepts(spoiled);
      if (!accepted) refused++;
      assert.equal(accepted, follows(eventSchema, spoiled));
    }),
    { numRuns: 2000 },
  );
  assert.ok(refused > 500, `expected many refusals, got ${refused}`);
});

test('every text, list and object of the schema is bounded', () => {
  const visit = (schema: JsonSchema, at: string): void => {
    if (schema.type === 'string' && schema.enum === undefined) assert.ok(Number.isInteger(schema.maxLength), at);
    if (schema.type === 'array') assert.ok(Number.isInteger(schema.maxItems), at);
    if (schema.type === 'object') assert.equal(schema.additionalProperties, false, at);
    for (const [key, value] of Object.entries(schema)) {
      if (typeof value === 'object' && value !== null) visit(value as JsonSchema, `${at}/${key}`);
    }
  };
  visit(eventSchema, '');
});

test('the sample event follows the schema', () => {
  assert.ok(follows(eventSchema, sampleEvent));
});
