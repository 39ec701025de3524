/**
 * A value that is at hand, or will be. The hot path of every request gets its answers from memory; wrapping
 * those in promises would cost each request a turn of the microtask queue. Callers check for a promise, or
 * simply `await` both.
 */
export type MaybePromise<T> = T | Promise<T>;
