/** Follows streams over Socket.IO with the client: recovers after a loss, and says where it could not. */
import type { Credential, FeedUpdate } from '@countersign/client';
import { createSocketClient } from '@countersign/client/socketio';
import { CliError } from '../cli-error.ts';
import { printable } from '../io.ts';
import { cliErrorOf } from './follow.ts';
import type { Subscription } from './subscriptions.ts';

export interface SocketIoOptions {
  /** Origin of the gateway. */
  url: string;
  /** A session, or what gives a handshake token at every connection. */
  token: Credential | (() => string);
  subscriptions: readonly Subscription[];
  /** @returns false when that was enough */
  onUpdate(update: FeedUpdate): boolean;
  onNote(line: string): void;
  stop: AbortSignal;
}

/**
 * @returns when `onUpdate` said it was enough, or `stop` ended
 * @throws CliError `refused` for a token or a channel that is refused, `unreachable` where nobody answers at first
 */
export async function followSocketIo(options: SocketIoOptions): Promise<void> {
  const { url, token, stop } = options;
  const client = createSocketClient({ url, token });
  let everOpen = false;
  let onStop = () => {};
  const ended = new Promise<void>((resolve, reject) => {
    onStop = resolve;
    stop.addEventListener('abort', onStop, { once: true });
    if (stop.aborted) resolve();
    client.on('state', (state) => {
      if (state.status === 'open') everOpen = true;
      if (state.status === 'closed' && state.error !== null) reject(state.error);
      if (state.status !== 'waiting') return;
      const why = printable(state.reason, 200);
      // A server that was never there is more likely a wrong address than an outage.
      // One refusal is not the last word, because tokens are rotated: the client asks for the token once more.
      if (everOpen || state.reason === 'unauthorized')
        options.onNote(`${why}; connecting again in ${(state.delay / 1000).toFixed(1)} s`);
      else reject(new CliError('unreachable', `cannot listen at ${url}/socket.io/: ${why}`));
    });
    client.on('error', ({ error }) => options.onNote(printable(error.message)));
  });
  ended.catch(() => undefined);
  try {
    const opened = client.open();
    // `ended` says it better where there never was a connection.
    opened.catch(() => undefined);
    await Promise.race([opened, ended]);
    if (stop.aborted) return;
    const following = options.subscriptions.map(async (subscription) => {
      const { channel } = subscription;
      const market = subscription.dialect === 'ethgas' ? subscription.arg.marketType : undefined;
      const products = subscription.dialect === 'coinbase' ? subscription.products : [];
      const where = market === undefined ? (products.length === 0 ? {} : { products }) : { market };
      for await (const update of client.subscribe({ channel, ...where }))
        if (!options.onUpdate(update)) return;
    });
    await Promise.race([ended, ...following]);
  } catch (error) {
    throw cliErrorOf(error);
  } finally {
    stop.removeEventListener('abort', onStop);
    await client.close();
  }
}
