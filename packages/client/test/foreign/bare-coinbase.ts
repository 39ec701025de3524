/**
 * A bare `ws` server that behaves as the public captures and measurements of Coinbase Advanced Trade say, and replays
 * frames in their shape. It shares no line with the gateway: tokens are checked by `jose`.
 */
import { readFileSync } from 'node:fs';
import type { AddressInfo } from 'node:net';
import { importSPKI, jwtVerify } from 'jose';
import { type WebSocket, WebSocketServer } from 'ws';

export type Recorded = Record<string, unknown> & { events: Record<string, unknown>[] };

interface Recording {
  heartbeats: Recorded[];
  level2: Record<string, Recorded[]>;
  market_trades: Record<string, Recorded[]>;
  ticker: Record<string, Recorded[]>;
  several: Recorded;
  user: Recorded[];
}

export const recording = JSON.parse(
  readFileSync(new URL('coinbase-frames.json', import.meta.url), 'utf8'),
) as Recording;

const USER_ID = '3e625b74-1c4e-5967-ad38-4d26f30d4439';
const LEVEL2_LIMIT = 30;

interface Request {
  type: string;
  channel: string;
  product_ids?: string[];
  jwt?: string;
}

/** One client's connection. */
export interface Line {
  readonly socket: WebSocket;
  readonly requests: Request[];
  /** Channel to products. */
  readonly held: Map<string, Set<string>>;
  /** Sends frames with the connection's numbers. */
  send(...frames: object[]): void;
  /** Counts a frame that is lost before it reaches the socket. */
  lose(): void;
  /** The same bytes once more. */
  repeat(): void;
}

export interface BareCoinbase {
  readonly url: string;
  readonly lines: Line[];
  /** Tokens that were shown, in order. */
  readonly tokens: string[];
  /** Snapshot of a product when somebody subscribes. */
  snapshot: (channel: string, product: string) => Recorded[];
  close(): Promise<void>;
}

/** @param publicKey PEM of the key that private channels need */
export async function startBareCoinbase(publicKey: string, alg: 'ES256' | 'EdDSA'): Promise<BareCoinbase> {
  const key = await importSPKI(publicKey, alg);
  const lines: Line[] = [];
  const tokens: string[] = [];
  const server = new WebSocketServer({ port: 0, host: '127.0.0.1' });
  await new Promise<void>((resolve) => server.once('listening', resolve));

  const bare: BareCoinbase = {
    url: `ws://127.0.0.1:${(server.address() as AddressInfo).port}`,
    lines,
    tokens,
    snapshot: (channel, product) => {
      const recorded = recording[channel as 'level2'];
      return recorded?.[product]?.slice(0, 1) ?? [];
    },
    close: () =>
      new Promise((resolve) => {
        for (const { socket } of lines) socket.terminate();
        server.close(() => resolve());
      }),
  };

  async function isGood(token: string | undefined): Promise<boolean> {
    if (token === undefined) return false;
    tokens.push(token);
    return jwtVerify(token, key, { issuer: 'cdp', requiredClaims: ['sub', 'nbf', 'exp'] }).then(
      ({ payload, protectedHeader }) =>
        payload.sub === protectedHeader.kid && protectedHeader.nonce !== undefined,
      () => false,
    );
  }

  server.on('connection', (socket) => {
    let count = 0;
    let last = '';
    const held = new Map<string, Set<string>>();
    const line: Line = {
      socket,
      requests: [],
      held,
      send(...frames) {
        for (const frame of frames) {
          last = JSON.stringify({ ...frame, sequence_num: count++ });
          socket.send(last);
        }
      },
      lose() {
        count += 1;
      },
      repeat: () => socket.send(last),
    };
    lines.push(line);
    const refuse = (message: string) => socket.send(JSON.stringify({ type: 'error', message }));
    const acknowledge = () =>
      line.send({
        channel: 'subscriptions',
        timestamp: '2026-09-05T22:10:29.562097895Z',
        sequence_num: 0,
        events: [{ subscriptions: Object.fromEntries([...held].map(([name, keys]) => [name, [...keys]])) }],
      });

    async function handle(request: Request): Promise<void> {
      line.requests.push(request);
      const { type, channel, product_ids: products = [], jwt } = request;
      const known = ['heartbeats', 'user'].includes(channel) || channel in recording;
      if (!known || (channel === 'user' && !(await isGood(jwt)))) return refuse('authentication failure');
      const keys = held.get(channel) ?? new Set<string>();
      if (type === 'unsubscribe') {
        for (const product of products.length === 0 ? [...keys] : products) keys.delete(product);
        if (keys.size === 0 || channel === 'user') held.delete(channel);
        return acknowledge();
      }
      if (channel === 'level2' && new Set([...keys, ...products]).size > LEVEL2_LIMIT) {
        return refuse('too many L2 streams requested in a single session');
      }
      if (channel === 'heartbeats') keys.add('heartbeats');
      else if (channel === 'user') {
        if (!keys.has(USER_ID)) line.send(...recording.user);
        keys.add(USER_ID);
      } else {
        for (const product of products) {
          // Unknown products stay silent, known ones that are held get no second snapshot.
          const frames = keys.has(product) ? null : bare.snapshot(channel, product);
          if (frames === null || frames.length === 0) continue;
          line.send(...frames);
          keys.add(product);
        }
      }
      if (keys.size > 0) held.set(channel, keys);
      acknowledge();
      if (channel === 'heartbeats') line.send(recording.heartbeats[0]!);
    }

    let turn = Promise.resolve();
    socket.on('message', (data) => {
      turn = turn.then(() => handle(JSON.parse(String(data)) as Request));
    });
  });
  return bare;
}

/** A book kept the plainest way there is, from the very frames. */
export function plainBook(frames: readonly Recorded[]): { bids: string[][]; asks: string[][] } {
  const sides = { bid: new Map<number, string[]>(), offer: new Map<number, string[]>() };
  for (const { events } of frames) {
    for (const { type, updates } of events) {
      if (type === 'snapshot') for (const side of Object.values(sides)) side.clear();
      for (const one of updates as Record<'price_level' | 'new_quantity', string>[] & { side: string }[]) {
        const side = sides[one.side as 'bid' | 'offer'];
        if (Number(one.new_quantity) === 0) side.delete(Number(one.price_level));
        else side.set(Number(one.price_level), [one.price_level, one.new_quantity]);
      }
    }
  }
  const sorted = (side: Map<number, string[]>, sign: number) =>
    [...side].sort(([a], [b]) => sign * (a - b)).map(([, level]) => level);
  return { bids: sorted(sides.bid, -1), asks: sorted(sides.offer, 1) };
}
