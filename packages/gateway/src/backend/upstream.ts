/** One HTTP service of the venue: its connections, its time limits, its retries and its breaker. */
import { Readable } from 'node:stream';
import { Refusal } from '@countersign/protocol';
import type { Clock } from '../operations/clock.ts';
import { Breaker, type BreakerState } from './breaker.ts';
import { createVenueConnections, type VenueExchange, type VenueListener } from './venue-connections.ts';

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
  /** How to stop each call that is under way. */
  const underWay = new Set<(reason: Refusal) => void>();
  let closed = false;

  /** One exchange, up to the moment when `listen` says that the caller has what it asked for. */
  function exchange<T>(
    { method, target, headers, timeoutMs }: UpstreamCall,
    body: string | Readable | null,
    listen: (settle: Settle<T>) => VenueListener,
  ): Promise<T> {
    return new Promise((resolve, reject) => {
      // A request that undici refuses fails before there is an exchange.
      let sent: VenueExchange | null = null;
      const over = () => {
        cancelTimer();
        underWay.delete(stop);
      };
      const stop = (reason: unknown) => {
        over();
        reject(reason);
        sent?.cancel();
      };
      const settle: Settle<T> = {
        done(answer) {
          over();
          resolve(answer);
        },
        stop,
        pause: () => sent?.pause(),
        resume: () => sent?.resume(),
        cancel: () => sent?.cancel(),
      };
      const cancelTimer = clock.after(timeoutMs, () =>
        stop(new Refusal('upstream_timeout', 'the venue did not answer in time')),
      );
      underWay.add(stop);
      const request = { method, path: `${basePath}${target}`, headers, body };
      sent = connections.send(request, listen(settle));
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

  async function guarded<T extends { status: number }>(
    call: UpstreamCall,
    attempt: () => Promise<T>,
  ): Promise<T> {
    if (closed) throw new Refusal('unavailable', 'the forwarder is closed');
    if (underWay.size >= MAX_UNDER_WAY) {
      throw new Refusal('unavailable', 'too many calls to the venue are under way');
    }
    if (!guard.enter()) {
      throw new Refusal('unavailable', 'the circuit is open', { retryAfter: guard.retryAfter() });
    }
    let ok = false;
    try {
      const answer = await (call.retries === 0 ? attempt() : repeated(call, attempt));
      ok = answer.status < 502 || answer.status > 504;
      return answer;
    } catch (error) {
      // What went wrong on the client's side says nothing about the service.
      ok = error instanceof Refusal && error.code !== 'upstream_timeout' && error.code !== 'unavailable';
      throw refusalOf(error);
    } finally {
      guard.settle(ok);
    }
  }

  return {
    service: base.host,

    ask: (call, body) => guarded(call, () => exchange(call, body, readWhole)),

    stream: (call, body) =>
      guarded(call, () =>
        exchange<Streamed>(call, body, (settle) => {
          body?.on('error', settle.stop);
          return readPassing(settle, clock, call.timeoutMs);
        }),
      ),

    close() {
      if (closed) return;
      closed = true;
      for (const stop of [...underWay]) stop(new Refusal('unavailable', 'the forwarder is closed'));
      connections.close();
    },
  };
}

/** How a listener ends the exchange that it listens to. */
interface Settle<T> extends VenueExchange {
  done(answer: T): void;
  stop(reason: unknown): void;
}

function readWhole({ done, stop }: Settle<Answer>): VenueListener {
  const chunks: Buffer[] = [];
  let size = 0;
  let status = 0;
  return {
    start(answered) {
      status = answered;
    },
    data(chunk) {
      size += chunk.length;
      if (size > MAX_ANSWER) stop(new Refusal('unavailable', 'the answer of the venue is too large'));
      else chunks.push(chunk);
    },
    end() {
      if (size === 0) return done({ status, body: null, text: '' });
      const bytes = chunks.length === 1 ? chunks[0]! : Buffer.concat(chunks, size);
      const text = bytes.toString('utf8');
      let body: unknown;
      try {
        body = JSON.parse(text);
      } catch {
        return stop(new Refusal('unavailable', 'the answer of the venue is not JSON'));
      }
      done({ status, body, text });
    },
    fail: stop,
  };
}

/** Passes bytes on as fast as they are read. A pause longer than `patienceMs`, on either side, ends it. */
function readPassing(settle: Settle<Streamed>, clock: Clock, patienceMs: number): VenueListener {
  let begun = false;
  let stopWaiting = () => {};
  const wait = () => {
    stopWaiting();
    stopWaiting = clock.after(patienceMs, () =>
      body.destroy(new Error('a pause in the answer of the venue')),
    );
  };
  const body = new Readable({
    read: () => settle.resume(),
    destroy(error, done) {
      stopWaiting();
      settle.cancel();
      done(error);
    },
  });
  return {
    start(status, { 'content-type': type }) {
      begun = true;
      wait();
      settle.done({ status, contentType: typeof type === 'string' ? type : null, body });
    },
    data(chunk) {
      wait();
      if (!body.push(chunk)) settle.pause();
    },
    end() {
      stopWaiting();
      body.push(null);
    },
    fail(error) {
      settle.stop(error);
      if (begun) body.destroy(error);
    },
  };
}

function refusalOf(error: unknown): Refusal {
  if (error instanceof Refusal) return error;
  const { name, code } = error as NodeJS.ErrnoException;
  return new Refusal('unavailable', `the venue cannot be reached: ${code ?? name}`);
}
