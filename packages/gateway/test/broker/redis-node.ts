/** A node's broker on Redis, with the machine's clock, as a test needs it: closed as one. */
import type { Broker } from '../../src/broker/broker.ts';
import { openRedis, type RedisConnection } from '../../src/broker/redis/connection.ts';
import { createRedisBroker, type RedisBrokerOptions } from '../../src/broker/redis.ts';
import { systemClock } from '../../src/operations/clock.ts';
import { type ConfigInput, parseConfig } from '../../src/operations/config.ts';
import type { ChannelTable } from '../../src/streams/channel.ts';

export interface Node {
  broker: Broker;
  connection: RedisConnection;
  /** Lines about Redis, as an operator would read them. */
  problems: string[];
}

export async function openNode(
  url: string,
  settings: ConfigInput['broker'],
  channels: ChannelTable,
  options: Partial<RedisBrokerOptions> = {},
): Promise<Node> {
  const config = parseConfig({ broker: { url, ...settings } }).broker;
  const problems: string[] = [];
  const connection = await openRedis(config, {
    clock: systemClock,
    onProblem: (line) => problems.push(line),
  });
  const broker = await createRedisBroker({
    connection,
    channels,
    clock: systemClock,
    partitions: config.partitions,
    idleMs: config.idleSeconds * 1000,
    ...options,
  });
  const close = broker.close.bind(broker);
  broker.close = async () => {
    await close();
    await connection.close();
  };
  return { broker, connection, problems };
}
