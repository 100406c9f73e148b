/**
 * What the log says about itself must be so: its own events name its seals, the statements on its keys and its predecessor by their hash, so that whoever witnesses the log witnesses
 * those too. Looked for in records that were opened; the events of anybody else prove nothing here.
 */
import { encodeBase64 } from '../bytes.ts';
import type { Event } from '../event.ts';
import type { Findings } from './findings.ts';
import type { SealedEpochs } from './seal-check.ts';
import { ownEventOf } from './shred-check.ts';

export interface OwnEventCheck {
  readonly findings: Findings;
  readonly tenant: string;
  readonly epochs: SealedEpochs;
  /** SHA-256 of each statement on a checkpoint key, the first first. */
  readonly rotationHashes: readonly Uint8Array[];
  /** SHA-256 of what a successor log says of its predecessor. */
  readonly successionHash: Uint8Array | undefined;
  /** Set once the first record of a successor was read. */
  successionSeen: boolean;
}

const operations = [
  ...['sealing-begun', 'epoch-sealed', 'checkpoint-key-rotated', 'checkpoint-key-added', 'log-succeeds'],
  ...['shred-completed', 'hold-added'],
];
const marks: readonly Uint8Array[] = operations.map((name) => Buffer.from(`"operation":"${name}"`));

/** The event of a record, if it is the ledger's own and says something that is looked at. Cheap for nearly all records. */
export function claimOf(m: Uint8Array): Event | undefined {
  const bytes = Buffer.from(m.buffer, m.byteOffset, m.length);
  return marks.some((mark) => bytes.includes(mark)) ? ownEventOf(m) : undefined;
}

export function checkOwnEvent(check: OwnEventCheck, place: string, index: number, event: Event): void {
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
    case 'log-succeeds': {
      const wrong = mismatch('what it goes on from', check.successionHash, said('/predecessor/hash'));
      if (wrong !== undefined || index !== 0)
        check.findings.add('succession-invalid', place, wrong ?? 'a log says only first what it goes on from', {
          index,
        });
      check.successionSeen = true;
      return;
    }
    default:
      return;
  }
}

/** After all records were opened: a successor says in its first one what it goes on from. */
export function checkSuccessionSaid(check: OwnEventCheck, size: number): void {
  if (check.successionHash !== undefined && !check.successionSeen && size > 0)
    check.findings.add(
      'succession-invalid',
      `${check.tenant}/predecessor`,
      'no record of the log says that it goes on from another',
    );
}

function mismatch(what: string, hash: Uint8Array | undefined, said: string | undefined): string | undefined {
  if (hash === undefined) return `the log has ${what}, as it says, and it is not here`;
  return said === encodeBase64(hash) ? undefined : `what the log says of ${what} is not what is here`;
}
