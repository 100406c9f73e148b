/**
 * The digest of a record where it can be told from the event: our own senders send the event as it is stored, or with its emitter in front and
 * without its tenant (docs/format.md, "Packed records"). Others' digests stand in their records as they came.
 */
import { hash } from 'node:crypto';

/** What was hashed: the event as it stands in m; the emitter first; the emitter first and no tenant. */
export type SentForm = 1 | 2 | 3;

export const sentForms: readonly SentForm[] = [1, 2, 3];

/** What stands before the tenant, the tenant, the emitter: no text in them has an escape. */
const headPattern =
  /^\{("v":1,"id":"[^"\\]*","time":"[^"\\]*",)("tenant":"[^"\\]*",)("emitter":\{"id":"[^"\\]*","seq":[0-9]+\},)/;
/** An event of format v1 has no longer head. */
const headBytesMax = 1024;

/** SHA-256 of what a sender of this form sent for the event, 64 hex digits; undefined where the event doesn't begin as it must. */
export function sentDigest(event: Buffer, form: SentForm): string | undefined {
  if (form === 1) return hash('sha256', event, 'hex');
  const head = headPattern.exec(event.toString('latin1', 0, Math.min(headBytesMax, event.length)));
  if (head === null) return undefined;
  const [all, before = '', tenant = '', emitter = ''] = head;
  const front = `{${emitter}${before}${form === 2 ? tenant : ''}`;
  const sent = Buffer.allocUnsafe(front.length + event.length - all.length);
  sent.write(front, 'latin1');
  event.copy(sent, front.length, all.length);
  return hash('sha256', sent, 'hex');
}
