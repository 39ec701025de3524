/** One HTTP service of the venue: its pool of connections, its time limits, its retries and its breaker. */
import {
  type ClientRequest,
  Agent as HttpAgent,
  request as httpRequest,
  type IncomingMessage,
} from 'node:http';
import { Agent as HttpsAgent, request as httpsRequest } from 'node:https';
import type { Readable } from 'node:stream';
import { Refusal } from '@countersign/protocol';
import type { Clock } from '../operations/clock.ts';
import { Breaker, type BreakerState } from './breaker.ts';

export interface UpstreamCall {
  method: string;
  /** Path and query, beginning with a slash; put behind the path of the base URL. */
  target: string;
  headers: Record<string, string>;
  timeoutMs: number;
  /** Attempts besides the first, where no answer came back. Only for what may be asked twice. */
  retries: number;
}

export interface Answer {
  status: number;
  /** Parsed JSON; null for an empty body. */
  body: unknown;
}

export interface Streamed {
  status: number;
  contentType: string | null;
  /** Destroy it if it is not read to the end. */
  body: Readable;
}

export interface Upstream {
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
  const https = base.protocol === 'https:';
  const agent = new (https ? HttpsAgent : HttpAgent)({
    keepAlive: true,
    maxSockets: MAX_SOCKETS,
    maxFreeSockets: MAX_SOCKETS,
    scheduling: 'lifo',
  });
  const guard = new Breaker({ ...breaker, clock, ...(circuit === undefined ? {} : { changed: circuit }) });
  /** How to stop each call that is under way. */
  const underWay = new Set<(reason: Refusal) => void>();
  let closed = false;

  const open = ({ method, target, headers }: UpstreamCall): ClientRequest =>
    (https ? httpsRequest : httpRequest)({
      agent,
      host: base.hostname.replace(/^\[|\]$/g, ''),
      port: base.port === '' ? (https ? 443 : 80) : Number(base.port),
      method,
      path: `${basePath}${target}`,
      headers: { host: base.host, ...headers },
    });

  /** One exchange. `read` makes of the response what the caller gets; the time limit holds until then. */
  function exchange<T>(
    call: UpstreamCall,
    send: (outgoing: ClientRequest, fail: (reason: unknown) => void) => void,
    read: (incoming: IncomingMessage) => Promise<T>,
  ): Promise<T> {
    return new Promise((resolve, reject) => {
      const outgoing = open(call);
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
      const cancelTimer = clock.after(call.timeoutMs, () =>
        stop(new Refusal('upstream_timeout', 'the venue did not answer in time')),
      );
      underWay.add(stop);
      outgoing.on('error', stop);
      outgoing.on('response', (incoming) => {
        read(incoming).then((answer) => finish(() => resolve(answer)), stop);
      });
      send(outgoing, stop);
    });
  }

  async function guarded<T extends { status: number }>(attempt: () => Promise<T>): Promise<T> {
    if (closed) throw new Refusal('unavailable', 'the forwarder is closed');
    if (underWay.size >= MAX_UNDER_WAY) {
      throw new Refusal('unavailable', 'too many calls to the venue are under way');
    }
    if (!guard.enter()) {
      throw new Refusal('unavailable', 'the circuit is open', { retryAfter: guard.retryAfter() });
    }
    let ok = false;
    try {
      const answer = await attempt();
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

  return {
    ask: (call, body) =>
      guarded(() =>
        repeated(call, () =>
          exchange(
            call,
            (outgoing) => void outgoing.end(body ?? undefined),
            async (incoming): Promise<Answer> => ({
              status: incoming.statusCode ?? 0,
              body: await readAnswer(incoming),
            }),
          ),
        ),
      ),

    stream: (call, body) =>
      guarded(() =>
        exchange(
          call,
          (outgoing, fail) => {
            if (body === null) return void outgoing.end();
            body.on('error', fail);
            outgoing.once('close', () => body.unpipe(outgoing));
            body.pipe(outgoing);
          },
          async (incoming): Promise<Streamed> => {
            incoming.setTimeout(call.timeoutMs, () => incoming.destroy());
            return {
              status: incoming.statusCode ?? 0,
              contentType: incoming.headers['content-type'] ?? null,
              body: incoming,
            };
          },
        ),
      ),

    close() {
      if (closed) return;
      closed = true;
      for (const stop of [...underWay]) stop(new Refusal('unavailable', 'the forwarder is closed'));
      agent.destroy();
    },
  };
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

function refusalOf(error: unknown): Refusal {
  if (error instanceof Refusal) return error;
  const { name, code } = error as NodeJS.ErrnoException;
  return new Refusal('unavailable', `the venue cannot be reached: ${code ?? name}`);
}
