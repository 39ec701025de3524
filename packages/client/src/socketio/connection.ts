/**
 * One Socket.IO connection that comes back. It knows when to connect, with which token, when to wait and when to stop,
 * and nothing of what the events mean.
 */
import { io, type Socket } from 'socket.io-client';
import { type Backoff, createBackoff } from '../backoff.ts';
import type { Clock } from '../clock.ts';
import type { Credential } from '../credential.ts';
import { ConnectionError, CountersignError, UsageError } from '../errors.ts';
import { asWhole, isObject } from '../feed/read-json.ts';
import type { SocketState } from './socket-client.ts';

export interface ConnectionOptions {
  url: string;
  path: string;
  credential: Credential;
  clock: Clock;
  random: () => number;
  connectTimeout: number;
  stableAfter: number;
  /** Aborted when nothing is wanted any more: a token is then not waited for. */
  signal: AbortSignal;
  onState(state: SocketState): void;
  onOpen(socket: Socket): void;
  /** The connection that `onOpen` told of is gone. */
  onDown(): void;
  /** While it is open. */
  onEvent(name: string, data: unknown): void;
  /** It will not come back by itself; `close` has to follow. */
  onOver(error: CountersignError): void;
}

/** Refusals of a token in a row. */
const REFUSALS = 2;

export class Connection {
  readonly #options: ConnectionOptions;
  readonly #socket: Socket;
  readonly #backoff: Backoff;
  #state: SocketState = { status: 'idle' };
  #attempt = 0;
  #refusals = 0;
  #openedAt: number | null = null;
  #cancel = () => {};
  /** The one that was shown last. */
  token = '';
  /** Connections that were tried, for who wants to count. */
  connects = 0;

  /** @throws UsageError `invalid_option` */
  constructor(options: ConnectionOptions) {
    this.#options = options;
    this.#backoff = createBackoff({ base: 500, cap: 20_000, random: options.random });
    this.#socket = io(checkUrl(options.url), {
      path: options.path,
      transports: ['websocket'],
      autoConnect: false,
      forceNew: true,
      // Coming back is decided here: the library would come back with a token that was refused.
      reconnection: false,
      timeout: options.connectTimeout,
      auth: (give) => give({ token: this.token }),
    });
    this.#listen();
  }

  get state(): SocketState {
    return this.#state;
  }

  open(): void {
    if (this.#state.status === 'idle') void this.#connect();
  }

  /** The server does not answer: this connection is of no use any more. */
  drop(): void {
    if (this.#state.status === 'open') this.#socket.disconnect();
  }

  /** Milliseconds before something that failed on the open connection is tried again. */
  pause(): number {
    return this.#backoff.next();
  }

  /** For good. */
  close(error: CountersignError | null): void {
    this.#cancel();
    this.#set({ status: 'closed', error });
    this.#socket.disconnect();
  }

  #set(state: SocketState): void {
    this.#state = state;
    this.#options.onState(state);
  }

  async #connect(): Promise<void> {
    const { credential, signal, onOver } = this.#options;
    this.#attempt += 1;
    this.#set({ status: 'connecting', attempt: this.#attempt });
    try {
      this.token = (await credential.webSocketLogin({ signal })).token;
    } catch (error) {
      if (this.#state.status === 'closed') return;
      const failure = asError(error);
      if (failure.remedy === 'retry') this.#again('no token', failure.retryAfter);
      else onOver(failure);
      return;
    }
    if (this.#state.status !== 'connecting') return;
    this.connects += 1;
    this.#socket.connect();
  }

  #again(reason: string, retryAfter?: number): void {
    const { clock, stableAfter } = this.#options;
    if (this.#state.status === 'closed') return;
    if (this.#openedAt !== null && clock.monotonic() - this.#openedAt >= stableAfter) {
      this.#backoff.reset();
      this.#attempt = 0;
    }
    this.#openedAt = null;
    const delay = this.#backoff.next(retryAfter);
    this.#cancel = clock.after(delay, () => void this.#connect());
    this.#set({ status: 'waiting', attempt: this.#attempt, delay, reason });
  }

  #listen(): void {
    const { clock, onOpen, onDown, onEvent, onOver } = this.#options;
    const socket = this.#socket;
    socket.on('connect', () => {
      this.#refusals = 0;
      this.#openedAt = clock.monotonic();
      this.#set({ status: 'open', attempt: this.#attempt });
      onOpen(socket);
    });
    socket.on('disconnect', (reason) => {
      if (this.#state.status !== 'open') return;
      onDown();
      // Said by the server on purpose: whoever came back with the same access would be sent away again.
      if (reason === 'io server disconnect') {
        onOver(new ConnectionError('unauthorized', 'The server ended the access behind this connection.'));
      } else this.#again(reason);
    });
    socket.on('connect_error', (error: Error & { data?: unknown }) => {
      if (this.#state.status === 'connecting') this.#refused(error);
    });
    socket.onAny((name: string, data: unknown) => {
      if (this.#state.status === 'open') onEvent(name, data);
    });
  }

  #refused(error: Error & { data?: unknown }): void {
    const code = isObject(error.data) ? error.data.code : undefined;
    const retryAfter = isObject(error.data) ? (asWhole(error.data.retryAfter) ?? undefined) : undefined;
    this.#socket.disconnect();
    // With `data`, or inactive: the server's own answer. Otherwise nobody was reached.
    if (code === undefined && !/unauthorized/i.test(error.message)) return this.#again('unreachable');
    if (code === 'RATE_LIMITED') return this.#again('rate limited', retryAfter);
    this.#options.credential.invalidate(this.token, 'refused');
    this.#refusals += 1;
    if (this.#refusals < REFUSALS) this.#again('unauthorized');
    else {
      this.#options.onOver(new ConnectionError('unauthorized', 'The server does not accept the token.'));
    }
  }
}

function checkUrl(url: string): string {
  let parsed: URL;
  try {
    parsed = new URL(url);
  } catch {
    throw new UsageError('invalid_option', 'The address of a Socket.IO server is an http: or https: URL.');
  }
  if (!['http:', 'https:', 'ws:', 'wss:'].includes(parsed.protocol)) {
    throw new UsageError('invalid_option', 'The address of a Socket.IO server begins with http: or https:.');
  }
  if (parsed.username !== '' || parsed.password !== '') {
    throw new UsageError('invalid_option', 'The address of a server holds no user name or password.');
  }
  return parsed.origin + parsed.search;
}

export const asError = (error: unknown): CountersignError =>
  error instanceof CountersignError
    ? error
    : new ConnectionError('unexpected_answer', 'It failed for no reason known here.', { cause: error });
