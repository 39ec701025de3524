/** One HTTP service of the venue: its connections, its time limits, its retries and its breaker. */
import { Readable } from 'node:stream';
import { Refusal } from '@countersign/protocol';
import type { Clock } from '../operations/clock.ts';
import { Breaker, type BreakerState } from './breaker.ts';
import { createDeadlines, type Deadlines, type Overdue } from './deadlines.ts';
import {
  createVenueConnections,
  headerOf,
  type RawHeaders,
  type VenueExchange,
  type VenueListener,
} from './venue-connections.ts';

export interface UpstreamCall {
  method: string;
  /** Path and query, beginning with a slash; put behind the path of the base URL. */
  target: string;
  /** Names and values in turn. */
  headers: string[];
  timeoutMs: number;
  /** Attempts besides the first, where no answer came back. Only for what may be asked twice. */
  retries: number;
}

export interface Answer {
  status: number;
  /** Parsed JSON; null for an empty body. */
  body: unknown;
  /** What `body` was parsed from; empty for none. */
  text: string;
}

export interface Streamed {
  status: number;
  contentType: string | null;
  /** Destroy it if it is not read to the end. */
  body: Readable;
}

export interface Upstream {
  /** Host and port. */
  readonly service: string;
  /** @throws Refusal `upstream_timeout`, `unavailable` */
  ask(call: UpstreamCall, body: string | null): Promise<Answer>;
  /**
   * Bodies pass as bytes. The time limit is for the beginning of the answer, and after it for each pause.
   *
   * @throws Refusal like {@link ask}; what `body` was destroyed with
   */
  stream(call: UpstreamCall, body: Readable | null): Promise<Streamed>;
  /** Idempotent. */
  close(): void;
}

export interface UpstreamOptions {
  /** `http(s)://host[:port][/path]`. */
  baseUrl: string;
  clock: Clock;
  breaker: { failures: number; pauseMs: number };
  circuit?: (state: BreakerState) => void;
}

const MAX_ANSWER = 4 * 1024 * 1024;
const MAX_SOCKETS = 64;
/** Beyond this the venue is not keeping up, and waiting longer would only hide it. */
const MAX_UNDER_WAY = 512;
/** Milliseconds before the second retry, twice that before the third. The first is at once: a kept-alive connection died. */
const RETRY_PAUSE = 50;

export function createUpstream({ baseUrl, clock, breaker, circuit }: UpstreamOptions): Upstream {
  const base = new URL(baseUrl);
  const basePath = base.pathname.replace(/\/+$/, '');
  const connections = createVenueConnections(base.origin, MAX_SOCKETS);
  const guard = new Breaker({ ...breaker, clock, ...(circuit === undefined ? {} : { changed: circuit }) });
  const deadlines = createDeadlines(clock);
  const underWay = new Set<Exchange<never>>();
  let closed = false;

  /** @returns what the exchange ends with; `exchange` must be a new one */
  function begin<T>(
    exchange: Exchange<T>,
    { method, target, headers, timeoutMs }: UpstreamCall,
    body: string | Readable | null,
  ): Promise<T> {
    return new Promise((resolve, reject) => {
      exchange.over = { resolve, reject, underWay, deadlines, timeoutMs };
      deadlines.add(timeoutMs, exchange);
      underWay.add(exchange as Exchange<never>);
      const request = { method, path: `${basePath}${target}`, headers, body };
      exchange.sent = connections.send(request, exchange);
    });
  }

  /** @throws Refusal; whatever else an attempt ended with, if it may not be repeated */
  async function repeated<T>(call: UpstreamCall, attempt: () => Promise<T>): Promise<T> {
    for (let tried = 0; ; tried += 1) {
      try {
        return await attempt();
      } catch (error) {
        // A Refusal is an answer, or the end of patience. Everything else means that none came back.
        if (error instanceof Refusal || tried >= call.retries || closed) throw error;
        if (tried > 0) await new Promise<void>((resolve) => void clock.after(RETRY_PAUSE * tried, resolve));
      }
    }
  }

  function guarded<T extends { status: number }>(call: UpstreamCall, attempt: () => Promise<T>): Promise<T> {
    if (closed) return Promise.reject(new Refusal('unavailable', 'the forwarder is closed'));
    if (underWay.size >= MAX_UNDER_WAY) {
      return Promise.reject(new Refusal('unavailable', 'too many calls to the venue are under way'));
    }
    if (!guard.enter()) {
      const retryAfter = guard.retryAfter();
      return Promise.reject(new Refusal('unavailable', 'the circuit is open', { retryAfter }));
    }
    return (call.retries === 0 ? attempt() : repeated(call, attempt)).then(
      (answer) => {
        guard.settle(answer.status < 502 || answer.status > 504);
        return answer;
      },
      (error: unknown) => {
        // What went wrong on the client's side says nothing about the service.
        guard.settle(
          error instanceof Refusal && error.code !== 'upstream_timeout' && error.code !== 'unavailable',
        );
        throw refusalOf(error);
      },
    );
  }

  return {
    service: base.host,

    ask: (call, body) => guarded(call, () => begin(new WholeAnswer(), call, body)),

    stream: (call, body) =>
      guarded(call, () => {
        const exchange = new PassingAnswer(clock, call.timeoutMs);
        body?.on('error', (error) => exchange.stop(error));
        return begin(exchange, call, body);
      }),

    close() {
      if (closed) return;
      closed = true;
      for (const exchange of [...underWay])
        exchange.stop(new Refusal('unavailable', 'the forwarder is closed'));
      deadlines.close();
      connections.close();
    },
  };
}

/** One exchange, up to the moment when the caller has what it asked for. */
abstract class Exchange<T> implements VenueListener, Overdue {
  /** Monotonic milliseconds. */
  until = 0;
  /** A request that undici refuses fails before there is one. */
  sent: VenueExchange | null = null;
  over: {
    resolve: (answer: T) => void;
    reject: (reason: unknown) => void;
    underWay: Set<Exchange<never>>;
    deadlines: Deadlines;
    timeoutMs: number;
  } | null = null;

  abstract start(status: number, headers: RawHeaders): void;
  abstract data(chunk: Buffer): void;
  abstract end(): void;

  fail(error: unknown): void {
    this.stop(error);
  }

  overdue(): void {
    this.stop(new Refusal('upstream_timeout', 'the venue did not answer in time'));
  }

  done(answer: T): void {
    this.#leave()?.resolve(answer);
  }

  stop(reason: unknown): void {
    this.#leave()?.reject(reason);
    this.sent?.cancel();
  }

  #leave() {
    const { over } = this;
    if (over === null) return null;
    this.over = null;
    over.deadlines.delete(over.timeoutMs, this);
    over.underWay.delete(this as Exchange<never>);
    return over;
  }
}

class WholeAnswer extends Exchange<Answer> {
  #status = 0;
  #size = 0;
  /** Most answers come in one piece. */
  #first: Buffer | null = null;
  #more: Buffer[] | null = null;

  start(status: number): void {
    this.#status = status;
  }

  data(chunk: Buffer): void {
    this.#size += chunk.length;
    if (this.#size > MAX_ANSWER) {
      this.stop(new Refusal('unavailable', 'the answer of the venue is too large'));
    } else if (this.#first === null) this.#first = chunk;
    else if (this.#more === null) this.#more = [this.#first, chunk];
    else this.#more.push(chunk);
  }

  end(): void {
    const status = this.#status;
    if (this.#first === null) return this.done({ status, body: null, text: '' });
    const bytes = this.#more === null ? this.#first : Buffer.concat(this.#more, this.#size);
    const text = bytes.toString('utf8');
    let body: unknown;
    try {
      body = JSON.parse(text);
    } catch {
      return this.stop(new Refusal('unavailable', 'the answer of the venue is not JSON'));
    }
    this.done({ status, body, text });
  }
}

/** Passes bytes on as fast as they are read. A pause longer than `patienceMs`, on either side, ends it. */
class PassingAnswer extends Exchange<Streamed> {
  readonly #clock: Clock;
  readonly #patienceMs: number;
  readonly #body: Readable;
  #begun = false;
  #stopWaiting = () => {};

  constructor(clock: Clock, patienceMs: number) {
    super();
    this.#clock = clock;
    this.#patienceMs = patienceMs;
    this.#body = new Readable({
      read: () => this.sent?.resume(),
      destroy: (error, done) => {
        this.#stopWaiting();
        this.sent?.cancel();
        done(error);
      },
    });
  }

  #wait(): void {
    this.#stopWaiting();
    this.#stopWaiting = this.#clock.after(this.#patienceMs, () =>
      this.#body.destroy(new Error('a pause in the answer of the venue')),
    );
  }

  start(status: number, headers: RawHeaders): void {
    this.#begun = true;
    this.#wait();
    this.done({ status, contentType: headerOf(headers, 'content-type'), body: this.#body });
  }

  data(chunk: Buffer): void {
    this.#wait();
    if (!this.#body.push(chunk)) this.sent?.pause();
  }

  end(): void {
    this.#stopWaiting();
    this.#body.push(null);
  }

  override fail(error: Error): void {
    this.stop(error);
    if (this.#begun) this.#body.destroy(error);
  }
}

function refusalOf(error: unknown): Refusal {
  if (error instanceof Refusal) return error;
  const { name, code } = error as NodeJS.ErrnoException;
  return new Refusal('unavailable', `the venue cannot be reached: ${code ?? name}`);
}
