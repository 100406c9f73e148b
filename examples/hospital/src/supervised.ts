/**
 * How this process lives under a supervisor: it ignores the terminal's Ctrl-C (the supervisor gets it too, and decides),
 * leaves on SIGTERM, on `{stop: true}` or when the supervisor goes, and says `{ready: true, url}` once it works. Run
 * from a shell it leaves on Ctrl-C like any program.
 */
export interface Supervision {
  /** Aborts when the process should leave. */
  readonly signal: AbortSignal;
  ready(url: string): void;
}

export function supervise(environment: Readonly<Record<string, string | undefined>>): Supervision {
  const leaving = new AbortController();
  const leave = (): void => leaving.abort();
  process.on('SIGINT', environment.WATCHGLASS_SUPERVISED === '1' ? () => undefined : leave);
  process.on('SIGTERM', leave);
  // Nobody reads what is printed any more: whoever started this is gone.
  process.stdout.on('error', leave);
  if (process.send !== undefined) {
    process.on('disconnect', leave);
    process.on('message', (message: unknown) => {
      if (typeof message === 'object' && message !== null && 'stop' in message && message.stop === true) leave();
    });
  }
  leaving.signal.addEventListener('abort', () => {
    if (process.connected) process.disconnect?.();
  });
  return {
    signal: leaving.signal,
    ready(url: string): void {
      process.stdout.write(`listening ${url}\n`);
      process.send?.({ ready: true, url });
    },
  };
}
