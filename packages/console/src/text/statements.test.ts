import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import type { ListedEvent } from '../api/client.ts';
import { reasonWords } from './reasons.ts';
import { describeEvent, plainText } from './sentence.ts';
import { statements, verbs } from './statements.ts';

const base: ListedEvent = {
  index: 7,
  id: '0195a0e4-0000-7000-8000-000000000000',
  time: '2026-03-12T14:03:12.000Z',
  tenant: 'clinic',
  emitter: { id: 'server', seq: 8 },
  kind: 'review',
  action: 'read',
  outcome: { status: 'success' },
  actor: { id: 'p-17', type: 'human' },
};
const event = [{ type: 'Event', id: '4812', role: 'object' }];
const person = [{ type: 'Person', id: 'wg-pr-0007', role: 'object' }];
const key = [{ type: 'WriteKey', id: 'k-1', role: 'object' }];
const emitter = [{ type: 'Emitter', id: 'ward-app', role: 'object' }];
const proposal = [{ type: 'RetentionProposal', id: 'rp-1', role: 'object' }];
const hold = [{ type: 'Hold', id: 'h-1', role: 'object' }];
const shred = [
  { type: 'Shred', id: 'access-674', role: 'object' },
  { type: 'Person', id: 'p-1', role: 'approver' },
];
const kept = [{ type: 'RetentionPolicy', id: 'clinic', role: 'object' }];
const issuer = [{ type: 'Issuer', id: 'https://id.example', role: 'object' }];
const listener = [{ type: 'Certificate', id: 'listener', role: 'object' }];
const addressList = [{ type: 'AddressList', id: 'deny', role: 'object' }];
const address = [{ type: 'Address', id: '192.0.2.1', role: 'object' }];
const decision = [{ type: 'Decision', id: 'd-1', role: 'object' }];
const upstream = [{ type: 'Upstream', id: 'https://api.example', role: 'object' }];
const redis = [{ type: 'Redis', id: '127.0.0.1:6379', role: 'object' }];
const denied = { status: 'denied' } as const;

const lines: readonly (readonly [Partial<ListedEvent>, string])[] = [
  [{ kind: 'auth', operation: 'login' }, 'Signed in'],
  [{ kind: 'auth', operation: 'login-failed', outcome: denied }, 'Failed to sign in'],
  [{ kind: 'auth', operation: 'first-factor' }, 'Gave the right password; a second factor comes next'],
  [{ kind: 'auth', operation: 'lockout', outcome: denied }, 'Was locked out after too many attempts'],
  [{ kind: 'auth', operation: 'token-refresh' }, 'Renewed an access token'],
  [
    { kind: 'auth', operation: 'refresh-reuse', outcome: denied },
    'Tried to use a refresh token a second time; all tokens of that sign-in ended',
  ],
  [{ kind: 'auth', operation: 'client', outcome: denied }, 'Tried to be a client of the identity provider'],
  [{ kind: 'auth', operation: 'session-open' }, 'Opened a session of the console'],
  [{ kind: 'auth', operation: 'logout' }, 'Signed out'],
  [{ kind: 'auth', operation: 'authenticate', outcome: denied }, 'Tried to pass the gateway without a valid token'],
  [{ kind: 'auth', operation: 'write-key', outcome: denied }, 'Tried to send events without a write key in force'],
  [{ kind: 'auth', operation: 'sign-in', outcome: denied }, 'Tried to come back from the identity provider'],
  [{ kind: 'auth', operation: 'search', outcome: denied }, 'Tried to search the audit trail without being let in'],
  [{ kind: 'auth', operation: 'proof', outcome: denied }, 'Tried to take the proof of an event without being let in'],
  [{ kind: 'network', operation: 'no-route', outcome: denied }, 'Asked for an address that leads nowhere'],
  [{ kind: 'network', operation: 'protocol-violation', outcome: denied }, 'Sent a request that HTTP does not allow'],
  [{ operation: 'search', exposure: { count: 100 } }, 'Searched the audit trail; 100 rows'],
  [
    {
      operation: 'search',
      targets: [
        { type: 'Patient', id: '·7F3KQA', role: 'query' },
        { type: 'Actor', id: '·ACTOR', role: 'query' },
      ],
      request: { query: ['actor', 'patient', 'kind', 'outcome', 'from', 'q'] },
      exposure: { count: 1 },
    },
    'Searched the audit trail for patient ·7F3KQA and what ·ACTOR did by kind, outcome and text; 1 row',
  ],
  [
    { operation: 'summary', targets: [{ type: 'Patient', id: '·7F3KQA', role: 'query' }], exposure: { count: 0 } },
    'Counted events of the audit trail for patient ·7F3KQA',
  ],
  [{ operation: 'event-read', targets: event }, 'Opened event 4,812'],
  [{ operation: 'event-read', outcome: denied }, 'Tried to open an event'],
  [{ operation: 'proof', targets: event }, 'Took the proof of event 4,812, without its content'],
  [{ operation: 'proof-open', targets: event }, 'Took the proof of event 4,812, with its content'],
  [{ operation: 'bundle', exposure: { count: 12 } }, 'Made an evidence bundle; 12 events'],
  [{ operation: 'tail-open' }, 'Began to follow new events'],
  [{ operation: 'tail-close', exposure: { count: 3 } }, 'Stopped following new events; 3 events'],
  [{ operation: 'status' }, 'Looked at how the server is doing'],
  [{ operation: 'write-keys-list', exposure: { count: 2 } }, 'Looked at the write keys; 2 keys'],
  [{ operation: 'people-list', exposure: { count: 2 } }, 'Looked at who can sign in; 2 accounts'],
  [
    { operation: 'person-add', targets: [{ type: 'Person', id: 'p-1', role: 'object' }] },
    'Asked to add the person p-1',
  ],
  [{ operation: 'person-reset', targets: person }, 'Asked to reset the person wg-pr-0007'],
  [{ operation: 'write-key-create', targets: key }, 'Asked for the new write key k-1'],
  [{ operation: 'write-key-revoke', outcome: denied }, 'Tried to revoke a write key'],
  [{ operation: 'retention-read' }, 'Looked at how long what is kept'],
  [{ operation: 'retention-plan', exposure: { count: 2 } }, 'Looked at what would be shredded; 2 units'],
  [{ operation: 'retention-confirm', outcome: denied }, 'Tried to keep for fewer than six years'],
  [{ operation: 'shred-propose', outcome: denied }, 'Tried to propose a shred'],
  [{ operation: 'retention-approve', targets: proposal }, 'Asked to approve the proposal rp-1'],
  [{ operation: 'retention-execute', targets: proposal }, 'Asked to carry out the proposal rp-1'],
  [{ operation: 'holds-list', exposure: { count: 1 } }, 'Looked at the legal holds; 1 hold'],
  [{ operation: 'hold-add', targets: hold }, 'Asked to add the legal hold h-1'],
  [{ operation: 'hold-release-propose', outcome: denied }, 'Tried to release a legal hold'],
  [
    { kind: 'access-change', operation: 'retention-policy', targets: kept },
    'Retention is another than before, for clinic',
  ],
  [
    { kind: 'access-change', operation: 'retention-floor-confirmed', targets: kept },
    'Confirmed to keep for fewer than six years, for clinic',
  ],
  [{ kind: 'access-change', operation: 'shred-proposed', targets: proposal }, 'Proposed a shred: rp-1'],
  [{ kind: 'access-change', operation: 'shred-approved', targets: proposal }, 'Approved the shred rp-1'],
  [{ kind: 'access-change', operation: 'shred-ordered', targets: proposal }, 'Ordered the shred rp-1'],
  [
    { kind: 'access-change', operation: 'hold-release-proposed', targets: proposal },
    'Proposed to release a legal hold: rp-1',
  ],
  [{ kind: 'access-change', operation: 'hold-release-approved', targets: proposal }, 'Approved the release rp-1'],
  [{ kind: 'access-change', operation: 'hold-release-ordered', targets: proposal }, 'Ordered the release rp-1'],
  [{ kind: 'system', operation: 'shred-begun', targets: shred }, 'Began to shred access-674'],
  [{ kind: 'system', operation: 'shred-completed', targets: shred }, 'Shredded access-674; this is the evidence'],
  [{ kind: 'system', operation: 'hold-added', targets: hold }, 'Added the legal hold h-1'],
  [{ kind: 'system', operation: 'hold-released', targets: hold }, 'Released the legal hold h-1'],
  [{ kind: 'system', operation: 'hold-keys-ended', targets: hold }, 'Ended the keys of the legal hold h-1'],
  [{ kind: 'access-change', operation: 'person-added', targets: [] }, 'Added a person'],
  [{ kind: 'access-change', operation: 'person-added', targets: person }, 'Added the person wg-pr-0007'],
  [{ kind: 'access-change', operation: 'person-disabled', targets: person }, 'Disabled the person wg-pr-0007'],
  [{ kind: 'access-change', operation: 'password-set', targets: person }, 'Set the password of the person wg-pr-0007'],
  [{ kind: 'access-change', operation: 'role-granted', targets: person }, 'Granted a role to the person wg-pr-0007'],
  [
    { kind: 'access-change', operation: 'totp-set', targets: person },
    'Enrolled an authenticator app for the person wg-pr-0007',
  ],
  [
    { kind: 'access-change', operation: 'totp-removed', targets: person },
    'Removed the authenticator app of the person wg-pr-0007',
  ],
  [
    { kind: 'access-change', operation: 'passkey-added', targets: person },
    'Enrolled a passkey for the person wg-pr-0007',
  ],
  [
    { kind: 'access-change', operation: 'passkey-removed', targets: person },
    'Removed a passkey of the person wg-pr-0007',
  ],
  [
    { kind: 'access-change', operation: 'recovery-codes-set', targets: person },
    'Made new recovery codes for the person wg-pr-0007',
  ],
  [
    { kind: 'access-change', operation: 'recovery-code-used', targets: person },
    'Used up a recovery code of the person wg-pr-0007',
  ],
  [
    { kind: 'access-change', operation: 'factors-reset', targets: person },
    'Took every second factor from the person wg-pr-0007',
  ],
  [{ kind: 'access-change', operation: 'role-revoked', targets: person }, 'Took a role from the person wg-pr-0007'],
  [{ kind: 'access-change', operation: 'write-key-created', targets: key }, 'Made the write key k-1'],
  [{ kind: 'access-change', operation: 'write-key-revoked', targets: key }, 'Revoked the write key k-1'],
  [
    {
      kind: 'access-change',
      operation: 'break-glass-opened',
      targets: [{ type: 'Patient', id: '7F3K', role: 'object' }],
    },
    'Broke the glass for 7F3K',
  ],
  [
    {
      kind: 'system',
      operation: 'policy-loaded',
      targets: [{ type: 'Policy', id: 'hospital.yaml', role: 'object' }],
    },
    'Another policy came into force: hospital.yaml',
  ],
  [
    {
      kind: 'system',
      operation: 'policy-refused',
      targets: [{ type: 'Policy', id: 'hospital.yaml', role: 'object' }],
    },
    'A policy was refused, and the one before stays: hospital.yaml',
  ],
  [{ kind: 'system', operation: 'start' }, 'Started'],
  [{ kind: 'system', operation: 'stop' }, 'Stopped'],
  [{ kind: 'system', operation: 'heartbeat' }, 'The ledger is alive; nothing new came in'],
  [{ kind: 'system', operation: 'clock-stepped' }, 'The clock of the server was set to another time'],
  [{ kind: 'system', operation: 'recording-resumed' }, 'The ledger takes records again; before, it took none'],
  [{ operation: 'completeness' }, 'Looked for times at which the record may be incomplete'],
  [{ kind: 'system', operation: 'request-counters' }, 'Counted its requests so far'],
  [{ kind: 'system', operation: 'sequence-gap', targets: emitter }, 'Events are missing from the emitter ward-app'],
  [
    { kind: 'system', operation: 'sequence-gap-closed', targets: emitter },
    'Missing events have arrived from the emitter ward-app',
  ],
  [
    { kind: 'system', operation: 'sequence-repeat', targets: emitter },
    'A number was used twice by the emitter ward-app',
  ],
  [{ kind: 'system', operation: 'sealing-begun' }, 'The log began, and announced the key that seals its first month'],
  [{ kind: 'system', operation: 'epoch-sealed' }, 'A month was sealed, and its key erased'],
  [{ kind: 'system', operation: 'checkpoint-key-rotated' }, 'Another key signs the log’s checkpoints'],
  [{ kind: 'system', operation: 'checkpoint-key-added' }, 'A second key signs the log’s checkpoints too'],
  [{ kind: 'system', operation: 'checkpoint-key-overlap-ended' }, 'The key that was replaced signs no more'],
  [{ kind: 'system', operation: 'log-succeeds' }, 'This log goes on from an older one'],
  [{ operation: 'event-review', targets: event, outcome: denied }, 'Tried to review event 4,812'],
  [{ operation: 'found-justified', targets: event }, 'Reviewed event 4,812, and found it justified'],
  [{ operation: 'found-unjustified', targets: event }, 'Reviewed event 4,812, and found it unjustified'],
  [{ operation: 'found-unclear', targets: event }, 'Reviewed event 4,812, and found it unclear'],
  [{ operation: 'keys-list' }, 'Looked at the key-encryption keys'],
  [{ operation: 'keys-rotate' }, 'Asked for another key-encryption key'],
  [{ operation: 'keys-rewrap-start' }, 'Asked to wrap everything under the current key'],
  [{ kind: 'access-change', operation: 'kek-current' }, 'Another key wraps what is new'],
  [{ kind: 'access-change', operation: 'keys-rewrap' }, 'Began to wrap everything under the current key'],
  [{ kind: 'access-change', operation: 'keys-rewrapped' }, 'Everything is wrapped under the current key'],
  [{ kind: 'access-change', operation: 'kek-destroy' }, 'Ordered the end of a key-encryption key'],
  [{ kind: 'access-change', operation: 'kek-destroyed' }, 'A key-encryption key has ended'],
  [{ kind: 'system', operation: 'witness-policy' }, 'Who must vouch for the log has changed'],
  [{ kind: 'system', operation: 'spool-cut' }, 'The end of the spool was torn, and is cut off'],
  [{ kind: 'auth', operation: 'authenticate' }, 'Came through the gateway'],
  [{ kind: 'auth', operation: 'backchannel-logout' }, 'Was signed out by the identity provider'],
  [
    { kind: 'auth', operation: 'backchannel-logout', outcome: denied },
    'Tried to sign somebody out without a logout token that holds',
  ],
  [
    { kind: 'auth', operation: 'tokens-revoked', targets: [{ type: 'Actor', id: 'wg-pr-0007', role: 'object' }] },
    'Takes no more tokens of wg-pr-0007',
  ],
  [
    { kind: 'system', operation: 'issuer-keys-stale', targets: issuer },
    'Goes on with old keys, since the identity provider does not answer: https://id.example',
  ],
  [
    { kind: 'system', operation: 'issuer-keys-gone', targets: issuer },
    'Lets nobody in any more, since the identity provider does not answer: https://id.example',
  ],
  [
    { kind: 'system', operation: 'issuer-keys-fresh', targets: issuer },
    'The identity provider answers again: https://id.example',
  ],
  [
    { kind: 'system', operation: 'certificate-replaced', targets: listener },
    'Shows another certificate from now on, as listener',
  ],
  [
    { kind: 'system', operation: 'certificate-refused', targets: listener },
    'Could not take the certificate in its files, as listener',
  ],
  [{ kind: 'network', operation: 'address-refused', outcome: denied }, 'Came from an address that is not let in'],
  [{ kind: 'network', operation: 'rate-limited', outcome: denied }, 'Asked more often than an address may'],
  [{ kind: 'network', operation: 'locked-out', outcome: denied }, 'Came from an address that is locked out'],
  [
    { kind: 'system', operation: 'filter-replaced', targets: addressList },
    'Takes another list of addresses from now on: deny',
  ],
  [
    { kind: 'system', operation: 'filter-refused', targets: addressList },
    'Could not take the file of the list of addresses: deny',
  ],
  [{ kind: 'system', operation: 'lockout-begun', targets: address }, 'Locked out, after too many failures, 192.0.2.1'],
  [{ kind: 'system', operation: 'lockout-ended', targets: address }, 'Hears 192.0.2.1 again'],
  [
    { kind: 'system', operation: 'lockouts-damaged', outcome: { status: 'error' } },
    'Found the file of its lock-outs damaged: for a while one failure is enough',
  ],
  [{ kind: 'network', operation: 'blocked', outcome: denied }, 'Came from an address that is blocked'],
  [{ kind: 'system', operation: 'decision-applied', targets: decision }, 'Follows the decision d-1'],
  [
    { kind: 'system', operation: 'decision-lifted', targets: decision },
    'No longer follows the decision d-1, which was lifted',
  ],
  [
    { kind: 'system', operation: 'decision-expired', targets: decision },
    'No longer follows the decision d-1, which is over',
  ],
  [{ kind: 'access-change', operation: 'decision-made', targets: decision }, 'Decided for the gateways: d-1'],
  [{ kind: 'access-change', operation: 'decision-withdrawn', targets: decision }, 'Lifted the decision d-1'],
  [{ operation: 'decisions-list', exposure: { count: 2 } }, 'Looked at the decisions for the gateways; 2 decisions'],
  [{ operation: 'decision-add', outcome: denied }, 'Tried to make a decision for the gateways'],
  [{ operation: 'decision-lift', targets: decision }, 'Asked to lift the decision d-1'],
  [
    { kind: 'system', operation: 'upstream-spared', targets: upstream },
    'Spares https://api.example for a while, since it fails too often',
  ],
  [{ kind: 'system', operation: 'upstream-back', targets: upstream }, 'Has answers again from https://api.example'],
  [
    { kind: 'system', operation: 'upstream-down', targets: upstream },
    'Leaves out https://api.example while its own questions get no good answer',
  ],
  [
    { kind: 'system', operation: 'upstream-up', targets: upstream },
    'Asks https://api.example again, since its own questions are answered',
  ],
  [{ kind: 'auth', operation: 'code-exchange', outcome: denied }, 'Tried to trade a code for tokens'],
  [{ kind: 'auth', operation: 'service-token' }, 'Got a token as a service'],
  [
    { kind: 'auth', operation: 'authorization', outcome: denied },
    'Tried to have somebody sign in by a request that does not hold',
  ],
  [{ kind: 'auth', operation: 'launch', outcome: denied }, 'Tried to launch an application'],
  [{ kind: 'auth', operation: 'launch-made', targets: person }, 'Prepared the launch of an application'],
  [
    { kind: 'auth', operation: 'launch-context', targets: [{ type: 'Patient', id: '·7F3K', role: 'object' }] },
    'Opened an application for the patient ·7F3K',
  ],
  [
    { kind: 'auth', operation: 'logout-told', targets: person },
    'Told an application that sessions have ended, of the person wg-pr-0007',
  ],
  [{ operation: 'person-disable', targets: person }, 'Asked to disable the person wg-pr-0007'],
  [{ operation: 'person-sign-out', targets: person }, 'Asked to sign out the person wg-pr-0007'],
  [{ operation: 'person-fhir-user', outcome: denied }, 'Tried to set which FHIR resource stands for a person'],
  [
    { kind: 'access-change', operation: 'person-signed-out', targets: person },
    'Ended all sessions of the person wg-pr-0007',
  ],
  [
    { kind: 'access-change', operation: 'fhir-user-set', targets: person },
    'Set which FHIR resource stands for the person wg-pr-0007',
  ],
  [
    {
      kind: 'api',
      action: 'execute',
      operation: 'subscribe',
      outcome: { status: 'success', reason: 'opened' },
      completes: 'x',
      targets: [{ type: 'Subscription', role: 'query' }],
    },
    'Opened a WebSocket for Subscription',
  ],
  [{ kind: 'api', operation: 'preflight' }, 'Asked whether a page’s script may call'],
  [
    { kind: 'system', operation: 'rates-shared', targets: redis },
    'Counts requests together with other gateways, by 127.0.0.1:6379',
  ],
  [
    { kind: 'system', operation: 'rates-alone', targets: redis },
    'Counts requests by itself, with a share, since nothing comes from 127.0.0.1:6379',
  ],
  [
    { kind: 'system', operation: 'record-failed', outcome: { status: 'error', reason: 'spool-full' } },
    'From here on nothing could be recorded',
  ],
  [{ kind: 'system', operation: 'record-resumed' }, 'From here on everything is recorded again'],
  [{ kind: 'system', operation: 'receipt-failed' }, 'Found that what the server acknowledged does not hold'],
  [
    { kind: 'system', operation: 'front-outcome' },
    'Heard how a request ended that was let through before the gateway started again',
  ],
  [
    { kind: 'system', operation: 'front-unasked' },
    'A proxy let a request through that the gateway was not asked about',
  ],
  [{ kind: 'system', operation: 'gateway-fault' }, 'Could not serve a request: a fault of the gateway itself'],
];

for (const [change, line] of lines) {
  test(`a row can say: ${line}`, () => assert.equal(plainText(describeEvent({ ...base, ...change })), line));
}

test('every statement is held by a line above', () => {
  const said = new Set(lines.map(([{ kind = 'review', operation }]) => `${kind}/${operation}`));
  assert.deepEqual(
    Object.keys(statements).filter((name) => !said.has(name)),
    [],
  );
});

test('every operation that the server and the gateway name has words', () => {
  const packages = join(import.meta.dirname, '../../..');
  const named = new Set<string>();
  for (const folder of ['server/src', 'gateway/src']) {
    for (const file of readdirSync(join(packages, folder), { recursive: true, encoding: 'utf8' })) {
      if (!file.endsWith('.ts') || /\.(test|fixture)\.ts$/.test(file)) continue;
      const source = readFileSync(join(packages, folder, file), 'utf8');
      for (const [, operation] of source.matchAll(/\boperation: (?:.{0,40}\? )?'([a-z$][a-z-]*)'/g))
        if (operation !== undefined) named.add(operation);
    }
  }
  const worded = new Set([...Object.keys(verbs), ...Object.keys(statements).map((name) => name.split('/')[1])]);
  assert.ok(named.size > 20, `found only ${named.size}`);
  assert.deepEqual(
    [...named].filter((operation) => !worded.has(operation)),
    [],
  );
});

test('a reason is said in words', () => {
  assert.equal(reasonWords('wrong-password'), 'wrong password');
  assert.equal(reasonWords('client-frame-mask'), 'whoever opened it broke the rules of WebSockets');
  assert.equal(reasonWords('nobody-gave-words'), 'nobody gave words');
  assert.equal(reasonWords('repeated-12k-times'), '12k more times');
  assert.equal(reasonWords('1 234 requests refused'), '1 234 requests refused');
});
