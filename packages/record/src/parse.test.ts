import assert from 'node:assert/strict';
import { test } from 'node:test';
import { encodeUtf8 } from './bytes.ts';
import { type FieldError, RecordError } from './errors.ts';
import { eventWith, sampleEvent } from './event.fixture.ts';
import { completeEvent, draftEvent, draftEventText, parseEvent, parseEventText } from './parse.ts';

function errorsOf(input: unknown): readonly FieldError[] {
  try {
    parseEvent(input);
  } catch (error) {
    assert.ok(error instanceof RecordError);
    assert.equal(error.code, 'event-invalid');
    assert.ok(error.details.errors);
    return error.details.errors;
  }
  return [];
}

const text = JSON.stringify(sampleEvent);

test('a parsed event is a copy with its members in the order of the schema', () => {
  const shuffled = Object.fromEntries(Object.entries(sampleEvent).reverse());
  const parsed = parseEvent(shuffled);
  assert.equal(JSON.stringify(parsed), text);
  assert.notEqual(parsed.actor, sampleEvent.actor);
});

test('every error names its place, what was expected and what came', () => {
  const errors = errorsOf({
    ...sampleEvent,
    kind: 'apii',
    time: '2026-02-30T00:00:00Z',
    outcome: { code: {} },
    actor: { id: 'p', roles: ['a', 7] },
    actr: {},
  });
  const got = new Map(errors.map((error) => [error.at, error]));
  assert.match(got.get('/kind')?.expected ?? '', /did you mean api\?/);
  assert.equal(got.get('/kind')?.got, 'the word apii');
  assert.equal(got.get('/time')?.got, 'a day that does not exist');
  assert.equal(got.get('/outcome/status')?.got, 'nothing');
  assert.equal(got.get('/outcome/code')?.got, 'an object');
  assert.equal(got.get('/actor/roles/1')?.got, 'a whole number');
  assert.match(got.get('/actr')?.expected ?? '', /did you mean actor\?/);
});

test('an unknown member in another case or with underscores is recognised', () => {
  const [error] = errorsOf(eventWith({ source: { user_agent: 'x' } } as never));
  assert.equal(error?.at, '/source/user_agent');
  assert.match(error?.expected ?? '', /did you mean userAgent\?/);
});

test('an error repeats no value that may identify somebody', () => {
  const secret = 'Jane Q Sample 1970-01-01';
  const spoiled = [
    { ...sampleEvent, time: secret },
    { ...sampleEvent, kind: secret },
    { ...sampleEvent, actor: { id: `${secret}\n` } },
    { ...sampleEvent, targets: [{ type: secret }] },
    { ...sampleEvent, outcome: { status: secret } },
    { ...sampleEvent, [secret]: secret },
    { ...sampleEvent, actor: { id: 'x', [secret]: 1 } },
    { ...sampleEvent, v: 19700101 },
  ];
  for (const input of spoiled) {
    const errors = errorsOf(input);
    assert.ok(errors.length > 0);
    assert.doesNotMatch(JSON.stringify(errors), /Jane|Sample|1970/);
    assert.throws(
      () => parseEvent(input),
      (error: Error) => !/Jane|Sample|1970/.test(error.message),
    );
    assert.throws(
      () => parseEventText(JSON.stringify(input)),
      (error: Error) => !/Jane|Sample|1970/.test(error.message),
    );
  }
});

test('at most twenty errors are collected', () => {
  const targets = new Array(200).fill({ type: 1 });
  assert.equal(errorsOf({ ...sampleEvent, targets }).length, 20);
});

test('an id must be a UUID of version 7 in lower case, and the error says what came', () => {
  const [v4] = errorsOf(eventWith({ id: '9b2d1f6a-1111-4111-8111-111111111111' }));
  assert.equal(v4?.got, 'a UUID of version 4');
  const [upper] = errorsOf(eventWith({ id: sampleEvent.id.toUpperCase() }));
  assert.match(upper?.got ?? '', /upper case/);
});

test('a time must be in UTC, exist, and have at most nine decimals', () => {
  for (const time of ['2024-02-29T00:00:00Z', '2026-01-31T23:59:59.123456789Z', '2000-02-29T12:00:00.5Z']) {
    assert.equal(parseEvent(eventWith({ time })).time, time);
  }
  for (const time of [
    '2026-02-29T00:00:00Z',
    '2100-02-29T00:00:00Z',
    '2026-04-31T00:00:00Z',
    '2026-13-01T00:00:00Z',
    '2026-01-01T24:00:00Z',
    '2026-01-01T00:00:60Z',
    '2026-01-01T00:00:00',
    '2026-01-01T00:00:00+00:00',
    '2026-01-01T00:00:00.1234567890Z',
    '2026-01-01t00:00:00z',
    '2026-01-01',
  ]) {
    assert.equal(errorsOf(eventWith({ time })).length, 1, time);
  }
});

test('values that are no JSON values are refused', () => {
  for (const input of [undefined, null, 1, 'x', [], [sampleEvent], new Date(0), new Map(), () => 1, Symbol('x')]) {
    assert.throws(() => parseEvent(input), { code: 'event-invalid' });
  }
});

test('members inherited from a prototype are not taken', () => {
  const inherited = Object.create(sampleEvent) as unknown;
  assert.throws(() => parseEvent(inherited), { code: 'event-invalid' });
  assert.throws(() => parseEventText(text.replace('"v":1', '"v":1,"__proto__":{"site":"x"}')), {
    code: 'event-invalid',
  });
});

test('text is parsed from a string or from UTF-8', () => {
  assert.deepEqual(parseEventText(text), sampleEvent);
  assert.deepEqual(parseEventText(encodeUtf8(` ${text}\n`)), sampleEvent);
});

test('a member given twice is refused, wherever it stands', () => {
  for (const twice of [
    text.replace('"v":1', '"v":1,"v":1'),
    text.replace('"status":"success"', '"status":"denied","status":"success"'),
    text.replace('"seq":7', '"seq":7,"\\u0073eq":7'),
    text.replace('"count":1', '"count":2,"count":1'),
  ]) {
    assert.throws(() => parseEventText(twice), { code: 'json-invalid', message: /each member once/ });
  }
});

test('quotes, colons and braces within texts are not taken for structure', () => {
  const reason = '{"a":1} \\" \\\\ [::] "';
  const event = eventWith({ outcome: { status: 'failed', reason } });
  assert.deepEqual(parseEventText(JSON.stringify(event)), event);
});

test('malformed, deep, long, and wrongly encoded texts are refused', () => {
  const bad: (string | Uint8Array)[] = [
    '',
    '{',
    '{}{}',
    `\ufeff${text}`,
    `${text.slice(0, -1)},}`,
    '['.repeat(100),
    `${'{"a":'.repeat(20)}1${'}'.repeat(20)}`,
    `"${'x'.repeat(70_000)}"`,
    '"unterminated',
    '"\\',
    Uint8Array.of(0x22, 0xff, 0x22),
    Uint8Array.of(0x22, 0xed, 0xa0, 0x80, 0x22),
    '"\ud800"',
  ];
  for (const input of bad) assert.throws(() => parseEventText(input), { code: 'json-invalid' });
});

test('a draft may leave to the door what the door knows', () => {
  const five = { kind: 'api', action: 'read', outcome: { status: 'success' }, actor: { id: 'person-17' } };
  const draft = draftEventText(JSON.stringify(five));
  const fill = { id: sampleEvent.id, time: sampleEvent.time, tenant: 'clinic-a', emitter: { id: 'key-1', seq: 1 } };
  const event = completeEvent(draft, fill);
  assert.deepEqual(event, { v: 1, ...fill, ...five });
  assert.deepEqual(parseEvent(event), event);
});

test('what the sender of a draft gave stays', () => {
  const fill = { id: 'x', time: 'x', tenant: 'x', emitter: { id: 'x', seq: 1 } };
  assert.deepEqual(completeEvent(draftEvent(sampleEvent), fill), sampleEvent);
});

test('a draft is as strict as an event about everything else', () => {
  assert.throws(() => draftEvent({}), { code: 'event-invalid' });
  assert.throws(() => draftEvent({ ...sampleEvent, v: 2 }), { code: 'event-invalid', message: /\/v: expected 1/ });
});
