/**
 * The process around a command: its streams, its signals, and how it ends. The first signal asks the command to end, the second
 * ends it at once; two within half a second are one Ctrl-C (the terminal sends it to the whole group, and npm passes it on as well).
 */
import type { Io } from './io.ts';
import { isSupervised, onSupervisorStop } from './supervised.ts';

const sameKeystrokeMs = 500;
/** After a command is done, whatever still keeps the process alive has this long. */
const lingerMs = 3_000;

export interface ProcessIo extends Io {
  /** Aborts at the second signal, right before the process ends with 130. */
  readonly forced: AbortSignal;
}

export function openProcessIo(): ProcessIo {
  const stopping = new AbortController();
  const forced = new AbortController();
  const supervised = isSupervised(process.env);
  let firstMs: number | undefined;
  const stop = (): void => {
    const nowMs = performance.now();
    if (firstMs === undefined) {
      firstMs = nowMs;
      stopping.abort(new DOMException('stopped', 'AbortError'));
    } else if (nowMs - firstMs > sameKeystrokeMs) {
      forced.abort();
      process.exit(130);
    }
  };
  let reload: (() => void) | undefined;
  process.on('SIGINT', supervised ? () => {} : stop);
  process.on('SIGHUP', () => {
    if (reload !== undefined && process.stdin.isTTY !== true) reload();
    else if (!supervised) stop();
  });
  process.on('SIGTERM', stop);
  if (supervised) onSupervisorStop(() => stopping.abort(new DOMException('stopped', 'AbortError')));
  for (const stream of [process.stdout, process.stderr]) {
    stream.on('error', (error: NodeJS.ErrnoException) => {
      // `watchglass search | head`: the reader has seen enough.
      if (error.code === 'EPIPE') process.exit(0);
      throw error;
    });
  }
  return {
    stdout: process.stdout,
    stderr: process.stderr,
    env: process.env,
    cwd: process.cwd(),
    signal: stopping.signal,
    onHangUp: (then) => {
      reload = then;
    },
    forced: forced.signal,
  };
}

/** Lets the process end by itself, so that its streams are flushed; makes it end if something lingers. */
export function endProcess(exitCode: number): void {
  process.exitCode = exitCode;
  process.channel?.unref();
  if (process.connected) process.disconnect?.();
  setTimeout(() => process.exit(), lingerMs).unref();
}
