/**
 * Where a command reads and writes: handed in, so that a test runs a command without a process. Answers go to `stdout`,
 * everything said meanwhile to `stderr`; with `--json` standard output holds JSON and nothing else.
 */
import { styleText } from 'node:util';
import { CliError, messageOf } from './errors.ts';
import { plain } from './table.ts';

export interface Sink {
  write(text: string): unknown;
  readonly isTTY?: boolean;
  readonly columns?: number;
}

export interface Io {
  readonly stdout: Sink;
  readonly stderr: Sink;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly cwd: string;
  /** Aborts when the command should end: Ctrl-C, SIGTERM, or the supervisor. */
  readonly signal: AbortSignal;
  /** From here on SIGHUP calls this instead of ending the command; at a terminal it still says that the terminal is gone. */
  readonly onHangUp?: (reload: () => void) => void;
}

type Style = 'bold' | 'dim' | 'red' | 'green' | 'yellow' | 'cyan';

/** Colour only for people at a terminal, and never where NO_COLOR asks for none. */
export function paint(io: Io, sink: Sink, style: Style, text: string): string {
  if (sink.isTTY !== true || (io.env.NO_COLOR ?? '') !== '' || io.env.TERM === 'dumb') return text;
  return styleText(style, text, { validateStream: false });
}

export function printLine(io: Io, text = ''): void {
  io.stdout.write(`${text}\n`);
}

export function printJson(io: Io, value: unknown): void {
  io.stdout.write(`${JSON.stringify(value, (_key, one: unknown) => (typeof one === 'bigint' ? Number(one) : one))}\n`);
}

/** Something said beside the answer. */
export function note(io: Io, text: string): void {
  io.stderr.write(`${text}\n`);
}

/** An error as people read it, or one JSON object on standard error. */
export function printError(io: Io, error: unknown, json: boolean): void {
  const known = error instanceof CliError ? error : undefined;
  if (json) {
    const value = {
      error: {
        code: known?.problem ?? known?.code ?? 'failed',
        ...(known?.status === undefined ? {} : { status: known.status }),
        message: messageOf(error),
        ...(known?.remedy === undefined ? {} : { remedy: known.remedy }),
        ...(known === undefined || known.errors.length === 0 ? {} : { errors: known.errors }),
      },
    };
    io.stderr.write(`${JSON.stringify(value)}\n`);
    return;
  }
  const lines = [`${paint(io, io.stderr, 'red', 'error')} ${lineByLine(messageOf(error))}`];
  for (const { path, expected, got } of known?.errors ?? [])
    lines.push(plain(`  ${path === '' ? 'the request' : path}: expected ${expected}, got ${got}`));
  // A server's remedy may be its first place once more.
  const said = lines.join('\n');
  if (known?.remedy !== undefined && !said.includes(plain(known.remedy))) lines.push(plain(`  ${known.remedy}`));
  if (known === undefined && error instanceof Error && (io.env.WATCHGLASS_DEBUG ?? '') !== '') {
    lines.push(error.stack ?? '');
  }
  io.stderr.write(`${lines.join('\n')}\n`);
}

/** A server's words are shown, never obeyed by the terminal. */
function lineByLine(text: string): string {
  return text.split('\n').map(plain).join('\n');
}
