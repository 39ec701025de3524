/** Sends publications to the gateway in order, one request at a time, and does not give up while it is down. */
import { randomInt, randomUUID } from 'node:crypto';
import type { Clock } from '../clock.ts';
import type { Log } from '../log.ts';
import { kindOf, type Publication } from '../publication.ts';
import { Backlog } from './backlog.ts';
import { Receipts } from './receipts.ts';

export interface Gateway {
  /** Base URL of the gateway's internal listener. */
  internalUrl: string;
  /** Sent as `Authorization: Bearer`; never logged. */
  backendToken: string;
}

export interface PublisherOptions extends Gateway {
  clock: Clock;
  log: Log;
  /** What a gateway that may have lost everything is told once it answers again. */
  snapshot(): readonly Publication[];
  /** 0 <= n < 1; spreads retries. Default: the system's. */
  random?: () => number;
}

export interface Publisher {
  /** Queues and returns at once. */
  publish(publications: readonly Publication[]): void;
  /** Publications waiting or on their way. */
  readonly waiting: number;
  /** False from a failed request until one succeeds. */
  readonly connected: boolean;
  close(): Promise<void>;
}

const BATCH_MAX = 500;
/** Bytes of publications in one request; a single larger publication goes alone. */
const BYTES_MAX = 200_000;
const REQUEST_TIMEOUT = 5000;
const RETRY_FIRST = 100;
const RETRY_MAX = 5000;
/** Between two resets: a gateway that refuses the snapshot as well must not be sent it all the time. */
const RESET_PAUSE = 5000;

type Outcome =
  | { kind: 'ok'; body: string }
  | { kind: 'refused'; status: number }
  | { kind: 'retry'; why: string; after?: number };

export function createPublisher(options: PublisherOptions): Publisher {
  const { clock, log } = options;
  const random = options.random ?? (() => randomInt(2 ** 47) / 2 ** 47);
  const backlog = new Backlog();
  const stop = new AbortController();
  const address = `${options.internalUrl.replace(/\/$/, '')}/backend/v1/publish`;
  // A retried request must not publish twice when only its answer was lost; the key says which request it is.
  const instance = randomUUID();
  let requests = 0;
  let sending: Publication[] = [];
  const receipts = new Receipts();
  let resetAt = Number.NEGATIVE_INFINITY;
  let cancelReset: (() => void) | null = null;
  let connected = true;
  let running: Promise<void> | null = null;

  async function send(body: string): Promise<Outcome> {
    try {
      const response = await fetch(address, {
        method: 'POST',
        headers: { authorization: `Bearer ${options.backendToken}`, 'content-type': 'application/json' },
        body,
        signal: AbortSignal.any([stop.signal, AbortSignal.timeout(REQUEST_TIMEOUT)]),
      });
      // Read whatever the status: the connection can be used again only then.
      const answer = await response.text();
      const { status } = response;
      if (response.ok) return { kind: 'ok', body: answer };
      // A wrong token can be put right at the gateway; waiting loses nothing.
      if (status >= 500 || status === 429 || status === 401 || status === 403 || status === 408) {
        const after = Number(response.headers.get('retry-after'));
        return {
          kind: 'retry',
          why: `status ${status}`,
          ...(after > 0 && after < 60 ? { after: after * 1000 } : {}),
        };
      }
      return { kind: 'refused', status };
    } catch (error) {
      return { kind: 'retry', why: error instanceof Error ? error.name : 'unknown' };
    }
  }

  function nextBody(): string | null {
    const parts: string[] = [];
    const batch: Publication[] = [];
    let bytes = 0;
    while (parts.length < BATCH_MAX && bytes < BYTES_MAX) {
      const publication = backlog.take();
      if (publication === undefined) break;
      const part = JSON.stringify(publication);
      parts.push(part);
      batch.push(publication);
      bytes += part.length;
    }
    if (parts.length === 0) return null;
    sending = batch;
    requests += 1;
    return `{"publications":[${parts.join(',')}],"idempotencyKey":"${instance}-${requests}"}`;
  }

  const pause = (ms: number): Promise<void> =>
    new Promise((resolve) => {
      const done = () => {
        cancel();
        stop.signal.removeEventListener('abort', done);
        resolve();
      };
      const cancel = clock.after(ms, done);
      stop.signal.addEventListener('abort', done, { once: true });
    });

  function take(answer: string): void {
    const { forgotten, refused } = receipts.read(answer);
    if (refused.length > 0) {
      log.warn({ publications: refused.length }, 'the gateway refused publications');
      missed(refused.flatMap((place) => sending[place] ?? []));
    }
    if (!forgotten) return;
    log.info({}, 'the gateway has started over: it is told everything again');
    backlog.degrade();
  }

  /** A book that misses a change is wrong until it starts over. */
  function missed(publications: readonly Publication[]): void {
    if (cancelReset !== null || !publications.some(({ channel }) => kindOf(channel) === 'book')) return;
    const wait = resetAt + RESET_PAUSE - clock.monotonic();
    if (wait <= 0) {
      reset();
      return;
    }
    cancelReset = clock.after(wait, () => {
      cancelReset = null;
      reset();
      start();
    });
  }

  function reset(): void {
    resetAt = clock.monotonic();
    backlog.degrade();
  }

  async function deliver(body: string): Promise<void> {
    for (let attempt = 0; !stop.signal.aborted; attempt++) {
      const outcome = await send(body);
      if (stop.signal.aborted) return;
      if (outcome.kind !== 'retry') {
        if (outcome.kind === 'refused') {
          log.warn(
            { status: outcome.status, publications: sending.length },
            'the gateway refused publications',
          );
          missed(sending);
        } else take(outcome.body);
        if (attempt > 1) log.info({ dropped: backlog.dropped }, 'the gateway answers again');
        connected = true;
        return;
      }
      // One failure is a gateway that restarts, or that is being stopped together with this venue.
      if (attempt === 1) log.warn({ why: outcome.why }, 'the gateway does not take publications');
      connected = false;
      backlog.degrade();
      const limit = Math.min(RETRY_MAX, RETRY_FIRST * 2 ** Math.min(attempt, 10));
      await pause(outcome.after ?? limit * (0.5 + random() / 2));
    }
  }

  async function run(): Promise<void> {
    while (!stop.signal.aborted) {
      // Also after a reader that was only slow: its books miss changes as well.
      if (backlog.degraded) backlog.recover(options.snapshot());
      const body = nextBody();
      if (body === null) return;
      await deliver(body);
      sending = [];
    }
  }

  function start(): void {
    if (running !== null || stop.signal.aborted) return;
    running = run().finally(() => {
      running = null;
      if (backlog.size > 0) start();
    });
  }

  return {
    publish(publications) {
      if (stop.signal.aborted || publications.length === 0) return;
      backlog.add(publications);
      start();
    },
    get waiting() {
      return backlog.size + sending.length;
    },
    get connected() {
      return connected;
    },
    async close() {
      stop.abort();
      cancelReset?.();
      await running;
    },
  };
}
