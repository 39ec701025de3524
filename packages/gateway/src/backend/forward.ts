/**
 * Asks the venue's own HTTP services. What a venue has to serve, where no route of the configuration says otherwise:
 *
 * - `POST {base}/queries/{name}` with the arguments as a JSON object; answers a JSON object
 * - `POST {base}/events` with `{event, params}`; answers `{success, result}` or `{success, error}`
 * - the REST paths that the gateway passes on, such as `GET {base}/v1/p/network?chainId=1`
 *
 * Requests carry `x-request-id` and, where somebody is signed in, `x-countersign-identity` (see venue-identity.ts).
 * No header of the client's request is copied, so none can pass for one of ours.
 */
import type { Readable } from 'node:stream';
import { Refusal } from '@countersign/protocol';
import type { Clock } from '../operations/clock.ts';
import type { Principal } from '../session/principal.ts';
import type { JsonObject } from '../streams/publication.ts';
import type { BreakerState } from './breaker.ts';
import type { Route, RouteTable } from './routes.ts';
import { type Answer, createUpstream, type Streamed, type Upstream, type UpstreamCall } from './upstream.ts';
import type { SignIdentity } from './venue-identity.ts';

export interface RestCall {
  method: string;
  /** Starts with a slash; no query. */
  path: string;
  /** As the client wrote it, without the question mark. */
  query: string;
  /** Sent as JSON; null for no body. */
  body: Record<string, unknown> | null;
  principal: Principal | null;
  requestId: string;
  /** The terms of the call; absent = those of `venue`. */
  route?: Route;
}

export interface StreamCall extends Omit<RestCall, 'body'> {
  body: Readable | null;
  contentType: string | null;
}

export interface Forwarder {
  /**
   * Answers a named query.
   *
   * @throws Refusal `not_found` for a query the venue does not know, `invalid_request` where it refuses the
   *   arguments, `upstream_timeout`, `unavailable`
   */
  query(name: string, args: JsonObject, principal: Principal | null): Promise<JsonObject>;
  /**
   * Has the venue carry out an event of the chainworks dialect: `POST {base}/events` with `{event, params}`, or
   * what its route says, with the parameters as the body.
   *
   * @returns `{success: true, result}` or `{success: false, error: {code, message}}`, as the venue answered it
   * @throws Refusal like {@link query}
   */
  event(event: string, params: JsonObject, principal: Principal): Promise<JsonObject>;
  /** Passes a REST call on. @throws Refusal `upstream_timeout`, `unavailable`, `invalid_request` for an odd path */
  rest(call: RestCall): Promise<Answer>;
  /** The same with bodies as bytes, unread. Never asks twice. */
  stream(call: StreamCall): Promise<Streamed>;
  /** Drops what is under way and closes idle connections. Idempotent. */
  close(): void;
}

export interface ForwarderOptions {
  /** `http(s)://host[:port][/path]`. */
  baseUrl: string;
  /** For one attempt, from the first byte sent to the last received, in milliseconds. */
  timeoutMs: number;
  clock: Clock;
  signIdentity: SignIdentity;
  /** Default: everything goes where this file's head says. */
  routes?: Pick<RouteTable, 'query' | 'event'>;
  /** Failed calls in a row after which a service is left alone, and for how long. Default 20 and 1000. */
  breaker?: { failures: number; pauseMs: number };
  /** Told once per call. `outcome`: an HTTP status class such as `2xx`, or the code of the refusal. */
  observe?: (call: {
    /** Host and port. */
    service: string;
    kind: 'query' | 'event' | 'rest';
    outcome: string;
    seconds: number;
  }) => void;
  /** Does a call inside a span; `headers` then says which trace it belongs to, name and value in turn. */
  tracing?: {
    span<T>(call: { service: string; kind: string; method: string }, work: () => T): T;
    headers(): string[];
  };
  /** Told when a service is left alone, tried again, or back. `service`: its host and port. */
  circuit?: (service: string, state: BreakerState) => void;
}

const QUERY_NAME = /^[A-Za-z][A-Za-z0-9_-]{0,63}$/;
/** What a path may hold after routing: no dot segments, no escapes that hide a slash, no control characters. */
const PATH = /^(?:\/(?!\.{1,2}(?:\/|$))[A-Za-z0-9._~:@!$&'()*+,;=-]+)+\/?$/;
const QUERY_TEXT = /^[A-Za-z0-9._~:@!$&'()*+,;=/?%[\]-]{0,8192}$/;

/** Classes of statuses by their first digit. */
const CLASSES = ['0xx', '1xx', '2xx', '3xx', '4xx', '5xx', '6xx', '7xx', '8xx', '9xx'];

interface Sending {
  kind: 'query' | 'event' | 'rest';
  method: string;
  path: string;
  query?: string;
  principal: Principal | null;
  requestId?: string;
  route: Route | undefined;
}

export function createForwarder(options: ForwarderOptions): Forwarder {
  const { clock, routes, breaker = { failures: 20, pauseMs: 1000 } } = options;
  const upstreams = new Map<string, Upstream>();
  /** Found good last: most routes have the same path each time. */
  let latestPath = '/';
  let closed = false;

  function goodPath(path: string): boolean {
    if (path === latestPath) return true;
    if (!PATH.test(path)) return false;
    latestPath = path;
    return true;
  }

  function upstream(route: Route | undefined): Upstream {
    const baseUrl = route?.to.url ?? options.baseUrl;
    const known = upstreams.get(baseUrl);
    if (known !== undefined) return known;
    const { host } = new URL(baseUrl);
    const circuit = (state: BreakerState) => options.circuit?.(host, state);
    const made = createUpstream({ baseUrl, clock, breaker, circuit });
    upstreams.set(baseUrl, made);
    return made;
  }

  function callOf(
    { method, path, query = '', principal, requestId, route }: Sending,
    accept: string,
    contentType: string | null,
  ): UpstreamCall {
    const headers = ['accept', accept];
    if (contentType !== null) headers.push('content-type', contentType);
    if (requestId !== undefined) headers.push('x-request-id', requestId);
    if (principal !== null) headers.push('x-countersign-identity', options.signIdentity(principal));
    if (options.tracing !== undefined) headers.push(...options.tracing.headers());
    return {
      method,
      target: query === '' ? path : `${path}?${query}`,
      headers,
      timeoutMs: route?.timeoutMs ?? options.timeoutMs,
      // Only what may be asked twice without harm is asked twice (RFC 9110 section 9.2.2).
      retries: (route?.idempotent ?? method === 'GET') ? (route?.retries ?? 1) : 0,
    };
  }

  /** Written with callbacks, like all that each call passes through: an async function costs a call more than it does. */
  function observed<T extends { status: number }>(
    { kind, method, route }: Sending,
    work: (to: Upstream) => Promise<T>,
  ): Promise<T> {
    if (closed) return Promise.reject(new Refusal('unavailable', 'the forwarder is closed'));
    const to = upstream(route);
    const { service } = to;
    const started = clock.monotonic();
    const over = (outcome: string) =>
      options.observe?.({ service, kind, outcome, seconds: (clock.monotonic() - started) / 1000 });
    const answered =
      options.tracing === undefined
        ? work(to)
        : options.tracing.span({ service, kind, method }, () => work(to));
    return answered.then(
      (answer) => {
        over(CLASSES[Math.floor(answer.status / 100)] ?? 'unavailable');
        return answer;
      },
      (error: unknown) => {
        over(error instanceof Refusal ? error.code : 'unavailable');
        throw error;
      },
    );
  }

  function send(sending: Sending, body: object | null): Promise<Answer> {
    return observed(sending, (to) =>
      body === null
        ? to.ask(callOf(sending, 'application/json', null), null)
        : to.ask(callOf(sending, 'application/json', 'application/json'), JSON.stringify(body)),
    );
  }

  const own = (route: Route) => ({ method: route.to.method ?? 'POST', path: route.to.path });

  return {
    async query(name, args, principal) {
      if (!QUERY_NAME.test(name)) throw new Refusal('not_found', 'no query has such a name');
      const route = routes?.query(name);
      const where = route === undefined ? { method: 'POST', path: `/queries/${name}` } : own(route);
      return objectOf(await send({ kind: 'query', ...where, principal, route }, args));
    },

    async event(event, params, principal) {
      const route = routes?.event(event);
      const where = route === undefined ? { method: 'POST', path: '/events' } : own(route);
      const body = route === undefined ? { event, params } : params;
      const reply = objectOf(await send({ kind: 'event', ...where, principal, route }, body));
      if (typeof reply.success === 'boolean') return reply;
      throw new Refusal('unavailable', 'the venue answered without "success"');
    },

    rest({ method, path, query, body, principal, requestId, route }) {
      if (!goodPath(path) || !QUERY_TEXT.test(query)) return Promise.reject(oddUrl());
      return send({ kind: 'rest', method, path, query, principal, requestId, route }, body);
    },

    async stream({ method, path, query, body, contentType, principal, requestId, route }) {
      if (!goodPath(path) || !QUERY_TEXT.test(query)) throw oddUrl();
      const sending: Sending = { kind: 'rest', method, path, query, principal, requestId, route };
      const type = body === null ? null : (contentType ?? 'application/octet-stream');
      return observed(sending, (to) => to.stream(callOf(sending, '*/*', type), body));
    },

    close() {
      closed = true;
      for (const one of upstreams.values()) one.close();
    },
  };
}

const oddUrl = (): Refusal => new Refusal('invalid_request', 'odd characters in the URL');

/** @throws Refusal for every answer but a JSON object with a status of success */
function objectOf({ status, body }: Answer): JsonObject {
  if (status === 404) throw new Refusal('not_found', 'the venue has no such query');
  if (status === 403) throw new Refusal('forbidden', 'the venue answered 403');
  if (status === 429) throw new Refusal('rate_limited', 'the venue answered 429');
  if (status === 400 || status === 422) throw new Refusal('invalid_request', `the venue answered ${status}`);
  if (status < 200 || status > 299) throw new Refusal('unavailable', `the venue answered ${status}`);
  if (typeof body !== 'object' || body === null || Array.isArray(body)) {
    throw new Refusal('unavailable', 'the venue answered no JSON object');
  }
  return body as JsonObject;
}
