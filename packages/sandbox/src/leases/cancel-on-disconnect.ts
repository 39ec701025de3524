/**
 * Cancel-on-disconnect, as any venue would build it on leases: while a user has open orders there is a lease for them, and
 * when the gateway says that they have been gone for so long, their orders are cancelled. Uses the gateway's backend API
 * and its webhook, and nothing else.
 */
import { Refusal } from '@countersign/protocol';
import type { Clock } from '../clock.ts';
import type { Route } from '../http/server.ts';
import type { Log } from '../log.ts';
import type { Gateway } from '../publishing/publisher.ts';

/** Where the sandbox takes the gateway's webhook: `leases.webhook` is its URL and this. */
export const GONE_PATH = '/hooks/gone';

const TIMEOUT_MS = 5000;
/** Requests of one round; the others wait for the next. */
const MOST_AT_ONCE = 50;

export interface CancelOnDisconnect {
  close(): Promise<void>;
}

export interface OrderBook {
  /** Ids of users who have open orders now. */
  usersWithOrders(): ReadonlySet<string>;
  /** @returns how many orders were open */
  cancelAll(userId: string): number;
}

/**
 * The route of the webhook. NOT checked: its signature. Only the gateway reaches this port of a simulated venue; a real
 * one verifies it first (`verifyWebhook` of `@countersign/tokens/node`). An event that comes twice finds nothing to cancel.
 */
export function goneRoute(orders: OrderBook, log: Log): Route {
  return {
    method: 'POST',
    path: GONE_PATH,
    answer: ({ body }) => {
      const { type, subject, lease } = body;
      if (type !== 'user.gone' || typeof subject !== 'string') {
        throw new Refusal('invalid_request', 'not an event that this venue has a use for');
      }
      // Whoever armed the lease says what it is for: those of others are taken and left alone.
      if (lease !== leaseOf(subject)) return { cancelled: 0 };
      const cancelled = orders.cancelAll(subject);
      log.info({ userId: subject, count: cancelled }, 'cancelled the orders of a user who is gone');
      return { cancelled };
    },
  };
}

const leaseOf = (userId: string): string => `sandbox:cancel-on-disconnect:${userId}`;

/** Keeps a lease of `seconds` for each user with open orders. Looks every second. */
export function startCancelOnDisconnect({
  gateway,
  orders,
  seconds,
  clock,
  log,
}: {
  gateway: Gateway;
  orders: OrderBook;
  seconds: number;
  clock: Clock;
  log: Log;
}): CancelOnDisconnect {
  const armed = new Set<string>();
  const stop = new AbortController();
  const base = `${gateway.internalUrl.replace(/\/$/, '')}/backend/v1/leases/`;
  let round: Promise<void> | null = null;

  async function ask(method: 'PUT' | 'DELETE', userId: string): Promise<boolean> {
    const body = method === 'PUT' ? { body: JSON.stringify({ user: Number(userId), seconds }) } : {};
    const response = await fetch(base + encodeURIComponent(leaseOf(userId)), {
      method,
      headers: {
        authorization: `Bearer ${gateway.backendToken}`,
        ...(method === 'PUT' ? { 'content-type': 'application/json' } : {}),
      },
      ...body,
      signal: AbortSignal.any([stop.signal, AbortSignal.timeout(TIMEOUT_MS)]),
    });
    await response.text();
    if (!response.ok && !(method === 'DELETE' && response.status === 404)) {
      log.warn({ userId, status: response.status }, 'the gateway refused a lease');
    }
    return response.ok || response.status === 404;
  }

  async function look(): Promise<void> {
    const owners = orders.usersWithOrders();
    const wanted = [...owners].filter((userId) => !armed.has(userId)).slice(0, MOST_AT_ONCE);
    const over = [...armed].filter((userId) => !owners.has(userId)).slice(0, MOST_AT_ONCE);
    await Promise.all([
      ...wanted.map(async (userId) => {
        if (await ask('PUT', userId)) armed.add(userId);
      }),
      ...over.map(async (userId) => {
        if (await ask('DELETE', userId)) armed.delete(userId);
      }),
    ]);
  }

  const cancel = clock.every(1000, () => {
    round ??= look()
      .catch((error: unknown) => {
        if (!stop.signal.aborted)
          log.warn({ why: error instanceof Error ? error.message : 'unknown' }, 'cannot keep leases');
      })
      .finally(() => {
        round = null;
      });
  });
  return {
    async close() {
      cancel();
      stop.abort();
      await round;
    },
  };
}
