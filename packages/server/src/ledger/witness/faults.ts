/** What can be wrong with a witness, in one table: stable codes for status, metrics and logs. `docs/errors.md` is held equal to it by a test. */

export const witnessFaults = {
  'witness-unreachable':
    'The witness cannot be reached; it is asked again later, ever less often, at least every five minutes.',
  'witness-deadline': 'The witness did not answer within the deadline.',
  'witness-too-large': 'The witness answered more than a witness has to say.',
  'witness-unknown-log': 'The witness does not know the log (404): give its operator the verifier key of the log.',
  'witness-untrusted-key':
    'The witness does not trust the key of the log (403): its operator has another verifier key.',
  'witness-refused':
    'The witness refused the checkpoint or its proof (400, 422), and shows no checkpoint that contradicts it.',
  'witness-busy': 'The witness asks to come again later (429).',
  'witness-failing': 'The witness answered with an error of its own (5xx) or a status it should not give.',
  'witness-answer-invalid':
    'The answer of the witness is not what the protocol has it be, or contradicts an earlier one.',
  'witness-signature-invalid': 'The cosignature does not verify under the key that the policy has of the witness.',
  'witness-clock': 'The time in the cosignature lies in the future.',
  'witness-ahead':
    'The witness cosigned more leaves than the files hold: an older copy was restored. The ledger is read-only.',
  'witness-forked':
    'The witness cosigned another tree than the files have: the log was rewritten. The ledger is read-only.',
} as const;

export type WitnessFaultCode = keyof typeof witnessFaults;

export interface WitnessFault {
  readonly code: WitnessFaultCode;
  readonly message: string;
}
