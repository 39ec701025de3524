/**
 * One WebSocket that comes back. It knows when to connect, when to wait and when to stop, and nothing of what the
 * frames mean.
 */
import { CLOSE } from '@countersign/protocol';
import { type Backoff, createBackoff } from '../backoff.ts';
import type { Clock } from '../clock.ts';
import { ConnectionError, type CountersignError } from '../errors.ts';
import type { SocketConstructor, SocketLike } from './socket.ts';
import { Watch } from './watch.ts';

/** Why a connection ended, or did not come about. */
export interface Drop {
  /**
   * `closed`: by the other end, or the network; see `code`. `refused`: the upgrade was not accepted. `timeout`: it was
   * not answered in time. `silent`: nothing was heard and no sign of life came. `abandoned`: given up here, because
   * the server does not answer requests.
   */
  readonly why: 'closed' | 'refused' | 'timeout' | 'silent' | 'abandoned';
  /** Close code (RFC 6455 section 7.4); 1006 where there was none. */
  readonly code: number;
  /** What the server gave as the reason: not to be trusted, at most 123 bytes. */
  readonly reason: string;
}

export type LinkState =
  | { readonly status: 'idle' }
  | { readonly status: 'connecting'; readonly attempt: number }
  | { readonly status: 'open'; readonly attempt: number }
  /** `attempt` failed or ended attempts since the last stable minute; `delay` in milliseconds. */
  | { readonly status: 'waiting'; readonly attempt: number; readonly delay: number; readonly drop: Drop }
  /** For good: closed here (`error` null), or told by the server to stay away. */
  | { readonly status: 'closed'; readonly error: CountersignError | null; readonly drop: Drop | null };

export interface LinkOptions {
  url: string;
  WebSocket: SocketConstructor;
  clock: Clock;
  random: () => number;
  /** Milliseconds for the opening handshake. */
  connectTimeout: number;
  backoff: { base: number; cap: number };
  /** Milliseconds after which an open connection counts as a success: the attempt counter starts anew. */
  stableAfter: number;
  /** Attempts in a row without a stable minute, after which it stops. */
  maxAttempts: number;
  silence: number;
  patience: number;
  probe: () => void;
  onState(state: LinkState): void;
  onOpen(): void;
  onText(text: string): void;
  /** The connection that `onOpen` told of is gone. */
  onDown(drop: Drop): void;
}

/** Codes that say that we sent rubbish: they may come from something in between, so a few are forgiven. */
const OURS: ReadonlySet<number> = new Set(
  Object.values(CLOSE)
    .filter(({ then, code }) => then === 'stop' && code !== CLOSE.goodbye.code)
    .map(({ code }) => code),
);
const FORGIVEN = 3;
/** Milliseconds that a closing handshake may take. */
const GOODBYE = 1000;

const decoder = new TextDecoder();

export class Link {
  readonly #options: LinkOptions;
  readonly #backoff: Backoff;
  readonly #watch: Watch;
  #state: LinkState = { status: 'idle' };
  #socket: SocketLike | null = null;
  #openedAt: number | null = null;
  #attempt = 0;
  #rubbish = 0;
  #cancel: (() => void) | null = null;
  /** Connections that were made, for who wants to count. */
  connects = 0;

  constructor(options: LinkOptions) {
    this.#options = options;
    this.#backoff = createBackoff({ ...options.backoff, random: options.random });
    this.#watch = new Watch({
      clock: options.clock,
      silence: options.silence,
      patience: options.patience,
      probe: options.probe,
      dead: () => this.drop('silent'),
    });
  }

  get state(): LinkState {
    return this.#state;
  }

  get isOpen(): boolean {
    return this.#state.status === 'open';
  }

  open(): void {
    if (this.#state.status === 'idle') this.#connect();
  }

  /** False if there is no connection: nothing is kept for later, since old requests do harm. */
  send(text: string): boolean {
    if (this.#socket === null || this.#state.status !== 'open') return false;
    try {
      this.#socket.send(text);
      return true;
    } catch {
      return false;
    }
  }

  /** From now on a frame comes at least this often, or the connection is dead. In milliseconds. */
  expectWithin(ms: number): void {
    this.#watch.expectWithin(ms);
  }

  /** Gives up the present connection and makes another one. */
  drop(why: 'silent' | 'abandoned'): void {
    if (this.#state.status !== 'open') return;
    const socket = this.#detach();
    if (socket !== null) end(socket);
    this.#lost({ why, code: 1006, reason: '' });
  }

  /** For good. Resolves when the closing handshake is done or has taken too long. Idempotent. */
  async close(error: CountersignError | null = null): Promise<void> {
    if (this.#state.status === 'closed') return;
    const wasOpen = this.#state.status === 'open';
    const socket = this.#detach();
    this.#set({ status: 'closed', error, drop: null });
    if (wasOpen) this.#options.onDown({ why: 'closed', code: 1000, reason: '' });
    if (socket === null) return;
    if (!wasOpen) return end(socket);
    await new Promise<void>((resolve) => {
      const cancel = this.#options.clock.after(GOODBYE, () => {
        end(socket);
        resolve();
      });
      socket.onclose = () => {
        cancel();
        resolve();
      };
      try {
        socket.close(1000);
      } catch {
        // Already closed.
      }
    });
  }

  #set(state: LinkState): void {
    this.#state = state;
    this.#options.onState(state);
  }

  #connect(): void {
    this.#cancel = null;
    const { clock, WebSocket, url, connectTimeout } = this.#options;
    this.#attempt += 1;
    this.#openedAt = null;
    this.#set({ status: 'connecting', attempt: this.#attempt });
    if (this.#state.status !== 'connecting') return;
    this.connects += 1;
    let socket: SocketLike;
    try {
      socket = new WebSocket(url);
    } catch {
      // The URL was checked; what is left are pages that may not open it, which a reload of settings may mend.
      this.#lost({ why: 'refused', code: 1006, reason: '' });
      return;
    }
    this.#socket = socket;
    socket.binaryType = 'arraybuffer';
    const cancelTimeout = clock.after(connectTimeout, () => {
      this.#detach();
      end(socket);
      this.#lost({ why: 'timeout', code: 1006, reason: '' });
    });
    this.#cancel = cancelTimeout;
    let opened = false;
    socket.onopen = () => {
      cancelTimeout();
      this.#cancel = null;
      opened = true;
      this.#openedAt = clock.monotonic();
      this.#watch.start();
      this.#set({ status: 'open', attempt: this.#attempt });
      if (this.#state.status === 'open') this.#options.onOpen();
    };
    socket.onmessage = ({ data }: { data: unknown }) => {
      this.#watch.touch();
      this.#options.onText(typeof data === 'string' ? data : decoder.decode(data as ArrayBuffer));
    };
    // Says nothing that the close does not say, and in browsers nothing at all.
    socket.onerror = () => {};
    socket.onclose = ({ code, reason }: { code: number; reason: string }) => {
      this.#detach();
      this.#lost(
        { why: opened ? 'closed' : 'refused', code, reason },
        socket.refusal?.retryAfter ?? undefined,
      );
    };
  }

  #lost(drop: Drop, retryAfter?: number): void {
    const { clock, stableAfter, maxAttempts } = this.#options;
    const wasOpen = this.#openedAt !== null;
    if (this.#openedAt !== null && clock.monotonic() - this.#openedAt >= stableAfter) {
      this.#backoff.reset();
      this.#attempt = 0;
      this.#rubbish = 0;
    }
    this.#openedAt = null;
    if (OURS.has(drop.code)) this.#rubbish += 1;
    const error = this.#final(drop, maxAttempts);
    if (error !== null) this.#set({ status: 'closed', error, drop });
    else {
      const delay = this.#backoff.next(retryAfter);
      this.#cancel = clock.after(delay, () => this.#connect());
      this.#set({ status: 'waiting', attempt: this.#attempt, delay, drop });
    }
    if (wasOpen) this.#options.onDown(drop);
  }

  #final({ code }: Drop, maxAttempts: number): CountersignError | null {
    if (code === CLOSE.goodbye.code) {
      return new ConnectionError('unauthorized', 'The server ended the access behind this connection.');
    }
    if (this.#rubbish >= FORGIVEN) {
      return new ConnectionError('refused', `The server closed ${FORGIVEN} connections with code ${code}.`);
    }
    if (this.#attempt >= maxAttempts) {
      return new ConnectionError('unreachable', `No lasting connection in ${maxAttempts} attempts.`);
    }
    return null;
  }

  #detach(): SocketLike | null {
    const socket = this.#socket;
    this.#cancel?.();
    this.#cancel = null;
    this.#watch.stop();
    this.#socket = null;
    if (socket !== null) {
      socket.onopen = null;
      socket.onmessage = null;
      socket.onclose = null;
      socket.onerror = () => {};
    }
    return socket;
  }
}

/** Lets go of a socket at once: a dead one would take minutes to close by handshake. */
function end(socket: SocketLike): void {
  try {
    if (socket.terminate !== undefined) socket.terminate();
    else socket.close();
  } catch {
    // It never opened, or is closed already.
  }
}
