/** Who used the processor, as Linux counts it: in hundredths of a second. */
import { existsSync, readFileSync } from 'node:fs';

const tickMicros = 10_000;

/** Of one process with all its threads, so far: `/proc/PID/stat`. Nothing where there is none. */
export function cpuMicros(pid: number | undefined): number {
  if (pid === undefined || !existsSync(`/proc/${pid}/stat`)) return 0;
  const [, fields = ''] = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ');
  const [user, system] = fields.split(' ').slice(11);
  return (Number(user) + Number(system)) * tickMicros;
}
