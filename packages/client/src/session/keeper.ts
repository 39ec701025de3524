/**
 * Keeps one session alive: decides when to refresh and when to log in, does either once at a time, and waits between
 * attempts that fail. Everybody who needs a token asks here, so that any number of callers cause one renewal.
 */
import { type Backoff, createBackoff } from '../backoff.ts';
import { type Clock, sleep, waitFor } from '../clock.ts';
import type { ClockSkew } from '../clock-skew.ts';
import { CountersignError, UsageError } from '../errors.ts';
import type { Emitter } from '../events.ts';
import type { SessionStore } from '../stores/store.ts';
import { isUsable, renewalTime } from './lifetimes.ts';
import { createQuota } from './quota.ts';
import type { SessionRecord } from './record.ts';
import { loggedOut, type Renewal, type Renewed } from './renewal.ts';
import type { SessionApi } from './session-api.ts';
import type { SessionEvents, SessionState, SessionStats } from './session-events.ts';
import type { Shelf } from './shelf.ts';

export interface KeeperOptions {
  renewal: Renewal;
  api: SessionApi;
  shelf: Shelf;
  store: SessionStore;
  clock: Clock;
  skew: ClockSkew;
  random: () => number;
  events: Emitter<SessionEvents>;
  /** Milliseconds that a caller without a usable token waits through failing attempts. */
  patience: number;
  backoff?: Backoff;
}

export interface Keeper {
  readonly state: SessionState;
  /** The record in use; it stays through every failure. */
  readonly record: SessionRecord | null;
  stats(): SessionStats;
  /** A record whose access token is usable now, renewed first if it has to be. */
  ensure(signal?: AbortSignal): Promise<SessionRecord>;
  /** A new login, whatever there is. */
  login(signal?: AbortSignal): Promise<SessionRecord>;
  /**
   * A server refused this access token. @returns whether that leads to a renewal: not when a newer one is in use (it is
   * simply there), nor when renewals do not seem to help
   */
  reject(token: string): 'replaced' | 'renewing' | 'given-up';
  /** Forgets the session and tells those who share the store. */
  logout(): Promise<void>;
  close(): Promise<void>;
}

/** Logins refused one after the other before the caller has to look into it. */
const MAX_REFUSED_LOGINS = 3;
/** Renewals that refused calls may cause: some servers answer 401 to what no new token changes. */
const REJECTIONS = { count: 2, per: 30_000 };

export function createKeeper(options: KeeperOptions): Keeper {
  const { renewal, api, shelf, store, clock, skew, random, events, patience } = options;
  const { backoff = createBackoff({ random }) } = options;
  const rejections = createQuota(REJECTIONS.count, REJECTIONS.per, clock);
  const counts = { logins: 0, refreshes: 0, adopted: 0, failures: 0 };

  let state: SessionState = 'idle';
  let record: SessionRecord | null = null;
  /** The access token that a server refused: not handed out again. */
  let rejected: string | null = null;
  /** Why nothing happens without the caller. */
  let ended: CountersignError | null = null;
  let lastFailure: CountersignError | null = null;
  let refusedLogins = 0;
  let running: Promise<SessionRecord> | null = null;
  let loggingIn: Promise<SessionRecord> | null = null;
  /** Monotonic time before which no attempt is made. */
  let notBefore = Number.NEGATIVE_INFINITY;
  let renewAt: number | null = null;
  let cancelTimer: () => void = () => {};
  let loading: Promise<void> | null = null;
  let closed = false;

  const serverNow = () => clock.now() + skew.offset;

  function setState(next: SessionState): void {
    if (state === next) return;
    const previous = state;
    state = next;
    events.emit('state', { state, previous });
  }

  function throwIfClosed(): void {
    if (closed) throw new UsageError('closed', 'The session was closed');
  }

  function schedule(delay: number): void {
    cancelTimer();
    renewAt = clock.now() + delay;
    cancelTimer = clock.after(Math.max(0, delay), () => void renew().catch(() => {}), true);
  }

  function adopt({ record: next, how }: Renewed): SessionRecord {
    const news = record?.accessToken !== next.accessToken;
    record = next;
    ended = null;
    lastFailure = null;
    // A server that answers with the token it refused is not asked again and again.
    if (how !== 'adopted' || next.accessToken !== rejected) rejected = null;
    if (how === 'login') refusedLogins = 0;
    backoff.reset();
    notBefore = Number.NEGATIVE_INFINITY;
    if (closed) return next;
    schedule(delayUntilRenewal(next, how === 'adopted'));
    setState('active');
    if (news) {
      counts[how === 'login' ? 'logins' : how === 'refresh' ? 'refreshes' : 'adopted'] += 1;
      events.emit('token', {
        how,
        token: next.accessToken,
        expiresAt: skew.toLocal(next.accessExpiresAt),
        sessionExpiresAt: skew.toLocal(next.sessionExpiresAt),
      });
    }
    return next;
  }

  function delayUntilRenewal(held: SessionRecord, adopted: boolean): number {
    const due = renewalTime(held, random()) - serverNow();
    if (due > 0) return due;
    // Old already: another holder may be renewing it just now, or the server hands out one token until it ends.
    return adopted ? 100 + 400 * random() : Math.max(1000, (held.accessExpiresAt - serverNow()) / 2);
  }

  /** Takes what another tab or process has put into the store. */
  async function look(): Promise<void> {
    const stored = await shelf.read();
    if (closed || running !== null) return;
    if (stored === 'logged-out') {
      if (record === null) return;
      record = null;
      end(loggedOut());
    } else if (stored !== null && stored.accessToken !== record?.accessToken) {
      if (isUsable(stored, serverNow())) adopt({ record: stored, how: 'adopted' });
      else record ??= stored;
    }
  }

  function end(error: CountersignError): void {
    ended = error;
    cancelTimer();
    renewAt = null;
    setState('ended');
    events.emit('ended', { error });
  }

  /** One attempt for everybody who asks meanwhile. */
  function single(work: Promise<Renewed>, signal?: AbortSignal): Promise<SessionRecord> {
    if (record === null) setState('signing-in');
    cancelTimer();
    const attempted = work
      .then(adopt, (error: unknown) => {
        throw signal?.aborted ? givenUp(error) : failed(error);
      })
      .finally(() => {
        running = null;
      });
    running = attempted;
    attempted.catch(() => {});
    return attempted;
  }

  function renew(): Promise<SessionRecord> {
    if (running !== null) return running;
    if (closed) return Promise.reject(new UsageError('closed', 'The session was closed'));
    return single(renewal.renew(record, rejected, serverNow()));
  }

  /** The caller took a login back: everything is as before. */
  function givenUp(error: unknown): unknown {
    if (closed) return error;
    setState(record === null ? 'idle' : 'active');
    if (record !== null) schedule(delayUntilRenewal(record, false));
    return error;
  }

  /** After a failed attempt: who may try again, and when. */
  function failed(error: unknown): unknown {
    if (closed) return error;
    if (!(error instanceof CountersignError)) {
      setState(record === null ? 'idle' : 'retrying');
      notBefore = clock.monotonic() + backoff.next();
      if (record !== null) schedule(notBefore - clock.monotonic());
      return error;
    }
    counts.failures += 1;
    lastFailure = error;
    if (error.code === 'logged_out') record = null;
    if (error.code === 'login_refused') refusedLogins += 1;
    const again =
      error.remedy === 'retry' || (error.code === 'login_refused' && refusedLogins < MAX_REFUSED_LOGINS);
    if (!again) {
      events.emit('failure', { error, retryIn: null });
      end(error);
      return error;
    }
    const wait = backoff.next(error.retryAfter);
    notBefore = clock.monotonic() + wait;
    events.emit('failure', { error, retryIn: wait });
    setState('retrying');
    // With nothing to keep alive, it is the callers who decide whether to go on.
    if (record !== null) schedule(wait);
    return error;
  }

  const unwatch = store.watch?.(() => void look().catch(() => {})) ?? (() => {});

  const mayRetry = (error: unknown): boolean =>
    error instanceof CountersignError && error !== ended && ended === null;

  return {
    get state() {
      return state;
    },
    get record() {
      return record;
    },

    stats: () => ({
      state,
      ...counts,
      attempts: renewal.attempts,
      clockOffset: skew.offset,
      expiresAt: record === null ? null : skew.toLocal(record.accessExpiresAt),
      sessionExpiresAt: record === null ? null : skew.toLocal(record.sessionExpiresAt),
      nextAttemptAt: renewAt,
    }),

    async ensure(signal) {
      const deadline = clock.monotonic() + patience;
      loading ??= look();
      await waitFor(loading, signal);
      for (;;) {
        throwIfClosed();
        signal?.throwIfAborted();
        if (record !== null && record.accessToken !== rejected && isUsable(record, serverNow())) {
          // After a long sleep of the machine the timer may be late.
          if (renewAt !== null && clock.now() > renewAt && running === null) schedule(0);
          return record;
        }
        if (ended !== null) throw ended;
        const wait = running === null ? notBefore - clock.monotonic() : 0;
        if (wait > 0) {
          if (clock.monotonic() + wait > deadline && lastFailure !== null) throw lastFailure;
          await sleep(wait, clock, signal);
          continue;
        }
        try {
          return await waitFor(renew(), signal);
        } catch (error) {
          if (signal?.aborted || !mayRetry(error) || clock.monotonic() >= deadline) throw error;
        }
      }
    },

    async login(signal) {
      throwIfClosed();
      if (loggingIn === null) {
        // A refresh under way is let finish: two at once would write over each other.
        if (running !== null) await waitFor(running, signal).catch(() => {});
        throwIfClosed();
        signal?.throwIfAborted();
      }
      if (loggingIn === null) {
        ended = null;
        refusedLogins = 0;
        loggingIn = single(renewal.login(signal), signal).finally(() => {
          loggingIn = null;
        });
        loggingIn.catch(() => {});
      }
      return waitFor(loggingIn, signal);
    },

    reject(token) {
      if (record === null || record.accessToken !== token) return 'replaced';
      if (rejected === token) return 'renewing';
      if (ended !== null) {
        rejected = token;
        return 'given-up';
      }
      // One that ended on its way is no sign that renewals do not help.
      if (isUsable(record, serverNow()) && !rejections.take()) return 'given-up';
      rejected = token;
      if (!closed && running === null) schedule(Math.max(0, notBefore - clock.monotonic()));
      return 'renewing';
    },

    async logout() {
      throwIfClosed();
      await running?.catch(() => {});
      const left = record;
      record = null;
      end(loggedOut());
      await store.exclusive(async () => {
        const stored = await shelf.read().catch(() => null);
        const live = stored !== null && stored !== 'logged-out' ? stored : left;
        await shelf.write({ version: 1, loggedOutAt: serverNow() });
        if (live !== null) await api.logout(live);
      });
    },

    async close() {
      if (!closed) {
        closed = true;
        cancelTimer();
        unwatch();
        setState('closed');
      }
      // A refresh under way is let finish: its answer is the only copy of the next refresh token.
      await running?.catch(() => {});
      events.clear();
    },
  };
}
