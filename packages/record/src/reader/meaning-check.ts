/**
 * Checks what the records of one log mean, one after another in the order of the log: each is a stored record of version 1 that belongs where it is, its envelope
 * fits, numbers and ids are in order, and what the log says of itself makes sense there. The bytes are verified by `verifyLedger`; here they are taken as they open.
 * Memory is bounded, however long the log is.
 */
import { encodeHex, equalBytes } from '../bytes.ts';
import { decode, encode } from '../encode.ts';
import { RecordError } from '../errors.ts';
import type { StoredRecord } from '../event.ts';
import { retentionClassOf } from '../retention.ts';
import { uuidBytes } from '../uuid.ts';
import type { MeaningFindings, TellMeaning } from './meaning-findings.ts';
import { OwnMeaning } from './own-meaning.ts';
import { RecentIds } from './recent-ids.ts';
import type { OpenedRecord } from './record-reader.ts';
import { SequenceMeaning } from './sequence-meaning.ts';

/** Emitters of the server's own records: no sender may use their names. */
export const ownEmitters: readonly string[] = ['server', 'ledger'];
/** Batches are read side by side, so what is stored next may have been received a little earlier. */
const disorderMaxMs = 60_000;
/** The server knows an id for so long (`idAgeMsMax` of the ledger). */
const idAgeMs = 7 * 24 * 3_600_000;
/** Before 2020 nobody ran this: a clock that was never set. */
const receivedMinMs = Date.UTC(2020, 0, 1);
const submitterPattern = /^(?:self|key:[\x21-\x7e]{1,128}|person:[\x21-\x7e]{1,128})$/;
const doorPattern = /^[a-z][a-z0-9-]{0,31}$/;

export interface MeaningOptions {
  readonly tenant: string;
  /** Records of the log, about. */
  readonly size: number;
  /** So many records may lie between two with one id, before the server may have forgotten the first; 0 where that can't be known. */
  readonly idWindow: number;
  /** Where the first record stands before which none of the server's own was shredded. */
  readonly wholeFrom: number;
  readonly findings: MeaningFindings;
  /** Now, ms since 1970. */
  readonly nowMs: number;
}

export class MeaningCheck {
  readonly #options: MeaningOptions;
  readonly #ids: RecentIds | undefined;
  readonly #sequences: SequenceMeaning;
  readonly #own: OwnMeaning;
  /** The run of the server that stored the last record, the moment of its first, and the newest of it. */
  #run = { writer: '', sinceMs: 0, newestMs: 0 };
  #next = 0;
  #checked = 0;

  constructor(options: MeaningOptions) {
    this.#options = options;
    this.#ids = options.idWindow > 0 ? new RecentIds(options.size) : undefined;
    this.#sequences = new SequenceMeaning((index) => this.#tellAt(index));
    this.#own = new OwnMeaning(this.#sequences);
  }

  /** Records that were looked at. */
  get checked(): number {
    return this.#checked;
  }

  /** The next record of the log. Returns what it says, where it can be read. */
  look(opened: OpenedRecord): StoredRecord | undefined {
    const { index } = opened;
    const tell = this.#tellAt(index);
    if (index > this.#next) {
      this.#sequences.passedOver();
      if (this.#next < this.#options.wholeFrom) this.#own.passedOver();
    }
    this.#next = index + 1;
    this.#checked++;
    const record = readRecord(opened, tell);
    if (record === undefined) return undefined;
    const { event } = record;
    if (event.tenant !== this.#options.tenant)
      tell('record-foreign', `tenant ${this.#options.tenant}`, `another one of ${event.tenant.length} characters`);
    const belongs = retentionClassOf(event.kind);
    if (belongs !== opened.retentionClass)
      tell('class-mismatch', `class ${belongs} for kind ${event.kind}`, `class ${opened.retentionClass}`);
    const receivedMs = this.#envelope(record, opened, tell);
    this.#id(record, { index, receivedMs }, tell);
    const isOwn = record.submitter === 'self';
    if (event.operation === 'log-succeeds' && index === 0) this.#sequences.passedOver();
    this.#sequences.arrived(event.emitter, isOwn, { index, receivedMs, runSinceMs: this.#run.sinceMs });
    if (isOwn && event.kind === 'system' && event.site === 'ledger')
      this.#own.look(event, index, this.#run.writer, tell);
    else if (!isOwn) this.#own.counted(event, tell);
    return record;
  }

  /** Once the last record was looked at. */
  end(): void {
    const { newestMs, sinceMs } = this.#run;
    this.#sequences.end({ index: this.#next, receivedMs: newestMs, runSinceMs: sinceMs });
  }

  #envelope(record: StoredRecord, { writer, epoch }: OpenedRecord, tell: TellMeaning): number {
    const { received, submitter, intake, event } = record;
    const receivedMs = Date.parse(received);
    if (!submitterPattern.test(submitter))
      tell('envelope-invalid', 'a submitter `self`, `key:` or `person:` and an id', 'another form');
    if (!doorPattern.test(intake)) tell('envelope-invalid', 'a door such as `http`', 'another form');
    if ((submitter === 'self') !== (intake === 'self'))
      tell('envelope-invalid', 'a record of the server’s own by submitter and door alike', 'only one of the two');
    if (submitter !== 'self' && ownEmitters.includes(event.emitter.id))
      tell('emitter-forged', 'an emitter of a sender', `emitter ${event.emitter.id}`);
    if (submitter === 'self' && !ownEmitters.includes(event.emitter.id))
      tell('envelope-invalid', `an own record of emitter ${ownEmitters.join(' or ')}`, 'another emitter');
    if (receivedMs < receivedMinMs || receivedMs > this.#options.nowMs + disorderMaxMs * 60)
      tell('envelope-invalid', 'a moment of receipt between 2020 and now', received);
    const month = Number(received.slice(0, 4)) * 12 + Number(received.slice(5, 7)) - 1 - 1970 * 12;
    if (month > epoch) tell('envelope-invalid', `a moment of receipt in epoch ${epoch} or before`, received);
    this.#runOn(writer, receivedMs, tell);
    return receivedMs;
  }

  /** The clock may be stepped while nothing runs; within one run the moments of receipt ascend. */
  #runOn(writer: Uint8Array | undefined, receivedMs: number, tell: TellMeaning): void {
    if (writer === undefined) return;
    const name = encodeHex(writer);
    if (name !== this.#run.writer) this.#run = { writer: name, sinceMs: receivedMs, newestMs: receivedMs };
    const { newestMs } = this.#run;
    if (receivedMs < newestMs - disorderMaxMs)
      tell(
        'received-backwards',
        `received at ${timeOf(newestMs)} or later, by the records before it`,
        timeOf(receivedMs),
      );
    this.#run.newestMs = Math.max(newestMs, receivedMs);
  }

  #id({ event }: StoredRecord, now: { readonly index: number; readonly receivedMs: number }, tell: TellMeaning): void {
    const before = this.#ids?.add(uuidBytes(event.id), now);
    if (before === undefined || now.index - before.index > this.#options.idWindow) return;
    if (Math.abs(now.receivedMs - before.receivedMs) <= idAgeMs)
      tell('id-twice', 'an id of its own', `the id of the record at index ${before.index}`);
  }

  #tellAt(index: number): TellMeaning {
    const { tenant, findings } = this.#options;
    return (code, expected, got) => findings.add({ code, tenant, index, expected, got });
  }
}

function readRecord({ m }: OpenedRecord, tell: TellMeaning): StoredRecord | undefined {
  try {
    const record = decode(m);
    if (!equalBytes(encode(record), m))
      tell('record-invalid', 'the spelling that the door writes', 'another spelling of the same record');
    return record;
  } catch (error) {
    if (!(error instanceof RecordError)) throw error;
    // Its message names places and lengths, never values.
    tell('record-invalid', 'a stored record of version 1', error.message);
    return undefined;
  }
}

function timeOf(ms: number): string {
  return new Date(ms).toISOString();
}
