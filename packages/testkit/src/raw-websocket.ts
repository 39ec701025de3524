/**
 * A WebSocket client that only counts: it speaks RFC 6455 just enough to subscribe and then walks frame
 * headers, so that a thousand of them cost a load generator next to nothing.
 */
import { randomBytes } from 'node:crypto';
import { connect, type Socket } from 'node:net';
import { frameAt, textFrame } from './websocket-frames.ts';

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
  /** Of the server's close frame; null while none has come, 0 for one without a code. */
  readonly closeCode: number | null;
  /** Called once, when the close frame comes, or the connection ends without one. */
  onEnd: (() => void) | null;
  /** Drops the connection. */
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
  const live = {
    frames: 0,
    onFrames: null as (() => void) | null,
    onEnd: null as (() => void) | null,
    closed: false,
    closeCode: null as number | null,
  };
  const ended = () => {
    const tell = live.onEnd;
    live.onEnd = null;
    tell?.();
  };
  const take = (chunk: Buffer) => {
    let data = rest.length === 0 ? chunk : Buffer.concat([rest, chunk]);
    rest = Buffer.alloc(0);
    let at = Math.min(skip, data.length);
    skip -= at;
    while (at < data.length) {
      const frame = frameAt(data, at);
      if (frame === null) break;
      if (frame.opcode === 1) live.frames += 1;
      if (frame.opcode === 8) {
        const code = at + frame.header;
        if (data.length < code + Math.min(frame.length, 2)) break;
        live.closeCode = frame.length < 2 ? 0 : data.readUInt16BE(code);
        ended();
      }
      at += frame.header + frame.length;
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
    ended();
  });
  if (first.length > 0) take(first);
  return {
    get frames() {
      return live.frames;
    },
    get closed() {
      return live.closed;
    },
    get closeCode() {
      return live.closeCode;
    },
    get onEnd() {
      return live.onEnd;
    },
    set onEnd(callback) {
      live.onEnd = callback;
    },
    get onFrames() {
      return live.onFrames;
    },
    set onFrames(callback) {
      live.onFrames = callback;
    },
    send: (text) => void socket.write(textFrame(text)),
    pause: () => void socket.pause(),
    resume: () => void socket.resume(),
    close: () => void socket.destroy(),
  };
}
