import type { ChannelTable } from '../streams/channel.ts';
import type { JsonObject } from '../streams/publication.ts';
import type { Command, Phrase, Want } from './dialect.ts';
import { isObject, quoted, readArray } from './read-json.ts';
import { readRecover } from './recover.ts';

/** What an answer repeats of its request. */
export interface ChainworksPhrase {
  /** Name of the event, as JSON text. */
  event: string;
  /** Digits of the acknowledgement id; '' if none was asked for. */
  ack: string;
}

/** Only this dialect's own phrases ever come back to it. */
export const asChainworksPhrase = (phrase: Phrase): ChainworksPhrase => phrase as ChainworksPhrase;

const MAX_TOKEN = 8192;
const MAX_KEY = 128;

type Invalid = Extract<Command, { kind: 'invalid' }>;

const invalid = (
  phrase: ChainworksPhrase,
  message: string,
  code: Invalid['code'] = 'invalid_request',
): Invalid => ({ kind: 'invalid', code, message, phrase });

/**
 * Reads one event packet of the default namespace: `2`, an acknowledgement id or none, and a JSON list whose first
 * entry is the event's name. The door has made sure of that much.
 */
export function parseChainworks(packet: string, channels: ChannelTable): Command[] {
  const ack = /^2(\d*)/.exec(packet)?.[1] ?? '';
  const list = readArray(packet.slice(1 + ack.length));
  const event = list?.[0];
  if (list === null || typeof event !== 'string') {
    return [
      invalid({ event: '"error"', ack }, 'An event is a JSON list with its name, at most 8 levels deep.'),
    ];
  }
  const phrase: ChainworksPhrase = { event: JSON.stringify(event), ack };
  const given = list[1] ?? {};
  if (list.length > 2 || !isObject(given)) {
    return [invalid(phrase, 'An event has one parameter, which is an object.')];
  }
  if (event.startsWith('/')) return [{ kind: 'request', request: event, args: given, phrase }];
  if (event === 'subscribe' || event === 'unsubscribe') return [stream(event, given, channels, phrase)];
  if (event === 'login') return [login(given, phrase)];
  const known = 'subscribe, unsubscribe, login, and the venue\'s own, which begin with "/"';
  return [invalid(phrase, `There is no event ${quoted(event)}. Events: ${known}.`, 'not_found')];
}

function login({ token: given }: JsonObject, phrase: ChainworksPhrase): Command {
  const token = isObject(given ?? null) ? (given as JsonObject).token : given;
  if (token === undefined || token === null || token === '') return { kind: 'login', token: null, phrase };
  if (typeof token === 'string' && token.length <= MAX_TOKEN) return { kind: 'login', token, phrase };
  return invalid(phrase, `"token" is a string of at most ${MAX_TOKEN} characters.`);
}

function stream(
  kind: 'subscribe' | 'unsubscribe',
  given: JsonObject,
  channels: ChannelTable,
  phrase: ChainworksPhrase,
): Command {
  const { channel: name, recover } = given;
  const channel = typeof name === 'string' ? channels.get(name) : undefined;
  if (channel === undefined) {
    const what = name === undefined ? '"channel" is missing' : `There is no channel ${quoted(name)}`;
    return invalid(phrase, `${what}. Channels: ${[...channels.keys()].join(', ')}.`, 'unknown_channel');
  }
  const want: Want = { channel, key: null, phrase };
  if (channel.keyedBy !== 'nothing') {
    const member = channel.keyedBy;
    const key = given.key ?? given[member] ?? null;
    if (key !== null && (typeof key !== 'string' || key === '' || key.length > MAX_KEY)) {
      return invalid(phrase, `"${member}" is a string of at most ${MAX_KEY} characters.`);
    }
    // A user's own stream has no other name than whose it is.
    if (key === null && kind === 'subscribe' && channel.audience !== 'user') {
      return invalid(phrase, `${channel.name} needs "${member}" (or "key").`);
    }
    if (channel.audience !== 'user') want.key = key;
  }
  if (kind === 'subscribe' && recover !== undefined && !readRecover(recover, channel, want)) {
    return invalid(phrase, '"recover" is {"epoch","sequence"}, or one of these per account id.');
  }
  return { kind, wants: [want], phrase };
}
