/**
 * Which products there are, for a node that has not heard of them itself: it may have started a moment ago, and a
 * quiet one may not be published to for hours.
 */
import type { ChannelTable } from '../../streams/channel.ts';
import type { RedisConnection } from './connection.ts';
import type { PartitionKeys } from './keys.ts';
import { readScript } from './scripts.ts';

const NAMES = readScript(import.meta.url, 'names.lua');
/** Pages of about a thousand; streams are bounded, but a loop over somebody else's cursor has an end of its own. */
const MOST_PAGES = 10_000;

export interface KnownStreams {
  has(channel: string, key: string): boolean;
  /** Something was published to it. */
  add(channel: string, key: string): void;
  /** Asks Redis for all of them. What is added meanwhile stays. @throws Refusal `unavailable` */
  load(): Promise<void>;
}

/** Only of channels keyed by product: accounts and users are known from elsewhere, and are too many. */
export function createKnownStreams(
  connection: Pick<RedisConnection, 'run'>,
  partitions: readonly Pick<PartitionKeys, 'meta' | 'idle'>[],
  channels: ChannelTable,
): KnownStreams {
  const empty = () =>
    new Map(
      [...channels.values()]
        .filter(({ keyedBy, audience }) => keyedBy === 'product' && audience === 'public')
        .map(({ name }) => [name, new Set<string>()]),
    );
  let known = empty();
  let loading: ReturnType<typeof empty> | null = null;

  async function load(): Promise<void> {
    const found = empty();
    loading = found;
    for (const { meta, idle } of partitions) {
      let cursor = '0';
      for (let page = 0; page < MOST_PAGES; page++) {
        const [next, names] = await connection.run<[string, string[]]>(NAMES, [meta, idle], [cursor]);
        for (const name of names) {
          const at = name.indexOf('/');
          found.get(name.slice(0, at))?.add(name.slice(at + 1));
        }
        cursor = next;
        if (cursor === '0') break;
      }
    }
    // A later one has begun: it will have seen more.
    if (loading !== found) return;
    known = found;
    loading = null;
  }

  return {
    has: (channel, key) => known.get(channel)?.has(key) === true,
    add(channel, key) {
      known.get(channel)?.add(key);
      loading?.get(channel)?.add(key);
    },
    load,
  };
}
