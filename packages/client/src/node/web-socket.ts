/** Node's WebSocket from `ws`, which tells what a browser hides: how a refused upgrade was answered. */
import { WebSocket as Ws } from 'ws';

/** Pass it as `WebSocket`. Up to 16 MiB in one message: a large book is one. */
export class NodeWebSocket extends Ws {
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
