import type { SocketConstructor } from '@countersign/client';
import { WebSocket } from 'ws';
import { printable } from '../io.ts';
import { whyUnreachable } from '../session/api.ts';

const LARGEST_FRAME = 16 * 1024 * 1024;
const LARGEST_REASON = 4096;

/** Why the last attempt to connect came to nothing. */
export interface Mishap {
  /** Null where nobody answered. */
  status: number | null;
  says: string;
}

/**
 * A WebSocket for the client's feed that remembers why it could not connect, in words: a feed goes on trying and needs
 * no words, a person at a terminal does.
 */
export function socketClass(onMishap: (mishap: Mishap) => void): SocketConstructor {
  class ListenSocket extends WebSocket {
    /** The client's feed reads it. */
    refusal: { status: number; retryAfter: number | null } | null = null;

    constructor(url: string) {
      super(url, { perMessageDeflate: false, maxPayload: LARGEST_FRAME, followRedirects: false });
      this.on('error', (error) => {
        if (this.refusal === null) onMishap({ status: null, says: whyUnreachable(error) });
      });
      this.on('unexpected-response', (request, response) => {
        const seconds = Number(response.headers['retry-after']);
        const status = response.statusCode ?? 0;
        this.refusal = { status, retryAfter: seconds > 0 ? seconds : null };
        let text = '';
        response.setEncoding('utf8');
        response.on('data', (chunk: string) => {
          if (text.length < LARGEST_REASON) text += chunk;
        });
        response.once('close', () => {
          onMishap({ status, says: sentenceIn(text) ?? `the server answered ${status}` });
          request.destroy();
          this.terminate();
        });
      });
    }
  }
  // `ws` types its handlers by its own event classes, which have more members than are used.
  return ListenSocket as unknown as SocketConstructor;
}

function sentenceIn(text: string): string | null {
  try {
    const { message } = JSON.parse(text) as { message?: unknown };
    return typeof message === 'string' ? printable(message, 240) : null;
  } catch {
    return null;
  }
}
