/**
 * Events of a bundle whose content was shredded: each lies among the indexes that a shred names, and an event of the log itself, opened here, says that this shred was
 * carried out. What it doesn't show is what stood in them.
 */
import { sha256 } from '#crypto';
import { encodeHex, encodeUtf8 } from '../bytes.ts';
import { isInRanges, parseRanges } from '../codec/index-ranges.ts';
import { RecordError } from '../errors.ts';
import { messageOf, type Tell } from './checking.ts';
import type { BundleContents, ShreddedEvent, ShredEvidence } from './contents.ts';
import { openEvent, type VerifiedEvent } from './open-event.ts';

/** A shred that an event of the log vouches for. */
export interface VerifiedShred {
  /** `<class>-<epoch>`. */
  readonly unit: string;
  readonly events: number;
  readonly done: VerifiedEvent;
}

interface OpenedShred extends VerifiedShred {
  readonly bounds: Float64Array;
}

/** @returns one for each of `contents.shreds`; undefined where it doesn't hold */
export function checkShreds(contents: BundleContents, tell: Tell): (OpenedShred | undefined)[] {
  return (contents.shreds ?? []).map((shred, at) => {
    const place = `contents.shreds[${at}]`;
    const done = openEvent(contents, shred.done, tell, place);
    try {
      if (!done.opens) return undefined;
      return openShred(contents, shred, done);
    } catch (error) {
      tell('shred-unproven', place, messageOf(error), done.index);
      return undefined;
    }
  });
}

/** An event without content. @param shred the one it names */
export function checkShredded(event: ShreddedEvent, shred: OpenedShred | undefined, tell: Tell): VerifiedEvent {
  const holds = shred !== undefined && isInRanges(event.index, shred.bounds) && event.index < shred.done.index;
  if (!holds)
    tell(
      'shred-unproven',
      'events',
      `event ${event.index} has no content, and nothing here proves that it was shredded`,
      event.index,
    );
  return {
    index: event.index,
    opens: holds,
    record: undefined,
    withheld: true,
    leaf: event.leaf,
    m: '',
    ...(shred === undefined ? {} : { shredded: { unit: shred.unit, done: shred.done } }),
  };
}

function openShred(
  { origin, tenant }: BundleContents,
  { terms, ranges }: ShredEvidence,
  done: VerifiedEvent,
): OpenedShred {
  const stated = readTerms(terms);
  const unit = `${stated.class}-${stated.epoch}`;
  if (stated.origin !== origin) throw new RecordError('shred-malformed', 'the shred is of another log');
  if (stated.ranges !== encodeHex(sha256(ranges)))
    throw new RecordError('shred-malformed', 'the indexes are not those that the shred names');
  const { submitter, event } = done.record ?? {};
  const change = event?.changes?.find(({ path }) => path === '/terms');
  if (
    submitter !== 'self' ||
    event?.kind !== 'system' ||
    event.site !== 'ledger' ||
    event.tenant !== tenant ||
    event.operation !== 'shred-completed' ||
    event.targets?.[0]?.type !== 'Shred' ||
    event.targets[0].id !== unit ||
    change?.after !== encodeHex(sha256(encodeUtf8(terms)))
  )
    throw new RecordError('shred-malformed', 'the event in it is not the one that ends this shred');
  return { unit, events: stated.events, done, bounds: parseRanges(ranges) };
}

interface StatedTerms {
  readonly origin: string;
  readonly class: string;
  readonly epoch: number;
  readonly events: number;
  readonly ranges: string;
}

/** The event names the digest of this text: only what is used of it is asked for. */
function readTerms(text: string): StatedTerms {
  let value: Partial<StatedTerms> | null;
  try {
    value = JSON.parse(text) as Partial<StatedTerms> | null;
  } catch {
    throw new RecordError('shred-malformed', 'its terms are not JSON');
  }
  const { origin, class: name, epoch, events, ranges } = value ?? {};
  if (
    typeof origin !== 'string' ||
    typeof name !== 'string' ||
    !Number.isSafeInteger(epoch) ||
    !Number.isSafeInteger(events) ||
    typeof ranges !== 'string'
  )
    throw new RecordError('shred-malformed', 'its terms lack a member');
  return { origin, class: name, epoch: epoch as number, events: events as number, ranges };
}
