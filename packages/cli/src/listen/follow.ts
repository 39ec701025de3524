/** Follows streams over a WebSocket with the client's feed: recovers after a loss, and says where it could not. */
import {
  CountersignError,
  type Credential,
  coinbaseDialect,
  createFeed,
  ethgasDialect,
  type Feed,
  type FeedUpdate,
} from '@countersign/client';
import { CliError } from '../cli-error.ts';
import type { ExitName } from '../exit-codes.ts';
import { printable } from '../io.ts';
import { type Mishap, socketClass } from './socket.ts';
import type { Subscription } from './subscriptions.ts';

export interface FollowOptions {
  /** `ws://host:port/ws`, with faults to ask for in its query. */
  url: string;
  /** At least one; all of one dialect. */
  subscriptions: readonly Subscription[];
  /** For private channels. */
  credential: Credential | null;
  /** coinbase: `connection` for the live service. */
  sequence: 'stream' | 'connection';
  /** @returns false when that was enough */
  onUpdate(update: FeedUpdate): boolean;
  onNote(line: string): void;
  stop: AbortSignal;
}

/** Attempts in a row without a stable minute: after that a person should look. */
const MOST_ATTEMPTS = 20;

/**
 * @returns when `onUpdate` said it was enough, or `stop` ended
 * @throws CliError `refused` when the server said no or goodbye, `unreachable` when the first connection fails, and
 *   when no connection lasts
 */
export async function follow(options: FollowOptions): Promise<void> {
  await withFeed(options, async (feed, ended) => {
    const enough = new AbortController();
    const following = options.subscriptions.map(async (subscription) => {
      const { channel } = subscription;
      const where =
        subscription.dialect === 'coinbase'
          ? { products: subscription.products }
          : subscription.arg.marketType === undefined
            ? {}
            : { market: subscription.arg.marketType };
      for await (const update of feed.subscribe({ channel, ...where })) {
        if (enough.signal.aborted) return;
        if (!options.onUpdate(update)) {
          enough.abort();
          return;
        }
      }
    });
    // One that is refused ends the listening, and so does one that has seen enough.
    await Promise.race([ended, Promise.race(following)]);
  });
}

/**
 * Runs something with a feed, and closes it afterwards.
 *
 * @param use gets a promise that is fulfilled on `stop`, and rejected when the feed cannot go on
 */
export async function withFeed(
  options: Omit<FollowOptions, 'subscriptions' | 'onUpdate'> & { subscriptions: readonly Subscription[] },
  use: (feed: Feed, ended: Promise<void>) => Promise<void>,
): Promise<void> {
  const { url, credential, sequence, onNote, stop } = options;
  let mishap: Mishap | null = null;
  let everOpen = false;
  const feed = createFeed({
    url,
    dialect:
      options.subscriptions[0]?.dialect === 'coinbase' ? coinbaseDialect({ sequence }) : ethgasDialect(),
    ...(credential === null ? {} : { credential }),
    WebSocket: socketClass((one) => {
      mishap = one;
    }),
    maxAttempts: MOST_ATTEMPTS,
  });
  let onStop = () => {};
  const ended = new Promise<void>((resolve, reject) => {
    onStop = resolve;
    stop.addEventListener('abort', onStop, { once: true });
    if (stop.aborted) resolve();
    feed.on('state', ({ lane, state }) => {
      if (state.status === 'open') everOpen = true;
      if (state.status !== 'waiting') return;
      const why = mishap?.says ?? `closed (${state.drop.code})`;
      // A server that was never there is more likely a wrong address than an outage.
      if (!everOpen) {
        const refused = mishap !== null && mishap.status !== null;
        reject(
          refused
            ? new CliError('refused', `refused: ${why}`)
            : new CliError('unreachable', `cannot listen at ${placeOf(url)}: ${why}`),
        );
        return;
      }
      mishap = null;
      const which = lane === 0 ? '' : ` (connection ${lane + 1})`;
      onNote(`${why}${which}; connecting again in ${(state.delay / 1000).toFixed(1)} s`);
    });
    feed.on('error', ({ error }) => onNote(error.message));
    feed.on('ended', ({ error }) => (error === null ? resolve() : reject(cliErrorOf(error))));
  });
  ended.catch(() => undefined);
  try {
    await use(feed, ended);
  } catch (error) {
    throw cliErrorOf(error);
  } finally {
    stop.removeEventListener('abort', onStop);
    await feed.close();
  }
}

/** Without its query, which may be long. */
const placeOf = (url: string) => url.split('?')[0] ?? url;

/** What the client says, with an exit code. */
export function cliErrorOf(error: unknown): unknown {
  if (!(error instanceof CountersignError)) return error;
  const exits: Partial<Record<CountersignError['code'], ExitName>> = {
    invalid_option: 'usage',
    unreachable: 'unreachable',
    timeout: 'unreachable',
    server_error: 'unreachable',
    unexpected_answer: 'unreachable',
    invalid_key: 'config',
    invalid_token: 'config',
    store_unreadable: 'config',
    store_failed: 'config',
  };
  const exit =
    exits[error.code] ?? (error.remedy === 'permanent' || error.remedy === 'user' ? 'refused' : 'failure');
  return new CliError(error.code === 'rate_limited' ? 'refused' : exit, printable(error.message), {
    cause: error,
  });
}
