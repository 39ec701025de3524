import { COINBASE_CHANNELS } from '@countersign/protocol';
import { describe, expect, it } from 'vitest';
import { createCoinbaseDialect } from '../../src/dialects/coinbase.ts';
import type { Command } from '../../src/dialects/dialect.ts';

const dialect = createCoinbaseDialect({ now: () => 0 });
const parse = (message: unknown): Command => {
  const commands = dialect.open('c').parse(typeof message === 'string' ? message : JSON.stringify(message));
  expect(commands).toHaveLength(1);
  return commands[0]!;
};
const keys = (message: object): (string | null)[] => {
  const command = parse(message);
  if (command.kind !== 'subscribe' && command.kind !== 'unsubscribe') throw new Error(command.kind);
  return command.wants.map((want) => want.key);
};

describe('the coinbase dialect', () => {
  it('is recognised by type', () => {
    expect(dialect.speaks({ type: 'subscribe' })).toBe(true);
    expect(dialect.speaks({ op: 'subscribe' })).toBe(false);
  });

  it('gives five seconds for any request to subscribe', () => {
    expect(dialect).toMatchObject({ idleSeconds: 5, settlesBy: 'request', holdsPrivate: false });
  });

  it('has the nine channels with their kinds', () => {
    const kinds = Object.fromEntries([...dialect.channels].map(([name, { kind }]) => [name, kind]));
    expect(kinds).toEqual({
      heartbeats: 'latest',
      candles: 'latest',
      market_trades: 'log',
      status: 'latest',
      ticker: 'latest',
      ticker_batch: 'latest',
      level2: 'book',
      user: 'log',
      futures_balance_summary: 'latest',
    });
  });

  it('allows 30 level2 products, or as many as it is told, and no such limit elsewhere', () => {
    expect(dialect.channels.get('level2')).toMatchObject({ perConnection: 30, wireName: 'l2_data' });
    const other = createCoinbaseDialect({ now: () => 0, level2PerConnection: 5 });
    expect(other.channels.get('level2')?.perConnection).toBe(5);
    expect(dialect.channels.get('ticker')).not.toHaveProperty('perConnection');
  });

  it.each(COINBASE_CHANNELS)('asks for a right on $name exactly if it is private', (row) => {
    expect(dialect.channels.get(row.name)).toMatchObject(
      row.private
        ? { audience: 'user', permission: 'account_updates', keyedBy: 'nothing' }
        : { audience: 'public', permission: null, keyedBy: row.products ? 'product' : 'nothing' },
    );
  });
});

describe('a subscribe', () => {
  it('is read as the seed writes it', () => {
    const text = `{
    "type": "subscribe",
    "product_ids": [
        "ETH-USD",
        "ETH-EUR"
    ],
    "channel": "level2"
}`;
    const command = parse(text);
    expect(command).toMatchObject({
      kind: 'subscribe',
      wants: [
        { channel: { name: 'level2' }, key: 'ETH-USD' },
        { channel: { name: 'level2' }, key: 'ETH-EUR' },
      ],
    });
    expect(command).not.toHaveProperty('token');
  });

  it('carries its JWT on any channel', () => {
    for (const channel of ['user', 'ticker', 'heartbeats']) {
      const message = { type: 'subscribe', product_ids: ['BTC-USD'], channel, jwt: 'a.b.c' };
      expect(parse(message)).toMatchObject({ kind: 'subscribe', token: 'a.b.c' });
    }
  });

  it.each([null, ''])('with %j for a JWT has none', (jwt) => {
    expect(parse({ type: 'subscribe', channel: 'heartbeats', jwt })).not.toHaveProperty('token');
  });

  it.each([7, {}, ['a.b.c'], 'x'.repeat(8193)])('with something else for a JWT is refused (%#)', (jwt) => {
    const command = parse({ type: 'subscribe', channel: 'heartbeats', jwt });
    expect(command).toMatchObject({ kind: 'invalid', code: 'unauthorized' });
    expect(JSON.stringify(command)).not.toContain('xxxx');
  });

  it('with a signature of the retired kind is refused', () => {
    const legacy = { api_key: 'k', timestamp: '1', signature: 'ff', user_id: '' };
    expect(parse({ type: 'subscribe', channel: 'user', ...legacy })).toMatchObject({
      kind: 'invalid',
      code: 'unauthorized',
    });
  });

  it.each(['heartbeats', 'user', 'futures_balance_summary'])(
    'to %s is one want whatever products it names',
    (channel) => {
      expect(keys({ type: 'subscribe', channel })).toEqual([null]);
      expect(keys({ type: 'subscribe', channel, product_ids: [] })).toEqual([null]);
      expect(keys({ type: 'subscribe', channel, product_ids: null })).toEqual([null]);
      expect(keys({ type: 'subscribe', channel, product_ids: ['A-USD', 'B-USD'] })).toEqual([null]);
    },
  );

  it('to a product channel without products is told what it lacks', () => {
    for (const product_ids of [undefined, null, []]) {
      expect(parse({ type: 'subscribe', channel: 'ticker', product_ids })).toMatchObject({
        kind: 'invalid',
        message: expect.stringContaining('"product_ids"'),
      });
    }
  });

  it('names each product once', () => {
    expect(keys({ type: 'subscribe', channel: 'ticker', product_ids: ['A-USD', 'B-USD', 'A-USD'] })).toEqual([
      'A-USD',
      'B-USD',
    ]);
  });

  it('to a USDC product joins the USD product, except where USDC is a market of its own', () => {
    const product_ids = ['BTC-USDC', 'USDT-USDC', 'EURC-USDC', 'BTC-USD', 'USDC-EUR'];
    expect(keys({ type: 'subscribe', channel: 'level2', product_ids })).toEqual([
      'BTC-USD',
      'USDT-USDC',
      'EURC-USDC',
      'USDC-EUR',
    ]);
  });

  it('takes the list of real USDC markets from its options', () => {
    const other = createCoinbaseDialect({ now: () => 0, usdcProducts: ['BTC-USDC'] }).open('c');
    const [command] = other.parse(
      '{"type":"subscribe","channel":"ticker","product_ids":["BTC-USDC","USDT-USDC"]}',
    );
    expect(command).toMatchObject({ wants: [{ key: 'BTC-USDC' }, { key: 'USDT-USD' }] });
  });

  it('asks for positions by product, also by the name the subscriber used', () => {
    const command = parse({
      type: 'subscribe',
      channel: 'ticker',
      product_ids: ['ETH-USD', 'BTC-USDC', 'A-USD'],
      recover: { 'ETH-USD': { epoch: 'e', sequence: 3 }, 'BTC-USDC': { epoch: 'e', sequence: 4 } },
    });
    expect(command).toMatchObject({
      wants: [
        { key: 'ETH-USD', since: { epoch: 'e', sequence: 3 } },
        { key: 'BTC-USD', since: { epoch: 'e', sequence: 4 } },
        { key: 'A-USD' },
      ],
    });
    expect(command).not.toHaveProperty('wants.2.since');
  });

  it('asks for the position of a channel without products by the name of the channel', () => {
    const recover = { user: { epoch: 'e', sequence: 3 } };
    expect(parse({ type: 'subscribe', channel: 'user', recover })).toMatchObject({
      wants: [{ since: { epoch: 'e', sequence: 3 } }],
    });
  });
});

describe('an unsubscribe', () => {
  it('of some products names them', () => {
    const message = { type: 'unsubscribe', channel: 'level2', product_ids: ['A-USD', 'B-USDC'] };
    expect(keys(message)).toEqual(['A-USD', 'B-USD']);
  });

  it('of no products means the whole channel', () => {
    expect(keys({ type: 'unsubscribe', channel: 'level2' })).toEqual([null]);
    expect(keys({ type: 'unsubscribe', channel: 'level2', product_ids: [] })).toEqual([null]);
  });
});

describe('what cannot be read', () => {
  it.each([
    '',
    'ping',
    '[]',
    '{}',
    '{"type":"ping"}',
    '{"type":["subscribe"],"channel":"ticker"}',
    '{"type":"subscribe"}',
    '{"type":"subscribe","channel":["ticker"]}',
    '{"type":"subscribe","channel":"__proto__"}',
    '{"type":"subscribe","channel":"heartbeat"}',
    '{"type":"subscribe","channel":"full"}',
    '{"type":"subscribe","channel":"ticker","product_ids":"BTC-USD"}',
    '{"type":"subscribe","channel":"ticker","product_ids":[7]}',
    '{"type":"subscribe","channel":"ticker","product_ids":[""]}',
    `{"type":"subscribe","channel":"ticker","product_ids":["${'x'.repeat(65)}"]}`,
    JSON.stringify({ type: 'subscribe', channel: 'ticker', product_ids: Array(1001).fill('A') }),
    '{"type":"subscribe","channel":"ticker","product_ids":["A"],"recover":7}',
    '{"type":"subscribe","channel":"ticker","product_ids":["A"],"recover":{"A":{"epoch":"e"}}}',
  ])('is one invalid command (%#)', (text) => {
    expect(parse(text)).toMatchObject({ kind: 'invalid' });
  });
});
