/**
 * What the log says about itself must be so: its own events name its seals by their hash, so that whoever witnesses the log witnesses
 * those too. Looked for in records that were opened; the events of anybody else prove nothing here.
 */
import { encodeBase64, tryDecodeUtf8 } from '../bytes.ts';
import type { StoredRecord } from '../event.ts';
import type { Findings } from './findings.ts';
import type { SealedEpochs } from './seal-check.ts';

export interface OwnEventCheck {
  readonly findings: Findings;
  readonly tenant: string;
  readonly epochs: SealedEpochs;
}

const marks: readonly Uint8Array[] = ['"operation":"sealing-begun"', '"operation":"epoch-sealed"'].map((text) =>
  Buffer.from(text),
);

/** Whether a record may be one to look at: cheap, and never wrong where it says no. */
export function mayBeOwn(m: Uint8Array): boolean {
  const bytes = Buffer.from(m.buffer, m.byteOffset, m.length);
  return marks.some((mark) => bytes.includes(mark));
}

export function checkOwnEvent(check: OwnEventCheck, place: string, index: number, m: Uint8Array): void {
  const { submitter, event } = JSON.parse(tryDecodeUtf8(m) ?? '{}') as Partial<StoredRecord>;
  if (submitter !== 'self' || event?.kind !== 'system') return;
  if (event.operation !== 'sealing-begun' && event.operation !== 'epoch-sealed') return;
  const epoch = Number(event.targets?.[0]?.id);
  const said = event.changes?.find(({ path }) => path === '/seal/hash')?.after;
  const sealed = check.epochs.find(epoch);
  if (sealed === undefined)
    check.findings.add('seal-missing', place, `the log says that epoch ${epoch} was sealed, and its seal is not here`, {
      index,
    });
  else if (said !== encodeBase64(sealed.hash))
    check.findings.add('seal-forged', place, `the log says that the seal of epoch ${epoch} is another one`, { index });
}
