/** One HTTP call with a time limit, its answer as data, and its failure as an error of ours. */
import type { Clock } from '../clock.ts';
import type { ClockSkew } from '../clock-skew.ts';
import { ConnectionError, type CountersignError, RefusedError } from '../errors.ts';

export type Fetch = typeof globalThis.fetch;

export interface Reply {
  readonly status: number;
  readonly headers: Headers;
  /** The parsed JSON; null where the body is none. */
  readonly body: unknown;
  /** Local time before the call and after its answer, in milliseconds since 1970. */
  readonly sentAt: number;
  readonly receivedAt: number;
}

export interface CallOptions {
  method?: string;
  headers?: Record<string, string>;
  /** Sent as a form: what every server of this API reads, and what needs no preflight in browsers. */
  form?: Record<string, string>;
  signal?: AbortSignal;
}

export type Call = (url: string | URL, options?: CallOptions) => Promise<Reply>;

export interface CallerOptions {
  fetch: Fetch;
  clock: Clock;
  skew: ClockSkew;
  /** Milliseconds until a call without answer is given up. */
  timeout: number;
  /** What browsers do with cookies. */
  credentials: 'omit' | 'include';
}

/** A server's `Date` has seconds, and some servers compute it once a second (RFC 9110 section 6.6.1). */
const DATE_RESOLUTION = 2000;

export function createCaller(options: CallerOptions): Call {
  const { fetch, clock, skew, timeout, credentials } = options;
  return async (url, { method = 'POST', headers = {}, form, signal } = {}) => {
    const limit = limitTime(clock, timeout, signal);
    const sentAt = clock.now();
    try {
      const response = await fetch(url, {
        method,
        headers: { accept: 'application/json', ...headers },
        ...(form === undefined ? {} : { body: new URLSearchParams(form) }),
        // A redirect would carry signatures and refresh tokens wherever it points.
        redirect: 'error',
        credentials,
        cache: 'no-store',
        signal: limit.signal,
        // Asserted, because Node's types leave out `cache`.
      } as RequestInit);
      const text = await response.text();
      const receivedAt = clock.now();
      noteDate(skew, response.headers, sentAt, receivedAt);
      return { status: response.status, headers: response.headers, body: parse(text), sentAt, receivedAt };
    } catch (error) {
      throw limit.failure(error, url);
    } finally {
      limit.end();
    }
  };
}

/** Learns from the `Date` of an answer that no cache kept. */
export function noteDate(skew: ClockSkew, headers: Headers, sentAt: number, receivedAt: number): void {
  const date = headers.get('date');
  if (date === null || headers.has('age')) return;
  skew.observe(Date.parse(date), DATE_RESOLUTION, sentAt, receivedAt);
}

/** Joins a time limit and the caller's signal, and tells afterwards which of them ended the call. */
function limitTime(clock: Clock, timeout: number, signal: AbortSignal | undefined) {
  const controller = new AbortController();
  let late = false;
  const abort = () => controller.abort(signal?.reason);
  if (signal?.aborted) abort();
  signal?.addEventListener('abort', abort, { once: true });
  const cancel = clock.after(timeout, () => {
    late = true;
    controller.abort();
  });
  return {
    signal: controller.signal,
    end() {
      cancel();
      signal?.removeEventListener('abort', abort);
    },
    failure(error: unknown, url: string | URL): unknown {
      if (late) {
        return new ConnectionError('timeout', `${place(url)} did not answer within ${timeout} ms`);
      }
      if (signal?.aborted) return signal.reason;
      return new ConnectionError('unreachable', `${place(url)} could not be reached`, { cause: error });
    },
  };
}

/** What of a URL may stand in a message. */
const place = (url: string | URL): string => {
  const { origin, pathname } = new URL(url);
  return `${origin}${pathname}`;
};

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}

export const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

/** The members of `data` in an answer that says `success`, or of the answer itself where it has no envelope. */
export function dataOf(reply: Reply): Record<string, unknown> | null {
  if (reply.status < 200 || reply.status > 299 || !isObject(reply.body)) return null;
  if (reply.body.success === false) return null;
  return isObject(reply.body.data) ? reply.body.data : reply.body;
}

/** Seconds of a `Retry-After`, which may be a number or a date (RFC 9110 section 10.2.3). */
export function retryAfterOf(headers: Headers, serverNow: number): number | undefined {
  const text = headers.get('retry-after')?.trim();
  if (text === undefined || text === '') return undefined;
  const value = /^\d{1,9}$/.test(text) ? Number(text) : (Date.parse(text) - serverNow) / 1000;
  return Number.isFinite(value) ? Math.max(0, value) : undefined;
}

const MAX_SENTENCE = 200;

/** A server's sentence, without what could be a token, a signature or a key in it. */
function scrub(text: unknown): string | null {
  if (typeof text !== 'string' || text === '') return null;
  return text
    .slice(0, MAX_SENTENCE)
    .replace(/[\p{Cc}\p{Cf}]/gu, ' ')
    .replace(/\S{24,}/g, '[...]');
}

/** An answer that is no success, as an error. */
export function refusalOf(reply: Reply, what: string, serverNow: number): CountersignError {
  const { status } = reply;
  const body = isObject(reply.body) ? reply.body : {};
  const key = body.errorMsgKey ?? body.error;
  const serverCode = typeof key === 'string' && /^[\w.-]{1,64}$/.test(key) ? key : null;
  const sentence = scrub(body.message ?? body.error_details);
  const said = [serverCode, sentence].filter((part) => part !== null).join(': ');
  const retryAfter = retryAfterOf(reply.headers, serverNow);
  const details = {
    status,
    serverCode,
    requestId: reply.headers.get('x-request-id'),
    ...(retryAfter === undefined ? {} : { retryAfter }),
  };
  if (status >= 200 && status < 300 && body.success !== false) {
    return new RefusedError('unexpected_answer', `${what}: the server's answer makes no sense`, details);
  }
  const message = `${what} was answered with status ${status}${said === '' ? '' : ` (${said})`}`;
  return new RefusedError(codeOf(status), message, details);
}

function codeOf(status: number) {
  if (status === 401) return 'unauthorized';
  if (status === 403) return 'forbidden';
  if (status === 429) return 'rate_limited';
  // RFC 9110 section 15.5.9 and RFC 8470 section 5.2: both ask for another try.
  if (status >= 500 || status === 408 || status === 425) return 'server_error';
  return 'refused';
}
