/**
 * What is said on one socket, apart from the socket: frames in, frames out and outcomes. One conversation
 * lives as long as its connection.
 */
import { CliError } from '../cli-error.ts';
import { printable } from '../io.ts';
import type { SavedSession } from '../session/session-file.ts';
import type { Subscription } from './subscriptions.ts';

export interface Push {
  channel: string;
  /** Milliseconds since 1970, where the frame says. */
  time: number | null;
  /** Instrument or stream, where the frame says. */
  about: string;
  /** What it tells. */
  payload: unknown;
  /** The whole frame. */
  frame: object;
}

export interface Talk {
  send(frame: object): void;
  push(push: Push): void;
  /** Something worth a line that is no data. */
  note(line: string): void;
  /** Gets a session with a newer access token, and keeps it. Throws `CliError`. */
  renew(): Promise<SavedSession>;
  session: SavedSession | null;
}

type Frame = Record<string, unknown>;

export interface Conversation {
  opened(): void;
  /** @throws CliError when what the server said ends the listening */
  received(frame: Frame): void | Promise<void>;
  /** True once everything asked for was granted. */
  readonly settled: boolean;
}

const text = (value: unknown): string => (typeof value === 'string' ? value : '');

export function ethgasConversation(
  subscriptions: Extract<Subscription, { dialect: 'ethgas' }>[],
  talk: Talk,
): Conversation {
  let ids = 0;
  let waitingFor = subscriptions.length;
  let subscribed = false;
  let renewed = false;

  const login = (session: SavedSession) =>
    talk.send({ op: 'login', args: [{ accessToken: session.accessToken }], id: ++ids });
  const subscribe = () => {
    subscribed = true;
    talk.send({ op: 'subscribe', args: subscriptions.map(({ arg }) => arg), id: ++ids });
  };
  const renewAndLogin = async () => {
    renewed = true;
    login(await talk.renew());
  };

  return {
    get settled() {
      return waitingFor <= 0;
    },
    opened() {
      if (talk.session) login(talk.session);
      else subscribe();
    },
    async received(frame) {
      if (typeof frame.e === 'string') {
        talk.push({
          channel: frame.e,
          time: typeof frame.E === 'number' ? frame.E : null,
          about: [frame.s, frame.key, frame.a].filter((part) => typeof part === 'string').join(' '),
          payload: frame.P,
          frame,
        });
        return;
      }
      const code = frame.code;
      if (frame.event === 'token_expired') {
        talk.note('the access token has expired: refreshing it and logging in again on this connection');
        await renewAndLogin();
      } else if (frame.event === 'login' && code === 0) {
        renewed = false;
        if (!subscribed) subscribe();
      } else if (frame.event === 'subscribe' && (code === undefined || code === 0)) {
        waitingFor -= 1;
      } else if (frame.event === 'error') {
        // A login that was refused before anything was subscribed: the token may simply be old.
        if (talk.session && !subscribed && !renewed) await renewAndLogin();
        else throw new CliError('refused', `refused: ${printable(text(frame.msg) || 'no reason given')}`);
      }
    },
  };
}

export function coinbaseConversation(
  subscriptions: Extract<Subscription, { dialect: 'coinbase' }>[],
  talk: Talk,
): Conversation {
  let waitingFor = subscriptions.length;
  return {
    get settled() {
      return waitingFor <= 0;
    },
    opened() {
      for (const { channel, products } of subscriptions) {
        talk.send({ type: 'subscribe', channel, ...(products.length > 0 ? { product_ids: products } : {}) });
      }
    },
    received(frame) {
      if (frame.type === 'error') {
        throw new CliError('refused', `refused: ${printable(text(frame.message) || 'no reason given')}`);
      }
      if (frame.channel === 'subscriptions') {
        waitingFor -= 1;
        return;
      }
      const time = Date.parse(text(frame.timestamp));
      const events = Array.isArray(frame.events) ? (frame.events as Frame[]) : [];
      talk.push({
        channel: text(frame.channel),
        time: Number.isNaN(time) ? null : time,
        about: [text(events[0]?.product_id), text(events[0]?.type)].filter(Boolean).join(' '),
        payload: frame.events,
        frame,
      });
    },
  };
}
