/**
 * A WebSocket client that only counts: it speaks RFC 6455 just enough to subscribe and then walks frame
 * headers, so that a thousand of them cost a load generator next to nothing.
 */
import { randomBytes } from 'node:crypto';
import { connect, type Socket } from 'node:net';

export interface RawWebSocket {
  /** Text frames seen so far. */
  readonly frames: number;
  /** Called after each chunk of bytes. */
  onFrames: (() => void) | null;
  send(text: string): void;
  /** Stops or resumes reading, to play a slow reader. */
  pause(): void;
  resume(): void;
  readonly closed: boolean;
  close(): void;
}

/**
 * Connects and resolves when the upgrade was accepted. Rejects with the status line otherwise, and the whole head of the
 * answer as its `cause`.
 */
export function openRawWebSocket(url: string, headers = ''): Promise<RawWebSocket> {
  const { hostname, port, host, pathname, search } = new URL(url);
  const socket = connect(Number(port), hostname);
  socket.setNoDelay(true);
  return new Promise((resolve, reject) => {
    let head = Buffer.alloc(0);
    socket.once('error', reject);
    socket.once('close', () => reject(new Error('closed before it was answered')));
    socket.on('data', function upgrade(chunk: Buffer) {
      head = Buffer.concat([head, chunk]);
      const end = head.indexOf('\r\n\r\n');
      if (end < 0) return;
      socket.off('data', upgrade);
      const status = head.toString('latin1', 0, head.indexOf('\r\n'));
      if (!status.includes(' 101 ')) {
        socket.destroy();
        return reject(new Error(status, { cause: head.toString('latin1', 0, end) }));
      }
      socket.off('error', reject);
      resolve(count(socket, head.subarray(end + 4)));
    });
    const key = randomBytes(16).toString('base64');
    socket.write(
      `GET ${pathname}${search} HTTP/1.1\r\nHost: ${host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: ${key}\r\nSec-WebSocket-Version: 13\r\n${headers}\r\n`,
    );
  });
}

function count(socket: Socket, first: Buffer): RawWebSocket {
  let rest: Buffer = Buffer.alloc(0);
  /** Bytes of the present frame's payload that have not come yet. */
  let skip = 0;
  const live = { frames: 0, onFrames: null as (() => void) | null, closed: false };
  const take = (chunk: Buffer) => {
    let data = rest.length === 0 ? chunk : Buffer.concat([rest, chunk]);
    rest = Buffer.alloc(0);
    let at = Math.min(skip, data.length);
    skip -= at;
    while (at < data.length) {
      const short = (data[at + 1] ?? 0) & 0x7f;
      const header = short === 126 ? 4 : short === 127 ? 10 : 2;
      if (data.length - at < header) break;
      const length =
        short === 126
          ? data.readUInt16BE(at + 2)
          : short === 127
            ? Number(data.readBigUInt64BE(at + 2))
            : short;
      if ((data[at]! & 0x0f) === 1) live.frames += 1;
      at += header + length;
      if (at > data.length) {
        skip = at - data.length;
        at = data.length;
      }
    }
    data = data.subarray(at);
    rest = data;
    live.onFrames?.();
  };
  socket.on('data', take);
  socket.on('error', () => {});
  socket.on('close', () => {
    live.closed = true;
  });
  if (first.length > 0) take(first);
  return {
    get frames() {
      return live.frames;
    },
    get closed() {
      return live.closed;
    },
    get onFrames() {
      return live.onFrames;
    },
    set onFrames(callback) {
      live.onFrames = callback;
    },
    send(text) {
      const payload = Buffer.from(text);
      const mask = randomBytes(4);
      for (let i = 0; i < payload.length; i += 1) payload[i]! ^= mask[i & 3]!;
      const length =
        payload.length < 126
          ? Buffer.from([0x81, 0x80 | payload.length])
          : Buffer.from([0x81, 0xfe, payload.length >> 8, payload.length & 255]);
      socket.write(Buffer.concat([length, mask, payload]));
    },
    pause: () => void socket.pause(),
    resume: () => void socket.resume(),
    close: () => void socket.destroy(),
  };
}
