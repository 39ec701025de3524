/** Keeps one subscription running: connects, reconnects with growing pauses, and ends when it was told to or must. */
import { randomInt } from 'node:crypto';
import { CLOSE } from '@countersign/protocol';
import { WebSocket } from 'ws';
import { CliError } from '../cli-error.ts';
import { printable } from '../io.ts';
import { whyUnreachable } from '../session/api.ts';
import type { SavedSession } from '../session/session-file.ts';
import {
  type Conversation,
  coinbaseConversation,
  ethgasConversation,
  type Push,
  type Talk,
} from './conversation.ts';
import type { Subscription } from './subscriptions.ts';

export interface StreamOptions {
  /** `ws://host:port/ws` */
  url: string;
  /** At least one; all of one dialect. */
  subscriptions: Subscription[];
  session: SavedSession | null;
  /** Gets a session with a newer access token, and keeps it. */
  renew(session: SavedSession): Promise<SavedSession>;
  /** @returns false when that was enough */
  onPush(push: Push): boolean;
  onNote(line: string): void;
  stop: AbortSignal;
  /** Milliseconds before the first reconnect; doubles up to thirty times that. Default 1000. */
  pauseMs?: number;
}

const HANDSHAKE_MS = 10_000;
/** The gateway pings every 15 s by default: after three times that, nobody is there any more. */
const SILENCE_MS = 45_000;
const LARGEST_FRAME = 16 * 1024 * 1024;
const LARGEST_REASON = 4096;
const MOST_FAILURES = 8;
const CLOSE_ADVICE = new Map(Object.values(CLOSE).map((row) => [row.code, row.then]));

/**
 * @returns when `onPush` said it was enough, or `stop` ended
 * @throws CliError `refused` when the server said no or goodbye, `unreachable` when the first connection
 *   fails, and after eight failures in a row
 */
export async function stream(options: StreamOptions): Promise<void> {
  let failures = 0;
  let everSettled = false;
  let session = options.session;
  for (;;) {
    const end = await connectOnce(options, session, (renewed) => {
      session = renewed;
    });
    if (end.why === 'enough' || options.stop.aborted) return;
    // A server that was never there is more likely a wrong address than an outage.
    everSettled ||= end.settled;
    if (!everSettled) throw new CliError('unreachable', `cannot listen at ${options.url}: ${end.reason}`);
    if (end.settled) failures = 0;
    failures += 1;
    if (failures > MOST_FAILURES)
      throw new CliError('unreachable', `cannot stay connected to ${options.url}: ${end.reason}`);
    const pause = Math.min((options.pauseMs ?? 1000) * 2 ** (failures - 1), (options.pauseMs ?? 1000) * 30);
    // Full jitter: clients cut off together must not come back together.
    const wait = randomInt(Math.ceil(pause / 4), pause + 1);
    options.onNote(
      `${end.reason}; connecting again in ${(wait / 1000).toFixed(1)} s (what is sent meanwhile will be missing)`,
    );
    await sleep(wait, options.stop);
    if (options.stop.aborted) return;
  }
}

type End = { why: 'enough' } | { why: 'lost'; reason: string; settled: boolean };

function connectOnce(
  options: StreamOptions,
  firstSession: SavedSession | null,
  onSession: (session: SavedSession) => void,
): Promise<End> {
  return new Promise((resolve, reject) => {
    const socket = new WebSocket(options.url, {
      handshakeTimeout: HANDSHAKE_MS,
      maxPayload: LARGEST_FRAME,
      perMessageDeflate: false,
      followRedirects: false,
    });
    let ended = false;
    let failure = 'the connection was lost';
    const silence = setTimeout(() => {
      failure = 'nothing was heard for 45 s';
      socket.terminate();
    }, SILENCE_MS);
    const onStop = () => finish({ why: 'enough' });
    options.stop.addEventListener('abort', onStop, { once: true });
    if (options.stop.aborted) queueMicrotask(onStop);

    function finish(end: End | CliError): void {
      if (ended) return;
      ended = true;
      clearTimeout(silence);
      options.stop.removeEventListener('abort', onStop);
      // 1000 while it is open; a socket that is still connecting is dropped.
      if (socket.readyState === WebSocket.OPEN) socket.close(1000);
      else socket.terminate();
      // A server that does not answer the close must not keep the program.
      setTimeout(() => socket.terminate(), 1000).unref();
      if (end instanceof Error) reject(end);
      else resolve(end);
    }

    const talk: Talk = {
      session: firstSession,
      send: (frame) => socket.send(JSON.stringify(frame)),
      push(push) {
        if (!ended && !options.onPush(push)) finish({ why: 'enough' });
      },
      note: options.onNote,
      async renew() {
        if (!talk.session) throw new CliError('refused', 'a login is needed: run countersign login --save');
        talk.session = await options.renew(talk.session);
        onSession(talk.session);
        return talk.session;
      },
    };
    const conversation = conversationOf(options.subscriptions, talk);

    socket.on('open', () => conversation.opened());
    socket.on('ping', () => silence.refresh());
    socket.on('message', (data, isBinary) => {
      silence.refresh();
      const frame = isBinary ? null : objectIn(String(data));
      if (frame === null || ended) return;
      Promise.resolve()
        .then(() => conversation.received(frame))
        .catch((error: unknown) => {
          if (error instanceof CliError && error.exit !== 'unreachable') finish(error);
          else finish({ why: 'lost', reason: whyUnreachable(error), settled: conversation.settled });
        });
    });
    socket.on('error', (error) => {
      failure = whyUnreachable(error);
    });
    socket.on('unexpected-response', (_request, response) => {
      const status = `refused: the server answered ${response.statusCode} to the WebSocket handshake`;
      let text = '';
      response.setEncoding('utf8');
      response.on('data', (chunk: string) => {
        if (text.length < LARGEST_REASON) text += chunk;
      });
      const end = () => {
        const reason = objectIn(text)?.message;
        const said = typeof reason === 'string' ? `: ${printable(reason, 240)}` : '';
        finish(new CliError('refused', `${status}${said}`));
      };
      response.on('end', end);
      response.on('close', end);
    });
    socket.on('close', (code) => {
      if (CLOSE_ADVICE.get(code) === 'stop')
        finish(new CliError('refused', `the server closed the connection for good (${code})`));
      else
        finish({
          why: 'lost',
          reason: code === 1006 ? failure : `closed (${code})`,
          settled: conversation.settled,
        });
    });
  });
}

function conversationOf(subscriptions: Subscription[], talk: Talk): Conversation {
  const ethgas = subscriptions.filter((each) => each.dialect === 'ethgas');
  const coinbase = subscriptions.filter((each) => each.dialect === 'coinbase');
  if (ethgas.length > 0 && coinbase.length > 0) {
    throw new CliError(
      'usage',
      'a connection speaks one dialect: ask for ethgas and coinbase channels separately',
    );
  }
  return ethgas.length > 0 ? ethgasConversation(ethgas, talk) : coinbaseConversation(coinbase, talk);
}

function objectIn(text: string): Record<string, unknown> | null {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === 'object' && value !== null && !Array.isArray(value)
      ? (value as Record<string, unknown>)
      : null;
  } catch {
    return null;
  }
}

function sleep(ms: number, stop: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const done = () => {
      clearTimeout(timer);
      stop.removeEventListener('abort', done);
      resolve();
    };
    const timer = setTimeout(done, ms);
    stop.addEventListener('abort', done);
    if (stop.aborted) done();
  });
}
