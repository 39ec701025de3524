/**
 * Delivers the events of leases, each at least once: an event is claimed for a while by one node, and is anybody's again
 * if that node says nothing more. Until the receiver takes it, it is tried again at growing distances, for a day.
 */
import type { Clock } from '../../operations/clock.ts';
import type { Lease, LeaseStore } from '../../store/leases.ts';
import type { Attempt } from './webhook.ts';

export type DeliveryResult = 'delivered' | 'retried' | 'failed';

export interface LeaseDelivery {
  /** Looks now for what is due. */
  kick(): void;
  start(): void;
  /** Takes no more, and waits for what is under way. Idempotent. */
  close(): Promise<void>;
}

export interface LeaseDeliveryOptions {
  store: Pick<LeaseStore, 'claim' | 'report'>;
  clock: Clock;
  /** Milliseconds of the clock that the nodes share. */
  now: () => number;
  send: (lease: Lease) => Promise<Attempt>;
  /** 0 <= n < 1. */
  random: () => number;
  onResult: (lease: Lease, result: DeliveryResult, attempt: Attempt) => void;
  onProblem?: (problem: unknown) => void;
}

const EVERY_MS = 1000;
const MOST_AT_ONCE = 16;
/** Longer than an attempt can take, with a store that takes its time before and after. */
const CLAIM_MS = 15_000;
const FIRST_WAIT_MS = 1000;
const LONGEST_WAIT_MS = 300_000;
/** A receiver may ask for more than the longest wait, but not for the whole day. */
const LONGEST_ASKED_MS = 3_600_000;

/** Milliseconds until the next attempt: any time within a window that doubles, so that many do not come back at once. */
export function waitAfter(attempts: number, retryAfter: number | null, random: () => number): number {
  const window = Math.min(LONGEST_WAIT_MS, FIRST_WAIT_MS * 2 ** Math.min(attempts - 1, 20));
  const jittered = Math.ceil(random() * window);
  return Math.max(jittered, Math.min(retryAfter ?? 0, LONGEST_ASKED_MS), 1);
}

export function createLeaseDelivery(options: LeaseDeliveryOptions): LeaseDelivery {
  const { store, clock, now, send, random, onResult, onProblem = () => {} } = options;
  const underWay = new Set<Promise<void>>();
  let looking: Promise<void> | null = null;
  let again = false;
  let stop = () => {};
  let closed = false;

  async function deliver(lease: Lease): Promise<void> {
    const attempt = await send(lease);
    const at = now();
    const { id, eventId, attempts, giveUpAt } = lease;
    const next = at + waitAfter(attempts, attempt.retryAfter, random);
    const about = { id, eventId, at, outcome: attempt.outcome };
    const over = giveUpAt !== null && next >= giveUpAt;
    const result: DeliveryResult = attempt.taken ? 'delivered' : over ? 'failed' : 'retried';
    await store.report(
      result === 'retried' ? { ...about, result: 'retry', again: next } : { ...about, result },
    );
    onResult(lease, result, attempt);
  }

  async function look(): Promise<void> {
    do {
      again = false;
      const room = MOST_AT_ONCE - underWay.size;
      if (room <= 0 || closed) return;
      const claimed = await store.claim(now(), now() + CLAIM_MS, room);
      for (const lease of claimed) {
        const delivery = deliver(lease)
          .catch(onProblem)
          .finally(() => {
            underWay.delete(delivery);
            // Whoever waits for room goes on at once.
            if (underWay.size === MOST_AT_ONCE - 1) kick();
          });
        underWay.add(delivery);
      }
    } while (again);
  }

  function kick(): void {
    again = true;
    if (closed) return;
    looking ??= look()
      .catch(onProblem)
      .finally(() => {
        looking = null;
      });
  }

  return {
    kick,
    start() {
      stop = clock.every(EVERY_MS, kick);
    },
    async close() {
      closed = true;
      stop();
      await looking;
      await Promise.allSettled(underWay);
    },
  };
}
