/**
 * A dialect turns frames into commands and answers into frames. It knows words on the wire and nothing of
 * principals, sockets or time. A connection speaks the dialect of its first message.
 */
import type { CloseCode, ErrorCode } from '@countersign/protocol';
import type { Authentication } from '../session/principal.ts';
import type { Channel, ChannelTable } from '../streams/channel.ts';
import type { Encoder } from '../streams/encoder.ts';
import type { Json, JsonObject, Position } from '../streams/publication.ts';
import type { Allowance } from './limits-member.ts';

/** How the peer phrased a request: whatever the dialect needs to answer in kind. Opaque to everyone else. */
export type Phrase = unknown;

/** One stream wish of a subscribe request, before anyone has decided whether it is allowed. */
export interface Want {
  channel: Channel;
  /** Market type or product id; null where the channel is keyed by nothing or the request named none. */
  key: string | null;
  /** Where the reader was, if it asked to recover. */
  since?: Position;
  /** The same for a channel with one stream per account, by account id; accounts that are not named start afresh. */
  accountsSince?: ReadonlyMap<string, Position>;
  phrase: Phrase;
}

export type Command =
  /** `token` null: the message had none. */
  | { kind: 'login'; token: string | null; phrase: Phrase }
  | { kind: 'logout'; phrase: Phrase }
  /** `token`: proof that came inside the request and counts for this request. */
  | { kind: 'subscribe'; wants: Want[]; token?: string; phrase: Phrase }
  /** A want whose key is null means every stream of the channel. */
  | { kind: 'unsubscribe'; wants: Want[]; token?: string; phrase: Phrase }
  /** `private`: answered only for a signed-in principal. */
  | { kind: 'query'; query: string; args: JsonObject; private: boolean; phrase: Phrase }
  /** Something that the venue does or answers for a signed-in principal; whether there is such a thing is not checked. */
  | { kind: 'request'; request: string; args: JsonObject; phrase: Phrase }
  | { kind: 'ping'; phrase: Phrase }
  | { kind: 'invalid'; code: ErrorCode; message: string; phrase: Phrase };

/** What became of one want. */
export type Joined = {
  want: Want;
  streams: readonly { key: string; position: Position; recovered: boolean | null }[];
};

export interface Dialect {
  readonly name: 'ethgas' | 'coinbase' | 'chainworks';
  readonly channels: ChannelTable;
  /** True if a private subscription may wait a moment for a login that is on its way (wire facts 5.2). */
  readonly holdsPrivate: boolean;
  /** Seconds that a connection of this dialect may stay without a login or a subscription. */
  readonly idleSeconds: number;
  /** What ends that time: any request to subscribe, or only one that succeeded (or a login). */
  readonly settlesBy: 'request' | 'success';
  /** True if a connection has no use without a valid proof: it ends with its proof, public streams and all. */
  readonly endsWithProof?: boolean;
  /** True if a first message with these members is this dialect's. */
  speaks(message: JsonObject): boolean;
  open(connectionId: string): Conversation;
}

/** One connection's side of a dialect: remembers how the peer phrases things, holds counters, nothing else. */
export interface Conversation {
  /** Shared encoder for pushes in the form the peer uses; may change as the peer's form becomes known. */
  readonly encoder: Encoder;
  /** Never throws: what cannot be read becomes `invalid`. One text frame may hold several commands. */
  parse(text: string): Command[];

  // Each of these answers with ready text payloads, in order.
  loggedIn(phrase: Phrase, who: Authentication): string[];
  loggedOut(phrase: Phrase): string[];
  pong(phrase: Phrase): string[];
  answered(phrase: Phrase, query: string, payload: Json): string[];
  refused(phrase: Phrase, code: ErrorCode, message?: string): string[];
  /** `holding`: every stream the connection now holds, by channel. Called after the wants were carried out. */
  subscribed(phrase: Phrase, joined: readonly Joined[], holding: Holding): string[];
  unsubscribed(phrase: Phrase, wants: readonly Want[], holding: Holding): string[];
  /**
   * An answer with what is left of the peer's budget added to it. Absent: this dialect never shows it.
   *
   * @param asked the peer asked to be shown, or was refused for its budget
   */
  metered?(answer: string, allowance: Allowance, asked: boolean): string;
  /** True if snapshots go out before the answer to subscribe (coinbase), false for after it (ethgas). */
  readonly snapshotFirst: boolean;

  /** The proof behind the connection has expired: private streams have stopped. Null: this dialect says nothing. */
  expired(): string | null;
  /** Access cannot be confirmed just now: private streams have stopped, and go on by themselves. Null: says nothing. */
  unconfirmed(): string | null;
  /** It can be again: private streams go on from where they were. Null: says nothing. */
  confirmed(): string | null;
  /** A stream was cut or replaced out of turn; said before a close that means "recover". */
  closing(close: CloseCode): string | null;
}

/** Streams held, by channel name; keys as the subscriber named them. `user` is set for private channels. */
export type Holding = ReadonlyMap<string, { channel: Channel; keys: readonly string[]; user: string | null }>;
