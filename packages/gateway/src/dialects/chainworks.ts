/**
 * The Chainworks dialect: events named like paths, answered by acknowledgement or by an event of the same name,
 * and the streams of all venues behind `subscribe`. Its text is Socket.IO packets.
 */
import { ACCESS_NOTICES, CLOSE, ERRORS, type ErrorCode } from '@countersign/protocol';
import type { ChannelTable } from '../streams/channel.ts';
import type { Position } from '../streams/publication.ts';
import { chainworksEncoder } from './chainworks-encoder.ts';
import { ackPacket, eventPacket } from './chainworks-packet.ts';
import { asChainworksPhrase, parseChainworks } from './chainworks-parse.ts';
import type { Conversation, Dialect, Holding, Joined, Phrase, Want } from './dialect.ts';
import { withLimits } from './limits-member.ts';
import { positionText } from './read-json.ts';

/** @param channels every channel that may be subscribed to */
export function createChainworksDialect({ channels }: { channels: ChannelTable }): Dialect {
  return Object.freeze({
    name: 'chainworks',
    channels,
    holdsPrivate: false,
    // Nobody gets in without a token, so nobody stays without one; these two never come to matter.
    idleSeconds: 10,
    settlesBy: 'request',
    endsWithProof: true,
    speaks: () => false,
    open: () => openConversation(channels),
  } satisfies Dialect);
}

const text = JSON.stringify;

const reply = (phrase: Phrase, json: string): string => {
  const { event, ack } = asChainworksPhrase(phrase);
  return ack === '' ? eventPacket(event, json) : ackPacket(ack, json);
};

const success = (phrase: Phrase, result: string): string =>
  reply(phrase, `{"success":true,"result":${result}}`);

const failure = (phrase: Phrase, code: ErrorCode, message: string): string =>
  reply(phrase, `{"success":false,"error":{"code":"${ERRORS[code].chainworks}","message":${text(message)}}}`);

const notice = (event: string, message: string): string =>
  eventPacket(`"${event}"`, `{"code":"UNAUTHORIZED","message":${text(message)}}`);

const access = (event: keyof typeof ACCESS_NOTICES, code: string): string =>
  eventPacket(`"${event}"`, `{"code":"${code}","message":${text(ACCESS_NOTICES[event])}}`);

function openConversation(channels: ChannelTable): Conversation {
  return {
    encoder: chainworksEncoder,
    snapshotFirst: false,
    // The documented replies have two members; who wants to see more says so when connecting.
    metered: (answer, allowance, asked) => (asked ? withLimits(answer, allowance) : answer),
    parse: (packet) => parseChainworks(packet, channels),

    loggedIn: (phrase, { principal: { userId, permissions, tier } }) => [
      success(phrase, text({ userId: String(userId), permissions: [...permissions], tier })),
    ],
    // Whoever wants to be signed out disconnects; pings are the transport's.
    loggedOut: () => [],
    pong: () => [],
    // What the venue answers is the whole reply, failures included: it has codes of its own.
    answered: (phrase, _name, payload) => [reply(phrase, text(payload))],
    refused: (phrase, code, message) => [failure(phrase, code, message ?? ERRORS[code].message)],
    subscribed: (_phrase, joined, holding) => joined.map((one) => subscribed(one, holding)),
    unsubscribed: (_phrase, wants) => wants.map((want) => success(want.phrase, `{${named(want)}}`)),

    expired: () =>
      notice('token_expired', 'The access token has expired. Refresh it, or send login with another.'),
    unconfirmed: () => access('access_unconfirmed', ERRORS.unavailable.chainworks),
    confirmed: () => access('access_confirmed', 'OK'),
    closing(close) {
      if (close === CLOSE.goodbye)
        return notice('unauthorized', 'Access has ended. Connect with another token.');
      const { code, reason, then } = close;
      return eventPacket('"closing"', `{"code":${code},"message":${text(reason)},"next":"${then}"}`);
    },
  };
}

const named = ({ channel, key }: Want): string =>
  `"channel":${text(channel.name)}${key === null ? '' : `,"key":${text(key)}`}`;

function subscribed({ want, streams }: Joined, holding: Holding): string {
  const { channel, key, phrase } = want;
  if (channel.audience === 'account') {
    const positions: [string, Position][] = [];
    const recovered: [string, boolean][] = [];
    for (const stream of streams) {
      const account = stream.key.slice(stream.key.lastIndexOf('/') + 1);
      positions.push([account, stream.position]);
      if (stream.recovered !== null) recovered.push([account, stream.recovered]);
    }
    const more = recovered.length === 0 ? '' : `,"recovered":${text(Object.fromEntries(recovered))}`;
    return success(phrase, `{${named(want)},"positions":${text(Object.fromEntries(positions))}${more}}`);
  }
  const only = streams[0];
  if (only !== undefined) {
    const more = only.recovered === null ? '' : `,"recovered":${only.recovered}`;
    return success(phrase, `{${named(want)},"position":${positionText(only.position)}${more}}`);
  }
  // Nothing was joined: the stream is held already, or the venue has none of that name.
  if (holding.get(channel.name)?.keys.includes(key ?? '')) return success(phrase, `{${named(want)}}`);
  return failure(phrase, 'unknown_channel', `${channel.name} has no stream ${text(key ?? '')}.`);
}
