import type { Writable } from 'node:stream';
import type { Sink } from './outbox.ts';

/**
 * The sink of a socket or other byte stream. Once the stream is destroyed or ended, writes are dropped.
 *
 * Waits by the callback of each write, because `drain` is only emitted after a write that went over the
 * stream's high-water mark: whoever waits behind a smaller one would wait for ever.
 */
export function socketSink(socket: Writable): Sink {
  let waiting: (() => void)[] = [];
  const written = () => {
    if (waiting.length === 0 || socket.writableLength > 0) return;
    const callbacks = waiting;
    waiting = [];
    for (const callback of callbacks) callback();
  };
  return {
    write(chunk) {
      if (socket.writable) socket.write(chunk, written);
    },
    get backlog() {
      return socket.writableLength;
    },
    whenDrained(callback) {
      waiting.push(callback);
    },
  };
}
