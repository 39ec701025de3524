import { Buffer } from 'node:buffer';
import { ETHGAS_CHANNELS } from '@countersign/protocol';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { createCoinbaseDialect } from '../../src/dialects/coinbase.ts';
import type { Command, Conversation, Dialect } from '../../src/dialects/dialect.ts';
import { createEthgasDialect } from '../../src/dialects/ethgas.ts';

/** How many frames a message may become: an ethgas message has at most 100 args. */
const MOST_COMMANDS = 100;
/** How far an answer may outgrow its message: channel lists and hints, per command. */
const PER_COMMAND = 2048;

const seeds = [
  '{"cmd":"login","data":{"accessToken":"eyJ.eyJ.c"}}',
  '{"op":"login","args":[{"accessToken":{"token":"eyJ.eyJ.c"}}],"id":1}',
  '{"op":"subscribe","args":[{"channel":"preconfMarketUpdate","marketType":"inclusionPreconf"}],"id":2}',
  '{"cmd":"subscribe","args":{"channel":"preconfMarketUpdate","marketId":12345}}',
  '{"op":"subscribe","args":[{"channel":"accountOrderUpdate","marketType":"wholeBlock","recover":{"243":{"epoch":"e","sequence":1}}}]}',
  '{"op":"query","args":[{"queryType":"recentTrades","instrumentId":"ETH-PC-1","limit":100}],"id":"x"}',
  '{"cmd":"logout"}',
  '{"op":"ping"}',
  'ping',
  '{"type":"subscribe","channel":"level2","product_ids":["ETH-USD","BTC-USDC"],"jwt":"a.b.c"}',
  '{"type":"unsubscribe","channel":"user","product_ids":[],"recover":{"user":{"epoch":"e","sequence":3}}}',
];

/** Bytes of a real message, some of them changed, cut out or repeated; read as a door reads them. */
const mutated = fc
  .tuple(
    fc.constantFrom(...seeds),
    fc.array(fc.tuple(fc.nat(300), fc.integer({ min: 0, max: 255 }), fc.nat(3)), { maxLength: 6 }),
  )
  .map(([seed, edits]) => {
    let bytes = [...Buffer.from(seed)];
    for (const [at, byte, how] of edits) {
      const i = at % (bytes.length + 1);
      if (how === 0) bytes[Math.min(i, bytes.length - 1)] = byte;
      else if (how === 1) bytes.splice(i, 1 + (byte % 5));
      else if (how === 2) bytes.splice(i, 0, byte);
      else bytes = [...bytes.slice(0, i), ...bytes.slice(Math.floor(i / 2), i), ...bytes.slice(i)];
      if (bytes.length === 0) bytes = [byte];
    }
    return Buffer.from(bytes).toString();
  });

/** Messages of the right shape whose members are anything at all. */
const word = fc.oneof(
  fc.constantFrom(...ETHGAS_CHANNELS.map((row) => row.name), 'level2', 'user', 'ticker', '__proto__', ''),
  fc.string(),
  fc.json({ maxDepth: 9 }).map((text) => JSON.parse(text) as unknown),
);
const shaped = fc
  .record(
    {
      op: fc.oneof(fc.constantFrom('login', 'subscribe', 'unsubscribe', 'query', 'ping'), word),
      cmd: fc.oneof(fc.constantFrom('login', 'subscribe', 'query', 'logout'), word),
      type: fc.oneof(fc.constantFrom('subscribe', 'unsubscribe'), word),
      channel: word,
      product_ids: fc.oneof(fc.array(word, { maxLength: 5 }), word),
      jwt: word,
      id: word,
      recover: word,
      args: fc.oneof(
        word,
        fc.array(
          fc.dictionary(
            fc.constantFrom('channel', 'marketType', 'queryType', 'accessToken', 'recover', 'marketId'),
            word,
          ),
          { maxLength: 4 },
        ),
      ),
    },
    { requiredKeys: [] },
  )
  .map((message) => JSON.stringify(message));

const anything = fc.oneof(fc.string({ unit: 'binary' }), fc.json({ maxDepth: 12 }), mutated, shaped);

function answers(talk: Conversation, command: Command): string[] {
  const refusals = (['token_expired', 'rate_limited'] as const).flatMap((code) =>
    talk.refused(command.phrase, code),
  );
  switch (command.kind) {
    case 'invalid':
      return talk.refused(command.phrase, command.code, command.message);
    case 'subscribe': {
      const streams = [{ key: 'a/1', position: { epoch: 'e', sequence: 1 }, recovered: true }];
      const joined = command.wants.map((want) => ({ want, streams }));
      return [...refusals, ...talk.subscribed(command.phrase, joined, new Map())];
    }
    case 'unsubscribe':
      return talk.unsubscribed(command.phrase, command.wants, new Map());
    case 'query':
      return talk.answered(command.phrase, command.query, {});
    case 'ping':
      return talk.pong(command.phrase);
    default:
      return refusals;
  }
}

describe.each<[string, Dialect, string[]]>([
  [
    'ethgas',
    createEthgasDialect(),
    ['invalid', 'login', 'logout', 'ping', 'query', 'subscribe', 'unsubscribe'],
  ],
  ['coinbase', createCoinbaseDialect({ now: () => 0 }), ['invalid', 'subscribe', 'unsubscribe']],
])('the %s dialect', (_name, dialect, kinds) => {
  it('never throws on 50,000 hostile frames, and answers each with bounded, valid JSON', () => {
    const talk = dialect.open('c');
    const seen = new Set<string>();
    fc.assert(
      fc.property(anything, (text) => {
        const commands = talk.parse(text);
        if (commands.length > MOST_COMMANDS) throw new Error(`${commands.length} commands`);
        for (const command of commands) {
          seen.add(command.kind);
          for (const answer of answers(talk, command)) {
            if (answer.length > 6 * text.length + PER_COMMAND) throw new Error(`${answer.length} characters`);
            if (answer !== 'pong') JSON.parse(answer);
          }
        }
      }),
      { numRuns: 50_000 },
    );
    // Frames that never get past the first check would prove nothing.
    expect([...seen].sort()).toEqual(kinds);
    expect(({} as { marketType?: unknown }).marketType).toBeUndefined();
  }, 60_000);
});
