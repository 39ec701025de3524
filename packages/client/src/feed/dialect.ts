/** What a feed needs of a dialect: words out, words in. Pure: no state, no time, no sockets. */
import type { LevelChange } from '../books/book.ts';
import type { CountersignError } from '../errors.ts';
import type { ChannelInfo } from './channel.ts';
import type { Frame } from './frame.ts';
import type { About } from './requests.ts';
import type { Place } from './tracker.ts';
import type { Position } from './update.ts';

/** One stream wish, as it goes into a request. */
export interface Wish {
  readonly channel: ChannelInfo;
  readonly key: string;
  readonly extra: Readonly<Record<string, unknown>>;
  readonly since: ReadonlyMap<string, Position>;
}

/** What an answer to subscribe or unsubscribe says. */
export interface Answer {
  /** Everything the connection holds, by channel; null where answers do not tell. */
  readonly holding: Readonly<Record<string, readonly string[]>> | null;
  /** Where streams begin: by product (coinbase), or of the one stream that was asked for. */
  places(wish: Wish): ReadonlyMap<string, Place> | null;
}

export type Incoming =
  | { readonly kind: 'data'; readonly frames: readonly Frame[]; readonly count: number | null }
  | {
      readonly kind: 'answer';
      readonly id: number | null;
      readonly may: (about: About) => boolean;
      readonly answer: Answer;
      readonly count: number | null;
    }
  | {
      readonly kind: 'refusal';
      readonly id: number | null;
      readonly may: (about: About) => boolean;
      readonly error: CountersignError;
    }
  /** The token behind the connection has expired. */
  | { readonly kind: 'expired' }
  /** A sign of life, or something that is not for us. */
  | { readonly kind: 'other' };

/** Which stream has the order book of a product. */
export interface BookPlace {
  readonly channel: string;
  readonly key: string;
  /** As updates name it. */
  readonly product: string;
  /** The product, where the stream has one book; null where it has one for each item. */
  readonly only: string | null;
}

/** The words of a venue. A feed knows one of them, so that a page loads no other. */
export interface FeedDialect {
  readonly channels: ReadonlyMap<string, ChannelInfo>;
  /** Messages per second and connection, unless a feed is told otherwise. */
  readonly requestsPerSecond: number;
  /** A channel whose frames come at short intervals as long as the server lives; null if there is none. */
  readonly heartbeats: string | null;
  /** Requests that may be under way at once, and subscriptions in one of them. */
  readonly concurrency: number;
  readonly batch: number;
  readonly openingFirst: boolean;
  /** A login of its own for the connection; null: private requests carry a token. */
  login: ((token: string, id: number) => string) | null;
  subscribe(wishes: readonly Wish[], id: number, token: string | null): string;
  unsubscribe(wishes: readonly Wish[], id: number, token: string | null): string;
  /** What answers repeat of a request, to tell it from others; '' where they repeat nothing. */
  subject(wish: Wish): string;
  /** A message that any server answers, to see whether one is there. */
  probe(): string;
  read(text: string): Incoming;
  /** The stream that a frame without a key belongs to, by what is in it; null if it cannot be told. */
  guessKey(frame: Frame): string | null;
  /** The key that a user's word for it stands for. */
  key(word: string): string;
  book(product: string, market: string | undefined): BookPlace;
  /** Levels in the data of a book's update; null if it is none. */
  levels(data: unknown): LevelChange[] | null;
  /** One update that says what two in a row say. */
  mergeBooks(older: unknown, newer: unknown): unknown;
}
