import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { encodeUtf8, tryDecodeUtf8 } from './bytes.ts';
import { compileChecker, type Tally } from './check.ts';
import { encode, encodeText } from './encode.ts';
import { sampleRecord } from './event.fixture.ts';
import { draftShape, eventShape, recordShape } from './event-schema.ts';
import { completeEvent, draftEvent, readDraftText } from './parse.ts';
import { arbitraryOf, spoil, spoiling } from './shape.fixture.ts';
import { countMembers } from './strict-json.ts';
import { compileValidator, startValidation } from './validate.ts';

const fill = {
  id: '01890a5d-ac96-774b-bcce-b302099a8057',
  time: '2026-03-01T08:30:00.250Z',
  tenant: 'clinic',
  emitter: { id: 'door "1"\\', seq: 7 },
};
const inOrder = (value: unknown): string => JSON.stringify(draftEvent(value));

test('what passes at a glance is what the validator returns, in the same order and with as many members', () => {
  for (const shape of [eventShape, draftShape, recordShape]) {
    const checker = compileChecker(shape);
    const validator = compileValidator(shape);
    fc.assert(
      fc.property(arbitraryOf(shape), fc.option(spoiling), (valid, spoiler) => {
        const value: unknown = JSON.parse(JSON.stringify(spoiler === null ? valid : spoil(valid, spoiler)));
        const tally: Tally = { members: 0 };
        if (!checker(value, tally)) return;
        const at = startValidation();
        const rebuilt = validator(value, at);
        assert.deepEqual(at.errors, []);
        assert.equal(JSON.stringify(rebuilt), JSON.stringify(value));
        assert.deepEqual([tally.members, at.members], [countMembers(value), countMembers(value)]);
      }),
      { numRuns: 500 },
    );
  }
});

test('a record written around the sender’s text is the record written anew, for any event and any spelling of it', () => {
  const spellings: readonly ((text: string) => string)[] = [
    (text) => text,
    (text) => text.replaceAll('/', '\\/'),
    (text) => JSON.stringify(JSON.parse(text), null, 1),
    (text) => text.replaceAll(/(?<="(?:seq|count|code|bytes)":)(\d+)/g, '$1e0'),
    (text) => text.replaceAll('"a', '"\\u0061'),
    (text) => JSON.stringify(Object.fromEntries(Object.entries(JSON.parse(text) as object).reverse())),
  ];
  let taken = 0;
  fc.assert(
    fc.property(arbitraryOf(draftShape), fc.constantFrom(...spellings), fc.boolean(), (draft, respell, unescaped) => {
      // Made-up texts nearly all have something to escape in them.
      const text = unescaped ? inOrder(draft).replaceAll(/\\./g, '_') : inOrder(draft);
      const read = readDraftText(encodeUtf8(respell(text)));
      const record = { ...sampleRecord, submitter: 'key:"é"', event: completeEvent(read.draft, fill) };
      if (read.tail !== undefined) taken++;
      assert.equal(encodeText(record, read.tail), tryDecodeUtf8(encode(record)));
    }),
    { numRuns: 1_000 },
  );
  assert.ok(taken > 50, `the text was taken ${taken} times`);
});

test('only the one spelling that would be written is taken as it came', () => {
  const text = JSON.stringify(draftEvent({ ...sampleRecord.event, request: { durationMs: 12.5 } }));
  const tail = text.slice(text.indexOf('"kind":'));
  assert.equal(readDraftText(text).tail, tail);
  for (const number of ['12.50', '125e-1', '1.25e1', '12.5e0'])
    assert.equal(readDraftText(text.replace('12.5', number)).tail, undefined, number);
  assert.equal(readDraftText(text.replace('12.5', '-0')).tail, undefined);
  assert.equal(readDraftText(text.replace('12.5', '0')).tail, tail.replace('12.5', '0'));
  assert.equal(readDraftText(text.replace('12.5', '0.001')).tail, tail.replace('12.5', '0.001'));
  assert.equal(readDraftText(` ${text}`).tail, undefined);
  assert.equal(readDraftText(text.replace('"kind"', '"\\u006bind"')).tail, undefined);
  assert.throws(() => readDraftText(text.replace('"kind":"api"', '"kind":"api","kind":"api"')), {
    code: 'json-invalid',
  });
});
