import { findRedis, type RedisServer, startRedis } from '@countersign/testkit';
import { afterEach, describe, expect, it } from 'vitest';
import type { Broker, Draft, Receipt } from '../../src/broker/broker.ts';
import type { Publication } from '../../src/streams/publication.ts';
import { contractChannels } from './contract.ts';
import { type Node, openNode } from './redis-node.ts';

const bin = findRedis();
const draft = (n: number, key = 'ETH-USD'): Draft => ({ channel: 'trades', key, time: n, data: { n } });
const stream = 'trades/ETH-USD';
const TIMEOUT = 300;

describe.skipIf(bin === null)('a broker on a failing Redis [needs redis-server]', () => {
  const closing: { close(): Promise<void> }[] = [];
  afterEach(async () => {
    for (const part of closing.splice(0).reverse()) await part.close();
  });

  async function start(settings: Record<string, string> = {}): Promise<RedisServer> {
    const server = await startRedis(bin as string, settings);
    closing.push(server);
    return server;
  }

  async function open(server: RedisServer, options = {}): Promise<Node & { heard: Publication[] }> {
    const settings = { commandTimeoutMs: TIMEOUT };
    const node = await openNode(server.url(), settings, contractChannels, options);
    closing.push(node.broker);
    const heard: Publication[] = [];
    node.broker.onPublication((publication) => heard.push(publication));
    return { ...node, heard };
  }

  async function until(condition: () => boolean | Promise<boolean>): Promise<void> {
    const end = Date.now() + 10_000;
    while (!(await condition())) {
      if (Date.now() > end) throw new Error('it did not come to that');
      await new Promise((resolve) => setImmediate(resolve));
    }
  }

  const refusal = async (call: Promise<unknown>): Promise<string> => {
    const begun = performance.now();
    const code = await call.then(
      () => 'done',
      (error: { code?: string }) => String(error.code),
    );
    expect(performance.now() - begun).toBeLessThan(TIMEOUT + 500);
    return code;
  };

  /** Publishes as soon as Redis takes it again. */
  async function again(broker: Broker, n: number): Promise<Receipt> {
    let receipt: Receipt | undefined;
    await until(async () => {
      [receipt] = await broker.publish([draft(n)]).catch(() => []);
      return receipt !== undefined;
    });
    return receipt as Receipt;
  }

  /** A publisher sees that the stream was forgotten, and readers are not told otherwise. */
  async function expectNewEpoch({ broker }: Node, old: Receipt): Promise<void> {
    const fresh = await again(broker, 100);
    expect(fresh).toMatchObject({ sequence: 1, duplicate: false });
    expect(fresh.epoch).not.toBe(old.epoch);
    const history = await broker.history(stream, old);
    expect(history).toMatchObject({ complete: false, head: { epoch: fresh.epoch, sequence: 1 } });
  }

  it('begins a new epoch after a crash that lost everything', async () => {
    const server = await start();
    const node = await open(server);
    const receipts = await node.broker.publish([draft(1), draft(2)]);
    await server.restart('empty');
    await expectNewEpoch(node, receipts[1]!);
  });

  it('begins a new epoch after a crash that lost nothing: it cannot know that', async () => {
    const server = await start({ appendonly: 'yes', appendfsync: 'always' });
    const node = await open(server);
    const [receipt] = await node.broker.publish([draft(1)]);
    await server.restart();
    expect(server.cli('get', 'none')).toBe('');
    expect(Number(server.cli('dbsize'))).toBeGreaterThan(0);
    await expectNewEpoch(node, receipt!);
  });

  it('forgets idempotency keys with the epoch: what they stand for is gone', async () => {
    const server = await start({ appendonly: 'yes', appendfsync: 'always' });
    const node = await open(server);
    await node.broker.publish([draft(1)], { idempotencyKey: 'k' });
    await server.restart();
    await until(() => node.connection.available);
    const [receipt] = await node.broker.publish([draft(1)], { idempotencyKey: 'k' });
    expect(receipt).toMatchObject({ duplicate: false, sequence: 1 });
  });

  it('never gives one place to two publications when everything is deleted under load', async () => {
    const server = await start();
    const node = await open(server);
    const places = new Map<string, number>();
    const epochs = new Set<string>();
    for (let n = 0; n < 600; n++) {
      if (n % 150 === 149) server.cli('flushall');
      const [receipt] = await node.broker.publish([draft(n)]);
      const place = `${receipt!.epoch} ${receipt!.sequence}`;
      expect(places.has(place)).toBe(false);
      places.set(place, n);
      epochs.add(receipt!.epoch);
    }
    expect(epochs.size).toBe(5);
    await until(() => node.heard.length === 600);
    for (const { epoch, sequence, data } of node.heard)
      expect(places.get(`${epoch} ${sequence}`)).toBe(data.n);
  });

  it('does not take a stream for the old one that somebody deleted by hand', async () => {
    const server = await start();
    const { broker } = await open(server);
    const [old] = await broker.publish([draft(1)]);
    server.cli('del', `cs:{0}:s:${stream}`);
    const [fresh] = await broker.publish([draft(2)]);
    expect(fresh!.sequence).toBe(1);
    expect(fresh!.epoch).not.toBe(old!.epoch);
  });

  it('forgets idle streams, and knows one that comes back for another', async () => {
    const server = await start();
    const node = await open(server, { streams: 3 });
    const [old] = await node.broker.publish([draft(1, 'quiet')]);
    // Streams used within one millisecond are equally old.
    const used = Date.now();
    await until(() => Date.now() > used + 1);
    for (const key of ['a', 'b', 'c']) await node.broker.publish([draft(1, key)]);
    await until(() => server.cli('exists', 'cs:{0}:s:trades/quiet') === '0');
    expect(Number(server.cli('zcard', 'cs:{0}:idle'))).toBe(3);
    const [fresh] = await node.broker.publish([draft(2, 'quiet')]);
    expect(fresh!.sequence).toBe(1);
    expect(fresh!.epoch).not.toBe(old!.epoch);
  });

  it('begins a new epoch on a replica that was promoted', async () => {
    const server = await start();
    const replica = await server.replica();
    const [receipt] = await (await open(server)).broker.publish([draft(1)]);
    await until(() => replica.cli('hget', `cs:{0}:s:${stream}`, 'sequence') === '1');
    replica.cli('replicaof', 'no', 'one');
    await expectNewEpoch(await open(replica), receipt!);
  });

  it('begins a new epoch on a master that was deposed, followed another, and is promoted again', async () => {
    const server = await start();
    const node = await open(server);
    const replica = await server.replica();
    const first = await again(node.broker, 1);
    await until(() => replica.cli('hget', `cs:{0}:s:${stream}`, 'sequence') === '1');
    replica.cli('replicaof', 'no', 'one');
    const [lost] = await node.broker.publish([draft(2)]);
    expect(lost).toMatchObject({ epoch: first.epoch, sequence: 2 });
    server.cli('replicaof', '127.0.0.1', String(replica.port));
    await until(() => server.cli('info', 'replication').includes('master_link_status:up'));
    // What it holds now is what the replica had: one publication, not two.
    expect(server.cli('hget', `cs:{0}:s:${stream}`, 'sequence')).toBe('1');
    server.cli('replicaof', 'no', 'one');
    const fresh = await again(node.broker, 3);
    expect(fresh.epoch).not.toBe(first.epoch);
  });

  it('refuses within the time-out while Redis is held, and goes on by itself', async () => {
    const server = await start();
    const node = await open(server);
    const [old] = await node.broker.publish([draft(1)]);
    server.pause();
    const calls = [
      refusal(node.broker.publish([draft(2)])),
      refusal(Promise.resolve(node.broker.history(stream, null))),
      refusal(Promise.resolve(node.broker.head(stream))),
      refusal(node.broker.signal({ kind: 'access-changed', sequence: 1 })),
    ];
    expect(await Promise.all(calls)).toEqual(Array(4).fill('unavailable'));
    // And from now on at once: nothing waits for a server that is away.
    const begun = performance.now();
    expect(await refusal(node.broker.publish([draft(3)]))).toBe('unavailable');
    expect(performance.now() - begun).toBeLessThan(100);
    server.resume();
    const next = await again(node.broker, 4);
    // The same process went on: nothing was lost, so nothing is begun anew. Number 2 may have come through.
    expect(next.epoch).toBe(old!.epoch);
    await until(() => node.heard.some(({ data }) => data.n === 4));
  });

  it('says in one line that Redis is gone and where it was, without the password', async () => {
    const server = await start({ requirepass: 'hunter2' });
    const node = await openNode(server.url(0, ':hunter2'), { commandTimeoutMs: TIMEOUT }, contractChannels);
    closing.push(node.broker);
    await server.stop();
    await until(() => node.problems.length > 1);
    for (const line of node.problems) {
      expect(line).toContain(`127.0.0.1:${server.port}`);
      expect(line).not.toContain('hunter2');
      expect(line).not.toContain('\n');
    }
  });

  it('notices a message that never came although nothing follows it', async () => {
    const server = await start();
    const { broker } = await open(server);
    let gaps = 0;
    broker.onGap(() => gaps++);
    await broker.publish([draft(1)]);
    server.cli('hincrby', 'cs:{0}:partition', 'position', '1');
    await until(() => gaps === 1);
  });

  it('opens a subscription anew that is behind twice and hears nothing', async () => {
    const server = await start();
    const { broker } = await open(server);
    const ear = () => /id=(\d+) .*sub=[1-9]/.exec(server.cli('client', 'list', 'type', 'pubsub'))?.[1];
    const first = ear();
    let gaps = 0;
    broker.onGap(() => {
      gaps++;
      if (gaps === 1) server.cli('hincrby', 'cs:{0}:partition', 'position', '1');
    });
    await broker.publish([draft(1)]);
    server.cli('hincrby', 'cs:{0}:partition', 'position', '1');
    await until(() => gaps >= 3 && ear() !== undefined && ear() !== first);
  });

  it('notices a message that never came at the next one', async () => {
    const server = await start();
    const { broker, heard } = await open(server);
    let gaps = 0;
    broker.onGap(() => gaps++);
    await broker.publish([draft(1)]);
    server.cli('hincrby', 'cs:{0}:partition', 'position', '1');
    await broker.publish([draft(2)]);
    await until(() => heard.length === 2);
    expect(gaps).toBe(1);
  });

  it('opens its subscription anew and reports a gap when Redis has ended it', async () => {
    const server = await start();
    const { broker, heard } = await open(server);
    let gaps = 0;
    broker.onGap(() => gaps++);
    server.cli('client', 'kill', 'type', 'pubsub');
    await until(() => gaps > 0);
    await broker.publish([draft(1)]);
    await until(() => heard.length === 1);
  });

  it('is not put out by the words of strangers on its channels', async () => {
    const server = await start();
    const { broker, heard } = await open(server);
    for (const text of ['', 'x', '{}', '[]', '["e"]', 'null', '["e",1,"f"]']) {
      server.cli('publish', 'cs:0:{0}', text);
      server.cli('publish', 'cs:0:signal', text);
    }
    await broker.publish([draft(1)]);
    await until(() => heard.length === 1);
  });

  it('publishes nothing to a Redis that is full, to new streams neither, and goes on when there is room', async () => {
    const server = await start();
    const { broker, heard } = await open(server);
    const [first] = await broker.publish([draft(1)]);
    server.cli('config', 'set', 'maxmemory', '1');
    expect(await refusal(broker.publish([draft(2)]))).toBe('unavailable');
    expect(await refusal(broker.publish([draft(3, 'new')]))).toBe('unavailable');
    expect(await refusal(broker.publish([draft(4, 'new'), draft(5)]))).toBe('unavailable');
    server.cli('config', 'set', 'maxmemory', '0');
    const [second] = await broker.publish([draft(6)]);
    expect(second).toMatchObject({ epoch: first!.epoch, sequence: 2 });
    await until(() => heard.length === 2);
    expect(heard.map(({ data }) => data.n)).toEqual([1, 6]);
  });

  it.each([
    ['evicts', { 'maxmemory-policy': 'allkeys-lru' }, /maxmemory-policy is allkeys-lru/],
    ['needs a password', { requirepass: 'hunter2' }, /NOAUTH/],
  ])('does not start on a Redis that %s, and says so in one line', async (_, settings, line) => {
    const server = await start(settings);
    await expect(openNode(server.url(), {}, contractChannels)).rejects.toThrow(line);
  });

  it('works as a user who may do nothing else', async () => {
    const server = await start();
    server.cli(
      ...['acl', 'setuser', 'gateway', 'on', '>secret', 'resetkeys', '~cs:*', 'resetchannels', '&cs:*'],
      ...['-@all', '+hello', '+auth', '+ping', '+info', '+client|setname', '+evalsha', '+eval', '+time'],
      ...['+publish', '+subscribe', '+unsubscribe', '+get', '+set', '+del', '+unlink', '+hset', '+hmget'],
      ...[
        '+hincrby',
        '+zadd',
        '+zrem',
        '+zcard',
        '+zscan',
        '+zrange',
        '+zrangebyscore',
        '+rpush',
        '+ltrim',
        '+lrange',
        '+llen',
      ],
    );
    const node = await openNode(server.url(0, 'gateway:secret'), {}, contractChannels, { streams: 1 });
    closing.push(node.broker);
    const heard: Publication[] = [];
    node.broker.onPublication((publication) => heard.push(publication));
    await node.broker.publish([draft(1), draft(2, 'other')], { idempotencyKey: 'k' });
    await node.broker.publish([1, 2, 3, 4, 5, 6].map((n) => draft(n)));
    await until(() => heard.length === 8);
    expect(await node.broker.history(stream, null)).toMatchObject({ complete: false });
    await until(() => server.cli('zcard', 'cs:{0}:idle') === '1');
    expect(node.problems).toEqual([]);
  });
});
