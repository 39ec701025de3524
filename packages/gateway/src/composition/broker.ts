/** Which broker the streams are carried by. */
import type { Broker } from '../broker/broker.ts';
import { createMemoryBroker } from '../broker/memory.ts';
import type { RedisConnection } from '../broker/redis/connection.ts';
import { createRedisBroker } from '../broker/redis.ts';
import type { Clock } from '../operations/clock.ts';
import type { Config } from '../operations/config.ts';
import type { Logger } from '../operations/log.ts';
import type { ChannelTable } from '../streams/channel.ts';

export interface BrokerParts {
  /** Stays the caller's to close; null = streams stay within the process. */
  redis: RedisConnection | null;
  config: Config;
  clock: Clock;
  log: Logger;
  channels: ChannelTable;
}

/** @throws Error in one line when Redis cannot be subscribed to */
export async function openBroker({ redis, config, clock, log, channels }: BrokerParts): Promise<Broker> {
  if (redis !== null) {
    const { partitions, idleSeconds } = config.broker;
    return createRedisBroker({ connection: redis, clock, channels, partitions, idleMs: idleSeconds * 1000 });
  }
  if (config.store.url !== null) {
    log.warn(
      { event: 'broker.alone' },
      'the store may be shared by several gateways, but streams stay within this one: set broker.url for more than one',
    );
  }
  return createMemoryBroker({ clock, channels });
}
