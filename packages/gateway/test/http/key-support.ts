/** A whole gateway on real sockets, and what a test of API keys does with it. */
import { buildApiKeyJwt, importPrivateKey } from '@countersign/tokens/node';
import { WebSocket } from 'ws';
import type { TestGateway } from '../../../testkit/src/in-process-gateway.ts';
import { type Answer, ask } from './door.ts';

export interface MadeKey {
  keyId: string;
  name: string;
  privateKey: string;
}

// biome-ignore lint/suspicious/noExplicitAny: bodies of requests are whatever a test wants to send
type Body = any;

export function requests(open: TestGateway) {
  const { host, port } = new URL(open.urls.rest);
  const send = (bearer: string | null, method: string, path: string, body?: Body): Promise<Answer> =>
    ask(Number(port), {
      method,
      path,
      headers: { host, ...(bearer === null ? {} : { authorization: `Bearer ${bearer}` }) },
      ...(body === undefined ? {} : { body: typeof body === 'string' ? body : JSON.stringify(body) }),
    });

  const sign = ({ name, privateKey }: MadeKey, uri?: string): string =>
    buildApiKeyJwt({
      keyName: name,
      key: importPrivateKey(privateKey),
      ...(uri === undefined ? {} : { uri }),
    });

  return {
    host,
    send,
    sign,
    /** A REST request with a token of the key that is bound to it. */
    call: (key: MadeKey, method: string, path: string, body?: Body): Promise<Answer> =>
      send(sign(key, `${method} ${host}${path.split('?', 1)[0]}`), method, path, body),
    /** A key made by the operator. */
    async make(userId: number, wish: object = {}): Promise<MadeKey> {
      const { status, body } = await open.adminFetch(`/users/${userId}/keys`, {
        scopes: ['view', 'trade'],
        ...wish,
      });
      if (status !== 200) throw new Error(`no key: ${status} ${JSON.stringify(body)}`);
      return { keyId: body.data.key.keyId, name: body.data.name, privateKey: body.data.privateKey };
    },
  };
}

export interface Feed {
  send(message: object): void;
  /** The next frame that fits; frames before it are passed over. Rejects when the socket closes first. */
  next(fits: (frame: Body) => boolean): Promise<Body>;
  /** Every frame so far. */
  readonly frames: Body[];
  readonly closed: Promise<number>;
  close(): void;
}

export async function openFeed(url: string): Promise<Feed> {
  const socket = new WebSocket(url);
  const frames: Body[] = [];
  let read = 0;
  let wake: () => void = () => {};
  let over = false;
  const closed = new Promise<number>((resolve) => {
    socket.on('close', (code) => {
      over = true;
      wake();
      resolve(code);
    });
  });
  socket.on('message', (data) => {
    frames.push(JSON.parse(String(data)));
    wake();
  });
  await new Promise((resolve, reject) => {
    socket.once('open', resolve);
    socket.once('error', reject);
  });
  return {
    frames,
    closed,
    send: (message) => socket.send(JSON.stringify(message)),
    async next(fits) {
      for (;;) {
        while (read < frames.length) {
          const frame = frames[read++];
          if (fits(frame)) return frame;
        }
        if (over) throw new Error(`closed; the last frame: ${JSON.stringify(frames.at(-1))}`);
        await new Promise<void>((resolve) => {
          wake = resolve;
        });
      }
    },
    close: () => socket.terminate(),
  };
}
