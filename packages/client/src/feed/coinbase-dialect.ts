/** The words of Coinbase Advanced Trade's WebSocket, as the service and the gateway speak them. */
import { COINBASE_CHANNELS } from '@countersign/protocol';
import type { LevelChange } from '../books/book.ts';
import type { ChannelInfo } from './channel.ts';
import type { Answer, FeedDialect, Incoming, Wish } from './dialect.ts';
import type { Frame, FramePart } from './frame.ts';
import { asText, asWhole, isObject, type JsonObject, readObject, readPosition } from './read-json.ts';
import { refusal } from './refusal.ts';
import type { Place } from './tracker.ts';

/** The service takes 30 level2 products on a connection (wire facts, coinbase 2). */
export const LEVEL2_PER_CONNECTION = 30;
const PRODUCTS_PER_MESSAGE = 200;
/** Messages per second that the live service takes (wire facts, coinbase 2). */
const LIVE_SERVICE_RATE = 8;

const LOGS: ReadonlySet<string> = new Set(['market_trades', 'user']);

const byName = new Map<string, ChannelInfo>(
  COINBASE_CHANNELS.map((row) => [
    row.name,
    {
      name: row.name,
      private: row.private,
      keyedBy: row.products ? 'product' : 'nothing',
      kind: row.name === 'level2' ? 'book' : LOGS.has(row.name) ? 'log' : 'latest',
      perAccount: false,
      perConnection: row.name === 'level2' ? LEVEL2_PER_CONNECTION : Number.POSITIVE_INFINITY,
      opensWithSnapshot: row.name === 'level2' || row.name === 'user',
      patchesFollowSnapshot: row.name === 'user',
      tracked: row.name !== 'heartbeats',
    },
  ]),
);

const byWireName = new Map(
  COINBASE_CHANNELS.map((row) => [row.wireName, { channel: byName.get(row.name)!, list: row.list }]),
);

export interface CoinbaseDialectOptions {
  /**
   * What `sequence_num` counts. `stream`: a channel's publications for a product, as the gateway does by default, with
   * positions to recover from. `connection`: every frame, as the live service does; then a lost frame makes every
   * stream of its connection begin anew. Default `stream`.
   */
  sequence?: 'stream' | 'connection';
  /** Products that end in `-USDC` and are not another word for `-USD`. Default USDT-USDC, EURC-USDC. */
  usdcProducts?: readonly string[];
}

/** For the option `dialect` of a feed. One may serve any number of feeds. */
export function coinbaseDialect(options: CoinbaseDialectOptions = {}): FeedDialect {
  const { sequence = 'stream', usdcProducts = ['USDT-USDC', 'EURC-USDC'] } = options;
  const own = new Set(usdcProducts);
  const perStream = sequence === 'stream';
  const keyOf = (word: string) => (word.endsWith('-USDC') && !own.has(word) ? word.slice(0, -1) : word);

  const request = (
    type: string,
    wishes: readonly Wish[],
    token: string | null,
    recover: JsonObject | null,
  ) => {
    const { name, keyedBy } = wishes[0]!.channel;
    return JSON.stringify({
      ...wishes[0]!.extra,
      type,
      channel: name,
      ...(keyedBy === 'product' ? { product_ids: wishes.map(({ key }) => key) } : {}),
      ...(token === null ? {} : { jwt: token }),
      ...(recover === null ? {} : { recover }),
    });
  };

  function answer(message: JsonObject, count: number | null): Incoming {
    const events = Array.isArray(message.events) ? message.events : [];
    const listed = isObject(events[0]) && isObject(events[0].subscriptions) ? events[0].subscriptions : {};
    const holding: Record<string, readonly string[]> = {};
    for (const [name, keys] of Object.entries(listed)) if (Array.isArray(keys)) holding[name] = keys;
    const positions = isObject(message.positions) ? message.positions : null;
    const recovered = isObject(message.recovered) ? message.recovered : {};
    const places = ({ key, channel }: Wish): ReadonlyMap<string, Place> | null => {
      if (!perStream || positions === null || !channel.tracked) return null;
      const name = key === '' ? channel.name : key;
      const position = readPosition(positions[name]);
      if (position === null) return null;
      const joins = typeof recovered[name] === 'boolean' ? recovered[name] : null;
      return new Map([['', { position, recovered: joins }]]);
    };
    const body: Answer = { holding, places };
    return { kind: 'answer', id: null, may: () => true, answer: body, count };
  }

  return {
    channels: byName,
    requestsPerSecond: perStream ? 50 : LIVE_SERVICE_RATE,
    heartbeats: 'heartbeats',
    // Answers and errors carry nothing of the request: one at a time, or they could not be told apart.
    concurrency: 1,
    batch: PRODUCTS_PER_MESSAGE,
    openingFirst: true,
    login: null,

    subscribe(wishes, _id, token) {
      const recover: Record<string, object> = {};
      for (const { key, channel, since } of wishes) {
        const position = since.get('');
        if (position !== undefined) recover[key === '' ? channel.name : key] = position;
      }
      // An empty one asks for positions, so that the next time there is something to recover from.
      return request('subscribe', wishes, token, perStream ? recover : null);
    },
    unsubscribe: (wishes, _id, token) => request('unsubscribe', wishes, token, null),
    subject: () => '',
    // Subscribed to anyway, and repeating it only repeats the answer.
    probe: () => '{"type":"subscribe","channel":"heartbeats"}',

    read(text) {
      const message = readObject(text);
      if (message === null) return { kind: 'other' };
      if (message.type === 'error')
        return { kind: 'refusal', id: null, may: () => true, error: errorOf(message) };
      const count = perStream ? null : asWhole(message.sequence_num);
      if (message.channel === 'subscriptions') return answer(message, count);
      const known = typeof message.channel === 'string' ? byWireName.get(message.channel) : undefined;
      if (known === undefined || !Array.isArray(message.events)) {
        return count === null ? { kind: 'other' } : { kind: 'data', frames: [], count };
      }
      const number = perStream ? asWhole(message.sequence_num) : null;
      const time = Date.parse(asText(message.timestamp) ?? '');
      const frames = split(known.channel, known.list, message.events).map(
        ([key, parts]): Frame => ({
          channel: known.channel.name,
          key,
          sequence: number,
          epoch: null,
          type: parts[0]?.type ?? 'update',
          time: Number.isNaN(time) ? null : time,
          parts,
          raw: text,
          frames: null,
        }),
      );
      return { kind: 'data', frames, count };
    },
    guessKey: () => null,
    key: keyOf,
    book(word) {
      const product = keyOf(word);
      return { channel: 'level2', key: product, product, only: product };
    },
    levels: levelsOf,

    mergeBooks(older, newer) {
      if (!isObject(older) || !isObject(newer) || newer.type === 'snapshot') return newer;
      const merged = new Map<string, unknown>();
      for (const update of [...listOf(older.updates), ...listOf(newer.updates)]) {
        if (!isObject(update)) continue;
        const id = `${String(update.side)}/${String(update.price_level)}`;
        merged.delete(id);
        merged.set(id, update);
      }
      return { ...newer, type: older.type, updates: [...merged.values()] };
    },
  };
}

const listOf = (value: unknown): readonly unknown[] => (Array.isArray(value) ? value : []);

function errorOf({ message, reason }: JsonObject) {
  const said = asText(reason) ?? undefined;
  switch (message) {
    case 'authentication failure':
      // The gateway says what was wrong with a request itself; of a credential nobody says anything.
      return said === undefined ? refusal('unauthorized') : refusal('invalid_request', said);
    case 'rate limit exceeded':
      return refusal('rate_limited', said);
    case 'too many L2 streams requested in a single session':
      return refusal('too_many_subscriptions', said);
    case 'internal error':
      return refusal('internal', said);
    case 'service unavailable':
      return refusal('unavailable', said);
    default:
      return refusal('invalid_request', said ?? asText(message) ?? undefined);
  }
}

/** The live service puts several products into one frame: one list of parts for each stream. */
function split(
  { keyedBy }: ChannelInfo,
  list: string | null,
  events: readonly unknown[],
): [key: string | null, parts: FramePart[]][] {
  const [first] = events;
  // As every frame of a book is: one event that names its product.
  if (
    events.length === 1 &&
    keyedBy === 'product' &&
    isObject(first) &&
    typeof first.product_id === 'string'
  ) {
    return [[first.product_id, [partOf(first)]]];
  }
  const byKey = new Map<string | null, FramePart[]>();
  const put = (key: string | null, event: JsonObject) => {
    const parts = byKey.get(key);
    if (parts === undefined) byKey.set(key, [partOf(event)]);
    else parts.push(partOf(event));
  };
  for (const event of events) {
    if (!isObject(event)) continue;
    if (keyedBy === 'nothing' || list === null) {
      put('', event);
      continue;
    }
    const product = asText(event.product_id);
    const items = listOf(event[list]);
    if (product !== null) put(product, event);
    else if (items.length < 2) put(productOf(items[0]), event);
    else {
      const groups = new Map<string | null, unknown[]>();
      for (const item of items) {
        const key = productOf(item);
        const group = groups.get(key);
        if (group === undefined) groups.set(key, [item]);
        else group.push(item);
      }
      for (const [key, group] of groups) put(key, groups.size === 1 ? event : { ...event, [list]: group });
    }
  }
  return [...byKey];
}

const partOf = (event: JsonObject): FramePart => ({
  type: event.type === 'snapshot' ? 'snapshot' : 'update',
  item: null,
  action: null,
  data: event,
});

/** `status` names a product by `id`. */
const productOf = (item: unknown): string | null =>
  isObject(item) ? (asText(item.product_id) ?? asText(item.id)) : null;

function levelsOf(data: unknown): LevelChange[] | null {
  if (!isObject(data) || !Array.isArray(data.updates)) return null;
  const levels: LevelChange[] = [];
  for (const update of data.updates as readonly JsonObject[]) {
    const { side, price_level: price, new_quantity: quantity } = update;
    // What is no level makes the whole of it malformed; the book checks.
    levels.push([side === 'bid' ? 'bid' : 'ask', price as string, quantity as string]);
  }
  return levels;
}
