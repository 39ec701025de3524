/**
 * The way out of a connection: ready frames in order, written in one system call per flush, never more than
 * a bounded number of bytes behind. (Implementation: see createOutbox.)
 */

/** Where bytes leave the process. A door makes one per socket. */
export interface Sink {
  /** Hands over whole frames, in order, in as few system calls as possible. */
  write(chunk: Uint8Array): void;
  /** Bytes that were handed over and that the kernel has not taken yet. */
  readonly backlog: number;
  /** Calls back once when the backlog has gone to zero. */
  whenDrained(callback: () => void): void;
}
