import { PACKET_AT } from '../../dialects/chainworks-packet.ts';
import type { Sink } from '../../streams/outbox.ts';

/** What is needed of Engine.IO's socket. */
export interface EngineSocket {
  write(packet: string, options: object, sent: () => void): unknown;
}

/**
 * The sink of a connection whose transport may change (long-polling): takes frames apart again and leaves it to
 * Engine.IO how their packets travel. Dearer than a socket of one's own, and only for those who need it.
 */
export function engineSink(socket: EngineSocket): Sink {
  let backlog = 0;
  let waiting: (() => void)[] = [];
  const sent = (bytes: number) => {
    backlog -= bytes;
    if (backlog > 0) return;
    const callbacks = waiting;
    waiting = [];
    for (const callback of callbacks) callback();
  };
  return {
    write(chunk) {
      for (const payload of payloads(chunk)) {
        const bytes = payload.length;
        backlog += bytes;
        socket.write(payload.toString('utf8', PACKET_AT), {}, () => sent(bytes));
      }
    },
    get backlog() {
      return backlog;
    },
    whenDrained(callback) {
      waiting.push(callback);
    },
  };
}

/** The payloads of whole, unmasked frames as `textFrame` makes them (RFC 6455 section 5.2). */
export function* payloads(chunk: Uint8Array): Iterable<Buffer> {
  const bytes = Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength);
  for (let at = 0; at < bytes.length; ) {
    const short = bytes[at + 1]!;
    const header = short < 126 ? 2 : short === 126 ? 4 : 10;
    const length =
      short < 126 ? short : short === 126 ? bytes.readUInt16BE(at + 2) : bytes.readUInt32BE(at + 6);
    yield bytes.subarray(at + header, at + header + length);
    at += header + length;
  }
}
