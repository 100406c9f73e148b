/**
 * The words of every operation that the server and the gateway record. `verbs` act on what an event touched ("Read Patient ·7F3K");
 * `statements` are whole lines of their own, by `kind/operation`. What is in neither is said by its action and its own name.
 */
import type { EventAction } from '@watchglass/record';

/** Past tense, and the form after "Tried to"; a statement without it is the same however it ended. */
export interface Verb {
  readonly did: string;
  readonly to?: string;
}

export interface Statement extends Verb {
  /** How the thing it was about is said: `named` after the words; `numbered` as the number of an event; `searched` as what was looked for. */
  readonly object?: 'named' | 'numbered' | 'searched';
  /** Said after the thing. */
  readonly after?: string;
  /** What its count counts. */
  readonly counts?: string;
}

export const actionVerbs: Readonly<Record<EventAction, Verb>> = {
  create: { did: 'Created', to: 'create' },
  read: { did: 'Read', to: 'read' },
  update: { did: 'Changed', to: 'change' },
  delete: { did: 'Deleted', to: 'delete' },
  execute: { did: 'Ran', to: 'run' },
};

/** FHIR R4 §3.1.0, by the gateway's names. */
export const verbs: Readonly<Record<string, Verb>> = {
  read: actionVerbs.read,
  vread: { did: 'Read an earlier version of', to: 'read an earlier version of' },
  search: { did: 'Searched', to: 'search' },
  'search-type': { did: 'Searched', to: 'search' },
  'search-compartment': { did: 'Searched', to: 'search' },
  'search-system': { did: 'Searched all types', to: 'search all types' },
  'history-instance': { did: 'Read the history of', to: 'read the history of' },
  'history-type': { did: 'Read the history of every', to: 'read the history of every' },
  'history-system': { did: 'Read the history of everything', to: 'read the history of everything' },
  create: actionVerbs.create,
  update: actionVerbs.update,
  patch: { did: 'Changed parts of', to: 'change parts of' },
  delete: actionVerbs.delete,
  'conditional-create': { did: 'Created, unless it was there,', to: 'create, unless it is there,' },
  'conditional-update': { did: 'Changed what matched in', to: 'change what matches in' },
  'conditional-patch': { did: 'Changed parts of what matched in', to: 'change parts of what matches in' },
  'conditional-delete': { did: 'Deleted what matched in', to: 'delete what matches in' },
  batch: { did: 'Ran a batch', to: 'run a batch' },
  capabilities: { did: 'Asked what the server can do', to: 'ask what the server can do' },
  'smart-configuration': { did: 'Asked how to sign in', to: 'ask how to sign in' },
  $everything: { did: 'Took everything about', to: 'take everything about' },
  $export: { did: 'Exported', to: 'export' },
  'export-status': { did: 'Asked how an export goes', to: 'ask how an export goes' },
  'export-file': { did: 'Took a file of an export', to: 'take a file of an export' },
  'export-cancel': { did: 'Cancelled an export', to: 'cancel an export' },
  $lastn: { did: 'Read the latest', to: 'read the latest' },
  $stats: { did: 'Read statistics of', to: 'read statistics of' },
  $document: { did: 'Made a document of', to: 'make a document of' },
  $docref: { did: 'Looked for documents in', to: 'look for documents in' },
  $match: { did: 'Looked for a match in', to: 'look for a match in' },
};

export const statements: Readonly<Record<string, Statement>> = {
  'auth/login': { did: 'Signed in', to: 'sign in' },
  'auth/login-failed': { did: 'Failed to sign in' },
  'auth/session-open': { did: 'Opened a session of the console', to: 'open a session of the console' },
  'auth/logout': { did: 'Signed out', to: 'sign out' },
  'auth/authenticate': { did: 'Came through the gateway', to: 'pass the gateway without a valid token' },
  'auth/sign-in': { did: 'Came back from the identity provider', to: 'come back from the identity provider' },
  'auth/write-key': { did: 'Showed a write key', to: 'send events without a write key in force' },
  'network/no-route': { did: 'Asked for an address that leads nowhere' },
  'network/protocol-violation': { did: 'Sent a request that HTTP does not allow' },
  'review/search': { did: 'Searched the audit trail', to: 'search the audit trail', object: 'searched', counts: 'row' },
  'review/summary': {
    did: 'Counted events of the audit trail',
    to: 'count events of the audit trail',
    object: 'searched',
  },
  'review/event-read': { did: 'Opened event', to: 'open event', object: 'numbered' },
  'review/proof': {
    did: 'Took the proof of event',
    to: 'take the proof of event',
    object: 'numbered',
    after: ', without its content',
  },
  'review/proof-open': {
    did: 'Took the proof of event',
    to: 'take the proof of event',
    object: 'numbered',
    after: ', with its content',
  },
  'review/bundle': { did: 'Made an evidence bundle', to: 'make an evidence bundle', counts: 'event' },
  'review/tail-open': { did: 'Began to follow new events', to: 'follow new events' },
  'review/tail-close': { did: 'Stopped following new events', to: 'stop following new events', counts: 'event' },
  'review/status': { did: 'Looked at how the server is doing', to: 'look at how the server is doing' },
  'review/write-keys-list': { did: 'Looked at the write keys', to: 'look at the write keys', counts: 'key' },
  'review/write-key-create': { did: 'Asked for the new write key', to: 'ask for the new write key', object: 'named' },
  'review/write-key-revoke': { did: 'Asked to revoke the write key', to: 'revoke the write key', object: 'named' },
  'review/people-list': {
    did: 'Looked at who can sign in',
    to: 'look at who can sign in',
    counts: 'account',
  },
  'review/person-add': { did: 'Asked to add the person', to: 'add a person', object: 'named' },
  'review/retention-read': { did: 'Looked at how long what is kept', to: 'look at how long what is kept' },
  'review/retention-plan': {
    did: 'Looked at what would be shredded',
    to: 'look at what would be shredded',
    counts: 'unit',
  },
  'review/retention-confirm': { did: 'Asked to keep for fewer than six years', to: 'keep for fewer than six years' },
  'review/shred-propose': { did: 'Asked to propose a shred', to: 'propose a shred' },
  'review/retention-approve': { did: 'Asked to approve the proposal', to: 'approve the proposal', object: 'named' },
  'review/retention-execute': { did: 'Asked to carry out the proposal', to: 'carry out the proposal', object: 'named' },
  'review/holds-list': { did: 'Looked at the legal holds', to: 'look at the legal holds', counts: 'hold' },
  'review/hold-add': { did: 'Asked to add the legal hold', to: 'add a legal hold', object: 'named' },
  'review/hold-release-propose': { did: 'Asked to release a legal hold', to: 'release a legal hold' },
  'access-change/retention-policy': { did: 'Retention is another than before, for', object: 'named' },
  'access-change/retention-floor-confirmed': {
    did: 'Confirmed to keep for fewer than six years, for',
    object: 'named',
  },
  'access-change/shred-proposed': { did: 'Proposed a shred:', object: 'named' },
  'access-change/shred-approved': { did: 'Approved the shred', object: 'named' },
  'access-change/shred-ordered': { did: 'Ordered the shred', object: 'named' },
  'access-change/hold-release-proposed': { did: 'Proposed to release a legal hold:', object: 'named' },
  'access-change/hold-release-approved': { did: 'Approved the release', object: 'named' },
  'access-change/hold-release-ordered': { did: 'Ordered the release', object: 'named' },
  'access-change/person-added': { did: 'Added the person', to: 'add the person', object: 'named' },
  'access-change/person-disabled': { did: 'Disabled the person', to: 'disable the person', object: 'named' },
  'access-change/password-set': {
    did: 'Set the password of the person',
    to: 'set the password of the person',
    object: 'named',
  },
  'access-change/role-granted': {
    did: 'Granted a role to the person',
    to: 'grant a role to the person',
    object: 'named',
  },
  'access-change/role-revoked': {
    did: 'Took a role from the person',
    to: 'take a role from the person',
    object: 'named',
  },
  'access-change/write-key-created': { did: 'Made the write key', to: 'make the write key', object: 'named' },
  'access-change/write-key-revoked': { did: 'Revoked the write key', to: 'revoke the write key', object: 'named' },
  'system/start': { did: 'Started', to: 'start' },
  'system/stop': { did: 'Stopped', to: 'stop' },
  'system/heartbeat': { did: 'The ledger is alive; nothing new came in' },
  'system/clock-stepped': { did: 'The clock of the server was set to another time' },
  'system/recording-resumed': { did: 'The ledger takes records again; before, it took none' },
  'system/request-counters': { did: 'Counted its requests so far' },
  'system/sequence-gap': { did: 'Events are missing from the emitter', object: 'named' },
  'system/sequence-gap-closed': { did: 'Missing events have arrived from the emitter', object: 'named' },
  'system/sequence-repeat': { did: 'A number was used twice by the emitter', object: 'named' },
  'system/sealing-begun': { did: 'The log began, and announced the key that seals its first month' },
  'system/epoch-sealed': { did: 'A month was sealed, and its key erased' },
  'system/checkpoint-key-rotated': { did: 'Another key signs the log’s checkpoints' },
  'system/checkpoint-key-added': { did: 'A second key signs the log’s checkpoints too' },
  'system/checkpoint-key-overlap-ended': { did: 'The key that was replaced signs no more' },
  'system/shred-begun': { did: 'Began to shred', object: 'named' },
  'system/shred-completed': { did: 'Shredded', object: 'named', after: '; this is the evidence' },
  'system/hold-added': { did: 'Added the legal hold', object: 'named' },
  'system/hold-released': { did: 'Released the legal hold', object: 'named' },
  'system/hold-keys-ended': { did: 'Ended the keys of the legal hold', object: 'named' },
  'system/log-succeeds': { did: 'This log goes on from an older one' },
  'review/completeness': {
    did: 'Looked for times at which the record may be incomplete',
    to: 'look for times at which the record may be incomplete',
  },
  'review/keys-list': { did: 'Looked at the key-encryption keys', to: 'look at the key-encryption keys' },
  'review/keys-rotate': { did: 'Asked for another key-encryption key', to: 'ask for another key-encryption key' },
  'review/keys-rewrap-start': {
    did: 'Asked to wrap everything under the current key',
    to: 'ask to wrap everything under the current key',
  },
  'access-change/kek-current': { did: 'Another key wraps what is new' },
  'access-change/keys-rewrap': { did: 'Began to wrap everything under the current key' },
  'access-change/keys-rewrapped': { did: 'Everything is wrapped under the current key' },
  'access-change/kek-destroy': { did: 'Ordered the end of a key-encryption key' },
  'access-change/kek-destroyed': { did: 'A key-encryption key has ended' },
  'system/witness-policy': { did: 'Who must vouch for the log has changed' },
  'system/spool-cut': { did: 'The end of the spool was torn, and is cut off' },
  'auth/backchannel-logout': {
    did: 'Was signed out by the identity provider',
    to: 'sign somebody out without a logout token that holds',
  },
  'auth/tokens-revoked': { did: 'Lets in no longer', to: 'let in no longer', object: 'named' },
  'system/issuer-keys-stale': {
    did: 'Goes on with old keys, since the identity provider does not answer:',
    object: 'named',
  },
  'system/issuer-keys-gone': {
    did: 'Lets nobody in any more, since the identity provider does not answer:',
    object: 'named',
  },
  'system/issuer-keys-fresh': { did: 'The identity provider answers again:', object: 'named' },
  'system/certificate-replaced': { did: 'Shows another certificate from now on, as', object: 'named' },
  'system/certificate-refused': {
    did: 'Could not take the certificate in its files, as',
    object: 'named',
  },
  'system/receipt-failed': { did: 'Found that what the server acknowledged does not hold' },
  'system/gateway-fault': { did: 'Could not serve a request: a fault of the gateway itself' },
};

const reasons: Readonly<Record<string, string>> = {
  policy: 'the policy gives this role no such right',
  'policy-purpose': 'the policy gives this right for another purpose',
  'policy-time': 'the policy gives this right at other hours',
  'policy-network': 'the policy gives this right from another network',
  'policy-cedar': 'the Cedar policies don’t allow it',
  assurance: 'the sign-in was not sure enough for this',
  'class-in-batch': 'the class of data can’t be checked in a batch',
  'response-class-policy': 'the answer held a class of data that the policy does not allow',
  'break-glass-not-allowed': 'this role may not break the glass for it',
  'break-glass-patient': 'no patient was named to break the glass for',
  'break-glass-search': 'broken glass lets through one patient only, and this asks for more',
  'break-glass-parameter': 'broken glass lets through one patient only, and this asks for more',
  'break-glass-batch': 'the glass is not broken in a batch',
  'break-glass-reason': 'no reason to break the glass, or none that the policy knows',
  'break-glass-too-many': 'the glass is broken for too many patients at once',
  consent: 'the patient has not agreed',
  'consent-unknown-patient': 'nobody can say whose consent to ask for',
  'consent-too-many': 'too many patients to ask for consent',
  'consent-unavailable': 'consent could not be asked for',
  scope: 'the token’s scopes don’t reach this',
  parameter: 'a parameter that the policy does not allow',
  'batch-denied': 'another entry of the batch was denied',
  'patient-scope-write': 'a patient’s token may only read',
  'patient-scope-parameter': 'a patient’s token reaches only that patient',
  'patient-scope-batch': 'a patient’s token runs no batches',
  'right-missing': 'the roles carry no such right',
  'token-missing': 'no token',
  'token-expired': 'the token has expired',
  'token-signature': 'the token’s signature is not valid',
  'token-issuer': 'the token is of an issuer nobody trusts here',
  'token-audience': 'the token is for another API',
  'token-tenant': 'the token is of another tenant',
  'token-malformed': 'the token can’t be read',
  'token-revoked': 'the token was revoked, or its session has ended',
  'token-inactive': 'the identity provider says the token is not active',
  'token-too-long-lived': 'the token lives longer than a revocation is kept',
  'token-binding': 'the token is bound to something that can’t be checked here',
  'dpop-missing': 'the proof of the key is missing',
  'dpop-replay': 'the proof of the key was used before',
  'dpop-downgrade': 'the token is bound to a key, and came without its proof',
  'dpop-unbound': 'the token is bound to no key',
  'dpop-binding': 'the proof is of another key',
  'mtls-missing': 'the token is bound to a certificate, and came without it',
  'mtls-mismatch': 'the token is bound to another certificate',
  'introspection-unavailable': 'the identity provider could not be asked about the token',
  'issuer-keys-unavailable': 'the keys of the identity provider can’t be had',
  'wrong-password': 'wrong password',
  'unknown-person': 'nobody has this name',
  disabled: 'this person is disabled',
  locked: 'too many wrong passwords',
  'not-found': 'nothing is there',
  'method-not-allowed': 'not in this way',
  'upstream-timeout': 'the server behind the gateway took too long',
  'upstream-unreachable': 'the server behind the gateway can’t be reached',
  'upstream-invalid': 'the server behind the gateway answered something that is not HTTP',
  'stream-cut-off': 'the answer was cut off',
};

/** Why something ended as it did. Codes nobody gave words are shown with spaces. */
export function reasonWords(reason: string): string {
  const repeated = /^repeated-(\d+k?)-times$/.exec(reason)?.[1];
  if (repeated !== undefined) return `${repeated} more times`;
  return reasons[reason] ?? (/^[a-z0-9]+(-[a-z0-9]+)*$/.test(reason) ? reason.replaceAll('-', ' ') : reason);
}
