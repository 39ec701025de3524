/**
 * The Coinbase Advanced Trade dialect: one channel per message, the proof inside the message, and one answer
 * that lists everything the connection holds.
 */
import { ACCESS_NOTICES, ERRORS } from '@countersign/protocol';
import { coinbaseChannels } from './coinbase-channels.ts';
import {
  coinbaseEncoder,
  coinbaseProvingEncoder,
  createCountingEncoder,
  createHalves,
  envelope,
} from './coinbase-encoder.ts';
import { asCoinbasePhrase, type CoinbaseVocabulary, parseCoinbase } from './coinbase-parse.ts';
import type { Conversation, Dialect, Holding, Joined } from './dialect.ts';
import { withLimits } from './limits-member.ts';
import { positionText } from './read-json.ts';

export interface CoinbaseOptions {
  /** Wall-clock milliseconds, for answers: they belong to no publication. */
  now: () => number;
  /** Seconds until the first subscribe must have come. Default 5. */
  idleSeconds?: number;
  /** Most level2 products on one connection. Default 30. */
  level2PerConnection?: number;
  /**
   * What `sequence_num` counts: `stream` = publications of a channel and product (recovery needs this), with
   * answers numbered apart from 0; `connection` = all frames of a connection from 0. Default `stream`.
   */
  sequence?: 'stream' | 'connection';
  /** Products that end in `-USDC` and are not another name for the `-USD` product. */
  usdcProducts?: readonly string[];
}

export function createCoinbaseDialect(options: CoinbaseOptions): Dialect {
  const { now, idleSeconds = 5, level2PerConnection = 30, sequence = 'stream' } = options;
  const vocabulary: CoinbaseVocabulary = {
    channels: coinbaseChannels(level2PerConnection),
    usdcProducts: new Set(options.usdcProducts ?? ['USDT-USDC', 'EURC-USDC']),
  };
  const halves = createHalves();

  function open(): Conversation {
    let count = 0;
    /** Clients of this dialect read answers strictly, so only those that ask are shown their budget. */
    let shown = false;
    /** The same goes for checksums of books: a client that recovers understands what is additive. */
    let proving = false;
    const next = () => count++;
    const counting = sequence === 'connection' ? createCountingEncoder(next, halves) : null;
    const answer = (holding: Holding, more = '') => [
      envelope('subscriptions', now(), next(), `{"subscriptions":${subscriptions(holding)}}`, more),
    ];
    return {
      get encoder() {
        return counting ?? (proving ? coinbaseProvingEncoder : coinbaseEncoder);
      },
      snapshotFirst: true,
      parse(text) {
        const commands = parseCoinbase(text, vocabulary);
        shown ||= commands.some(({ phrase }) => asCoinbasePhrase(phrase).limits);
        proving ||= commands.some(({ phrase }) => asCoinbasePhrase(phrase).positions);
        return commands;
      },
      metered: (answer, allowance, asked) => (asked || shown ? withLimits(answer, allowance) : answer),
      subscribed: (phrase, joined, holding) =>
        answer(holding, asCoinbasePhrase(phrase).positions ? places(joined) : ''),
      unsubscribed: (_phrase, _wants, holding) => answer(holding),
      // Clients compare the whole message, and dispatch on a `channel` member before they look for errors.
      refused: (_phrase, code, message) => [
        `{"type":"error","message":${JSON.stringify(ERRORS[code].coinbase)}` +
          `${message === undefined ? '' : `,"reason":${JSON.stringify(message)}`}}`,
      ],
      // This dialect has no words for what follows.
      loggedIn: () => [],
      loggedOut: () => [],
      pong: () => [],
      answered: () => [],
      expired: () => null,
      unconfirmed: () =>
        `{"type":"error","message":${JSON.stringify(ERRORS.unavailable.coinbase)},` +
        `"reason":${JSON.stringify(`access_unconfirmed: ${ACCESS_NOTICES.access_unconfirmed}`)}}`,
      confirmed: () => null,
      closing: () => null,
    };
  }

  return Object.freeze({
    name: 'coinbase',
    channels: vocabulary.channels,
    holdsPrivate: false,
    idleSeconds,
    settlesBy: 'request',
    speaks: (message) => 'type' in message,
    open,
  } satisfies Dialect);
}

/** The whole set of the connection, by subscribe name; private channels list whose they are. */
function subscriptions(holding: Holding): string {
  const entries: string[] = [];
  for (const [name, { channel, keys, user }] of holding) {
    const listed = user !== null ? [user] : channel.keyedBy === 'nothing' ? [name] : keys;
    entries.push(`"${name}":${JSON.stringify(listed)}`);
  }
  return `{${entries.join(',')}}`;
}

/** Additive members of an answer: where each stream was, and whether what was missed has been made up for. */
function places(joined: readonly Joined[]): string {
  const positions: string[] = [];
  const recovered: string[] = [];
  for (const { want, streams } of joined) {
    const name = JSON.stringify(want.key ?? want.channel.name);
    for (const stream of streams) {
      positions.push(`${name}:${positionText(stream.position)}`);
      if (stream.recovered !== null) recovered.push(`${name}:${stream.recovered}`);
    }
  }
  return `,"positions":{${positions.join(',')}},"recovered":{${recovered.join(',')}}`;
}
