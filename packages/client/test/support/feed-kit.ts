import { createFakeClock, type FakeClock } from '../../../testkit/src/fake-clock.ts';
import {
  type Credential,
  coinbaseDialect,
  createFeed,
  ethgasDialect,
  type Feed,
  type FeedDialect,
  type FeedOptions,
  type FeedUpdate,
  type InvalidReason,
  type Subscription,
  type WebSocketLogin,
} from '../../src/index.ts';
import { FakeVenue, settle, type VenueOptions } from './fake-venue.ts';

export const dialectNamed = (
  name: 'ethgas' | 'coinbase',
  sequence: 'stream' | 'connection' = 'stream',
): FeedDialect => (name === 'ethgas' ? ethgasDialect() : coinbaseDialect({ sequence }));

export interface Kit {
  venue: FakeVenue;
  clock: FakeClock;
  feed: Feed;
  /** Lets time pass in steps, with everything that happens in it. */
  pass(ms: number, step?: number): Promise<void>;
}

export function kit(
  dialect: 'ethgas' | 'coinbase',
  options: Partial<FeedOptions> & { venue?: VenueOptions } = {},
): Kit {
  const { venue: venueOptions = {}, ...feedOptions } = options;
  const venue = new FakeVenue(venueOptions);
  const clock = createFakeClock();
  venue.now = () => clock.monotonic();
  const feed = createFeed({
    url: 'ws://venue.test/ws',
    dialect: dialectNamed(dialect, venueOptions.connectionSequence ? 'connection' : 'stream'),
    WebSocket: venue.WebSocket,
    clock,
    random: () => 0.5,
    ...feedOptions,
  });
  return {
    venue,
    clock,
    feed,
    async pass(ms, step = 250) {
      await settle();
      for (let gone = 0; gone < ms; gone += step) {
        clock.advance(Math.min(step, ms - gone));
        venue.beat();
        await settle();
      }
    },
  };
}

/** Keeps everything that a subscription brings. */
export function collect<Data>(subscription: Subscription<Data>): {
  updates: FeedUpdate<Data>[];
  ended: Promise<unknown>;
} {
  const updates: FeedUpdate<Data>[] = [];
  const ended = (async () => {
    try {
      for await (const update of subscription) updates.push(update);
      return null;
    } catch (error) {
      return error;
    }
  })();
  return { updates, ended };
}

export interface FakeCredential extends Credential {
  /** A new token, as if refreshed in the background. */
  renew(): void;
  end(error: Error): void;
  readonly issued: string[];
  readonly invalidated: { token: string; reason: InvalidReason }[];
}

export function fakeCredential(perMessage = false): FakeCredential {
  const renewed = new Set<(login: WebSocketLogin) => void>();
  const ended = new Set<(error: Error) => void>();
  const issued: string[] = [];
  const invalidated: { token: string; reason: InvalidReason }[] = [];
  let current = 1;
  const login = (): WebSocketLogin => ({
    scheme: perMessage ? 'message-jwt' : 'access-token',
    token: `token-${current}`,
    perMessage,
    expiresAt: null,
  });
  return {
    kind: perMessage ? 'api-key' : 'wallet-session',
    label: null,
    issued,
    invalidated,
    async webSocketLogin() {
      if (perMessage) current += 1;
      const given = login();
      issued.push(given.token);
      return given;
    },
    onRenewed(listener) {
      renewed.add(listener);
      return () => renewed.delete(listener);
    },
    onEnded(listener) {
      ended.add(listener);
      return () => ended.delete(listener);
    },
    invalidate(token, reason) {
      invalidated.push({ token, reason });
      if (token === `token-${current}`) current += 1;
    },
    noteServerTime() {},
    renew() {
      current += 1;
      for (const listener of renewed) listener(login());
    },
    end(error) {
      for (const listener of ended) listener(error);
    },
  };
}
