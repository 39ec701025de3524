/** What a process has used of the processor: a figure that other work on the machine hardly touches. Linux only. */
import { readFileSync } from 'node:fs';

/** Linux counts in hundredths of a second for user space (`USER_HZ`). */
const TICK = 10_000;

/** Microseconds since the process began, in user and kernel mode, to a hundredth of a second. */
export function cpuMicros(pid: number): number {
  // The name of the program may hold spaces; `utime` and `stime` are the 14th and 15th field (proc(5)).
  const [, fields = ''] = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ', 2);
  const [utime = '0', stime = '0'] = fields.split(' ').slice(11, 13);
  return (Number(utime) + Number(stime)) * TICK;
}
