/**
 * Every error the command gives on purpose: one class, one table. Each code has its exit code (design §9: 1 failed, 2 usage,
 * 3 not intact), and each error says what to do next.
 */

export type ExitCode = 0 | 1 | 2 | 3;
export const exitCodes: { readonly fine: 0; readonly failed: 1; readonly usage: 2; readonly notIntact: 3 } = {
  fine: 0,
  failed: 1,
  usage: 2,
  notIntact: 3,
};

export const cliErrors = {
  usage: 2,
  /** No installation where one was expected, or nobody running in it. */
  'no-installation': 1,
  unreachable: 1,
  /** The server answered with a problem. */
  api: 1,
  /** The server answered with something else than its contract says. */
  'answer-invalid': 1,
  'file-unreadable': 1,
  /** The keeper of a key-encryption key didn't let us look. */
  'keys-unavailable': 1,
  'config-invalid': 1,
  'already-exists': 1,
  'port-in-use': 1,
  'already-running': 1,
  'child-failed': 1,
  'key-change-failed': 1,
  'hospital-missing': 1,
  'not-found-again': 1,
  /** Something is not what was written, or makes no sense: verify, monitor, prove, bundle, fsck, and completeness --strict. */
  'not-intact': 3,
} as const;

export type CliErrorCode = keyof typeof cliErrors;

/** One place in what was sent that the server did not accept. */
export interface ErrorPlace {
  /** Position of the event that was sent, from 0; only of events. */
  readonly at?: number;
  /** JSON Pointer into it, or into the request. */
  readonly path: string;
  readonly expected: string;
  readonly got: string;
}

export interface CliErrorOptions {
  /** What to do now, in one sentence. */
  readonly remedy?: string;
  readonly cause?: unknown;
  readonly errors?: readonly ErrorPlace[];
  /** Of an answer. */
  readonly status?: number;
  /** The server's own code. */
  readonly problem?: string;
}

/** The one error class of the command line. */
export class CliError extends Error {
  override readonly name: string = 'CliError';
  readonly code: CliErrorCode;
  readonly remedy: string | undefined;
  readonly errors: readonly ErrorPlace[];
  readonly status: number | undefined;
  readonly problem: string | undefined;

  constructor(code: CliErrorCode, message: string, options: CliErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.code = code;
    this.remedy = options.remedy;
    this.errors = options.errors ?? [];
    this.status = options.status;
    this.problem = options.problem;
  }

  get exitCode(): ExitCode {
    return cliErrors[this.code];
  }
}

/** The message of anything thrown. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/** The system's code of a failed call, such as `ENOENT`. */
export function systemCodeOf(error: unknown): string | undefined {
  for (let one = error; one instanceof Error; one = one.cause) {
    if ('code' in one && typeof one.code === 'string' && /^E[A-Z]/.test(one.code)) return one.code;
    if (one instanceof AggregateError && one.errors.length > 0) return systemCodeOf(one.errors[0]);
  }
  return undefined;
}
