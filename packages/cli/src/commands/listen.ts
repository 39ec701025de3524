import { defineCommand } from 'citty';
import { CliError } from '../cli-error.ts';
import { EXIT } from '../exit-codes.ts';
import { printable } from '../io.ts';
import type { Push } from '../listen/conversation.ts';
import { stream } from '../listen/stream.ts';
import { subscriptionOf } from '../listen/subscriptions.ts';
import { isAboutToExpire, refresh } from '../session/api.ts';
import { loadSession, type SavedSession, saveSession, sessionPath } from '../session/session-file.ts';
import { chosenOrigin, ioOf, jsonFlag, urlFlag, webSocketUrlOf } from './shared.ts';

const list = (text: string | undefined): string[] =>
  (text ?? '')
    .split(',')
    .map((part) => part.trim())
    .filter((part) => part !== '');

/** Public channels need no session, and a broken session file must not stand in their way. */
function savedSession(path: string, needed: boolean): SavedSession | null {
  try {
    return loadSession(path);
  } catch (error) {
    if (needed) throw error;
    return null;
  }
}

function faultQuery(faults: string | undefined, seed: string | undefined): string {
  if (faults === undefined) {
    if (seed !== undefined) throw new CliError('usage', '--fault-seed needs --faults');
    return '';
  }
  return `?${new URLSearchParams({ faults, ...(seed === undefined ? {} : { seed }) })}`;
}

function readable({ channel, time, about, payload }: Push): string {
  const at = time === null ? '            ' : new Date(time).toISOString().slice(11, 23);
  return printable(`${at}  ${channel}${about === '' ? '' : `  ${about}`}  ${JSON.stringify(payload)}`, 240);
}

export const listenCommand = defineCommand({
  meta: {
    name: 'listen',
    description: 'Follow streams: readable lines on a terminal, one JSON frame a line when piped',
  },
  args: {
    channel: {
      type: 'string',
      required: true,
      valueHint: 'name[,name]',
      description: 'Channels, such as tickerUpdate or level2',
    },
    market: {
      type: 'string',
      valueHint: 'type',
      description: 'Market of ETHGas channels: inclusionPreconf or wholeBlock',
    },
    product: {
      type: 'string',
      valueHint: 'id[,id]',
      description: 'Products of Coinbase channels, such as ETH-USD',
    },
    faults: {
      type: 'string',
      valueHint: 'spec',
      description: 'Ask a sandbox for faults on this connection, such as drop:0.05,close:1012@20',
    },
    'fault-seed': {
      type: 'string',
      valueHint: 'text',
      description: 'Seed of the faults: the same seed gives the same ones',
    },
    count: { type: 'string', valueHint: 'n', description: 'Stop after so many pushes' },
    ...urlFlag,
    ...jsonFlag,
  },
  async run(context) {
    const io = ioOf(context);
    const { args } = context;
    const wanted = args.count === undefined ? Number.POSITIVE_INFINITY : Number(args.count);
    if (args.count !== undefined && !/^[1-9]\d{0,8}$/.test(args.count)) {
      throw new CliError('usage', '--count needs a whole number above 0');
    }
    const products = list(args.product);
    const subscriptions = list(args.channel).map((channel) => subscriptionOf(channel, args.market, products));
    if (subscriptions.length === 0) throw new CliError('usage', '--channel needs a name');
    if (new Set(subscriptions.map(({ dialect }) => dialect)).size > 1) {
      throw new CliError(
        'usage',
        'a connection speaks one dialect: ask for ETHGas and Coinbase channels separately',
      );
    }

    const path = sessionPath(io.env);
    const isPrivate = subscriptions.some((subscription) => subscription.private);
    const saved = savedSession(path, isPrivate);
    if (isPrivate && !saved) {
      throw new CliError('config', 'private channels need a session; run: countersign login --save');
    }
    const origin = chosenOrigin(args.url, io.env, saved?.url);
    let session = isPrivate ? saved : null;
    if (session && new URL(origin).origin !== new URL(session.url).origin) {
      throw new CliError('config', `the saved session is for ${session.url}; log in to ${origin} first`);
    }
    const renew = async (old: SavedSession): Promise<SavedSession> => {
      const renewed = await refresh(old, io.stop);
      saveSession(path, renewed);
      return renewed;
    };
    if (session && isAboutToExpire(session)) session = await renew(session);

    const asJson = args.json === true || !io.outIsTerminal;
    let count = 0;
    const release = io.handleStop();
    try {
      await stream({
        url: `${webSocketUrlOf(origin, args.url, io.env)}${faultQuery(args.faults, args['fault-seed'])}`,
        subscriptions,
        session,
        renew,
        onPush(push) {
          io.out(asJson ? JSON.stringify(push.frame) : readable(push));
          count += 1;
          return count < wanted;
        },
        onNote: (line) => io.err(line),
        stop: io.stop,
      });
    } finally {
      release();
    }
    // Without a count, being stopped is how it ends.
    return count >= wanted || wanted === Number.POSITIVE_INFINITY ? EXIT.ok.code : EXIT.interrupted.code;
  },
});
