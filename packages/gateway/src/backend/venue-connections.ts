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

/** What becomes of a request. After `end` or `fail` nothing more is told. */
export interface VenueListener {
  start(status: number, headers: Readonly<Record<string, string | string[] | undefined>>): void;
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
    #controller: Dispatcher.DispatchController | null = null;

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
      this.#controller?.pause();
    }

    resume(): void {
      this.#controller?.resume();
    }

    cancel(): void {
      if (this.#listener === null) return;
      this.#listener = null;
      waiting.delete(this);
      const lane = this.#lane;
      if (lane === null) return;
      if (this.#controller !== null) {
        this.#controller.abort(new Error('given up'));
        return;
      }
      // Still connecting: undici cannot take the request back, so the client goes, and a new one has its place.
      const { client } = lane;
      lane.client = open();
      void client.destroy();
    }

    onRequestStart(controller: Dispatcher.DispatchController): void {
      this.#controller = controller;
    }

    onResponseStart(
      _controller: Dispatcher.DispatchController,
      status: number,
      headers: Record<string, string | string[] | undefined>,
    ): void {
      // 1xx only announces the answer (RFC 9110 section 15.2).
      if (status >= 200) this.#listener?.start(status, headers);
    }

    onResponseData(_controller: Dispatcher.DispatchController, chunk: Buffer): void {
      this.#listener?.data(chunk);
    }

    onResponseEnd(): void {
      const listener = this.#leave();
      listener?.end();
    }

    onResponseError(_controller: Dispatcher.DispatchController, error: Error): void {
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
