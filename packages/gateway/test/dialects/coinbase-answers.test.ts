import { CLOSE, ERRORS, type ErrorCode } from '@countersign/protocol';
import { describe, expect, it } from 'vitest';
import { createCoinbaseDialect } from '../../src/dialects/coinbase.ts';
import type { Conversation, Holding, Want } from '../../src/dialects/dialect.ts';
import { authentication } from './support.ts';

/** 2026-09-05T22:10:29.562Z */
const NOW = Date.UTC(2026, 8, 5, 22, 10, 29, 562);
const dialect = createCoinbaseDialect({ now: () => NOW });

const holding = (held: Record<string, { keys: string[]; user?: string }>): Holding =>
  new Map(
    Object.entries(held).map(([name, { keys, user }]) => [
      name,
      { channel: dialect.channels.get(name)!, keys, user: user ?? null },
    ]),
  );

function wants(talk: Conversation, message: object): { phrase: unknown; wants: Want[] } {
  const [command] = talk.parse(JSON.stringify(message));
  if (command?.kind !== 'subscribe' && command?.kind !== 'unsubscribe') throw new Error(command?.kind);
  return command;
}
const TICKER = { type: 'subscribe', channel: 'ticker', product_ids: ['BTC-USD'] };

describe('the answer to subscribe and unsubscribe', () => {
  it('is the envelope with the whole set of the connection', () => {
    const talk = dialect.open('c');
    const { phrase } = wants(talk, TICKER);
    const held = holding({
      heartbeats: { keys: [''] },
      ticker: { keys: ['BTC-PERP-INTX', 'ETH-PERP-INTX'] },
    });
    expect(talk.subscribed(phrase, [], held)).toEqual([
      '{"channel":"subscriptions","client_id":"","timestamp":"2026-09-05T22:10:29.562000000Z","sequence_num":0,' +
        '"events":[{"subscriptions":{"heartbeats":["heartbeats"],"ticker":["BTC-PERP-INTX","ETH-PERP-INTX"]}}]}',
    ]);
  });

  it('has its own count per connection', () => {
    const talk = dialect.open('c');
    const { phrase, wants: wanted } = wants(talk, TICKER);
    const numbers = [
      ...talk.subscribed(phrase, [], holding({})),
      ...talk.unsubscribed(phrase, wanted, holding({})),
      ...dialect.open('d').subscribed(phrase, [], holding({})),
    ].map((text) => JSON.parse(text).sequence_num);
    expect(numbers).toEqual([0, 1, 0]);
  });

  it.each([
    [{ level2: { keys: ['BTC-USD', 'ETH-USD'] } }, { level2: ['BTC-USD', 'ETH-USD'] }],
    [{ user: { keys: [''], user: '78' } }, { user: ['78'] }],
    [{ futures_balance_summary: { keys: [''], user: '78' } }, { futures_balance_summary: ['78'] }],
    [{}, {}],
  ])('lists %j as %j', (held, expected) => {
    const talk = dialect.open('c');
    const { phrase, wants: wanted } = wants(talk, TICKER);
    const [text] = talk.unsubscribed(phrase, wanted, holding(held));
    expect(JSON.parse(text ?? '').events).toEqual([{ subscriptions: expected }]);
  });

  it('names positions only to a subscriber that asked to recover', () => {
    const streams = [{ key: 'BTC-USD', position: { epoch: 'e1', sequence: 12 }, recovered: true }];
    const talk = dialect.open('c');
    const plain = wants(talk, TICKER);
    const asked = wants(talk, { ...TICKER, recover: {} });
    const answers = [plain, asked].map(({ phrase, wants: [want] }) =>
      JSON.parse(talk.subscribed(phrase, [{ want: want!, streams }], holding({}))[0] ?? ''),
    );
    expect(Object.keys(answers[0])).toEqual(['channel', 'client_id', 'timestamp', 'sequence_num', 'events']);
    expect(answers[1]).toMatchObject({
      positions: { 'BTC-USD': { epoch: 'e1', sequence: 12 } },
      recovered: { 'BTC-USD': true },
    });
  });

  it('comes after the snapshot', () => {
    expect(dialect.open('c').snapshotFirst).toBe(true);
  });
});

describe('an error frame', () => {
  it.each([
    ['unauthorized', 'authentication failure'],
    ['token_expired', 'authentication failure'],
    ['forbidden', 'authentication failure'],
    ['rate_limited', 'rate limit exceeded'],
    ['too_many_subscriptions', 'too many L2 streams requested in a single session'],
  ] as const)('for %s has exactly the text that clients compare', (code, message) => {
    const talk = dialect.open('c');
    expect(talk.refused(wants(talk, TICKER).phrase, code)).toEqual([
      `{"type":"error","message":"${message}"}`,
    ]);
  });

  it('for an unknown channel reads like a refused credential, with the reason beside it', () => {
    const talk = dialect.open('c');
    const [command] = talk.parse('{"type":"subscribe","channel":"heartbeat"}');
    if (command?.kind !== 'invalid') throw new Error(command?.kind);
    const [text] = talk.refused(command.phrase, command.code, command.message);
    expect(JSON.parse(text ?? '')).toEqual({
      type: 'error',
      message: 'authentication failure',
      reason: expect.stringContaining('"heartbeat"'),
    });
  });

  it('never has a channel member and is never counted', () => {
    const talk = dialect.open('c');
    const { phrase } = wants(talk, TICKER);
    for (const code of Object.keys(ERRORS) as ErrorCode[]) {
      for (const text of talk.refused(phrase, code, 'why')) {
        expect(JSON.parse(text)).not.toHaveProperty('channel');
        expect(JSON.parse(text)).not.toHaveProperty('sequence_num');
      }
    }
    expect(JSON.parse(talk.subscribed(phrase, [], holding({}))[0] ?? '').sequence_num).toBe(0);
  });
});

describe('what this dialect has no words for', () => {
  it('is not said', () => {
    const talk = dialect.open('c');
    expect(talk.loggedIn(null, authentication())).toEqual([]);
    expect(talk.loggedOut(null)).toEqual([]);
    expect(talk.pong(null)).toEqual([]);
    expect(talk.answered(null, 'q', {})).toEqual([]);
    expect(talk.expired()).toBeNull();
    expect(talk.closing(CLOSE.slow)).toBeNull();
  });
});
