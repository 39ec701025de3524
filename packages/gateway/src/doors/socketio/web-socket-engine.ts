/** The WebSocket server that Engine.IO is given: ours, with the limits that its own has no settings for. */
import type { IncomingMessage } from 'node:http';
import type { Duplex } from 'node:stream';
import { type RawData, type ServerOptions, type WebSocket, WebSocketServer } from 'ws';
import { MessageLimit } from '../../connection/message-limit.ts';

export interface EngineLimits {
  fragmentLimit: number;
  pingsPerSecond: number;
  /** Of whole messages that are no events. */
  messagesPerSecond: number;
  messageBurst: number;
  /** Milliseconds that a peer has to answer a close frame. */
  closePatience: number;
  /** Monotonic milliseconds. */
  now: () => number;
}

/** A class, because Engine.IO makes the server itself. */
export function webSocketEngine(limits: EngineLimits): new (options: ServerOptions) => WebSocketServer {
  return class extends WebSocketServer {
    constructor(options: ServerOptions) {
      // Types of `ws` lag behind its options: these exist since 8.21 (CVE-2026-48779).
      const more = {
        maxFragments: limits.fragmentLimit,
        maxBufferedChunks: limits.fragmentLimit * 4,
        closeTimeout: limits.closePatience,
      };
      super({ ...options, ...more });
    }

    override handleUpgrade(
      request: IncomingMessage,
      socket: Duplex,
      head: Buffer,
      take: (client: WebSocket, request: IncomingMessage) => void,
    ): void {
      super.handleUpgrade(request, socket, head, (client) => {
        guard(client, limits);
        take(client, request);
      });
    }
  };
}

/** Pings (R62), and messages that no connection ever sees: pongs of Engine.IO and packets before the handshake. */
function guard(
  client: WebSocket,
  { pingsPerSecond, messagesPerSecond, messageBurst, now }: EngineLimits,
): void {
  const started = now();
  const pings = new MessageLimit(pingsPerSecond, pingsPerSecond, started);
  const messages = new MessageLimit(messagesPerSecond, messageBurst, started);
  client.on('ping', () => {
    if (pings.take(now()) !== 'pass') client.terminate();
  });
  client.on('message', (data) => {
    // Events are counted by the connection, which knows whose they are; there are none before there is one.
    if (isEvent(data)) return;
    if (messages.take(now()) === 'cut') client.terminate();
  });
}

/** Engine.IO type 4, Socket.IO type 2. */
const isEvent = (data: RawData): boolean => Buffer.isBuffer(data) && data[0] === 0x34 && data[1] === 0x32;
