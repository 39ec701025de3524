/** Requests over Socket.IO, each with its own time and its own answer. */
import type { Clock } from '../clock.ts';
import { ConnectionError, type CountersignError, RefusedError } from '../errors.ts';
import { asText, isObject } from '../feed/read-json.ts';

/** What a socket does for requests. */
export interface CallSocket {
  readonly connected: boolean;
  emit(event: string, params: object, ack?: (reply: unknown) => void): unknown;
}

export interface CallsOptions {
  clock: Clock;
  /**
   * `ack`: answers are acknowledgements, each to its own request. `event`: the server answers with an event of the
   * same name, in which nothing tells equal requests apart: then there is one of a name at a time.
   */
  answers: 'ack' | 'event';
  /** An answer that never came may come later, and pass for the next one: only a new connection is safe. */
  giveUp(): void;
}

export interface CallOptions {
  /** Milliseconds from sending to the answer. */
  timeout: number;
  signal?: AbortSignal;
}

interface Call {
  readonly event: string;
  readonly start: (socket: CallSocket) => void;
  readonly settle: (reply: unknown) => void;
  readonly fail: (error: unknown) => void;
  done: boolean;
  sent: boolean;
}

/** A server's refusal of a request, with what it did all the same. */
export class RequestRefused extends RefusedError {
  /** What came about before it failed; null if nothing did. */
  readonly partialResult: unknown;

  constructor(error: RefusedError, partialResult: unknown) {
    const { code, message, status, serverCode, requestId } = error;
    super(code, message, { status, serverCode, requestId });
    this.partialResult = partialResult;
  }
}

export class Calls {
  readonly #options: CallsOptions;
  readonly #open = new Set<Call>();
  /** In `event` mode, by name: the first one is under way. */
  readonly #lines = new Map<string, Call[]>();
  #socket: CallSocket | null = null;

  constructor(options: CallsOptions) {
    this.#options = options;
  }

  connected(socket: CallSocket): void {
    this.#socket = socket;
  }

  /** Nothing is sent again: an order repeated without being asked for is worse than one that failed. */
  disconnected(): void {
    this.#socket = null;
    this.#lines.clear();
    for (const call of [...this.#open]) call.fail(lost());
  }

  /** An event that may be an answer. @returns true if it was one */
  heard(event: string, reply: unknown): boolean {
    const call = this.#lines.get(event)?.[0];
    if (call === undefined || !call.sent || !isReply(reply)) return false;
    call.settle(reply);
    return true;
  }

  /** @throws CountersignError, or the signal's reason */
  call(event: string, params: object, { timeout, signal }: CallOptions): Promise<unknown> {
    const { clock, answers, giveUp } = this.#options;
    return new Promise((resolve, reject) => {
      if (signal?.aborted) return reject(signal.reason);
      if (this.#socket?.connected !== true) return reject(lost());
      let cancel = () => {};
      const finish = (end: () => void, keepTimer = false) => {
        if (call.done) return;
        call.done = true;
        if (!keepTimer) cancel();
        signal?.removeEventListener('abort', abort);
        this.#open.delete(call);
        end();
      };
      // One that was sent without a number of its own blocks the others until its answer has come, or its time is over.
      const abort = () => finish(() => reject(signal?.reason), answers === 'event');
      const call: Call = {
        event,
        done: false,
        sent: false,
        start: (socket) => {
          call.sent = true;
          cancel = clock.after(timeout, () => {
            finish(() =>
              reject(new ConnectionError('timeout', `No answer to ${event} in ${timeout / 1000} s.`)),
            );
            if (answers === 'event') giveUp();
          });
          if (answers === 'ack') socket.emit(event, params, (reply) => call.settle(reply));
          else socket.emit(event, params);
        },
        settle: (reply) => {
          cancel();
          this.#next(call);
          finish(() => settle(event, reply, resolve, reject));
        },
        fail: (error) => finish(() => reject(error)),
      };
      this.#open.add(call);
      signal?.addEventListener('abort', abort, { once: true });
      if (answers === 'ack') return call.start(this.#socket);
      const line = this.#lines.get(event);
      if (line !== undefined) line.push(call);
      else {
        this.#lines.set(event, [call]);
        call.start(this.#socket);
      }
    });
  }

  #next({ event }: Call): void {
    const line = this.#lines.get(event);
    if (line === undefined) return;
    line.shift();
    while (line[0]?.done === true) line.shift();
    const next = line[0];
    if (next === undefined) this.#lines.delete(event);
    else if (this.#socket !== null) next.start(this.#socket);
  }
}

const isReply = (reply: unknown): boolean => isObject(reply) && typeof reply.success === 'boolean';

function settle(
  event: string,
  reply: unknown,
  resolve: (result: unknown) => void,
  reject: (error: CountersignError) => void,
): void {
  if (!isObject(reply) || typeof reply.success !== 'boolean') {
    reject(new ConnectionError('unexpected_answer', `The answer to ${event} is none.`));
  } else if (reply.success) resolve(reply.result);
  else reject(refusedBy(reply.error, reply.partialResult ?? null));
}

function refusedBy(error: unknown, partialResult: unknown): RequestRefused {
  const code = isObject(error) ? asText(error.code) : null;
  const message = (isObject(error) ? asText(error.message) : null) ?? 'The request was refused.';
  const [own, status] =
    code === 'UNAUTHORIZED'
      ? (['unauthorized', 401] as const)
      : code === 'RATE_LIMITED'
        ? (['rate_limited', 429] as const)
        : code === 'INTERNAL_ERROR' || code === 'CONNECTION_TIMEOUT'
          ? (['server_error', 503] as const)
          : (['refused', 400] as const);
  const details = { status, serverCode: code, requestId: null };
  return new RequestRefused(new RefusedError(own, message.slice(0, 300), details), partialResult);
}

const lost = (): ConnectionError =>
  new ConnectionError('unreachable', 'There is no connection: nothing was sent.');
