/**
 * An event of a bundle in words: the console's sentence, with "[withheld]" where something is withheld. Where what is withheld would make the sentence say
 * something else, it is not said at all.
 */
import type { VerifiedEvent } from '@watchglass/record';
import type { ListedEvent } from '../api/client.ts';
import { describeExposure, plainText, summariseEvent } from '../text/sentence.ts';

export const withheldWord = '[withheld]';

/** Members that are lists or objects: withheld, there is nothing to name. */
const containers: ReadonlySet<string> = new Set([
  'source',
  'targets',
  'exposure',
  'patients',
  'purpose',
  'request',
  'changes',
  'roles',
  'authentication',
  'onBehalfOf',
  'fields',
  'classes',
  'query',
]);

export function sentenceOf({ index, record, withheld, shredded }: VerifiedEvent): string {
  if (shredded !== undefined)
    return `Event ${index} is in the log, and what stood in it was shredded with ${shredded.unit}: nobody can open it any more.`;
  if (record === undefined) return `Event ${index} cannot be read.`;
  if (!withheld) return plainText(summariseEvent({ ...record.event, index }));
  const shown = readable(record.event) as unknown as ListedEvent;
  const { kind, action, outcome, actor } = shown;
  // Of these the sentence is made: a guess at any would be a statement.
  const told: readonly unknown[] = [kind, action, outcome?.status];
  const missing = told.some((one) => one === undefined || one === withheldWord);
  if (missing || actor === undefined)
    return `Event ${index} happened; what is withheld leaves no more to say in words.`;
  const { code: _code, ...rest } = outcome;
  return plainText(summariseEvent({ ...shown, outcome: rest, index }));
}

export function exposureOf({ index, record, withheld }: VerifiedEvent): string | undefined {
  if (record === undefined || withheld) return undefined;
  return describeExposure({ ...record.event, index });
}

/** The time it happened, where it is shown. */
export function timeOf({ record }: VerifiedEvent): string | undefined {
  const time: unknown = record?.event?.time;
  return typeof time === 'string' ? time : undefined;
}

function readable(value: unknown, name = ''): unknown {
  if (value === null) return containers.has(name) ? undefined : withheldWord;
  if (Array.isArray(value)) return value.map((one) => readable(one, 'item'));
  if (typeof value !== 'object') return value;
  const shown: Record<string, unknown> = {};
  for (const [member, one] of Object.entries(value)) {
    // An actor, an outcome or an emitter that is withheld whole is not there.
    const read = one === null && ['actor', 'outcome', 'emitter'].includes(member) ? undefined : readable(one, member);
    if (read !== undefined) shown[member] = read;
  }
  return shown;
}
