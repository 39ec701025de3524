/** The three ways to listen: the client's feed, Socket.IO, and frames as they come. */
import type { Credential } from '@countersign/client';
import { CliError } from '../cli-error.ts';
import { type Io, printable } from '../io.ts';
import { chosenOrigin, webSocketUrlOf } from '../session/address.ts';
import { isAboutToExpire, refresh } from '../session/api.ts';
import { type ApiKeyArgs, findApiKey } from '../session/api-key-source.ts';
import { type SavedCredential, savedCredential } from '../session/saved-credential.ts';
import {
  loadSession,
  requireSession,
  type SavedSession,
  saveSession,
  sessionPath,
} from '../session/session-file.ts';
import { readToken } from '../session/token-file.ts';
import { follow, withFeed } from './follow.ts';
import { followSocketIo } from './socketio.ts';
import { stream } from './stream.ts';
import { type Subscription, subscriptionOf } from './subscriptions.ts';
import { bookView, painter, readable } from './view.ts';

export interface ListenArgs extends ApiKeyArgs {
  channel: string;
  market?: string | undefined;
  product?: string | undefined;
  door: string;
  lines?: boolean | undefined;
  raw?: boolean | undefined;
  json?: boolean | undefined;
  url?: string | undefined;
  faults?: string | undefined;
  'fault-seed'?: string | undefined;
  'token-file'?: string | undefined;
}

export interface Plan {
  subscriptions: Subscription[];
  /** One book that a terminal can show: its product or instrument. */
  book: string | null;
  /** `?faults=...`, or nothing. */
  query: string;
}

/** @returns false when that was enough */
type Enough = () => boolean;

const list = (text: string | undefined): string[] =>
  (text ?? '')
    .split(',')
    .map((part) => part.trim())
    .filter((part) => part !== '');

/** @throws CliError `usage` for what cannot be listened to together */
export function planOf(args: ListenArgs): Plan {
  const products = list(args.product);
  const channels = list(args.channel);
  // The instrument of an ETHGas book is no product of its channel: it chooses what is drawn.
  const instrument = channels.length === 1 && channels[0] === 'orderBookUpdate' ? products : [];
  const subscriptions = channels.map((channel) =>
    subscriptionOf(channel, args.market, instrument.length > 0 ? [] : products),
  );
  if (subscriptions.length === 0) throw new CliError('usage', '--channel needs a name');
  if (args.door === 'websocket' && new Set(subscriptions.map(({ dialect }) => dialect)).size > 1) {
    throw new CliError(
      'usage',
      'a connection speaks one dialect: ask for ETHGas and Coinbase channels separately',
    );
  }
  if (args.door === 'socketio') {
    if (args.raw) throw new CliError('usage', '--raw is for --door websocket');
    if (subscriptions.some((each) => each.dialect === 'coinbase' && each.private))
      throw new CliError('usage', 'channels for API keys are not on Socket.IO: leave --door out');
  }
  const only = channels.length === 1 ? channels[0] : undefined;
  const shown = only === 'level2' ? products : instrument;
  const book = shown.length === 1 ? (shown[0] ?? null) : null;
  return { subscriptions, book, query: faultQuery(args.faults, args['fault-seed']) };
}

function faultQuery(faults: string | undefined, seed: string | undefined): string {
  if (faults !== undefined)
    return `?${new URLSearchParams({ faults, ...(seed === undefined ? {} : { seed }) })}`;
  if (seed !== undefined) throw new CliError('usage', '--fault-seed needs --faults');
  return '';
}

const isPrivate = ({ subscriptions }: Plan) => subscriptions.some((each) => each.private);

/** Public channels need no session, and a broken session file must not stand in their way. */
function sessionFor(plan: Plan, args: ListenArgs, io: Io): { base: string; session: SavedSession | null } {
  const needed = isPrivate(plan) && plan.subscriptions[0]?.dialect === 'ethgas';
  let session: SavedSession | null = null;
  try {
    session = loadSession(sessionPath(io.env));
  } catch (error) {
    if (needed) throw error;
  }
  const base = chosenOrigin(args.url, io.env, session?.url);
  if (!needed) return { base, session: null };
  if (session === null)
    throw new CliError('config', 'private channels need a session; run: countersign login --save');
  if (new URL(base).origin !== new URL(session.url).origin)
    throw new CliError('config', `the saved session is for ${session.url}; log in to ${base} first`);
  return { base, session };
}

export async function overWebSocket(plan: Plan, args: ListenArgs, io: Io, enough: Enough): Promise<void> {
  const { base, session } = sessionFor(plan, args, io);
  const saved: SavedCredential | null = session === null ? null : savedCredential(io);
  const credential: Credential | null =
    saved ?? (isPrivate(plan) || args['key-file'] !== undefined ? await findApiKey(args, io) : null);
  const url = webSocketUrlOf(base, args.url, io.env);
  const options = {
    url: `${url}${plan.query}`,
    subscriptions: plan.subscriptions,
    credential,
    // What the live service counts is a connection's frames, not a stream's.
    sequence: /(?:^|\.)coinbase\.com$/.test(new URL(url).hostname)
      ? ('connection' as const)
      : ('stream' as const),
    onNote: (line: string) => io.err(line),
    stop: io.stop,
  };
  const asJson = args.json === true || !io.outIsTerminal;
  try {
    if (plan.book !== null && !asJson && !args.lines) {
      await drawBook(plan.book, args.market, options, io, enough);
      return;
    }
    const paint = painter(io);
    await follow({
      ...options,
      onUpdate(update) {
        io.out(asJson ? JSON.stringify(update) : readable(update, paint, io.size().columns));
        return enough();
      },
    });
  } finally {
    saved?.close();
  }
}

async function drawBook(
  product: string,
  market: string | undefined,
  options: Parameters<typeof withFeed>[0],
  io: Io,
  enough: Enough,
): Promise<void> {
  await withFeed(options, async (feed, ended) => {
    const book = feed.orderBook(product, market === undefined ? {} : { market });
    const seen = new Promise<void>((resolve) => {
      book.on('change', () => {
        if (!enough()) resolve();
      });
    });
    const over = new Promise<void>((_resolve, reject) => {
      book.on('ended', ({ error }) => error !== null && reject(error));
    });
    await Promise.race([book.ready, ended, over]);
    const view = bookView(book, io);
    try {
      await Promise.race([seen, ended, over]);
    } finally {
      view.close();
    }
  });
}

export async function overSocketIo(plan: Plan, args: ListenArgs, io: Io, enough: Enough): Promise<void> {
  const file = args['token-file'] ?? (io.env.COUNTERSIGN_TOKEN_FILE || undefined);
  let base: string;
  let saved: SavedCredential | null = null;
  let token: SavedCredential | (() => string);
  if (file !== undefined) {
    base = chosenOrigin(args.url, io.env);
    // Read anew at every connection: a token that was rotated in place is picked up.
    token = () => readToken(file, 'handshake token');
    token();
  } else {
    const { url } = requireSession(io.env).session;
    base = chosenOrigin(args.url, io.env, url);
    if (new URL(base).origin !== new URL(url).origin)
      throw new CliError('config', `the saved session is for ${url}; log in to ${base} first`);
    saved = savedCredential(io);
    token = saved;
  }
  const asJson = args.json === true || !io.outIsTerminal;
  const paint = painter(io);
  try {
    await followSocketIo({
      url: new URL(base).origin + plan.query,
      token,
      subscriptions: plan.subscriptions,
      onUpdate(update) {
        io.out(asJson ? JSON.stringify(update) : readable(update, paint, io.size().columns));
        return enough();
      },
      onNote: (line) => io.err(line),
      stop: io.stop,
    });
  } finally {
    saved?.close();
  }
}

/** Frames as they come, for who tests a client or looks at the wire. */
export async function rawFrames(plan: Plan, args: ListenArgs, io: Io, enough: Enough): Promise<void> {
  const { base, session } = sessionFor(plan, args, io);
  if (isPrivate(plan) && session === null)
    throw new CliError('usage', '--raw cannot sign with an API key; leave it out');
  const path = sessionPath(io.env);
  const renew = async (old: SavedSession): Promise<SavedSession> => {
    const renewed = await refresh(old, io.stop);
    saveSession(path, renewed);
    return renewed;
  };
  const asJson = args.json === true || !io.outIsTerminal;
  await stream({
    url: `${webSocketUrlOf(base, args.url, io.env)}${plan.query}`,
    subscriptions: plan.subscriptions,
    session: session !== null && isAboutToExpire(session) ? await renew(session) : session,
    renew,
    onPush({ channel, about, payload, frame }) {
      const line = `${channel}${about === '' ? '' : `  ${about}`}  ${JSON.stringify(payload)}`;
      io.out(asJson ? JSON.stringify(frame) : printable(line, 240));
      return enough();
    },
    onNote: (line) => io.err(line),
    stop: io.stop,
  });
}
