/** Follows streams over Socket.IO, with a handshake token or the saved session: recovers after a loss, or says so. */
import { io as connect } from 'socket.io-client';
import { CliError } from '../cli-error.ts';
import { printable } from '../io.ts';

/** One push or one interruption, in the members that the client's feed uses. */
export type SocketIoUpdate =
  | {
      type: 'snapshot' | 'update';
      channel: string;
      key: string;
      item: string | null;
      action: string | null;
      sequence: number;
      epoch: string | null;
      time: number | null;
      data: unknown;
    }
  | { type: 'resync'; channel: string; key: string; reason: 'reconnect'; recovered: boolean };

export interface SocketIoOptions {
  /** Origin of the gateway. */
  url: string;
  /** Asked at every connection. Null: as nobody. */
  token: (() => Promise<string>) | null;
  channels: readonly { channel: string; key?: string }[];
  /** @returns false when that was enough */
  onUpdate(update: SocketIoUpdate): boolean;
  onNote(line: string): void;
  stop: AbortSignal;
}

interface Place {
  epoch: string;
  sequence: number;
}

interface Reply {
  success: boolean;
  result?: { recovered?: boolean | Record<string, boolean> };
  error?: { code: string; message: string };
}

const ANSWER_MS = 10_000;

/** @throws CliError `refused` for a token or a channel that is refused, `unreachable` where nobody answers at first */
export function followSocketIo(options: SocketIoOptions): Promise<void> {
  const { channels, stop, onNote } = options;
  return new Promise((resolve, reject) => {
    const socket = connect(options.url, {
      transports: ['websocket'],
      ...(options.token === null
        ? {}
        : {
            auth: (give: (auth: object) => void) => {
              options.token?.().then(
                (token) => give({ token }),
                (error: unknown) => finish(error),
              );
            },
          }),
    });
    /** By channel and key: where we are, so that what is missed can be asked for. */
    const places = new Map<string, Place>();
    let everConnected = false;

    function finish(error?: unknown): void {
      stop.removeEventListener('abort', onStop);
      socket.close();
      if (error === undefined) resolve();
      else reject(error);
    }
    const onStop = () => finish();
    stop.addEventListener('abort', onStop, { once: true });
    if (stop.aborted) return onStop();

    const nameOf = (channel: string, key: string) => `${channel}/${key}`;

    /** Where we are on a subscription's streams, by key: one stream, or one for each account. */
    function placesOf(channel: string, key: string): Map<string, Place> {
      const exact = places.get(nameOf(channel, key));
      if (exact !== undefined) return new Map([[key, exact]]);
      const prefix = nameOf(channel, key === '' ? '' : `${key}/`);
      return new Map(
        [...places]
          .filter(([name]) => name.startsWith(prefix) && /^\d+$/.test(name.slice(prefix.length)))
          .map(([name, place]) => [name.slice(channel.length + 1), place]),
      );
    }

    async function subscribe(channel: string, key: string): Promise<void> {
      const known = placesOf(channel, key);
      const accountOf = (stream: string) => stream.slice(stream.lastIndexOf('/') + 1);
      const recover =
        known.get(key) ?? Object.fromEntries([...known].map(([stream, place]) => [accountOf(stream), place]));
      const reply = (await socket.timeout(ANSWER_MS).emitWithAck('subscribe', {
        channel,
        ...(key === '' ? {} : { key }),
        ...(known.size === 0 ? {} : { recover }),
      })) as Reply;
      if (!reply.success) {
        const said = printable(reply.error?.message ?? 'no reason given');
        throw new CliError('refused', `${channel} is refused: ${said}`);
      }
      for (const stream of known.keys()) {
        const answer = reply.result?.recovered;
        const recovered = typeof answer === 'object' ? answer[accountOf(stream)] === true : answer === true;
        if (!recovered) places.delete(nameOf(channel, stream));
        if (!options.onUpdate({ type: 'resync', channel, key: stream, reason: 'reconnect', recovered }))
          finish();
      }
    }

    socket.on('connect', () => {
      everConnected = true;
      Promise.all(channels.map(({ channel, key = '' }) => subscribe(channel, key))).catch(
        (error: unknown) => {
          // Without an answer the connection is as good as lost: the next one asks again.
          if (error instanceof CliError) finish(error);
          else socket.io.engine.close();
        },
      );
    });

    for (const channel of new Set(channels.map((one) => one.channel))) {
      socket.on(channel, (push: Record<string, unknown>) => {
        const key = typeof push.key === 'string' ? push.key : '';
        const sequence = Number(push.sequence);
        const before = places.get(nameOf(channel, key));
        const epoch = typeof push.epoch === 'string' ? push.epoch : (before?.epoch ?? null);
        const type = push.type === 'snapshot' ? 'snapshot' : 'update';
        if (type === 'update' && before !== undefined && epoch === before.epoch) {
          if (sequence <= before.sequence) return;
          if (sequence !== before.sequence + 1) {
            // The next connection asks for what is missing, on this stream as on the others.
            onNote(`${channel} ${key}: ${sequence - before.sequence - 1} lost on the way`);
            socket.io.engine.close();
            return;
          }
        }
        if (epoch !== null) places.set(nameOf(channel, key), { epoch, sequence });
        const more = options.onUpdate({
          type,
          channel,
          key,
          item: typeof push.item === 'string' ? push.item : null,
          action: typeof push.action === 'string' ? push.action : null,
          sequence,
          epoch,
          time: typeof push.time === 'number' ? push.time : null,
          data: push.data,
        });
        if (!more) finish();
      });
    }

    socket.on('unauthorized', (refusal: { message?: string }) => {
      finish(new CliError('refused', `access has ended: ${printable(String(refusal?.message ?? ''))}`));
    });
    socket.on('disconnect', (reason) => {
      if (reason === 'io client disconnect') return;
      if (!socket.active) finish(new CliError('refused', 'the server ended the connection for good'));
      else onNote(`${reason}; connecting again`);
    });
    socket.on('connect_error', (error) => {
      const says = printable(error.message);
      // The client gives up by itself where the server refused the token.
      if (!socket.active) finish(new CliError('refused', `refused: ${says}`));
      else if (!everConnected)
        finish(new CliError('unreachable', `cannot listen at ${options.url}/socket.io/: ${says}`));
      else onNote(`${says}; trying again`);
    });
  });
}
