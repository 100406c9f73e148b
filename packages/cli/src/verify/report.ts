/** What a verification found, for people and for programs; the same shape whether a directory, a server or a proof was verified. */
import { CliError } from '../errors.ts';
import { type Io, paint, printJson, printLine } from '../io.ts';
import { sayWitnessed } from './witness-words.ts';

export interface Finding {
  readonly code: string;
  /** Which file or resource. */
  readonly place: string;
  readonly message: string;
  readonly block?: number | string | undefined;
  readonly index?: number | undefined;
}

export interface VerifiedTenant {
  readonly tenant: string;
  readonly origin: string;
  readonly size: number;
  readonly root: string;
  /** Events decrypted and compared with what the tree commits to. */
  readonly opened: number;
  /** The newest checkpoint that witnesses cosigned. */
  readonly witnessed?: Witnessed;
  /** Checkpoints that an authority stamped with its time. */
  readonly timestamps?: {
    readonly count: number;
    readonly newest?: { readonly size: number; readonly timeMs: number };
  };
  /** Ended by two people, with the evidence in the log: commitments and proofs are left. */
  readonly shredded?: number;
  /** How many of those a legal hold keeps readable. */
  readonly held?: number;
}

export interface Witnessed {
  readonly size: number;
  readonly by: readonly string[];
  /** Whether they are a quorum of the policy given. */
  readonly quorum: boolean;
  readonly timeSeconds?: number;
}

export interface Verification {
  readonly intact: boolean;
  readonly tenants: readonly VerifiedTenant[];
  readonly findings: readonly Finding[];
  /** Checked against a key or checkpoint that came from elsewhere than what was verified. */
  readonly pinned: boolean;
}

/** Prints it, and throws `not-intact` (exit code 3) when it is not. */
export function printVerification(
  what: string,
  result: Verification,
  options: { readonly json: boolean },
  io: Io,
): void {
  if (options.json) printJson(io, result);
  else printForPeople(what, result, io);
  if (!result.intact) {
    throw new CliError('not-intact', `${what} is not intact: ${countOf(result.findings.length, 'finding')}`, {
      remedy:
        'Keep a copy as it is before anything else; restore from a backup that verifies against a remembered checkpoint.',
    });
  }
}

function printForPeople(what: string, result: Verification, io: Io): void {
  for (const { tenant, origin, size, root, opened, shredded = 0, held = 0, witnessed, timestamps } of result.tenants) {
    const readable =
      opened === size
        ? 'all opened'
        : opened === 0
          ? 'commitments only'
          : opened + shredded === size
            ? 'all others opened'
            : `${grouped(opened)} opened`;
    const gone = shredded === 0 ? '' : `${grouped(shredded)} shredded${held === 0 ? '' : ` (${grouped(held)} held)`}, `;
    const how = gone + readable;
    printLine(
      io,
      `  ${tenant.padEnd(16)} ${countOf(size, 'event').padStart(18)}, ${how}   root ${root.slice(0, 16)}…   ${origin}`,
    );
    if (witnessed !== undefined) printLine(io, `  ${' '.repeat(16)} ${sayWitnessed(witnessed, size, Date.now())}`);
    if (timestamps?.newest !== undefined) {
      const { size: stamped, timeMs } = timestamps.newest;
      printLine(io, `  ${' '.repeat(16)} stamped to ${grouped(stamped)} at ${new Date(timeMs).toISOString()}`);
    }
  }
  for (const { code, place, block, index, message } of result.findings) {
    const where = [block === undefined ? '' : `block ${block}`, index === undefined ? '' : `index ${index}`].filter(
      Boolean,
    );
    const at = where.length === 0 ? place : `${place} (${where.join(', ')})`;
    printLine(io, `  ${paint(io, io.stdout, 'red', '✘')} ${at}: ${message} [${code}]`);
  }
  if (!result.intact) return;
  const verdict = paint(io, io.stdout, 'green', '✔ intact');
  printLine(
    io,
    result.pinned
      ? `${verdict}: ${what} holds what was written, by the key, checkpoint or policy you pinned.`
      : `${verdict}: ${what} agrees with itself. Give --vkey or --checkpoint, or --policy where there are witnesses, to rule out that all of it was replaced.`,
  );
}

export function grouped(count: number): string {
  return count.toLocaleString('en-US');
}

function countOf(count: number, unit: string): string {
  return `${grouped(count)} ${unit}${count === 1 ? '' : 's'}`;
}
