import { MARKET_TYPES } from '@countersign/protocol';
import type { Json, JsonObject } from '../streams/publication.ts';
import type { Command, Want } from './dialect.ts';
import { ethgasChannels, ethgasQueries } from './ethgas-channels.ts';
import { type EthgasForm, type EthgasPhrase, ethgasPhrase } from './ethgas-phrase.ts';
import { isObject, quoted, readObject } from './read-json.ts';
import { readRecover } from './recover.ts';

/** Bounds on what one message may ask; answers repeat parts of it, so these bound the answers too. */
const MAX_ARGS = 100;
const MAX_ARG_TEXT = 8192;
const MAX_TOKEN = 8192;
const MAX_ID = 128;

type Invalid = Extract<Command, { kind: 'invalid' }>;

const invalid = (phrase: EthgasPhrase, message: string): Invalid => ({
  kind: 'invalid',
  code: 'invalid_request',
  message,
  phrase,
});

/**
 * Reads one text frame.
 *
 * @param form how the peer phrased its last readable message: used where this one cannot be read
 * @returns one command per entry of `args`, in order; empty for a frame that needs no answer
 */
export function parseEthgas(text: string, form: EthgasForm): Command[] {
  if (text === 'ping') return [{ kind: 'ping', phrase: ethgasPhrase('text', 'ping') }];
  if (text === 'pong') return [];
  const message = readObject(text);
  if (message === null) {
    return [invalid(ethgasPhrase(form, 'error'), 'A message is one JSON object, at most 8 levels deep.')];
  }
  const { op, cmd, id } = message;
  const spoken: EthgasForm = op !== undefined ? 'op' : cmd !== undefined ? 'cmd' : form;
  const command = spoken === 'op' ? op : cmd;
  if (typeof command !== 'string' || command.length > 64) {
    return [invalid(ethgasPhrase(spoken, 'error'), 'A message names its command in "op" or in "cmd".')];
  }
  if (id !== undefined && typeof id !== 'number' && (typeof id !== 'string' || id.length > MAX_ID)) {
    return [
      invalid(ethgasPhrase(spoken, command), `"id" is a number or a string of at most ${MAX_ID} characters.`),
    ];
  }
  const phrase = ethgasPhrase(spoken, command, id === undefined ? '' : JSON.stringify(id));
  const body = message.args ?? message.data ?? null;
  switch (command) {
    case 'login':
      return [login(phrase, body)];
    case 'logout':
      return [{ kind: 'logout', phrase }];
    case 'ping':
      return [{ kind: 'ping', phrase }];
    case 'subscribe':
    case 'unsubscribe':
      return forEachArg(phrase, body, (arg, own) => stream(command, arg, own));
    case 'query':
      return forEachArg(phrase, body, question);
    default:
      return [
        invalid(
          phrase,
          `Unknown ${spoken} ${quoted(command)}: use login, logout, subscribe, unsubscribe, query or ping.`,
        ),
      ];
  }
}

function login(phrase: EthgasPhrase, body: Json): Command {
  const first = Array.isArray(body) ? body[0] : body;
  const given = isObject(first) ? (first.accessToken ?? null) : null;
  // The REST answer carries the token as an object, and a seed's client passes that object on as it is.
  const token = isObject(given) ? (given.token ?? null) : given;
  if (token === null) return { kind: 'login', token: null, phrase };
  if (typeof token !== 'string' || token.length > MAX_TOKEN) {
    return invalid(
      phrase,
      `"accessToken" is a string of at most ${MAX_TOKEN} characters, or an object with "token".`,
    );
  }
  return { kind: 'login', token: token === '' ? null : token, phrase };
}

function forEachArg(
  phrase: EthgasPhrase,
  body: Json,
  read: (arg: JsonObject, phrase: EthgasPhrase) => Command,
): Command[] {
  const args = Array.isArray(body) ? body : [body];
  if (args.length === 0 || args.length > MAX_ARGS) {
    return [invalid(phrase, `"args" has 1 to ${MAX_ARGS} entries.`)];
  }
  return args.map((arg) => {
    if (!isObject(arg)) return invalid(phrase, 'Each entry of "args" is an object.');
    const text = JSON.stringify(arg);
    if (text.length > MAX_ARG_TEXT) {
      return invalid(phrase, `An entry of "args" has at most ${MAX_ARG_TEXT} characters.`);
    }
    return read(arg, { ...phrase, arg: text });
  });
}

function stream(kind: 'subscribe' | 'unsubscribe', arg: JsonObject, phrase: EthgasPhrase): Command {
  const channel = typeof arg.channel === 'string' ? ethgasChannels.get(arg.channel) : undefined;
  if (channel === undefined) {
    const message =
      arg.channel === undefined ? 'An entry of "args" names its "channel".' : unknown(arg.channel);
    return { kind: 'invalid', code: 'unknown_channel', message, phrase };
  }
  const want: Want = { channel, key: null, phrase };
  if (channel.keyedBy === 'marketType') {
    const marketType = readMarketType(arg);
    if (marketType === undefined) {
      return invalid(phrase, `"marketType" is one of: ${MARKET_TYPES.join(', ')}.`);
    }
    if (marketType === null && kind === 'subscribe') {
      return invalid(
        phrase,
        `${channel.name} needs the parameter "marketType": one of ${MARKET_TYPES.join(', ')}.`,
      );
    }
    want.key = marketType;
  }
  if (kind === 'subscribe' && arg.recover !== undefined && !readRecover(arg.recover, channel, want)) {
    return invalid(phrase, '"recover" is {"epoch","sequence"}, or one of these per account id.');
  }
  return { kind, wants: [want], phrase };
}

const unknown = (channel: Json): string =>
  `There is no channel ${quoted(channel)}. Channels: ${[...ethgasChannels.keys()].join(', ')}.`;

/** Null: not named. Undefined: named wrongly. */
function readMarketType(arg: JsonObject): string | null | undefined {
  const { marketType, marketId, instrumentId } = arg;
  if (marketType !== undefined && marketType !== null) {
    return MARKET_TYPES.find((known) => known === marketType);
  }
  // Older samples name a market or an instrument only. Its stream is that of its market type.
  if (typeof instrumentId === 'string' && instrumentId.startsWith('ETH-WB-')) return 'wholeBlock';
  return instrumentId !== undefined || marketId !== undefined ? 'inclusionPreconf' : null;
}

function question(arg: JsonObject, phrase: EthgasPhrase): Command {
  const { queryType, ...args } = arg;
  const isPrivate = typeof queryType === 'string' ? ethgasQueries.get(queryType) : undefined;
  if (typeof queryType !== 'string' || isPrivate === undefined) {
    const known = [...ethgasQueries.keys()].join(', ');
    const what = queryType === undefined ? 'A query names its "queryType"' : `No query ${quoted(queryType)}`;
    return invalid(phrase, `${what}. Queries: ${known}.`);
  }
  if (typeof args.instrumentId === 'string') phrase.instrument = JSON.stringify(args.instrumentId);
  if (queryType === 'recentTrades' && typeof args.limit === 'number') {
    phrase.limit = JSON.stringify(args.limit);
  }
  return { kind: 'query', query: queryType, args, private: isPrivate, phrase };
}
