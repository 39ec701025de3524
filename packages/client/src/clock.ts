/**
 * Time as a parameter. Everything here that reads a clock or waits takes one of these, so that a test can hold
 * time still, move it, or make it jump.
 */
export interface Clock {
  /** Wall-clock milliseconds since 1970; may jump either way. Only to compare with what tokens say. */
  now(): number;
  /** Milliseconds that never run backwards, from an arbitrary start. For waiting and measuring. */
  monotonic(): number;
  /**
   * Runs `task` once after `ms` milliseconds. The returned function cancels it; calling it late is harmless.
   *
   * @param background the wait is nobody's: it does not keep a Node process alive. Default false
   */
  after(ms: number, task: () => void, background?: boolean): () => void;
}

/** What `setTimeout` takes; more would fire at once. */
const LONGEST_WAIT = 2 ** 31 - 1;

/** The machine's own clock. */
export const systemClock: Clock = {
  now: () => Date.now(),
  monotonic: () => performance.now(),
  after(ms, task, background = false) {
    const timer: unknown = setTimeout(task, Math.min(ms, LONGEST_WAIT));
    // Browsers give a number, Node an object that can let go of the process.
    if (background) (timer as { unref?: () => void }).unref?.();
    return () => clearTimeout(timer as number);
  },
};

/**
 * Waits.
 *
 * @throws the signal's reason when it is aborted before the time is over
 */
export function sleep(ms: number, clock: Clock, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal?.aborted) return reject(signal.reason);
    const cancel = clock.after(ms, () => {
      signal?.removeEventListener('abort', abort);
      resolve();
    });
    const abort = () => {
      cancel();
      reject(signal?.reason);
    };
    signal?.addEventListener('abort', abort, { once: true });
  });
}

/**
 * Waits for work that others share. Aborting stops this wait, never the work.
 *
 * @throws the signal's reason, or what the work throws
 */
export function waitFor<T>(work: Promise<T>, signal?: AbortSignal): Promise<T> {
  if (signal === undefined) return work;
  return new Promise((resolve, reject) => {
    if (signal.aborted) {
      // Whoever else waits hears of a failure; if nobody does, it must not end a Node process.
      work.catch(() => {});
      return reject(signal.reason);
    }
    const abort = () => reject(signal.reason);
    signal.addEventListener('abort', abort, { once: true });
    work.then(resolve, reject).finally(() => signal.removeEventListener('abort', abort));
  });
}
