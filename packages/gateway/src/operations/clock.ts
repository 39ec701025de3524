/**
 * Time as a parameter. Everything in the gateway that reads a clock or waits gets one of these, so that a
 * test can hold time still, move it, or make it jump (requirement R19).
 */
export interface Clock {
  /** Wall-clock time in milliseconds since 1970; may jump in either direction. Only for `iat`, `exp` and the like. */
  now(): number;
  /** Milliseconds that never run backwards, from an arbitrary start. For waiting and for measuring. */
  monotonic(): number;
  /** Runs `task` once after `ms` milliseconds of monotonic time. The returned function cancels it; calling it late is harmless. */
  after(ms: number, task: () => void): () => void;
  /** Runs `task` every `ms` milliseconds until cancelled. A task that throws does not stop the series. */
  every(ms: number, task: () => void): () => void;
}

/** Seconds since 1970, as JWT claims count them (RFC 7519 section 2, NumericDate). */
export const seconds = (clock: Clock): number => Math.floor(clock.now() / 1000);

/** The machine's own clock. Its timers do not keep the process alive. */
export const systemClock: Clock = {
  now: () => Date.now(),
  monotonic: () => performance.now(),
  after(ms, task) {
    const timer = setTimeout(task, ms);
    timer.unref();
    return () => clearTimeout(timer);
  },
  every(ms, task) {
    const timer = setInterval(task, ms);
    timer.unref();
    return () => clearInterval(timer);
  },
};
