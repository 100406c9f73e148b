/**
 * What the log says about itself must be so: its own events name its seals and the statements on its keys by their hash, so that whoever witnesses the log witnesses
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
  /** SHA-256 of each statement on a checkpoint key, the first first. */
  readonly rotationHashes: readonly Uint8Array[];
}

const operations = ['sealing-begun', 'epoch-sealed', 'checkpoint-key-rotated', 'checkpoint-key-added'];
const marks: readonly Uint8Array[] = operations.map((name) => Buffer.from(`"operation":"${name}"`));

/** Whether a record may be one to look at: cheap, and never wrong where it says no. */
export function mayBeOwn(m: Uint8Array): boolean {
  const bytes = Buffer.from(m.buffer, m.byteOffset, m.length);
  return marks.some((mark) => bytes.includes(mark));
}

export function checkOwnEvent(check: OwnEventCheck, place: string, index: number, m: Uint8Array): void {
  const { submitter, event } = JSON.parse(tryDecodeUtf8(m) ?? '{}') as Partial<StoredRecord>;
  if (submitter !== 'self' || event?.kind !== 'system') return;
  const number = Number(event.targets?.[0]?.id);
  const said = (path: string): string | undefined => event.changes?.find((change) => change.path === path)?.after;
  switch (event.operation) {
    case 'sealing-begun':
    case 'epoch-sealed': {
      const hash = check.epochs.find(number)?.hash;
      const wrong = mismatch(`the seal of epoch ${number}`, hash, said('/seal/hash'));
      if (wrong !== undefined)
        check.findings.add(hash === undefined ? 'seal-missing' : 'seal-forged', place, wrong, { index });
      return;
    }
    case 'checkpoint-key-rotated':
    case 'checkpoint-key-added': {
      const hash = check.rotationHashes[number - 1];
      const wrong = mismatch(`statement ${number} on a checkpoint key`, hash, said('/rotation/hash'));
      if (wrong !== undefined)
        check.findings.add(hash === undefined ? 'rotation-missing' : 'rotation-forged', place, wrong, { index });
      return;
    }
    default:
      return;
  }
}

function mismatch(what: string, hash: Uint8Array | undefined, said: string | undefined): string | undefined {
  if (hash === undefined) return `the log says that there is ${what}, and it is not here`;
  return said === encodeBase64(hash) ? undefined : `the log says that ${what} is another one`;
}
