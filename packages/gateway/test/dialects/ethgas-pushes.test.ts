import { describe, expect, it } from 'vitest';
import { createEthgasDialect } from '../../src/dialects/ethgas.ts';
import type { Channel } from '../../src/streams/channel.ts';
import { payload, publication, read, snapshot } from './support.ts';

const dialect = createEthgasDialect();
const channel = (name: string): Channel => {
  const found = dialect.channels.get(name);
  if (found === undefined) throw new Error(name);
  return found;
};
const encoders = (() => {
  const op = dialect.open('a');
  op.parse('{"op":"ping"}');
  const cmd = dialect.open('b');
  cmd.parse('{"cmd":"ping"}');
  return { op: op.encoder, cmd: cmd.encoder };
})();

describe('the encoder of a conversation', () => {
  it('is shared by all that use the same form', () => {
    const other = dialect.open('x');
    expect(other.encoder).toBe(encoders.op);
    other.parse('{"cmd":"ping"}');
    expect(other.encoder).toBe(encoders.cmd);
    other.parse('ping');
    expect(other.encoder).toBe(encoders.cmd);
    other.parse('{"op":"ping"}');
    expect(other.encoder).toBe(encoders.op);
  });
});

describe('a push', () => {
  const trade = publication(
    'recentTradeUpdate',
    { i: 'ETH-PC-1', p: '0.5', q: '100', s: true, d: 1, t: 2 },
    { key: 'inclusionPreconf', item: 'ETH-PC-1' },
  );

  it('to an op client has e, E, s, P and the additive sequence', () => {
    expect(payload(encoders.op.publication(channel('recentTradeUpdate'), trade))).toBe(
      '{"e":"recentTradeUpdate","E":1788646229562,"s":"ETH-PC-1",' +
        '"P":{"i":"ETH-PC-1","p":"0.5","q":"100","s":true,"d":1,"t":2},"key":"inclusionPreconf","sequence":7}',
    );
  });

  it('to a cmd client has the channel as cmd and the payload as data', () => {
    const pushed = read(encoders.cmd.publication(channel('recentTradeUpdate'), trade));
    expect(pushed).toMatchObject({ cmd: 'recentTradeUpdate', data: trade.data, sequence: 7 });
  });

  it('leaves out what a publication does not have', () => {
    const pushed = publication('blockBuilderUpdate', { s: 1 });
    expect(payload(encoders.op.publication(channel('blockBuilderUpdate'), pushed))).toBe(
      '{"e":"blockBuilderUpdate","E":1788646229562,"P":{"s":1},"sequence":7}',
    );
  });

  it('passes the action on', () => {
    const pushed = publication('preconfMarketUpdate', {}, { action: 'MarketExpiry' });
    expect(read(encoders.op.publication(channel('preconfMarketUpdate'), pushed)).a).toBe('MarketExpiry');
  });

  it('names the epoch where the count begins again', () => {
    const first = publication('blockBuilderUpdate', {}, { sequence: 1, epoch: 'e2' });
    expect(read(encoders.op.publication(channel('blockBuilderUpdate'), first)).epoch).toBe('e2');
  });

  it('escapes what a backend put into names', () => {
    const odd = publication('tickerUpdate', { x: '"\u0000' }, { item: '"},{', key: '\\', action: '\n' });
    for (const encoder of [encoders.op, encoders.cmd]) {
      expect(read(encoder.publication(channel('tickerUpdate'), odd))).toMatchObject({
        s: '"},{',
        key: '\\',
        a: '\n',
      });
    }
  });

  it('gives the same bytes again', () => {
    const again = encoders.op.publication(channel('recentTradeUpdate'), structuredClone(trade));
    expect(again).toEqual(encoders.op.publication(channel('recentTradeUpdate'), trade));
  });
});

describe('a book', () => {
  const book = channel('orderBookUpdate');
  const levels = [
    ['bid', '0.49', '10'],
    ['ask', '0.51', '0'],
    ['bid', '0.48', '3'],
  ] as const;

  it('is pushed as absolute quantities by side, zero where a level is gone', () => {
    const update = publication('orderBookUpdate', { levels }, { key: 'wholeBlock', item: 'ETH-WB-1' });
    expect(payload(encoders.op.publication(book, update))).toBe(
      '{"e":"orderBookUpdate","E":1788646229562,"s":"ETH-WB-1","P":{"a":[{"p":"0.51","q":"0"}],' +
        '"b":[{"p":"0.49","q":"10"},{"p":"0.48","q":"3"}],"I":"ETH-WB-1","t":1788646229562},' +
        '"key":"wholeBlock","sequence":7}',
    );
  });

  it('is pushed as a snapshot when it is replaced', () => {
    const reset = publication('orderBookUpdate', { levels, reset: true }, { item: 'ETH-WB-1' });
    expect(read(encoders.op.publication(book, reset)).a).toBe('Snapshot');
  });

  it('starts with one snapshot per instrument at the position of the stream, with the checksum of the book', () => {
    const books = new Map([
      ['ETH-WB-1', { levels: [['bid', '1', '2']], checksum: 77, time: 5 }],
      ['ETH-WB-2', { levels: [], checksum: 0, time: 6 }],
    ] as const) as never;
    const frames = encoders.op.snapshot(snapshot(book, { key: 'wholeBlock', books }), false).map(read);
    expect(frames).toEqual([
      {
        e: 'orderBookUpdate',
        E: 5,
        s: 'ETH-WB-1',
        a: 'Snapshot',
        P: { a: [], b: [{ p: '1', q: '2' }], I: 'ETH-WB-1', t: 5, checksum: 77 },
        key: 'wholeBlock',
        sequence: 9,
        epoch: 'e1',
      },
      {
        e: 'orderBookUpdate',
        E: 6,
        s: 'ETH-WB-2',
        a: 'Snapshot',
        P: { a: [], b: [], I: 'ETH-WB-2', t: 6, checksum: 0 },
        key: 'wholeBlock',
        sequence: 9,
        epoch: 'e1',
      },
    ]);
  });
});

describe('a snapshot', () => {
  it('of a latest channel shows each item, marked as a snapshot, at the position of the stream', () => {
    const publications = [
      publication('tickerUpdate', { p: '1' }, { item: 'ETH-PC-1', sequence: 3 }),
      publication('tickerUpdate', { p: '2' }, { item: 'ETH-PC-2', sequence: 8, action: 'NewEpoch' }),
    ];
    const frames = encoders.cmd
      .snapshot(snapshot(channel('tickerUpdate'), { publications }), false)
      .map(read);
    expect(frames).toMatchObject([
      { cmd: 'tickerUpdate', s: 'ETH-PC-1', a: 'Snapshot', data: { p: '1' }, sequence: 9, epoch: 'e1' },
      { cmd: 'tickerUpdate', s: 'ETH-PC-2', a: 'Snapshot', data: { p: '2' }, sequence: 9, epoch: 'e1' },
    ]);
  });

  it('of recent trades shows the tail, oldest first', () => {
    const publications = [1, 2].map((t) => publication('recentTradeUpdate', { t }, { sequence: t }));
    const frames = encoders.op.snapshot(snapshot(channel('recentTradeUpdate'), { publications }), false);
    expect(frames.map((frame) => read(frame).P)).toEqual([{ t: 1 }, { t: 2 }]);
  });

  it('never shows old orders or fills of an account as if they were new', () => {
    for (const name of ['accountOrderUpdate', 'accountTransactionUpdate', 'preconfBundleUpdate']) {
      const publications = [publication(name, { o: 1 })];
      expect(encoders.op.snapshot(snapshot(channel(name), { publications }), false)).toEqual([]);
    }
  });
});
