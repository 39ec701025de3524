import { describe, expect, test } from 'vitest';
import { settle } from '../support/fake-venue.ts';
import { kit } from '../support/feed-kit.ts';

describe('a live book', () => {
  test('is stale until its snapshot, and again from a gap or a lost connection until that is mended', async () => {
    const { venue, feed, pass } = kit('coinbase');
    venue.publish('level2', 'ETH-USD', [['bid', '1', '1']]);
    const book = feed.orderBook('ETH-USD');
    const told: string[] = [];
    book.on('stale', ({ reason }) => void told.push(reason));
    book.on('live', () => void told.push('live'));
    expect(book.stale).toBe(true);
    await pass(10);
    await book.ready;
    expect(book.stale).toBe(false);
    venue.fate = () => 'drop';
    venue.publish('level2', 'ETH-USD', [['bid', '2', '1']]);
    venue.fate = () => 'pass';
    venue.publish('level2', 'ETH-USD', [['bid', '3', '1']]);
    await pass(500);
    expect(book.stale).toBe(false);
    expect(book.bids()).toHaveLength(3);
    venue.cut();
    await settle();
    expect(book.stale).toBe(true);
    await pass(1000);
    expect(book.stale).toBe(false);
    expect(told).toEqual(['live', 'gap', 'live', 'reconnect', 'live']);
    await feed.close();
    expect(book.stale).toBe(true);
  });

  test('shows what the last change made of it', async () => {
    const { venue, feed, pass } = kit('ethgas');
    venue.publish('orderBookUpdate', 'inclusionPreconf', [
      ['bid', '10.50', '1'],
      ['bid', '9', '2'],
      ['ask', '11', '3'],
    ]);
    const book = feed.orderBook('X');
    const changes: string[] = [];
    book.on('change', ({ type, levels }) => void changes.push(`${type} ${levels.length}`));
    await pass(10);
    venue.publish('orderBookUpdate', 'inclusionPreconf', [['bid', '10.5', '0']]);
    await settle();
    expect(book.depth(1)).toEqual({
      bids: [{ price: '9', quantity: '2' }],
      asks: [{ price: '11', quantity: '3' }],
    });
    expect([book.sequence, book.epoch]).toEqual([2, 'e']);
    expect(changes).toEqual(['snapshot 3', 'update 1']);
    await feed.close();
  });

  test('asked for twice takes one subscription, and keeps it until the last is closed', async () => {
    const { venue, feed, pass } = kit('coinbase');
    venue.publish('level2', 'ETH-USD', [['bid', '1', '1']]);
    const [one, two] = [feed.orderBook('ETH-USD'), feed.orderBook('ETH-USDC')];
    await pass(10);
    await Promise.all([one.ready, two.ready]);
    const count = () =>
      venue.heard.filter(({ channel, type }) => channel === 'level2' && type === 'subscribe').length;
    expect(count()).toBe(1);
    const late = feed.orderBook('ETH-USD');
    expect(late.stale).toBe(false);
    await one.close();
    await two.close();
    expect(late.stale).toBe(false);
    await late.close();
    expect(venue.heard.at(-1)).toMatchObject({ type: 'unsubscribe', channel: 'level2' });
    await feed.close();
  });

  test('of a product that there is not never gets ready', async () => {
    const { feed, pass } = kit('coinbase');
    const book = feed.orderBook('NO-USD');
    const ended: unknown[] = [];
    book.on('ended', ({ error }) => void ended.push(error));
    await pass(1000);
    await expect(book.ready).rejects.toMatchObject({ code: 'refused' });
    expect(ended).toHaveLength(1);
    expect(book.stale).toBe(true);
    await feed.close();
  });

  test('that is sent what is no level asks for a snapshot instead of guessing', async () => {
    const { venue, feed, pass } = kit('coinbase');
    venue.publish('level2', 'ETH-USD', [['bid', '1', '1']]);
    const book = feed.orderBook('ETH-USD');
    await pass(10);
    venue.publish('level2', 'ETH-USD', [['bid', 'NaN', '1']]);
    venue.bookAt = () => [['bid', '5', '1']];
    await settle();
    expect(book.bestBid).not.toEqual({ price: 'NaN', quantity: '1' });
    await pass(1000);
    expect(book.stale).toBe(false);
    expect(book.bestBid).toEqual({ price: '5', quantity: '1' });
    await feed.close();
  });
});
