/**
 * What a check of meaning finds: a code, where, what was expected and what is there instead. Only counts, hashes, names of files, rooms of the schema and
 * identifiers of our own stand in a finding: never a patient. The list is bounded, the count isn't.
 */

/** Code → meaning; `docs/errors.md` is held equal to it by a test. */
export const meaningTable = {
  'record-unreadable': 'A record does not open: `watchglass verify` says why. The rest of its log was not looked at.',
  'record-invalid': 'A stored record is not one of version 1, or is spelled otherwise than the door writes it.',
  'record-foreign': 'A record names another tenant than the log it is in.',
  'class-mismatch': 'The kind of a record belongs to another retention class than the one it was sealed in.',
  'envelope-invalid': 'The envelope of a record does not fit it: submitter, door, and moment of receipt.',
  'received-backwards':
    'A record says that it was received before records that the same run of the server stored before it.',
  'submitter-unknown': 'A record was submitted by a write key that the log does not know, or that was revoked.',
  'emitter-forged': 'A record of a sender bears the name of an emitter of the server’s own.',
  'sequence-broken': 'The numbers of an emitter of the server’s own skip, repeat or go back.',
  'hole-unrecorded': 'Numbers of an emitter are missing, and no event of the log says so.',
  'repeat-unrecorded': 'Numbers of an emitter came again under another id, and no event of the log says so.',
  'id-twice': 'Two records have the same id, nearer to each other than the server forgets ids.',
  'counter-backwards': 'A counter that only grows went back.',
  'counters-unbalanced': 'What a gateway counted does not add up.',
  'own-event-invalid': 'An event of the server’s own lacks what its operation says, or says it in another form.',
  'own-event-senseless':
    'An event of the server’s own makes no sense where it stands: what it refers to does not exist, or is so already.',
  'state-absent': 'A file of working state is not there, and the log says what it should hold.',
  'state-unreadable': 'A file of working state is damaged, or of another version.',
  'state-unsaid': 'The state holds something that no event of the log says.',
  'state-lacking': 'An event of the log says something that the state lacks.',
  'state-differs': 'The state and the newest event about it say different things.',
  'index-differs':
    'An index file holds another number of events than its part of the log: searches miss some, or show others.',
} as const;
export type MeaningCode = keyof typeof meaningTable;

export interface MeaningFinding {
  readonly code: MeaningCode;
  /** Undefined where it is about no log in particular. */
  readonly tenant?: string;
  /** Log index of the record it is about. */
  readonly index?: number;
  /** A file of the installation, and what in it. */
  readonly place?: string;
  readonly expected: string;
  readonly got: string;
}

/** A code apart: who checks says where. */
export type TellMeaning = (code: MeaningCode, expected: string, got: string) => void;

const listedMax = 1000;

export class MeaningFindings {
  readonly list: MeaningFinding[] = [];
  count = 0;

  add(finding: MeaningFinding): void {
    this.count++;
    if (this.list.length < listedMax) this.list.push(finding);
  }
}
