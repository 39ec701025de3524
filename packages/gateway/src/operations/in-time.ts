/** Waiting for somebody who may never answer. */
import type { Clock } from './clock.ts';

/** Settles as `work` does, or rejects after `ms` milliseconds; what `work` does after that goes unnoticed. */
export function inTime<T>(clock: Pick<Clock, 'after'>, work: Promise<T>, ms: number): Promise<T> {
  return new Promise((resolve, reject) => {
    const cancel = clock.after(ms, () => reject(new Error(`no answer within ${ms} ms`)));
    work.then(resolve, reject).finally(cancel);
  });
}
