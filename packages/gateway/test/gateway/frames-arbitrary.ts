/** Frames as clients send them, and everything that can be wrong with them. */
import { COINBASE_CHANNELS, ETHGAS_CHANNELS, ETHGAS_QUERIES } from '@countersign/protocol';
import fc from 'fast-check';

/** Values that programs trip over. */
const odd = fc.oneof(
  fc.constantFrom(
    null,
    true,
    0,
    -1,
    1e308,
    -0,
    2 ** 53,
    '',
    ' ',
    '__proto__',
    'constructor',
    'toString',
    'hasOwnProperty',
    '\u0000',
    '\ud800',
    '../../etc/passwd',
    '%s%n',
    "' OR 1=1 --",
    'eyJhbGciOiJub25lIn0.e30.',
    [],
    {},
    [[]],
    [null],
    { length: -1 },
    { toString: 'x' },
    JSON.parse('{"then":1}'),
    'x'.repeat(5000),
  ),
  fc.string({ unit: 'binary', maxLength: 40 }),
  fc.integer(),
  fc.double(),
);

const json = fc.jsonValue({ maxDepth: 10 }) as fc.Arbitrary<unknown>;
const anything = fc.oneof({ weight: 3, arbitrary: odd }, { weight: 1, arbitrary: json });
const either = <T>(right: fc.Arbitrary<T>): fc.Arbitrary<unknown> =>
  fc.oneof({ weight: 4, arbitrary: right }, { weight: 1, arbitrary: anything });
const from = (...values: unknown[]) => either(fc.constantFrom(...values));

const position = either(
  fc.record({ epoch: either(fc.string()), sequence: either(fc.nat()) }, { requiredKeys: [] }),
);
const recover = fc.oneof(position, fc.dictionary(fc.oneof(fc.nat().map(String), fc.string()), position));

const arg = fc.record(
  {
    channel: from(...ETHGAS_CHANNELS.map(({ name }) => name)),
    marketType: from('inclusionPreconf', 'wholeBlock'),
    marketId: anything,
    instrumentId: from('ETH-PC-1', 'ETH-WB-1'),
    recover,
    queryType: from(...ETHGAS_QUERIES.map(({ name }) => name)),
    accountId: either(fc.nat()),
    limit: anything,
  },
  { requiredKeys: [] },
);

const ethgas = (tokens: readonly string[]) => {
  const login = fc.record(
    { accessToken: fc.oneof(from(...tokens), fc.record({ token: from(...tokens), expiresAt: anything })) },
    { requiredKeys: [] },
  );
  const verb = from('login', 'logout', 'subscribe', 'subscribe', 'unsubscribe', 'query', 'ping', 'order');
  const body = either(
    fc.oneof(arg, fc.array(arg, { maxLength: 6 }), login, fc.array(login, { maxLength: 2 })),
  );
  return fc.record(
    {
      op: verb,
      cmd: verb,
      args: body,
      data: body,
      id: either(fc.oneof(fc.nat(), fc.string())),
      extra: anything,
    },
    { requiredKeys: [] },
  );
};

const coinbase = (tokens: readonly string[]) =>
  fc.record(
    {
      type: from('subscribe', 'subscribe', 'unsubscribe'),
      channel: from(...COINBASE_CHANNELS.map(({ name }) => name)),
      product_ids: either(fc.array(from('BTC-USD', 'ETH-USD', 'BTC-USDC'), { maxLength: 5 })),
      jwt: from(...tokens),
      signature: anything,
      recover: fc.oneof(anything, fc.dictionary(fc.constantFrom('BTC-USD', 'x'), position)),
    },
    { requiredKeys: ['type'] },
  );

/** Damage to the text itself. */
const damage = fc.oneof(
  { weight: 12, arbitrary: fc.constant((text: string) => text) },
  { weight: 1, arbitrary: fc.nat(200).map((at) => (text: string) => text.slice(0, at)) },
  { weight: 1, arbitrary: fc.nat(200).map((at) => (text: string) => text.slice(0, at) + text.slice(at + 1)) },
  {
    weight: 1,
    arbitrary: fc.tuple(fc.nat(200), fc.string({ unit: 'binary', maxLength: 3 })).map(
      ([at, noise]) =>
        (text: string) =>
          text.slice(0, at) + noise + text.slice(at),
    ),
  },
  {
    weight: 1,
    arbitrary: fc.nat(40).map((depth) => (text: string) => '['.repeat(depth) + text + ']'.repeat(depth)),
  },
  { weight: 1, arbitrary: fc.constant((text: string) => text.replace('{', '{"__proto__":{"op":"login"},')) },
  { weight: 1, arbitrary: fc.constant((text: string) => text + text) },
);

const text = (frames: fc.Arbitrary<unknown>): fc.Arbitrary<string> =>
  fc.tuple(frames, damage).map(([frame, harm]) => harm(JSON.stringify(frame) ?? ''));

const stray = fc.oneof(
  fc.string({ unit: 'binary', maxLength: 200 }),
  fc.constantFrom('ping', 'pong', '', '{', '[]', '1e999'),
);

/** One text frame of a client that speaks this dialect, more or less. */
export const frames = (dialect: 'ethgas' | 'coinbase', tokens: readonly string[]): fc.Arbitrary<string> =>
  fc.oneof(
    { weight: 10, arbitrary: text(dialect === 'ethgas' ? ethgas(tokens) : coinbase(tokens)) },
    { weight: 1, arbitrary: stray },
    { weight: 1, arbitrary: text(json) },
  );

export { anything, odd };
