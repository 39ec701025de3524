import { describe, expect, it } from 'vitest';
import { createCoinbaseDialect } from '../../src/dialects/coinbase.ts';
import type { Channel } from '../../src/streams/channel.ts';
import type { JsonObject } from '../../src/streams/publication.ts';
import { payload, publication, read, snapshot } from './support.ts';

const NOW = Date.UTC(2026, 8, 5, 22, 10, 29, 562);
const dialect = createCoinbaseDialect({ now: () => NOW });
const { encoder } = dialect.open('c');
const channel = (name: string): Channel => {
  const found = dialect.channels.get(name);
  if (found === undefined) throw new Error(name);
  return found;
};
const pushed = (name: string, data: object, changes = {}): JsonObject =>
  read(encoder.publication(channel(name), publication(name, data, { time: NOW, ...changes })));
const ENVELOPE = {
  client_id: '',
  timestamp: '2026-09-05T22:10:29.562000000Z',
  sequence_num: 7,
};

describe('an update', () => {
  const tickers = [{ type: 'ticker', product_id: 'BTC-USD', price: '79879.1' }];

  it('is the envelope with the sequence of its stream and one update event', () => {
    const one = publication('ticker', { tickers }, { key: 'BTC-USD', time: NOW });
    expect(payload(encoder.publication(channel('ticker'), one))).toBe(
      '{"channel":"ticker","client_id":"","timestamp":"2026-09-05T22:10:29.562000000Z","sequence_num":7,' +
        '"events":[{"type":"update","tickers":[{"type":"ticker","product_id":"BTC-USD","price":"79879.1"}]}]}',
    );
  });

  it.each([
    ['candles', { candles: [{ start: '1688998200', product_id: 'ETH-USD' }] }],
    ['market_trades', { trades: [{ trade_id: '1', side: 'BUY' }] }],
    ['status', { products: [{ id: 'BTC-USD' }] }],
    ['ticker_batch', { tickers }],
    ['user', { orders: [{ order_id: 'o', status: 'FILLED', post_only: 'false' }] }],
    ['futures_balance_summary', { fcm_balance_summary: { unrealized_pnl: '0' } }],
  ])('of %s is the data of the publication with its type', (name, data) => {
    expect(pushed(name, data)).toEqual({
      channel: name,
      ...ENVELOPE,
      events: [{ type: 'update', ...data }],
    });
  });

  it('of heartbeats has no type and passes the server counter on', () => {
    const beat = {
      current_time: '2026-09-05 22:10:30.25788961 +0000 UTC m=+139651.272674714',
      heartbeat_counter: 139651,
    };
    expect(pushed('heartbeats', beat).events).toEqual([beat]);
  });

  it.each([
    [0, '1970-01-01T00:00:00.000000000Z'],
    [1_788_646_229_562.9, '2026-09-05T22:10:29.562000000Z'],
    [Number.MAX_SAFE_INTEGER, '1970-01-01T00:00:00.000000000Z'],
    [-1, '1970-01-01T00:00:00.000000000Z'],
    [Number.NaN, '1970-01-01T00:00:00.000000000Z'],
  ])('of time %d has the timestamp %s', (time, timestamp) => {
    expect(pushed('ticker', {}, { time }).timestamp).toBe(timestamp);
  });

  it('that a backend published as a snapshot says so', () => {
    expect(pushed('ticker', { tickers }, { action: 'snapshot' }).events).toEqual([
      { type: 'snapshot', tickers },
    ]);
  });

  it('has one type even if the backend sent one, and is whole if it sent nothing', () => {
    const one = publication('ticker', { type: 'x', tickers: [] });
    expect(payload(encoder.publication(channel('ticker'), one))).toContain(
      '[{"type":"update","tickers":[]}]',
    );
    expect(pushed('ticker', {}).events).toEqual([{ type: 'update' }]);
  });
});

describe('level2', () => {
  const levels = [
    ['bid', '21921.73', '0.06317902'],
    ['ask', '21921.8', '0'],
  ];

  it('is sent as l2_data with absolute quantities, asks as offers', () => {
    const one = publication('level2', { levels }, { key: 'BTC-USD', time: NOW });
    expect(payload(encoder.publication(channel('level2'), one))).toBe(
      '{"channel":"l2_data","client_id":"","timestamp":"2026-09-05T22:10:29.562000000Z","sequence_num":7,' +
        '"events":[{"type":"update","product_id":"BTC-USD","updates":[' +
        '{"side":"bid","event_time":"2026-09-05T22:10:29.562000000Z","price_level":"21921.73","new_quantity":"0.06317902"},' +
        '{"side":"offer","event_time":"2026-09-05T22:10:29.562000000Z","price_level":"21921.8","new_quantity":"0"}]}]}',
    );
  });

  it('stays whole whatever stands where a decimal belongs', () => {
    const odd = [['bid', '"}]', '1\\']];
    const frame = pushed('level2', { levels: odd }, { key: '"' });
    expect(frame.events).toMatchObject([
      { product_id: '"', updates: [{ price_level: '"}]', new_quantity: '1\\' }] },
    ]);
  });

  it('is a snapshot again where the whole book is replaced', () => {
    expect(pushed('level2', { levels, reset: true }, { key: 'A' }).events).toMatchObject([
      { type: 'snapshot' },
    ]);
  });

  it('starts with one snapshot of the book at the position of the stream', () => {
    const books = new Map([['', { levels, checksum: 1, time: NOW }]]) as never;
    const frames = encoder.snapshot(snapshot(channel('level2'), { key: 'BTC-USD', books, time: NOW }), false);
    expect(frames.map(read)).toMatchObject([
      {
        channel: 'l2_data',
        sequence_num: 9,
        events: [{ type: 'snapshot', product_id: 'BTC-USD', updates: [{ side: 'bid' }, { side: 'offer' }] }],
      },
    ]);
  });

  it('shows the checksum of the book to those only that asked to recover', () => {
    const books = new Map([['', { levels, checksum: 77, time: NOW }]]) as never;
    const state = snapshot(channel('level2'), { key: 'BTC-USD', books, time: NOW });
    const events = (more: object) => {
      const talk = dialect.open('c');
      talk.parse(JSON.stringify({ type: 'subscribe', channel: 'level2', product_ids: ['BTC-USD'], ...more }));
      return talk.encoder
        .snapshot(state, false)
        .map((frame) => Object.keys((read(frame).events as object[])[0]!));
    };
    expect(events({})).toEqual([['type', 'product_id', 'updates']]);
    expect(events({ recover: {} })).toEqual([['type', 'product_id', 'checksum', 'updates']]);
  });

  it('starts with an empty snapshot where nothing is known yet', () => {
    const frames = encoder.snapshot(snapshot(channel('level2'), { key: 'BTC-USD' }), false);
    expect(frames.map((frame) => read(frame).events)).toEqual([
      [{ type: 'snapshot', product_id: 'BTC-USD', updates: [] }],
    ]);
  });

  it('frames a book of 40,000 levels whole', () => {
    const many = Array.from({ length: 40_000 }, (_, i) => ['bid', `${i}.5`, '1']);
    const books = new Map([['', { levels: many, checksum: 0, time: NOW }]]) as never;
    const [frame] = encoder.snapshot(snapshot(channel('level2'), { key: 'A', books }), false);
    expect(read(frame ?? null)).toMatchObject({ events: [{ updates: { length: 40_000 } }] });
  });
});

describe('a snapshot', () => {
  const events = (name: string, publications: object[]): unknown[] =>
    encoder
      .snapshot(
        snapshot(channel(name), {
          publications: publications.map((data, i) => publication(name, data, { sequence: i + 1 })),
        }),
        false,
      )
      .map((frame) => read(frame).events);

  it.each([
    ['ticker', 'tickers'],
    ['ticker_batch', 'tickers'],
    ['candles', 'candles'],
    ['status', 'products'],
  ])('of %s merges what is newest of each item', (name, list) => {
    expect(events(name, [{ [list]: [{ n: 1 }] }, { [list]: [{ n: 2 }, { n: 3 }] }])).toEqual([
      [{ type: 'snapshot', [list]: [{ n: 1 }, { n: 2 }, { n: 3 }] }],
    ]);
  });

  it('of market_trades has the newest first', () => {
    expect(events('market_trades', [{ trades: [{ n: 2 }, { n: 1 }] }, { trades: [{ n: 3 }] }])).toEqual([
      [{ type: 'snapshot', trades: [{ n: 3 }, { n: 2 }, { n: 1 }] }],
    ]);
  });

  it('of market_trades has at most a hundred', () => {
    const tail = Array.from({ length: 80 }, (_, i) => ({ trades: [{ n: i }, { n: i }, { n: i }] }));
    const [[event]] = events('market_trades', tail) as [[{ trades: { n: number }[] }]];
    expect(event.trades).toHaveLength(100);
    expect(event.trades[0]).toEqual({ n: 79 });
  });

  it('of futures_balance_summary is the newest', () => {
    const state = (n: number) => ({ fcm_balance_summary: { n } });
    expect(events('futures_balance_summary', [state(1), state(2)])).toEqual([
      [{ type: 'snapshot', ...state(2) }],
    ]);
  });

  it('of heartbeats is nothing: the answer to subscribe comes before the first beat', () => {
    expect(events('heartbeats', [{ heartbeat_counter: 1 }])).toEqual([]);
  });

  it('of a stream without publications is nothing', () => {
    expect(events('ticker', [])).toEqual([]);
  });
});

describe('sequence_num per connection', () => {
  const counting = createCoinbaseDialect({ now: () => NOW, sequence: 'connection' });
  const sequence = (frame: Uint8Array | null) => read(frame).sequence_num;

  it('counts data frames and answers together from 0, errors not, as the live service does', () => {
    const talk = counting.open('c');
    const [command] = talk.parse('{"type":"subscribe","channel":"ticker","product_ids":["A","B"]}');
    const phrase = command?.phrase;
    const state = (key: string) =>
      snapshot(channel('ticker'), { key, publications: [publication('ticker', { tickers: [] })] });
    const ack = () => JSON.parse(talk.subscribed(phrase, [], new Map())[0] ?? '').sequence_num;
    expect(talk.encoder.snapshot(state('A'), false).map(sequence)).toEqual([0]);
    expect(talk.encoder.snapshot(state('B'), false).map(sequence)).toEqual([1]);
    expect(ack()).toBe(2);
    talk.refused(phrase, 'unauthorized');
    expect(ack()).toBe(3);
    const beat = publication('heartbeats', { heartbeat_counter: 139651 });
    expect(sequence(talk.encoder.publication(channel('heartbeats'), beat))).toBe(4);
  });

  it('is each connection its own, from the same publication', () => {
    const [a, b] = [counting.open('a'), counting.open('b')];
    const one = publication('ticker', { tickers: [] });
    a.encoder.publication(channel('ticker'), one);
    expect(sequence(a.encoder.publication(channel('ticker'), one))).toBe(1);
    expect(sequence(b.encoder.publication(channel('ticker'), one))).toBe(0);
    expect(payload(b.encoder.publication(channel('ticker'), one)).replace('"sequence_num":1', '')).toBe(
      payload(encoder.publication(channel('ticker'), one)).replace('"sequence_num":7', ''),
    );
  });

  it('is off by default, and then one encoder serves all', () => {
    expect(dialect.open('a').encoder).toBe(dialect.open('b').encoder);
  });
});
