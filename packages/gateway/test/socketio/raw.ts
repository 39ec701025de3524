/** A peer that speaks Engine.IO by hand, to send what no client library would. */
import { once } from 'node:events';
import { WebSocket } from 'ws';

export interface Raw {
  /** Text messages that have come in. */
  readonly texts: string[];
  /** The gateway has begun to close, or has hung up. */
  readonly closing: Promise<void>;
  send(message: string | Buffer): void;
  ping(): void;
  /** Waits for the first message that begins with a text. */
  until(start: string): Promise<string>;
  drop(): void;
}

export async function openRaw(url: string, query = ''): Promise<Raw> {
  const address = `${url.replace('http', 'ws')}/socket.io/?EIO=4&transport=websocket${query}`;
  const socket = new WebSocket(address, { perMessageDeflate: false });
  const texts: string[] = [];
  const waiting = new Set<() => void>();
  socket.on('error', () => {});
  socket.on('message', (data) => {
    texts.push(String(data));
    for (const look of waiting) look();
  });
  const closing = new Promise<void>((resolve) => socket.once('close', () => resolve()));
  await once(socket, 'open');
  return {
    texts,
    closing,
    send: (message) => socket.send(message),
    ping: () => socket.ping(),
    until: (start) =>
      new Promise((resolve, reject) => {
        const look = () => {
          const found = texts.find((text) => text.startsWith(start));
          if (found === undefined) return;
          waiting.delete(look);
          resolve(found);
        };
        waiting.add(look);
        look();
        closing.then(() => reject(new Error(`closed before ${start}: ${texts.join(' ')}`)));
      }),
    drop: () => socket.terminate(),
  };
}
