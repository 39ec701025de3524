/**
 * Asks the venue's own HTTP service. What a venue has to serve:
 *
 * - `POST {base}/queries/{name}` with the arguments as a JSON object; answers a JSON object
 * - `POST {base}/events` with `{event, params}`; answers `{success, result}` or `{success, error}`
 * - the REST paths that the gateway passes on, such as `GET {base}/v1/p/network?chainId=1`
 *
 * Requests carry `x-request-id` and, where somebody is signed in, `x-countersign-identity` (see venue-identity.ts).
 * No header of the client's request is copied, so none can pass for one of ours.
 */
import { Agent as HttpAgent, request as httpRequest, type IncomingMessage } from 'node:http';
import { Agent as HttpsAgent, request as httpsRequest } from 'node:https';
import { Refusal } from '@countersign/protocol';
import type { Clock } from '../operations/clock.ts';
import type { Principal } from '../session/principal.ts';
import type { JsonObject } from '../streams/publication.ts';
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
   * Has the venue carry out an event of the chainworks dialect: `POST {base}/events` with `{event, params}`.
   *
   * @returns `{success: true, result}` or `{success: false, error: {code, message}}`, as the venue answered it
   * @throws Refusal like {@link query}
   */
  event(event: string, params: JsonObject, principal: Principal): Promise<JsonObject>;
  /** Passes a REST call on. @throws Refusal `upstream_timeout`, `unavailable`, `invalid_request` for an odd path */
  rest(call: RestCall): Promise<{ status: number; body: unknown }>;
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
  /** Told once per call. `outcome`: an HTTP status class such as `2xx`, or the code of the refusal. */
  observe?: (call: { kind: 'query' | 'event' | 'rest'; outcome: string; seconds: number }) => void;
}

const MAX_ANSWER = 4 * 1024 * 1024;
const MAX_SOCKETS = 64;
/** Beyond this the venue is not keeping up, and waiting longer would only hide it. */
const MAX_UNDER_WAY = 512;
const QUERY_NAME = /^[A-Za-z][A-Za-z0-9_-]{0,63}$/;
/** What a path may hold after routing: no dot segments, no escapes that hide a slash, no control characters. */
const PATH = /^(?:\/(?!\.{1,2}(?:\/|$))[A-Za-z0-9._~:@!$&'()*+,;=-]+)+\/?$/;
const QUERY_TEXT = /^[A-Za-z0-9._~:@!$&'()*+,;=/?%[\]-]{0,8192}$/;

export function createForwarder(options: ForwarderOptions): Forwarder {
  const base = new URL(options.baseUrl);
  const basePath = base.pathname.replace(/\/+$/, '');
  const https = base.protocol === 'https:';
  const agent = new (https ? HttpsAgent : HttpAgent)({
    keepAlive: true,
    maxSockets: MAX_SOCKETS,
    maxFreeSockets: MAX_SOCKETS,
    scheduling: 'lifo',
  });
  const { clock } = options;
  /** How to stop each call that is under way. */
  const underWay = new Set<(reason: Refusal) => void>();
  let closed = false;

  function attempt(method: string, target: string, headers: Record<string, string>, body: string | null) {
    return new Promise<{ status: number; body: unknown }>((resolve, reject) => {
      const outgoing = (https ? httpsRequest : httpRequest)({
        agent,
        host: base.hostname.replace(/^\[|\]$/g, ''),
        port: base.port === '' ? (https ? 443 : 80) : Number(base.port),
        method,
        path: target,
        headers,
      });
      const finish = (settle: () => void) => {
        cancelTimer();
        underWay.delete(stop);
        settle();
      };
      // Rejects before it destroys, so that the error of the dying socket is not taken for the venue's.
      const stop = (reason: unknown) => {
        finish(() => reject(reason));
        outgoing.destroy();
      };
      const cancelTimer = clock.after(options.timeoutMs, () =>
        stop(new Refusal('upstream_timeout', 'the venue did not answer in time')),
      );
      underWay.add(stop);
      outgoing.on('error', stop);
      outgoing.on('response', (incoming) => {
        const status = incoming.statusCode ?? 0;
        readAnswer(incoming).then((answer) => finish(() => resolve({ status, body: answer })), stop);
      });
      outgoing.end(body ?? undefined);
    });
  }

  async function send(
    kind: 'query' | 'event' | 'rest',
    method: string,
    path: string,
    query: string,
    body: object | null,
    principal: Principal | null,
    requestId: string | null,
  ): Promise<{ status: number; body: unknown }> {
    if (closed) throw new Refusal('unavailable', 'the forwarder is closed');
    if (underWay.size >= MAX_UNDER_WAY)
      throw new Refusal('unavailable', 'too many calls to the venue are under way');
    const headers: Record<string, string> = { host: base.host, accept: 'application/json' };
    const text = body === null ? null : JSON.stringify(body);
    if (text !== null) {
      headers['content-type'] = 'application/json';
      headers['content-length'] = String(Buffer.byteLength(text));
    }
    if (requestId !== null) headers['x-request-id'] = requestId;
    if (principal !== null) headers['x-countersign-identity'] = options.signIdentity(principal);
    const target = `${basePath}${path}${query === '' ? '' : `?${query}`}`;

    const started = clock.monotonic();
    let outcome = 'unavailable';
    try {
      let answer: { status: number; body: unknown };
      try {
        answer = await attempt(method, target, headers, text);
      } catch (error) {
        // A kept-alive connection may die just as it is used again. Only a GET can be asked twice without harm
        // (RFC 9110 section 9.2.2).
        if (method !== 'GET' || !isReset(error)) throw error;
        answer = await attempt(method, target, headers, text);
      }
      outcome = `${Math.floor(answer.status / 100)}xx`;
      return answer;
    } catch (error) {
      const refusal = refusalOf(error);
      outcome = refusal.code;
      throw refusal;
    } finally {
      options.observe?.({ kind, outcome, seconds: (clock.monotonic() - started) / 1000 });
    }
  }

  return {
    async query(name, args, principal) {
      if (!QUERY_NAME.test(name)) throw new Refusal('not_found', 'no query has such a name');
      return objectOf(await send('query', 'POST', `/queries/${name}`, '', args, principal, null));
    },

    async event(event, params, principal) {
      const reply = objectOf(await send('event', 'POST', '/events', '', { event, params }, principal, null));
      if (typeof reply.success === 'boolean') return reply;
      throw new Refusal('unavailable', 'the venue answered without "success"');
    },

    async rest({ method, path, query, body, principal, requestId }) {
      if (!PATH.test(path) || !QUERY_TEXT.test(query))
        throw new Refusal('invalid_request', 'odd characters in the URL');
      return send('rest', method, path, query, body, principal, requestId);
    },

    close() {
      if (closed) return;
      closed = true;
      for (const stop of [...underWay]) stop(new Refusal('unavailable', 'the forwarder is closed'));
      agent.destroy();
    },
  };
}

/** @throws Refusal for every answer but a JSON object with a status of success */
function objectOf({ status, body }: { status: number; body: unknown }): JsonObject {
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

async function readAnswer(incoming: IncomingMessage): Promise<unknown> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of incoming as AsyncIterable<Buffer>) {
    size += chunk.length;
    if (size > MAX_ANSWER) throw new Refusal('unavailable', 'the answer of the venue is too large');
    chunks.push(chunk);
  }
  if (size === 0) return null;
  try {
    return JSON.parse(Buffer.concat(chunks, size).toString('utf8'));
  } catch {
    throw new Refusal('unavailable', 'the answer of the venue is not JSON');
  }
}

const isReset = (error: unknown): boolean => {
  const { code } = error as NodeJS.ErrnoException;
  return code === 'ECONNRESET' || code === 'EPIPE';
};

function refusalOf(error: unknown): Refusal {
  if (error instanceof Refusal) return error;
  const { name, code } = error as NodeJS.ErrnoException;
  return new Refusal('unavailable', `the venue cannot be reached: ${code ?? name}`);
}
