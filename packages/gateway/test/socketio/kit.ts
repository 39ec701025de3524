/** A gateway with a small venue behind it, tokens, and clients of the real library. */
import { once } from 'node:events';
import { createServer, type IncomingHttpHeaders, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { io, type ManagerOptions, type Socket, type SocketOptions } from 'socket.io-client';
import type { FakeClock } from '../../../testkit/src/fake-clock.ts';
import {
  startTestGateway,
  type TestGateway,
  type TestGatewayOptions,
} from '../../../testkit/src/in-process-gateway.ts';
import type { ConfigInput } from '../../src/operations/config.ts';

export interface Asked {
  event: string;
  params: Record<string, unknown>;
  headers: IncomingHttpHeaders;
}

export interface Venue {
  readonly url: string;
  readonly asked: Asked[];
  /** What the next answers are: a body, or a status without one. */
  answer: (asked: Asked) => object | number | Promise<object | number>;
  close(): Promise<void>;
}

/** A venue that answers `/events` as it is told. */
export async function startVenue(): Promise<Venue> {
  const asked: Asked[] = [];
  const venue: Venue = {
    url: '',
    asked,
    answer: ({ event, params }) => ({ success: true, result: { event, ...params } }),
    async close() {
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    },
  };
  const server: Server = createServer(async (request, response) => {
    let text = '';
    for await (const chunk of request) text += chunk;
    const one = { ...(JSON.parse(text) as Omit<Asked, 'headers'>), headers: request.headers };
    asked.push(one);
    const answer = await venue.answer(one);
    if (typeof answer === 'number') response.writeHead(answer).end();
    else response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(answer));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return Object.assign(venue, { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}` });
}

// biome-ignore lint/suspicious/noExplicitAny: answers are looked into freely by tests
export type Any = any;

export interface House extends TestGateway {
  readonly venue: Venue;
  /** Makes a token for a new user; what is given overrides the wish. */
  token(wish?: object): Promise<{ secret: string; tokenId: string; userId: number }>;
  /** A client that was told to connect; `auth` is its auth object, a text its token. */
  client(auth?: string | object, options?: Partial<ManagerOptions & SocketOptions>): Socket;
  /** The same, connected. */
  connected(token: string, options?: Partial<ManagerOptions & SocketOptions>): Promise<Socket>;
}

export async function openHouse(config: ConfigInput = {}, options: TestGatewayOptions = {}): Promise<House> {
  const venue = await startVenue();
  const gateway = await startTestGateway({ venue: { url: venue.url }, ...config }, options);
  const clients: Socket[] = [];
  const house: House = {
    ...gateway,
    venue,
    async token(wish = {}) {
      const { status, body } = await gateway.adminFetch('/handshake-tokens', {
        user: { displayName: 'desk' },
        name: 'desk',
        permissions: ['market_data', 'account_updates', 'trading'],
        ...wish,
      });
      if (status !== 200) throw new Error(JSON.stringify(body));
      const { handshakeToken, secret } = body.data;
      return { secret, tokenId: handshakeToken.tokenId, userId: handshakeToken.userId };
    },
    client(auth = {}, more = {}) {
      const client = io(gateway.urls.socketio, {
        transports: ['websocket'],
        auth: typeof auth === 'string' ? { token: auth } : auth,
        forceNew: true,
        reconnection: false,
        ...more,
      });
      clients.push(client);
      return client;
    },
    async connected(token, more) {
      const client = house.client(token, more);
      await new Promise<void>((resolve, reject) => {
        client.once('connect', resolve);
        client.once('connect_error', reject);
      });
      return client;
    },
    async close() {
      for (const client of clients) client.disconnect();
      await gateway.close();
      await venue.close();
    },
  };
  return house;
}

/** The first arguments of the next event of a name. */
export const next = (client: Socket, event: string): Promise<Any> =>
  new Promise((resolve) => client.once(event, (...args: unknown[]) => resolve(args[0])));

/** The error that a client is refused with. */
export const refusal = (client: Socket): Promise<Error & { data?: Any }> =>
  new Promise((resolve, reject) => {
    client.once('connect_error', resolve);
    client.once('connect', () => reject(new Error('it was let in')));
  });

/** Sends a request and waits for the reply by acknowledgement. */
export const ask = (client: Socket, event: string, params: object = {}): Promise<Any> =>
  client.timeout(5000).emitWithAck(event, params);

/** Every event that a client gets from now on. */
export function record(client: Socket): { event: string; data: Any }[] {
  const seen: { event: string; data: Any }[] = [];
  client.onAny((event: string, data: Any) => seen.push({ event, data }));
  return seen;
}

/** Resolves when the condition holds; looks after each turn of the loop, and gives up after 5 s. */
export async function until(condition: () => boolean | Promise<boolean>): Promise<void> {
  const end = performance.now() + 5000;
  while (!(await condition())) {
    if (performance.now() > end) throw new Error('it never came to be');
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

/** Lets time pass second by second, so that what is done each second can be done. */
export async function pass(clock: FakeClock, ms: number): Promise<void> {
  for (let left = ms; left > 0; left -= 1000) {
    clock.advance(Math.min(1000, left));
    for (let turn = 0; turn < 3; turn += 1) await new Promise((resolve) => setImmediate(resolve));
  }
}
