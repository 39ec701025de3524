/** What the venue's services may publish: checked against the table of channels, then handed to the broker. */
import type { Broker, Draft, PublishOptions, Receipt } from '../broker/broker.ts';
import type { Clock } from '../operations/clock.ts';
import type { Channel, ChannelTable } from '../streams/channel.ts';
import {
  type BookLevel,
  type JsonObject,
  type Position,
  type StreamId,
  streamId,
} from '../streams/publication.ts';

/** Why one item of a batch was not published. The others were. */
export interface ItemError {
  error: string;
}

export interface Published {
  /** One per item, in order: where it landed, or why it did not. */
  results: (Receipt | ItemError)[];
}

export interface Publisher {
  /**
   * Publishes a batch, in order. Items that are wrong are reported and the rest goes out.
   *
   * @param items at most 1,000: `{channel, key?, time?, item?, action?, remove?, data}`
   * @throws PublishError for a batch that is no batch
   */
  publish(items: unknown, options?: PublishOptions): Promise<Published>;
  /** Newest position of a stream. @throws PublishError for an unknown channel or a bad key */
  position(channel: unknown, key: unknown): Promise<{ stream: StreamId; position: Position }>;
}

export class PublishError extends Error {
  override readonly name = 'PublishError';
}

export const MAX_BATCH = 1000;
const MAX_LEVELS = 20_000;
const KEY = /^[A-Za-z0-9._:-]{1,64}(?:\/[A-Za-z0-9._:-]{1,64}){0,3}$/;
const NAME = /^[A-Za-z0-9._:-]{1,64}$/;
/** Decimal text without a sign or an exponent: readers compute with it exactly. */
const DECIMAL = /^(?:0|[1-9][0-9]{0,29})(?:\.[0-9]{1,30})?$/;

/** @param channels one table of the channels of all dialects */
export function createPublisher({
  channels,
  broker,
  clock,
}: {
  channels: ChannelTable;
  broker: Pick<Broker, 'publish' | 'head'>;
  clock: Clock;
}): Publisher {
  return {
    async publish(items, options = {}) {
      if (!Array.isArray(items)) throw new PublishError('publications must be a list');
      if (items.length === 0 || items.length > MAX_BATCH) {
        throw new PublishError(`publications must have 1 to ${MAX_BATCH} items`);
      }
      const drafts: Draft[] = [];
      const results = items.map((item): ItemError | null => {
        try {
          drafts.push(draftOf(item, channels, clock.now()));
          return null;
        } catch (error) {
          if (error instanceof PublishError) return { error: error.message };
          throw error;
        }
      });
      const receipts = drafts.length === 0 ? [] : await broker.publish(drafts, options);
      let next = 0;
      return { results: results.map((result) => result ?? receipts[next++]!) };
    },

    async position(channelName, key) {
      const channel = channelOf(channelName, channels);
      const stream = streamId(channel.name, keyOf(key, channel));
      return { stream, position: await broker.head(stream) };
    },
  };
}

function draftOf(value: unknown, channels: ChannelTable, now: number): Draft {
  if (!isObject(value)) throw new PublishError('must be an object');
  const unknown = Object.keys(value).find((name) => !MEMBERS.has(name));
  if (unknown !== undefined) throw new PublishError(`unknown member "${unknown.slice(0, 64)}"`);
  const channel = channelOf(value.channel, channels);
  const { time = now, item, action, remove } = value;
  if (typeof time !== 'number' || !Number.isFinite(time) || time < 0)
    throw new PublishError('time must be milliseconds');
  if (item !== undefined && (typeof item !== 'string' || !NAME.test(item)))
    throw new PublishError('item must be a name');
  if (action !== undefined && (typeof action !== 'string' || !NAME.test(action)))
    throw new PublishError('action must be a word');
  if (remove !== undefined && typeof remove !== 'boolean')
    throw new PublishError('remove must be true or false');
  return {
    channel: channel.name,
    key: keyOf(value.key, channel),
    time,
    ...(item === undefined ? {} : { item }),
    ...(action === undefined ? {} : { action }),
    ...(remove === undefined ? {} : { remove }),
    data: dataOf(value.data, channel),
  };
}

const MEMBERS = new Set(['channel', 'key', 'time', 'item', 'action', 'remove', 'data']);

function channelOf(name: unknown, channels: ChannelTable): Channel {
  const channel = typeof name === 'string' ? channels.get(name) : undefined;
  if (channel === undefined) throw new PublishError('there is no such channel');
  return channel;
}

/** A public stream of a channel keyed by nothing has the key ''; a private one ends with whose it is. */
function keyOf(key: unknown, channel: Channel): string {
  if (channel.audience === 'public' && channel.keyedBy === 'nothing') {
    if (key === undefined || key === '') return '';
    throw new PublishError(`${channel.name} has no key`);
  }
  if (typeof key !== 'string' || !KEY.test(key))
    throw new PublishError('key is missing or has odd characters');
  if (channel.audience === 'public') return key;
  const owner = key.slice(key.lastIndexOf('/') + 1);
  if (!/^[1-9][0-9]{0,15}$/.test(owner)) {
    throw new PublishError(`key of ${channel.name} must end with the ${channel.audience} id`);
  }
  return key;
}

function dataOf(data: unknown, channel: Channel): JsonObject {
  if (!isObject(data)) throw new PublishError('data must be an object');
  if (channel.kind !== 'book') return data as JsonObject;
  const { reset, levels } = data;
  if (reset !== undefined && typeof reset !== 'boolean')
    throw new PublishError('data.reset must be true or false');
  if (!Array.isArray(levels) || levels.length > MAX_LEVELS) {
    throw new PublishError(`data.levels must be a list of at most ${MAX_LEVELS} levels`);
  }
  levels.forEach(checkLevel);
  return { ...(reset === undefined ? {} : { reset }), levels: levels as BookLevel[] };
}

function checkLevel(level: unknown, index: number): void {
  if (!Array.isArray(level) || level.length !== 3 || (level[0] !== 'bid' && level[0] !== 'ask')) {
    throw new PublishError(`data.levels[${index}] must be ["bid" or "ask", price, quantity]`);
  }
  for (const number of [level[1], level[2]]) {
    if (typeof number !== 'string' || !DECIMAL.test(number)) {
      throw new PublishError(`data.levels[${index}]: price and quantity must be decimal texts`);
    }
  }
}

const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);
