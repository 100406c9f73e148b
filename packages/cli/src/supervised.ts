/**
 * A child's side of the supervision (the parent's is in demo/child.ts). With WATCHGLASS_SUPERVISED=1 a process ignores what the
 * terminal sends to the whole group (SIGINT, SIGHUP), obeys `{stop: true}` and SIGTERM, leaves when the supervisor goes, and
 * says `{ready: true, url}` once.
 */
import type { Io } from './io.ts';

export const supervisedVariable = 'WATCHGLASS_SUPERVISED';

export function isSupervised(env: Io['env']): boolean {
  return env[supervisedVariable] === '1';
}

/** Tells the supervisor, if there is one. */
export function reportReady(io: Io, url: string): void {
  if (isSupervised(io.env)) process.send?.({ ready: true, url });
}

/** Calls back once when the supervisor wants this process to end or is gone. */
export function onSupervisorStop(stop: () => void): void {
  process.on('message', (message) => {
    if (typeof message === 'object' && message !== null && 'stop' in message && message.stop === true) stop();
  });
  process.on('disconnect', stop);
}

export function untilStopped(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) return resolve();
    // An abort listener alone doesn't keep a process alive, and whoever waits here has to stay.
    const stay = setInterval(() => {}, 1 << 30);
    signal.addEventListener(
      'abort',
      () => {
        clearInterval(stay);
        resolve();
      },
      { once: true },
    );
  });
}
