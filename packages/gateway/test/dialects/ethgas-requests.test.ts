import { ETHGAS_CHANNELS, ETHGAS_QUERIES, MARKET_TYPES } from '@countersign/protocol';
import { describe, expect, it } from 'vitest';
import type { Command } from '../../src/dialects/dialect.ts';
import { createEthgasDialect } from '../../src/dialects/ethgas.ts';

const dialect = createEthgasDialect();
const parse = (text: string): Command[] => dialect.open('c').parse(text);
const one = (message: object): Command => {
  const [command] = parse(JSON.stringify(message));
  if (command === undefined) throw new Error('no command');
  return command;
};
const want = (message: object) => {
  const command = one(message);
  if (command.kind !== 'subscribe' && command.kind !== 'unsubscribe') throw new Error(command.kind);
  return command.wants[0];
};

describe('the ethgas dialect', () => {
  it('is recognised by op or cmd, and not by type', () => {
    expect(dialect.speaks({ op: 'login' })).toBe(true);
    expect(dialect.speaks({ cmd: 'login' })).toBe(true);
    expect(dialect.speaks({ type: 'subscribe' })).toBe(false);
  });

  it('takes its idle limit from its options and waits for a success', () => {
    expect(dialect).toMatchObject({ idleSeconds: 10, holdsPrivate: true, settlesBy: 'success' });
    expect(createEthgasDialect({ idleSeconds: 3 }).idleSeconds).toBe(3);
  });
});

describe('the channel table', () => {
  const kinds: Record<string, string> = {
    preconfMarketUpdate: 'latest',
    candlestickUpdate: 'latest',
    recentTradeUpdate: 'log',
    orderBookUpdate: 'book',
    tickerUpdate: 'latest',
    inclusionPreconfSaleUpdate: 'latest',
    blockBuilderUpdate: 'latest',
    accountOrderUpdate: 'log',
    accountTransactionUpdate: 'log',
    accountPositionUpdate: 'latest',
    preconfBundleUpdate: 'log',
    userOrder: 'log',
    userTrade: 'log',
  };

  it('has every channel of the reference with its kind', () => {
    expect(Object.fromEntries([...dialect.channels].map(([name, { kind }]) => [name, kind]))).toEqual(kinds);
  });

  it.each(ETHGAS_CHANNELS)('gives $name the audience of the reference', (row) => {
    expect(dialect.channels.get(row.name)).toMatchObject(
      row.private
        ? { audience: 'account', permission: 'account_updates' }
        : { audience: 'public', permission: null },
    );
  });
});

describe('a subscribe', () => {
  it('of python-ethgas gives one want with its market type', () => {
    const text =
      '{"op":"subscribe","args":[{"channel":"preconfMarketUpdate","marketType":"inclusionPreconf"}],"id":2}';
    expect(parse(text)).toMatchObject([
      {
        kind: 'subscribe',
        wants: [{ channel: { name: 'preconfMarketUpdate' }, key: 'inclusionPreconf' }],
        phrase: { form: 'op', id: '2' },
      },
    ]);
  });

  for (const row of ETHGAS_CHANNELS) {
    for (const marketType of MARKET_TYPES) {
      it(`to ${row.name} of ${marketType} has ${row.marketType ? 'that' : 'no'} key in every form`, () => {
        const arg = { channel: row.name, marketType };
        const forms = [
          { op: 'subscribe', args: [arg] },
          { op: 'subscribe', args: arg },
          { cmd: 'subscribe', args: arg },
          { cmd: 'subscribe', data: arg },
          { cmd: 'subscribe', data: [arg] },
        ];
        for (const form of forms) expect(want(form)?.key).toBe(row.marketType ? marketType : null);
      });
    }
  }

  it('of the older overview, with a market id only, means the inclusion market', () => {
    const message = { cmd: 'subscribe', args: { channel: 'preconfMarketUpdate', marketId: 12345 } };
    expect(want(message)?.key).toBe('inclusionPreconf');
  });

  it.each([
    ['ETH-WB-9012345', 'wholeBlock'],
    ['ETH-PC-9012345', 'inclusionPreconf'],
  ])('with only the instrument %s means the market of that instrument', (instrumentId, key) => {
    expect(want({ op: 'subscribe', args: [{ channel: 'orderBookUpdate', instrumentId }] })?.key).toBe(key);
  });

  it('without the market type that its channel needs is told which parameter is missing', () => {
    const command = one({ op: 'subscribe', args: [{ channel: 'orderBookUpdate' }] });
    expect(command).toMatchObject({ kind: 'invalid', code: 'invalid_request' });
    expect(command).toHaveProperty('message', expect.stringContaining('"marketType"'));
  });

  it.each(['spot', 1, '', {}])('with %o for a market type is refused', (marketType) => {
    const command = one({ op: 'subscribe', args: [{ channel: 'orderBookUpdate', marketType }] });
    expect(command).toHaveProperty('message', expect.stringContaining('"marketType"'));
  });

  it('gives one command per argument, in order, the bad ones in their places', () => {
    const args = [
      { channel: 'blockBuilderUpdate' },
      { channel: 'nope' },
      7,
      { channel: 'tickerUpdate', marketType: 'wholeBlock' },
    ];
    const commands = parse(JSON.stringify({ op: 'subscribe', args, id: 'a' }));
    expect(commands.map((command) => command.kind)).toEqual(['subscribe', 'invalid', 'invalid', 'subscribe']);
    expect(commands[1]).toMatchObject({ code: 'unknown_channel' });
  });

  it('names an unknown channel, escaped and cut to 64 characters', () => {
    const channel = `"\n<${'x'.repeat(500)}`;
    const command = one({ op: 'subscribe', args: [{ channel }] });
    if (command.kind !== 'invalid') throw new Error(command.kind);
    expect(command.message).toContain(JSON.stringify(channel.slice(0, 64)));
    expect(command.message).not.toContain('x'.repeat(65));
    expect(command.message).toContain('tickerUpdate');
  });

  it('asks for a position by epoch and sequence', () => {
    const arg = { channel: 'blockBuilderUpdate', recover: { epoch: 'e1', sequence: 12 } };
    expect(want({ op: 'subscribe', args: [arg] })?.since).toEqual({ epoch: 'e1', sequence: 12 });
  });

  it('asks for a position per account on channels that have a stream for each', () => {
    const recover = { 242: { epoch: 'e1', sequence: 0 }, 243: { epoch: 'e2', sequence: 5 } };
    const arg = { channel: 'accountOrderUpdate', marketType: 'wholeBlock', recover };
    expect(want({ op: 'subscribe', args: [arg] })?.accountsSince).toEqual(
      new Map([
        ['242', { epoch: 'e1', sequence: 0 }],
        ['243', { epoch: 'e2', sequence: 5 }],
      ]),
    );
  });

  it.each([
    7,
    null,
    [],
    {},
    { epoch: '', sequence: 1 },
    { epoch: 'e', sequence: -1 },
    { epoch: 'e', sequence: 1.5 },
    { epoch: 'e', sequence: '1' },
    { epoch: 'x'.repeat(65), sequence: 1 },
    { 243: { epoch: 'e', sequence: 1 } },
  ])('with the unreadable position %j is refused', (recover) => {
    const command = one({ op: 'subscribe', args: [{ channel: 'blockBuilderUpdate', recover }] });
    expect(command).toHaveProperty('message', expect.stringContaining('"recover"'));
  });
});

describe('an unsubscribe', () => {
  it('without a market type means every stream of the channel', () => {
    expect(want({ op: 'unsubscribe', args: [{ channel: 'orderBookUpdate' }] })?.key).toBeNull();
  });

  it('with a market type means that stream', () => {
    const arg = { channel: 'orderBookUpdate', marketType: 'wholeBlock' };
    expect(want({ cmd: 'unsubscribe', args: arg })?.key).toBe('wholeBlock');
  });
});

describe('a query', () => {
  it.each(ETHGAS_QUERIES)('of $name is private exactly if the reference says so', (row) => {
    const command = one({ op: 'query', args: [{ queryType: row.name, slot: 7 }], id: 3 });
    expect(command).toMatchObject({
      kind: 'query',
      query: row.name,
      private: row.private,
      args: { slot: 7 },
    });
    expect(command).not.toHaveProperty('args.queryType');
  });

  it.each([undefined, 'nope', 7, '__proto__', 'constructor'])('of type %o is refused', (queryType) => {
    expect(one({ cmd: 'query', args: { queryType } })).toMatchObject({ kind: 'invalid' });
  });
});

describe('keep-alive', () => {
  it('answers the text ping of python-ethgas with the text pong', () => {
    const talk = dialect.open('c');
    const [command] = talk.parse('ping');
    expect(command?.kind).toBe('ping');
    expect(talk.pong(command?.phrase)).toEqual(['pong']);
  });

  it('says nothing to a text pong', () => {
    expect(parse('pong')).toEqual([]);
  });

  it.each([
    ['{"op":"ping","id":4}', '{"event":"pong","code":0,"msg":"","connId":"c","id":4}'],
    ['{"cmd":"ping"}', '{"cmd":"pong","status":"success","data":{"status":"success"}}'],
  ])('answers %s in kind', (text, expected) => {
    const talk = dialect.open('c');
    const [command] = talk.parse(text);
    expect(talk.pong(command?.phrase)).toEqual([expected]);
  });
});

describe('what cannot be read', () => {
  it.each([
    '',
    'hello',
    '[]',
    'null',
    '"ping"',
    '7',
    '{',
    '{}',
    '{"op":7}',
    '{"op":null}',
    '{"cmd":["login"]}',
    '{"op":"subscribe"}',
    '{"op":"subscribe","args":[]}',
    '{"op":"subscribe","args":"tickerUpdate"}',
    '{"op":"order","args":[{}]}',
    '{"op":"login","args":[{"accessToken":"t"}],"id":{}}',
    `{"op":"login","args":[{"accessToken":"t"}],"id":"${'x'.repeat(129)}"}`,
    `{"op":"${'x'.repeat(65)}"}`,
    `{"op":"subscribe","args":[${'{},'.repeat(100)}{}]}`,
    `{"op":"subscribe","args":[{"channel":"tickerUpdate","x":"${'x'.repeat(8193)}"}]}`,
    `{"op":"subscribe","args":${'['.repeat(9)}${']'.repeat(9)}}`,
    `${'['.repeat(30_000)}${']'.repeat(30_000)}`,
    '{"op":"subscribe","args":[{"channel":"__proto__"}]}',
    '{"op":"subscribe","args":[{"channel":"blockBuilderUpdate","__proto__":{"marketType":"x"}}]}',
    '{"op":"__proto__"}',
  ])('is one invalid command (%#)', (text) => {
    expect(parse(text)).toMatchObject([{ kind: 'invalid' }]);
  });

  it('accepts nesting of eight levels and refuses nine', () => {
    const nested = (levels: number) => `${'{"x":'.repeat(levels - 2)}{}${'}'.repeat(levels - 2)}`;
    const message = (levels: number) => `{"op":"ping","data":${nested(levels)}}`;
    expect(parse(message(8))).toMatchObject([{ kind: 'ping' }]);
    expect(parse(message(9))).toMatchObject([{ kind: 'invalid' }]);
  });

  it('names an unknown command and what there is instead', () => {
    const command = one({ op: 'buy' });
    expect(command).toHaveProperty('message', expect.stringContaining('"buy"'));
    expect(command).toHaveProperty('message', expect.stringContaining('subscribe'));
  });

  it('is answered in the phrasing that the peer used last', () => {
    const talk = dialect.open('c');
    talk.parse('{"cmd":"ping"}');
    const [command] = talk.parse('{broken');
    expect(talk.refused(command?.phrase, 'invalid_request', 'x')[0]).toMatch(/^\{"cmd":"error"/);
  });
});
