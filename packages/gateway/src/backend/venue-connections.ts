/**
 * Kept-alive connections to one HTTP service: a bounded number, one request under way on each. What has no
 * connection yet waits in order and can be withdrawn, so that nothing is sent for a caller who has given up.
 *
 * Stands on undici's `Client` and not on its `Pool`, whose queue has no end and cannot be left.
 */
import type { Readable } from 'node:stream';
import { Client, type Dispatcher } from 'undici';

export interface VenueRequest {
  method: string;
  /** With the query. */
  path: string;
  /** Names and values in turn. */
  headers: string[];
  body: string | Readable | null;
}

/** Names and values in turn. */
export type RawHeaders = readonly Buffer[];

/** What becomes of a request. After `end` or `fail` nothing more is told. */
export interface VenueListener {
  start(status: number, headers: RawHeaders): void;
  data(chunk: Buffer): void;
  end(): void;
  fail(error: Error): void;
}

export interface VenueExchange {
  /** Stops the answer from coming until {@link resume}. Only after `start`. */
  pause(): void;
  resume(): void;
  /** Gives up: the connection is closed if the request is on it. The listener hears nothing more. Idempotent. */
  cancel(): void;
}

export interface VenueConnections {
  send(request: VenueRequest, listener: VenueListener): VenueExchange;
  /** Cancels what is under way and closes every connection. Idempotent. */
  close(): void;
}

/** @param wanted in lower case. @returns null if it is not there exactly once */
export function headerOf(headers: RawHeaders, wanted: string): string | null {
  const places = headers.flatMap((name, n) =>
    n % 2 === 0 && name.toString('latin1').toLowerCase() === wanted ? [n + 1] : [],
  );
  return places.length === 1 ? (headers[places[0]!]?.toString('latin1') ?? null) : null;
}

interface Lane {
  client: Client;
}

/** @param origin `http(s)://host[:port]`. @param most connections at once */
export function createVenueConnections(origin: string, most: number): VenueConnections {
  const idle: Lane[] = [];
  const waiting = new Set<Exchange>();
  const under = new Set<Exchange>();
  let lanes = 0;

  const open = (): Client =>
    // The time limits of a call are the caller's: undici's timers beside them would only cost.
    new Client(origin, { pipelining: 1, headersTimeout: 0, bodyTimeout: 0 });

  class Exchange implements VenueExchange, Dispatcher.DispatchHandler {
    readonly #request: VenueRequest;
    #listener: VenueListener | null;
    #lane: Lane | null = null;
    #abort: ((error: Error) => void) | null = null;
    #continue: (() => void) | null = null;
    #paused = false;

    constructor(request: VenueRequest, listener: VenueListener) {
      this.#request = request;
      this.#listener = listener;
    }

    begin(lane: Lane): void {
      this.#lane = lane;
      under.add(this);
      lane.client.dispatch(this.#request as Dispatcher.DispatchOptions, this);
    }

    pause(): void {
      this.#paused = true;
    }

    resume(): void {
      if (!this.#paused) return;
      this.#paused = false;
      this.#continue?.();
    }

    cancel(): void {
      if (this.#listener === null) return;
      this.#listener = null;
      waiting.delete(this);
      const lane = this.#lane;
      if (lane === null) return;
      if (this.#abort !== null) {
        this.#abort(new Error('given up'));
        return;
      }
      // Still connecting: undici cannot take the request back, so the client goes, and a new one has its place.
      const { client } = lane;
      lane.client = open();
      void client.destroy();
    }

    // undici's own form of a handler. The newer one, which stands around it, makes an object of the headers of every
    // answer, and nobody here reads more than one of them.

    onConnect(abort: (error?: Error) => void): void {
      this.#abort = abort;
    }

    onHeaders(status: number, headers: Buffer[], resume: () => void): boolean {
      this.#continue = resume;
      // 1xx only announces the answer (RFC 9110 section 15.2).
      if (status >= 200) this.#listener?.start(status, headers);
      return !this.#paused;
    }

    onData(chunk: Buffer): boolean {
      this.#listener?.data(chunk);
      return !this.#paused;
    }

    onComplete(): void {
      const listener = this.#leave();
      listener?.end();
    }

    onError(error: Error): void {
      const listener = this.#leave();
      listener?.fail(error);
    }

    /** Hands the lane on. The listener is told after that, and may send the next request at once. */
    #leave(): VenueListener | null {
      const listener = this.#listener;
      const lane = this.#lane;
      this.#listener = null;
      this.#lane = null;
      if (lane === null) return listener;
      under.delete(this);
      const [next] = waiting;
      if (next === undefined) idle.push(lane);
      else {
        waiting.delete(next);
        next.begin(lane);
      }
      return listener;
    }
  }

  let closed = false;
  return {
    send(request, listener) {
      const exchange = new Exchange(request, listener);
      let lane = idle.pop();
      if (lane === undefined && lanes < most) {
        lane = { client: open() };
        lanes += 1;
      }
      if (lane === undefined) waiting.add(exchange);
      else exchange.begin(lane);
      return exchange;
    },

    close() {
      if (closed) return;
      closed = true;
      for (const exchange of [...waiting, ...under]) exchange.cancel();
      for (const { client } of idle) void client.destroy();
      idle.length = 0;
    },
  };
}
