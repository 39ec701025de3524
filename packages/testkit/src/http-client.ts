/**
 * A small HTTP/1.1 client for load: keep-alive sockets, one request under way on each, no dependencies. It
 * reads answers that carry Content-Length, which all of the gateway's do, and nothing else.
 */
import { connect, type Socket } from 'node:net';

export interface Answer {
  status: number;
  /** Raw header block, without the status line. */
  head: string;
  body: string;
}

export interface HttpClient {
  /** Sends one request on a free socket, waiting for one if all are busy. Rejects when the socket is lost. */
  request(method: string, path: string, headers?: string, body?: string): Promise<Answer>;
  close(): void;
}

interface Lane {
  socket: Socket;
  buffer: Buffer;
  done: ((answer: Answer) => void) | null;
  fail: ((error: Error) => void) | null;
}

/** @param sockets how many requests may be under way at once */
export function createHttpClient(url: string, sockets: number): HttpClient {
  const { hostname, port, host } = new URL(url);
  const idle: Lane[] = [];
  const waiting: { take: (lane: Lane) => void; fail: (error: Error) => void }[] = [];
  const all = new Set<Lane>();
  let closed = false;

  function open(): Lane {
    const socket = connect(Number(port), hostname);
    socket.setNoDelay(true);
    const lane: Lane = { socket, buffer: Buffer.alloc(0), done: null, fail: null };
    all.add(lane);
    socket.on('data', (chunk) => {
      lane.buffer = lane.buffer.length === 0 ? chunk : Buffer.concat([lane.buffer, chunk]);
      const answer = parse(lane);
      if (answer === null) return;
      const done = lane.done;
      lane.done = null;
      lane.fail = null;
      if (/^connection: *close/im.test(answer.head)) {
        all.delete(lane);
        socket.destroy();
        const next = waiting.shift();
        if (next !== undefined) next.take(open());
      } else release(lane);
      done?.(answer);
    });
    const lost = () => {
      all.delete(lane);
      const at = idle.indexOf(lane);
      if (at >= 0) idle.splice(at, 1);
      lane.fail?.(new Error('connection lost'));
      lane.fail = null;
      const next = closed ? undefined : waiting.shift();
      if (next !== undefined) next.take(open());
    };
    socket.on('error', () => {});
    socket.on('close', lost);
    return lane;
  }

  function release(lane: Lane): void {
    const next = waiting.shift();
    if (next !== undefined) next.take(lane);
    else idle.push(lane);
  }

  return {
    request(method, path, headers = '', body = '') {
      return new Promise<Answer>((resolve, reject) => {
        const take = (lane: Lane) => {
          lane.done = resolve;
          lane.fail = reject;
          const length = method === 'GET' ? '' : `Content-Length: ${Buffer.byteLength(body)}\r\n`;
          lane.socket.write(`${method} ${path} HTTP/1.1\r\nHost: ${host}\r\n${headers}${length}\r\n${body}`);
        };
        if (closed) return reject(new Error('client is closed'));
        const lane = idle.pop();
        if (lane !== undefined) take(lane);
        else if (all.size < sockets) take(open());
        else waiting.push({ take, fail: reject });
      });
    },
    close() {
      closed = true;
      for (const lane of all) lane.socket.destroy();
      for (const { fail } of waiting.splice(0)) fail(new Error('client is closed'));
    },
  };
}

function parse(lane: Lane): Answer | null {
  const end = lane.buffer.indexOf('\r\n\r\n');
  if (end < 0) return null;
  const head = lane.buffer.toString('latin1', 0, end);
  const length = Number(/\r\ncontent-length: *(\d+)/i.exec(head)?.[1] ?? 0);
  if (lane.buffer.length < end + 4 + length) return null;
  const body = lane.buffer.toString('utf8', end + 4, end + 4 + length);
  lane.buffer = lane.buffer.subarray(end + 4 + length);
  const line = head.indexOf('\r\n');
  return { status: Number(head.slice(9, 12)), head: line < 0 ? '' : head.slice(line + 2), body };
}
