/** Node's WebSocket from `ws`, which tells what a browser hides: how a refused upgrade was answered. */
import { WebSocket } from 'ws';
import type { SocketConstructor } from '../transport/socket.ts';

class Socket extends WebSocket {
  refusal: { status: number; retryAfter: number | null } | null = null;

  constructor(url: string) {
    super(url, { perMessageDeflate: false, maxPayload: 16 * 1024 * 1024, followRedirects: false });
    this.on('unexpected-response', (request, response) => {
      const seconds = Number(response.headers['retry-after']);
      this.refusal = {
        status: response.statusCode ?? 0,
        retryAfter: Number.isFinite(seconds) && seconds > 0 ? seconds : null,
      };
      response.resume();
      request.destroy();
      this.terminate();
    });
  }
}

/** For the option `WebSocket` of a feed. Takes messages of up to 16 MiB: a large book is one. */
export const NodeWebSocket: SocketConstructor = Socket;
