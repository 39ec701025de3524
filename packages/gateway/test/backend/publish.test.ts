import { describe, expect, it } from 'vitest';
import { createPublisher, PublishError } from '../../src/backend/publish.ts';
import { createMemoryBroker } from '../../src/broker/memory.ts';
import { systemClock } from '../../src/operations/clock.ts';
import { type Channel, channelTable } from '../../src/streams/channel.ts';
import type { Publication } from '../../src/streams/publication.ts';

const base = { permission: null, history: 10 } as const;
const channels = channelTable([
  { ...base, name: 'level2', kind: 'book', audience: 'public', keyedBy: 'product' },
  { ...base, name: 'sale', kind: 'log', audience: 'public', keyedBy: 'nothing' },
  { ...base, name: 'orders', kind: 'log', audience: 'account', keyedBy: 'marketType' },
  { ...base, name: 'user', kind: 'log', audience: 'user', keyedBy: 'nothing' },
] satisfies Channel[]);

function setUp() {
  const broker = createMemoryBroker({ clock: systemClock, channels });
  const published: Publication[] = [];
  broker.onPublication((publication) => published.push(publication));
  return { published, publisher: createPublisher({ channels, broker, clock: systemClock }) };
}

const level = { channel: 'level2', key: 'ETH-USD', data: { levels: [['bid', '1999.50', '0']] } };

describe('publishing', () => {
  it('gives each good item its place in its stream, and each bad one its reason, in order', async () => {
    const { publisher, published } = setUp();
    const { results } = await publisher.publish([
      level,
      { channel: 'nope', key: 'a', data: {} },
      { ...level, data: { reset: true, levels: [] } },
      { channel: 'sale', data: { s: 1 }, time: 5, item: 'ETH-PC-1', action: 'NewEpoch' },
    ]);
    expect(results).toMatchObject([
      { stream: 'level2/ETH-USD', sequence: 1, epoch: expect.any(String), duplicate: false },
      { error: 'there is no such channel' },
      { stream: 'level2/ETH-USD', sequence: 2 },
      { stream: 'sale/', sequence: 1 },
    ]);
    expect(published.map(({ channel, sequence }) => [channel, sequence])).toEqual([
      ['level2', 1],
      ['level2', 2],
      ['sale', 1],
    ]);
    expect(published[2]).toMatchObject({ time: 5, item: 'ETH-PC-1', action: 'NewEpoch', data: { s: 1 } });
    expect(await publisher.position('level2', 'ETH-USD')).toMatchObject({ position: { sequence: 2 } });
  });

  it('once per idempotency key', async () => {
    const { publisher, published } = setUp();
    const first = await publisher.publish([level], { idempotencyKey: 'k' });
    const second = await publisher.publish([level], { idempotencyKey: 'k' });
    expect(published).toHaveLength(1);
    expect(second.results).toMatchObject([{ ...first.results[0], duplicate: true }]);
  });

  const book = (levels: unknown) => ({ ...level, data: { levels } });
  it.each([
    ['no object', 7],
    ['an unknown member', { ...level, sequence: 1 }],
    ['no channel', { key: 'a', data: {} }],
    ['a channel that is a member of objects', { ...level, channel: 'toString' }],
    ['no key', { ...level, key: undefined }],
    ['a key with a blank', { ...level, key: 'ETH USD' }],
    ['an empty part in the key', { ...level, key: 'a//b' }],
    ['a key where there is none', { channel: 'sale', key: 'x', data: {} }],
    ['a private key without an owner', { channel: 'orders', key: 'inclusionPreconf', data: {} }],
    ['a private key with an owner that is no id', { channel: 'user', key: '0x12', data: {} }],
    ['no data', { channel: 'sale' }],
    ['data that is a list', { channel: 'sale', data: [] }],
    ['a time that is text', { channel: 'sale', data: {}, time: '5' }],
    ['an item that is a number', { channel: 'sale', data: {}, item: 5 }],
    ['remove that is text', { channel: 'sale', data: {}, remove: 'yes' }],
    ['a book without levels', { ...level, data: {} }],
    ['a level of two', book([['bid', '1']])],
    ['a side that is neither', book([['buy', '1', '1']])],
    ['a price that is a number', book([['bid', 1, '1']])],
    ['a price with an exponent', book([['bid', '1e3', '1']])],
    ['a negative quantity', book([['bid', '1', '-1']])],
    ['a price with a leading zero', book([['bid', '01', '1']])],
    ['NaN', book([['bid', 'NaN', '1']])],
  ])('refuses %s, item by item', async (_title, item) => {
    const { publisher, published } = setUp();
    const { results } = await publisher.publish([item, level]);
    expect(results).toMatchObject([{ error: expect.any(String) }, { sequence: 1 }]);
    expect(published).toHaveLength(1);
  });

  it.each([
    ['nothing', []],
    ['no list', {}],
    ['1,001 items', Array.from({ length: 1001 }, () => level)],
  ])('refuses a batch of %s', async (_title, items) => {
    await expect(setUp().publisher.publish(items)).rejects.toThrow(PublishError);
  });

  it('takes the owner from the end of a private key', async () => {
    const { publisher } = setUp();
    const { results } = await publisher.publish([
      { channel: 'orders', key: 'inclusionPreconf/243', data: {} },
      { channel: 'orders', key: '243', data: {} },
      { channel: 'user', key: '78', data: {} },
    ]);
    expect(results).toMatchObject([
      { stream: 'orders/inclusionPreconf/243' },
      { stream: 'orders/243' },
      { stream: 'user/78' },
    ]);
  });
});
