/** The words of the ETHGas WebSocket in its `op` form, as the service documents them and the gateway speaks them. */
import { ETHGAS_CHANNELS } from '@countersign/protocol';
import type { LevelChange } from '../books/book.ts';
import type { ChannelInfo } from './channel.ts';
import type { Answer, FeedDialect, Incoming, Wish } from './dialect.ts';
import type { Frame } from './frame.ts';
import { marketOf } from './market-of.ts';
import { asText, asWhole, isObject, type JsonObject, readObject, readPosition } from './read-json.ts';
import { REFUSALS, refusal } from './refusal.ts';
import type { About } from './requests.ts';
import type { Place } from './tracker.ts';

const LATEST: ReadonlySet<string> = new Set([
  'preconfMarketUpdate',
  'candlestickUpdate',
  'tickerUpdate',
  'inclusionPreconfSaleUpdate',
  'blockBuilderUpdate',
  'accountPositionUpdate',
]);

const channels = new Map<string, ChannelInfo>(
  ETHGAS_CHANNELS.map((row) => [
    row.name,
    {
      name: row.name,
      private: row.private,
      keyedBy: row.marketType ? 'market' : 'nothing',
      kind: row.name === 'orderBookUpdate' ? 'book' : LATEST.has(row.name) ? 'latest' : 'log',
      perAccount: row.private,
      perConnection: Number.POSITIVE_INFINITY,
      opensWithSnapshot: row.name === 'orderBookUpdate',
      patchesFollowSnapshot: false,
      tracked: true,
    },
  ]),
);

const COMMANDS: ReadonlySet<string> = new Set(['login', 'subscribe', 'unsubscribe', 'query']);

/** Of a request and of the `arg` that an answer repeats. */
const subject = (channel: unknown, market: unknown): string => `${String(channel)}/${String(market ?? '')}`;

function argOf({ channel, key, extra }: Wish): Record<string, unknown> {
  return { ...extra, channel: channel.name, ...(channel.keyedBy === 'market' ? { marketType: key } : {}) };
}

function request(op: string, wish: Wish, id: number, recover: unknown): string {
  const arg = argOf(wish);
  if (recover !== undefined) arg.recover = recover;
  return JSON.stringify({ op, args: [arg], id });
}

function placesOf(message: JsonObject, { perAccount }: ChannelInfo): ReadonlyMap<string, Place> | null {
  const { position, recovered } = message;
  const joined = (value: unknown) => (typeof value === 'boolean' ? value : null);
  if (!perAccount) {
    const one = readPosition(position);
    return one === null ? null : new Map([['', { position: one, recovered: joined(recovered) }]]);
  }
  if (!isObject(position)) return null;
  const places = new Map<string, Place>();
  for (const [account, value] of Object.entries(position)) {
    const one = readPosition(value);
    const again = isObject(recovered) ? recovered[account] : undefined;
    if (one !== null) places.set(account, { position: one, recovered: joined(again) });
  }
  return places;
}

function readEvent(event: string, message: JsonObject): Incoming {
  const id = asWhole(message.id);
  const arg = isObject(message.arg) ? message.arg : null;
  const about = arg === null ? null : subject(arg.channel, arg.marketType);
  if (event === 'token_expired') return { kind: 'expired' };
  if (event === 'error' || (event === 'login' && message.code !== 0 && message.code !== undefined)) {
    const may = (of: About) => about === null || of.subject === about;
    return { kind: 'refusal', id, may, error: errorOf(message) };
  }
  if (!COMMANDS.has(event)) return { kind: 'other' };
  const may = (of: About) => of.command === event && (about === null || of.subject === about);
  const answer: Answer = { holding: null, places: ({ channel }) => placesOf(message, channel) };
  return { kind: 'answer', id, may, answer, count: null };
}

/** `code` is the numeric table of wire facts 1.12, which has one number for several rows. */
function errorOf({ code, msg }: JsonObject) {
  const said = asText(msg) ?? undefined;
  switch (code) {
    case 1000:
    case 401:
      return refusal(said === REFUSALS.token_expired[3] ? 'token_expired' : 'unauthorized', said);
    case 2:
    case 403:
      return refusal('forbidden', said);
    case 1003:
    case 429:
      return refusal(
        said === REFUSALS.too_many_subscriptions[3] ? 'too_many_subscriptions' : 'rate_limited',
        said,
      );
    case 1004:
      return refusal('upstream_timeout', said);
    case 99:
    case 9999:
      return refusal('internal', said);
    default:
      return refusal('invalid_request', said);
  }
}

function readPush(channel: string, message: JsonObject, raw: string): Incoming {
  const epoch = asText(message.epoch);
  const action = asText(message.a);
  const type = action === 'Snapshot' ? 'snapshot' : 'update';
  const item = asText(message.s);
  const key = asText(message.key);
  const known = channels.get(channel);
  const frame: Frame = {
    channel,
    // A server that numbers its streams names them, unless there is only one.
    key: key ?? (known?.keyedBy === 'nothing' && !known.perAccount ? '' : null),
    sequence: asWhole(message.sequence),
    epoch,
    type,
    time: asWhole(message.E),
    parts: [{ type, item, action, data: message.P }],
    raw,
    frames: asWhole(message.parts),
  };
  return { kind: 'data', frames: [frame], count: null };
}

/** For the option `dialect` of a feed. One may serve any number of feeds. */
export function ethgasDialect(): FeedDialect {
  return {
    channels,
    requestsPerSecond: 50,
    heartbeats: null,
    concurrency: 32,
    batch: 1,
    openingFirst: false,
    login: (token, id) => JSON.stringify({ op: 'login', args: [{ accessToken: token }], id }),

    subscribe(wishes, id) {
      const wish = wishes[0]!;
      const { since, channel } = wish;
      if (since.size === 0) return request('subscribe', wish, id, undefined);
      return request('subscribe', wish, id, channel.perAccount ? Object.fromEntries(since) : since.get(''));
    },
    unsubscribe: (wishes, id) => request('unsubscribe', wishes[0]!, id, undefined),
    subject: ({ channel, key }) => subject(channel.name, key),
    probe: () => 'ping',

    read(text) {
      if (text === 'pong' || text === 'ping') return { kind: 'other' };
      const message = readObject(text);
      if (message === null) return { kind: 'other' };
      if (typeof message.e === 'string') return readPush(message.e, message, text);
      if (typeof message.event === 'string') return readEvent(message.event, message);
      return { kind: 'other' };
    },

    guessKey({ parts }) {
      const item = parts[0]?.item;
      return item == null ? null : marketOf(item);
    },
    key: (word) => word,
    book: (product, market) => ({
      channel: 'orderBookUpdate',
      key: market ?? marketOf(product),
      product,
      only: null,
    }),

    levels(data) {
      if (!isObject(data) || !Array.isArray(data.a) || !Array.isArray(data.b)) return null;
      const levels: LevelChange[] = [];
      for (const [side, list] of [
        ['bid', data.b],
        ['ask', data.a],
      ] as const) {
        for (const level of list as readonly JsonObject[]) {
          levels.push([side, level.p as string, level.q as string]);
        }
      }
      return levels;
    },

    mergeBooks(older, newer) {
      if (!isObject(older) || !isObject(newer)) return newer;
      return { ...newer, a: merged(older.a, newer.a), b: merged(older.b, newer.b) };
    },
  };
}

function merged(older: unknown, newer: unknown): unknown[] {
  const levels = new Map<unknown, unknown>();
  for (const list of [older, newer]) {
    for (const level of Array.isArray(list) ? list : []) if (isObject(level)) levels.set(level.p, level);
  }
  return [...levels.values()];
}
