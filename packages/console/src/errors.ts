/**
 * The console's one error class. Its `code` is either one of the server's (problem+json) or one of the few below that
 * only a browser can have; messages say what happened and what to do, and hold no PHI.
 */

/** Code → title of its screen. */
export const consoleErrorTitles: Readonly<Record<string, string>> = {
  unreachable: 'The server did not answer',
  'unexpected-answer': 'The server answered in a way this console does not know',
  'signed-out': 'Your session has ended',
};

export interface ConsoleErrorOptions {
  readonly status?: number;
  readonly title?: string;
  readonly cause?: unknown;
}

export class ConsoleError extends Error {
  override readonly name = 'ConsoleError';
  readonly code: string;
  /** HTTP status, 0 where none came. */
  readonly status: number;
  readonly title: string;

  constructor(code: string, message: string, options: ConsoleErrorOptions = {}) {
    super(message, { cause: options.cause });
    this.code = code;
    this.status = options.status ?? 0;
    this.title = options.title ?? consoleErrorTitles[code] ?? 'The server refused';
  }
}
