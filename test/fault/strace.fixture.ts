/** The kernel refusing system calls, or killing at them, by strace's injection: for real processes, from outside. */
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';

/** Why system calls can't be tampered with here; undefined where they can. */
export function straceMissing(): string | undefined {
  if (process.platform !== 'linux') return 'system calls are injected on Linux only';
  const probe = spawnSync('strace', ['-f', '-qq', '-e', 'inject=fdatasync:error=EIO:when=1', 'true'], {
    timeout: 20_000,
  });
  if (probe.error !== undefined) return 'strace is missing: install it (apt-get install strace)';
  return probe.status === 0 ? undefined : `strace may not trace here: ${probe.stderr.toString().trim()}`;
}

export interface Injection {
  /** As `-e inject=` takes it, without the name: `error=EIO:when=3`. Counted for each thread. */
  readonly call: string;
  readonly how: string;
  /** Only calls on these files. */
  readonly paths?: readonly string[];
}

/** What to put before a command. */
export function straced(injection: Injection, logPath: string): string[] {
  const { call, how, paths = [] } = injection;
  return [
    'strace',
    ...['-f', '-q', '-y', '-o', logPath],
    // Stopping at these calls only is many times faster; signals aren't injected that way.
    ...(how.startsWith('signal') ? [] : ['--seccomp-bpf']),
    ...['-e', `trace=fdatasync,fsync,pwrite64,rename,ftruncate,unlink${call === 'openat' ? ',openat' : ''}`],
    ...['-e', `inject=${call}:${how}`],
    ...paths.flatMap((path) => ['-P', path]),
  ];
}

/** Environment under which the calls of one process are in one order: one thread for the disk. */
export const oneThread: NodeJS.ProcessEnv = { ...process.env, UV_THREADPOOL_SIZE: '1', UV_USE_IO_URING: '0' };

/** The process that strace runs. */
export function tracedPid(stracePid: number): number | undefined {
  try {
    const [pid] = readFileSync(`/proc/${stracePid}/task/${stracePid}/children`, 'utf8').split(' ');
    return pid === undefined || pid === '' ? undefined : Number(pid);
  } catch {
    return undefined;
  }
}
