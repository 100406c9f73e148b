import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ListedEvent } from '../api/client.ts';
import { describeEvent, describeExposure, plainText, summariseEvent } from './sentence.ts';

const base: ListedEvent = {
  index: 7,
  id: '0195a0e4-0000-7000-8000-000000000000',
  time: '2026-03-12T14:03:12.000Z',
  tenant: 'clinic',
  emitter: { id: 'gateway-1/0', seq: 8 },
  kind: 'api',
  action: 'read',
  operation: 'read',
  outcome: { status: 'success', code: 200 },
  actor: { id: 'nurse-ito', type: 'human', roles: ['nurse'] },
  targets: [{ type: 'Patient', id: '·7F3KQA', patient: '·7F3KQA', role: 'object' }],
};

const row = (change: Partial<ListedEvent>): string => plainText(describeEvent({ ...base, ...change }));

test('a row says what was done to what', () => {
  assert.equal(row({}), 'Read Patient ·7F3KQA');
  assert.equal(
    row({ targets: [{ type: 'Observation', id: '·OBS', patient: '·7F3KQA' }], action: 'create', operation: 'create' }),
    'Created Observation ·OBS of patient ·7F3KQA',
  );
  assert.equal(row({ operation: '$everything', action: 'execute' }), 'Took everything about Patient ·7F3KQA');
  assert.equal(row({ operation: '$validate', action: 'execute' }), 'Ran $validate on Patient ·7F3KQA');
  assert.equal(
    row({
      operation: 'search-type',
      targets: [{ type: 'Observation', role: 'query' }],
      exposure: { patientCount: 62, patients: [{ id: '·A' }] },
    }),
    'Searched Observation · 62 patients',
  );
});

test('a WebSocket is about to be opened, is opened, and was open until it ended', () => {
  const subscription: Partial<ListedEvent> = {
    action: 'execute',
    operation: 'subscribe',
    targets: [{ type: 'Subscription', role: 'query' }],
    request: { status: 101 },
  };
  const intent = { ...subscription, outcome: { status: 'success', reason: 'intent' } } as const;
  const opened = {
    ...subscription,
    outcome: { status: 'success', code: 101, reason: 'opened' },
    completes: 'i',
  } as const;
  const ended = {
    ...subscription,
    outcome: { status: 'denied', code: 1008, reason: 'token-expired' },
    completes: 'o',
  } as const;
  assert.equal(row(intent), 'About to open a WebSocket for Subscription');
  assert.equal(row(opened), 'Opened a WebSocket for Subscription');
  assert.equal(row(ended), 'Had a WebSocket open for Subscription');
  assert.equal(
    plainText(summariseEvent({ ...base, ...ended })),
    'nurse-ito (nurse) had a WebSocket open for Subscription; it ended: the token has expired.',
  );
  assert.equal(
    plainText(
      summariseEvent({ ...base, ...ended, outcome: { status: 'success', code: 1000, reason: 'closed-by-client' } }),
    ),
    'nurse-ito (nurse) had a WebSocket open for Subscription; it ended: whoever opened it closed it.',
  );
});

test('a search names the type asked for, and the patient where all was about one', () => {
  const found = [
    { type: 'Observation', role: 'query' },
    { type: 'Observation', id: '·OBS', patient: '·7F3KQA', role: 'object' },
  ];
  const search: Partial<ListedEvent> = { operation: 'search-type', action: 'execute', targets: found };
  assert.equal(
    row({ ...search, exposure: { patients: [{ id: '·7F3KQA' }] } }),
    'Searched Observation of patient ·7F3KQA',
  );
  assert.equal(
    row({ ...search, exposure: { patients: [{ id: '·A' }, { id: '·B' }] } }),
    'Searched Observation · 2 patients',
  );
  assert.equal(row({ ...search, exposure: { patients: [] } }), 'Searched Observation');
  assert.equal(
    row({ ...search, exposure: { count: 12, patients: [{ id: '·7F3KQA' }] } }),
    'Searched Observation of patient ·7F3KQA; 12 results',
  );
  assert.equal(row({ ...search, exposure: { count: 0 } }), 'Searched Observation; nothing found');
  assert.equal(
    row({ ...search, exposure: { count: 62, patientCount: 14 } }),
    'Searched Observation; 62 results of 14 patients',
  );
  assert.equal(
    row({ ...search, targets: [{ type: 'Patient', role: 'query' }], exposure: { count: 20, patientCount: 20 } }),
    'Searched Patient; 20 results',
  );
  assert.equal(
    row({
      operation: 'search-compartment',
      targets: [
        { type: 'Observation', role: 'query' },
        { type: 'Patient', id: '·7F3KQA', patient: '·7F3KQA', role: 'compartment' },
      ],
      exposure: { count: 1 },
    }),
    'Searched Observation of patient ·7F3KQA; 1 result',
  );
});

test('an intent is not said to have happened', () => {
  const intent: Partial<ListedEvent> = {
    action: 'create',
    operation: 'create',
    outcome: { status: 'success', reason: 'intent' },
  };
  assert.equal(row(intent), 'About to create Patient ·7F3KQA');
  assert.equal(
    plainText(summariseEvent({ ...base, ...intent })),
    'nurse-ito (nurse) was about to create Patient ·7F3KQA.',
  );
});

test('what did not succeed was tried', () => {
  assert.equal(row({ outcome: { status: 'denied', code: 403 } }), 'Tried to read Patient ·7F3KQA');
  assert.equal(
    row({ kind: 'auth', operation: 'login', targets: [], outcome: { status: 'denied' } }),
    'Tried to sign in',
  );
});

test('Watchglass’s own events are statements', () => {
  assert.equal(row({ kind: 'review', operation: 'search', targets: [] }), 'Searched the audit trail');
  assert.equal(
    row({ kind: 'review', operation: 'event-read', targets: [{ type: 'Event', id: '12', role: 'object' }] }),
    'Opened event 12',
  );
  assert.equal(row({ kind: 'system', operation: 'start', targets: [] }), 'Started');
});

test('a statement of fact stays one however it ended', () => {
  const gap: Partial<ListedEvent> = {
    kind: 'system',
    operation: 'sequence-gap',
    outcome: { status: 'failed' },
    targets: [],
  };
  assert.equal(row(gap), 'Events are missing from an emitter');
});

test('an operation without words of its own is still said', () => {
  assert.equal(row({ kind: 'data', operation: 'bulk-load', action: 'create', targets: [] }), 'Created (bulk load)');
  const { operation: _, ...bare } = base;
  assert.equal(plainText(describeEvent({ ...bare, targets: [] })), 'Read');
});

test('the sentence names who, in what role, for whom and why, and how it ended', () => {
  assert.equal(plainText(summariseEvent(base)), 'Read Patient ·7F3KQA by nurse-ito (nurse).');
  assert.equal(
    plainText(
      summariseEvent({
        ...base,
        actor: { id: 'agent-4', roles: ['assistant'], client: 'ward-app', onBehalfOf: [{ id: 'dr-okafor' }] },
        purpose: { code: 'BTG' },
        outcome: { status: 'denied', reason: 'policy' },
      }),
    ),
    'agent-4 (assistant) tried to read Patient ·7F3KQA on behalf of dr-okafor with ward-app by breaking the glass, and was denied: the policy gives this role no such right.',
  );
});

test('broken glass is told with its reason, and once', () => {
  const purpose = { code: 'BTG', justification: 'no-consent-possible' };
  const opened = { kind: 'access-change', operation: 'break-glass-opened', action: 'execute' } as const;
  assert.equal(
    plainText(summariseEvent({ ...base, ...opened, purpose })),
    'nurse-ito (nurse) broke the glass for ·7F3KQA (reason: no consent possible).',
  );
  assert.equal(
    plainText(summariseEvent({ ...base, purpose })),
    'Read Patient ·7F3KQA by nurse-ito (nurse) by breaking the glass (reason: no consent possible).',
  );
});

test('people are named, with what they are and where', () => {
  const people = { 'nurse-ito': { name: 'Dana Ito', department: 'ward-4' } };
  const parts = summariseEvent(base, people);
  assert.equal(plainText(parts), 'Read Patient ·7F3KQA by Dana Ito (nurse, Ward 4).');
  assert.equal(parts.find((part) => part.kind === 'person')?.id, 'nurse-ito');
  const added: Partial<ListedEvent> = {
    kind: 'access-change',
    action: 'create',
    operation: 'person-added',
    actor: { id: 'server', type: 'service' },
    targets: [{ type: 'Person', id: 'nurse-ito', role: 'object' }],
  };
  assert.equal(plainText(describeEvent({ ...base, ...added }, people)), 'Added the person Dana Ito');
  assert.equal(plainText(summariseEvent({ ...base, ...added })), 'The server added the person nurse-ito.');
});

test('what somebody did here begins with them, and what the ledger noticed has nobody in it', () => {
  const say = (change: Partial<ListedEvent>): string => plainText(summariseEvent({ ...base, targets: [], ...change }));
  assert.equal(say({ kind: 'auth', operation: 'login' }), 'nurse-ito (nurse) signed in.');
  assert.equal(
    say({
      kind: 'auth',
      operation: 'authenticate',
      actor: { id: 'anonymous' },
      outcome: { status: 'denied', reason: 'token-expired' },
    }),
    'Somebody not identified tried to pass the gateway without a valid token, and was denied: the token has expired.',
  );
  assert.equal(
    say({
      kind: 'system',
      operation: 'sequence-gap',
      actor: { id: 'watchglass', type: 'service' },
      targets: [{ type: 'Emitter', id: 'ward-app' }],
      outcome: { status: 'failed' },
    }),
    'Events are missing from the emitter ward-app; noticed by the ledger.',
  );
  const search: Partial<ListedEvent> = { kind: 'review', operation: 'search', exposure: { count: 100 } };
  assert.equal(say(search), 'nurse-ito (nurse) searched the audit trail.');
  assert.equal(describeExposure({ ...base, ...search }), '100 rows shown.');
});

test('a name belongs to a person: a patient or a service of the same id has none', () => {
  const people = { 'nurse-ito': { name: 'Dana Ito' } };
  for (const type of ['patient', 'service', 'agent'] as const) {
    const parts = summariseEvent({ ...base, actor: { id: 'nurse-ito', type } }, people);
    assert.equal(plainText(parts), 'Read Patient ·7F3KQA by nurse-ito.');
  }
});

test('exposure says what left, and that there was more', () => {
  assert.equal(describeExposure(base), undefined);
  assert.equal(describeExposure({ ...base, exposure: { count: 0 } }), 'Nothing about a patient left.');
  // Nobody reads what is said in a WebSocket: that nothing left would be a guess.
  assert.equal(
    describeExposure({ ...base, operation: 'subscribe', exposure: { bytes: 3_402, truncated: true } }),
    'What left was not read, or not all of it: whom it was about is not known.',
  );
  assert.equal(
    describeExposure({ ...base, exposure: { patients: [{ id: '·A' }], count: 2, truncated: true } }),
    '1 patient in 2 resources left in the response. More may have left than is listed.',
  );
  assert.equal(
    describeExposure({ ...base, exposure: { count: 3, patients: [{ id: '·A', classes: ['demographics', 'notes'] }] } }),
    'Demographics and notes of 1 patient in 3 resources left in the response.',
  );
  assert.equal(
    describeExposure({ ...base, exposure: { count: 4, truncated: true } }),
    '4 resources left in the response, and maybe more: whom it was about is not known.',
  );
});
