import { describe, expect, test } from 'vitest';
import { ConnectionError, SessionError } from '../../src/index.ts';
import { settle } from '../support/fake-venue.ts';
import { collect, fakeCredential, kit } from '../support/feed-kit.ts';

const orders = { channel: 'accountOrderUpdate', market: 'wholeBlock' };

describe('a session', () => {
  test('is signed in before anything private is asked for, and public streams do not wait', async () => {
    const { venue, feed, pass } = kit('ethgas', { credential: fakeCredential() });
    const mine = feed.subscribe(orders);
    feed.subscribe({ channel: 'tickerUpdate', market: 'wholeBlock' });
    await pass(10);
    await mine.ready;
    const asked = venue.heard.map(
      ({ op, args }) => `${op} ${(args as { channel?: string }[])[0]?.channel ?? ''}`,
    );
    expect(asked.indexOf('login ')).toBeLessThan(asked.indexOf('subscribe accountOrderUpdate'));
    expect(asked.indexOf('subscribe tickerUpdate')).toBeLessThan(asked.indexOf('login '));
    await feed.close();
  });

  test('presents each renewed token on the open connection, and misses nothing', async () => {
    const credential = fakeCredential();
    const { venue, feed, pass } = kit('ethgas', { credential });
    const { updates } = collect(feed.subscribe(orders));
    await pass(10);
    venue.publish('accountOrderUpdate', 'wholeBlock');
    credential.renew();
    await pass(10);
    venue.publish('accountOrderUpdate', 'wholeBlock');
    await settle();
    expect(venue.tokens).toEqual(['token-1', 'token-2']);
    expect(venue.connects).toBe(1);
    expect(updates.map((update) => update.type !== 'resync' && update.sequence)).toEqual([1, 2]);
    expect(feed.stats.logins).toBe(2);
    await feed.close();
  });

  test('logs in again when the server says that the token has expired', async () => {
    const credential = fakeCredential();
    const { venue, feed, pass } = kit('ethgas', { credential });
    feed.subscribe(orders);
    await pass(10);
    venue.say({ event: 'token_expired', code: 1000, msg: 'Access token has expired' });
    await pass(10);
    expect(credential.invalidated).toEqual([{ token: 'token-1', reason: 'expired' }]);
    expect(venue.tokens).toEqual(['token-1', 'token-2']);
    await feed.close();
  });

  test('shows a fresh token at every connection', async () => {
    const credential = fakeCredential();
    const { venue, feed, pass } = kit('ethgas', { credential });
    feed.subscribe(orders);
    await pass(10);
    venue.refuse = { status: 503, retryAfter: null };
    venue.cut();
    await pass(2000);
    credential.renew();
    venue.refuse = null;
    await pass(10_000);
    expect(venue.tokens).toEqual(['token-1', 'token-2']);
    await feed.close();
  });

  test('that is refused twice is reported, after a pause, and no more attempts are made', async () => {
    const credential = fakeCredential();
    const { venue, feed, pass } = kit('ethgas', { credential });
    venue.accepts = () => false;
    const errors: string[] = [];
    feed.on('error', ({ error }) => void errors.push(error.code));
    const { ended } = collect(feed.subscribe(orders));
    await pass(0);
    expect(venue.tokens).toEqual(['token-1']);
    await pass(60_000, 500);
    expect(venue.tokens).toEqual(['token-1', 'token-2']);
    expect(await ended).toMatchObject({ code: 'unauthorized', remedy: 'user' });
    expect(errors).toEqual(['unauthorized']);
    expect(JSON.stringify(await ended)).not.toContain('token-');
    expect(String(await ended)).not.toContain('token-');
    await feed.close();
  });

  test('that cannot be had for a moment is asked for again', async () => {
    const credential = fakeCredential();
    const { venue, feed, pass } = kit('ethgas', { credential });
    let failures = 3;
    const given = credential.webSocketLogin.bind(credential);
    credential.webSocketLogin = async () => {
      if (failures-- > 0) throw new ConnectionError('unreachable', 'down');
      return given();
    };
    const mine = feed.subscribe(orders);
    await pass(15_000, 250);
    await mine.ready;
    expect(venue.tokens).toHaveLength(1);
    await feed.close();
  });

  test('that has ended ends private streams and leaves public ones alone', async () => {
    const credential = fakeCredential();
    const { feed, pass } = kit('ethgas', { credential });
    const mine = collect(feed.subscribe(orders));
    const open = feed.subscribe({ channel: 'recentTradeUpdate', market: 'wholeBlock' });
    await pass(10);
    credential.end(new SessionError('logged_out', 'Logged out.'));
    expect(await mine.ended).toMatchObject({ code: 'logged_out' });
    await pass(1000);
    expect(open.status).toBe('live');
    await feed.close();
  });
});

describe('an API key', () => {
  test('signs every message on private channels anew, and none on public ones', async () => {
    const credential = fakeCredential(true);
    const { venue, feed, pass } = kit('coinbase', { credential });
    const user = feed.subscribe({ channel: 'user' });
    feed.subscribe({ channel: 'ticker', product: 'ETH-USD' });
    await pass(10);
    await user.ready;
    venue.cut();
    await pass(2000);
    await user.close();
    const withToken = venue.heard.filter(({ jwt }) => jwt !== undefined);
    expect(withToken.map(({ type, channel }) => `${type} ${channel}`)).toEqual([
      'subscribe user',
      'subscribe user',
      'unsubscribe user',
    ]);
    expect(new Set(venue.tokens).size).toBe(3);
    await feed.close();
  });

  test('that is refused is tried once more with a new token', async () => {
    const credential = fakeCredential(true);
    const { venue, feed, pass } = kit('coinbase', { credential });
    venue.accepts = (token) => token !== 'token-2';
    const user = feed.subscribe({ channel: 'user' });
    await pass(2000);
    await user.ready;
    expect(venue.tokens).toHaveLength(2);
    expect(venue.tokens[1]).not.toBe('token-2');
    expect(credential.invalidated).toEqual([{ token: 'token-2', reason: 'refused' }]);
    await feed.close();
  });

  test('that stays refused is an error of that call', async () => {
    const { venue, feed, pass } = kit('coinbase', { credential: fakeCredential(true) });
    venue.accepts = () => false;
    const user = feed.subscribe({ channel: 'user' });
    await pass(60_000, 500);
    await expect(user.ready).rejects.toMatchObject({ code: 'unauthorized' });
    expect(venue.tokens).toHaveLength(2);
    await feed.close();
  });
});
