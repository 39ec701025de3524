/** A WebSocket client that keeps what it hears and can wait for it, and a raw one that may break every rule. */
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { frameAt } from '@countersign/testkit';
import WebSocket, { type ClientOptions } from 'ws';

// biome-ignore lint/suspicious/noExplicitAny: messages are looked into freely by tests
type Message = any;

/** Longest that a test waits for anything; a test that waits so long has failed. */
const PATIENCE = 8000;

export interface Client {
  readonly socket: WebSocket;
  readonly heard: Message[];
  /** Resolves with the code once closed, by whomever. */
  readonly closed: Promise<{ code: number; reason: string; at: number }>;
  send(message: object | string | Buffer): void;
  /** The first message, past or future, that `test` picks. */
  hear(test: (message: Message) => boolean, what?: string): Promise<Message>;
  close(): void;
}

const opened = new Set<WebSocket>();

/** Closes every client that the tests of a file have left open. */
export function closeAll(): void {
  for (const socket of opened) socket.terminate();
  opened.clear();
}

/** Connects. Rejects with an Error that has `status` if the upgrade is refused. */
export async function connectTo(
  url: string,
  options: ClientOptions & { autoPong?: boolean } = {},
): Promise<Client> {
  const socket = new WebSocket(url, { perMessageDeflate: false, ...options });
  opened.add(socket);
  const heard: Message[] = [];
  const waiting = new Set<() => void>();
  socket.on('message', (data) => {
    const text = String(data);
    let message: Message = text;
    try {
      message = JSON.parse(text);
    } catch {
      // Text that is no JSON is kept as it is.
    }
    heard.push(message);
    for (const look of waiting) look();
  });
  const closed = new Promise<{ code: number; reason: string; at: number }>((resolve) =>
    socket.once('close', (code, reason) => {
      opened.delete(socket);
      resolve({ code, reason: String(reason), at: performance.now() });
    }),
  );
  await new Promise<void>((resolve, reject) => {
    socket.once('open', () => resolve());
    socket.once('error', reject);
    socket.once('unexpected-response', (request, response) => {
      let body = '';
      response.setEncoding('utf8');
      response.on('data', (chunk) => {
        body += chunk;
      });
      response.on('end', () => {
        const { statusCode: status, headers } = response;
        request.destroy();
        reject(Object.assign(new Error(`upgrade answered ${status}`), { status, headers, body }));
      });
    });
  });
  socket.on('error', () => {});
  return {
    socket,
    heard,
    closed,
    send: (message) =>
      socket.send(
        typeof message === 'string' || Buffer.isBuffer(message) ? message : JSON.stringify(message),
      ),
    hear(test, what = 'a message') {
      return new Promise((resolve, reject) => {
        const done = (end: () => void) => {
          clearTimeout(timer);
          waiting.delete(look);
          end();
        };
        const look = () => {
          const found = heard.find(test);
          if (found !== undefined) done(() => resolve(found));
        };
        const timer = setTimeout(
          () =>
            done(() => reject(new Error(`${what} never came; heard ${JSON.stringify(heard).slice(-2000)}`))),
          PATIENCE,
        );
        waiting.add(look);
        void closed.then(() => {
          look();
          if (waiting.has(look)) done(() => reject(new Error(`closed before ${what} came`)));
        });
        look();
      });
    },
    close: () => socket.terminate(),
  };
}

/** Logs in as python-ethgas phrases it, and waits for the answer. */
export async function logInOn(
  client: Client,
  accessToken: string,
  id: number | string = 'login',
): Promise<Message> {
  client.send({ op: 'login', args: [{ accessToken }], id });
  return client.hear((message) => message.id === id, 'the answer to login');
}

export async function subscribeOn(client: Client, arg: object, id: number | string): Promise<Message> {
  client.send({ op: 'subscribe', args: [arg], id });
  return client.hear((message) => message.id === id, `the answer to subscribe ${id}`);
}

export interface Raw {
  readonly socket: Socket;
  /** Sends one frame: `first` is the byte with FIN, reserved bits and opcode. */
  frame(first: number, payload: Buffer | string, options?: { masked?: boolean; length?: number }): void;
  /** Resolves with the close code that the server sent, or null if it just hung up. */
  closeCode(): Promise<number | null>;
}

/** An upgraded connection whose frames are written by hand. */
export async function openRaw(url: string): Promise<Raw> {
  const { hostname, port, host, pathname } = new URL(url);
  const socket = connect(Number(port), hostname);
  socket.setNoDelay(true);
  socket.on('error', () => {});
  await once(socket, 'connect');
  let received = Buffer.alloc(0);
  let ended = false;
  /** Told whenever there is more to look at. */
  let heard = () => {};
  socket.on('data', (chunk: Buffer) => {
    received = Buffer.concat([received, chunk]);
    heard();
  });
  socket.on('close', () => {
    ended = true;
    heard();
  });
  socket.write(
    `GET ${pathname} HTTP/1.1\r\nHost: ${host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n` +
      `Sec-WebSocket-Key: ${randomBytes(16).toString('base64')}\r\nSec-WebSocket-Version: 13\r\n\r\n`,
  );
  while (!received.includes('\r\n\r\n')) await once(socket, 'data');
  received = received.subarray(received.indexOf('\r\n\r\n') + 4);

  function findClose(): number | null | undefined {
    for (let at = 0; at + 2 <= received.length; ) {
      const frame = frameAt(received, at);
      if (frame === null) return undefined;
      const { opcode, header, length } = frame;
      if (opcode === 8 && received.length >= at + header + length)
        return length >= 2 ? received.readUInt16BE(at + header) : null;
      at += header + length;
    }
    return undefined;
  }

  return {
    socket,
    frame(first, payload, { masked = true, length } = {}) {
      const body = Buffer.from(payload);
      const size = length ?? body.length;
      const mask = randomBytes(4);
      const head =
        size < 126
          ? Buffer.from([first, size])
          : size < 65_536
            ? Buffer.from([first, 126, size >> 8, size & 255])
            : Buffer.concat([Buffer.from([first, 127]), bigLength(size)]);
      if (masked) {
        head[1] = (head[1] ?? 0) | 0x80;
        for (let i = 0; i < body.length; i += 1) body[i] = (body[i] ?? 0) ^ (mask[i & 3] ?? 0);
      }
      socket.write(Buffer.concat(masked ? [head, mask, body] : [head, body]));
    },
    async closeCode() {
      const timer = setTimeout(() => socket.destroy(), PATIENCE);
      while (findClose() === undefined && !ended) {
        await new Promise<void>((resolve) => {
          heard = resolve;
        });
      }
      clearTimeout(timer);
      socket.destroy();
      return findClose() ?? null;
    },
  };
}

function bigLength(size: number): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64BE(BigInt(size));
  return bytes;
}

/** Waits until `test` holds, looking again each time the event loop comes round. @throws Error after 8 s */
export async function until(test: () => boolean | Promise<boolean>, what: string): Promise<void> {
  const deadline = performance.now() + PATIENCE;
  while (!(await test())) {
    if (performance.now() > deadline) throw new Error(`${what} never came to be`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}
