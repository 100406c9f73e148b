/** An event of a bundle, opened against the leaf that is stated for it: whole, or with fields withheld. Whether that leaf is in the log is for the whole to say. */
import { encodeUtf8, equalBytes } from '../bytes.ts';
import { commit, leafDataOf, originHashOf } from '../commitment.ts';
import { decode } from '../encode.ts';
import { RecordError } from '../errors.ts';
import type { StoredRecord } from '../event.ts';
import { commitFieldRoot, commitFields, fieldRootOfDisclosure } from '../field-commitment.ts';
import { hashLeaf } from '../tree.ts';
import { messageOf, type Tell } from './checking.ts';
import type { BundleContents, ShownEvent } from './contents.ts';

/** An event of a bundle, as far as it could be read. */
export interface VerifiedEvent {
  readonly index: number;
  /** It opens the leaf stated for it; whether that leaf is in the log is for the whole to say. */
  readonly opens: boolean;
  /** Withheld fields are null. */
  readonly record: StoredRecord | undefined;
  /** Some of it, or all, is not shown. */
  readonly withheld: boolean;
  readonly leaf: Uint8Array;
  readonly m: string;
  /** Its content was shredded, as an event of the log says. */
  readonly shredded?: { readonly unit: string; readonly done: VerifiedEvent };
}

/** Opens the leaf stated for an event. */
export function openEvent(contents: BundleContents, event: ShownEvent, tell: Tell, place = 'events'): VerifiedEvent {
  const code = place === 'proof.maker' ? 'maker-mismatch' : 'event-mismatch';
  const whole = 'r' in event;
  const m = encodeUtf8(event.m);
  let record: StoredRecord | undefined;
  let opens = false;
  try {
    opens = equalBytes(leafHashOfEvent(contents, event, m), event.leaf);
    if (!opens)
      tell(code, place, `event ${event.index} does not open the leaf stated for it: it was changed`, event.index);
    record = whole ? decode(m) : readShown(event.m);
  } catch (error) {
    tell('record-invalid', place, `event ${event.index}: ${messageOf(error)}`, event.index);
  }
  return { index: event.index, opens, record, withheld: !whole, leaf: event.leaf, m: event.m };
}

/** Members of it may be withheld, and are null then; that there is an event is what a reader goes by. @throws {RecordError} `record-invalid` */
function readShown(m: string): StoredRecord {
  // What is not JSON at all has failed above already.
  const value = JSON.parse(m) as Partial<StoredRecord> | null;
  if (typeof value?.event !== 'object' || value.event === null)
    throw new RecordError('record-invalid', 'expected a stored record with an event in it');
  return value as StoredRecord;
}

function leafHashOfEvent({ origin, leafType }: BundleContents, event: ShownEvent, m: Uint8Array): Uint8Array {
  const { index } = event;
  const originHash = originHashOf(origin);
  if ('r' in event) {
    const opening = { originHash, index, r: event.r, m };
    return hashLeaf(leafDataOf(leafType === 1 ? commit(opening) : commitFields(opening), leafType));
  }
  if (leafType === 1)
    throw new RecordError('record-invalid', 'expected the whole event: leaves of this log commit to whole events');
  const root = fieldRootOfDisclosure({ m, salts: event.salts, holes: event.holes });
  return hashLeaf(leafDataOf(commitFieldRoot({ originHash, index, root }), leafType));
}
