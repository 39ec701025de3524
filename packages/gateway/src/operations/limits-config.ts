/** Settings of tiers and limits. Every figure is weight: most requests weigh 1, routes may weigh more. */
import { z } from 'zod';

const weight = (fallback: number) => z.number().int().min(1).max(1_000_000_000).default(fallback);

/** Seconds that the limit is counted over: in any span of that length, never more than `limit`. */
const span = z.number().int().min(1).max(3600).default(60);

/** What one payer may spend. */
const requests = (limit: number, burst: number) =>
  z.prefault(
    z.strictObject({
      limit: weight(limit),
      window: span,
      /** In any one second; null = only `limit` counts. */
      burst: z.number().int().min(1).max(1_000_000_000).nullable().default(burst),
    }),
    {},
  );

const tierSchema = z.strictObject({
  /** Over all doors together. Null = no limit. */
  requests: z
    .strictObject({
      limit: weight(12_000),
      window: span,
      burst: z.number().int().min(1).max(1_000_000_000).nullable().default(null),
    })
    .nullable(),
  /** On top of the limit, only for calls that reduce risk (`reducesRisk` of a route). */
  reserve: z.number().int().min(0).max(1_000_000_000).default(0),
  /**
   * Messages of all sockets of a user together, per second on average and at once; pings count. Null = each
   * connection has `websocket.messagesPerSecond` and `messageBurst` for itself.
   */
  messages: z
    .strictObject({ perSecond: weight(250), burst: weight(500) })
    .nullable()
    .default(null),
  /** Sockets at once, over all doors. */
  connections: weight(2_500),
  /** Streams held at once, over all connections. */
  subscriptions: weight(10_000),
});

export type TierConfig = z.output<typeof tierSchema>;

const SHIPPED_TIERS: Record<string, z.input<typeof tierSchema>> = {
  free: {
    requests: { limit: 12_000, burst: 500 },
    reserve: 1_200,
    messages: { perSecond: 1_000, burst: 5_000 },
    connections: 2_500,
    subscriptions: 10_000,
  },
  pro: {
    requests: { limit: 60_000, burst: 2_500 },
    reserve: 6_000,
    messages: { perSecond: 5_000, burst: 25_000 },
    connections: 5_000,
    subscriptions: 50_000,
  },
  'market-maker': {
    requests: { limit: 600_000, burst: 25_000 },
    reserve: 120_000,
    messages: { perSecond: 25_000, burst: 100_000 },
    connections: 10_000,
    subscriptions: 200_000,
  },
  /** What `serve --sandbox` gives new users: on a laptop nobody has to be kept from anybody. */
  developer: {
    requests: { limit: 10_000_000 },
    reserve: 1_000_000,
    connections: 20_000,
    subscriptions: 1_000_000,
  },
};

/** What signed-in users may spend, by the name of their tier. A file that sets `tiers` replaces all of them. */
export const tiersSchema = z
  .record(z.string().regex(/^[a-z0-9-]{1,32}$/), tierSchema)
  .prefault(SHIPPED_TIERS)
  .refine((tiers) => Object.keys(tiers).length > 0, 'at least one tier is needed');

export const limitsSchema = z.prefault(
  z.strictObject({
    /** False counts nothing and refuses nothing: for load tests. Said at every start. */
    enabled: z.boolean().default(true),
    /** Requests and commands of a source address that nobody has signed in from. */
    anonymous: requests(6_000, 500),
    /** Logins, refreshes and credentials shown on sockets, by source address. A REST login is two requests. */
    login: requests(30_000, 1_000),
    /** Upgrades to a socket by source address, before any credential is looked at, in any one second. */
    handshakesPerSecond: weight(500),
    /**
     * Instead of the three above for sources on loopback, while the gateway itself listens on loopback and
     * trusts no proxy: then they are programs of this machine. Null = the same limits as everybody.
     */
    loopback: requests(10_000_000, 1_000_000).nullable(),
    /**
     * How many nodes share budgets: each holds to its part of every limit while it cannot ask Redis. Null = as many
     * as live (docs/decisions/0024-membership-in-the-store.md).
     */
    nodes: z.number().int().min(1).max(1000).nullable().default(null),
    /** Weights of what is no route of its own; pings weigh nothing. */
    weights: z.prefault(
      z.strictObject({
        login: weight(1),
        /** Each stream that is asked for. */
        subscribe: weight(1),
        unsubscribe: weight(1),
      }),
      {},
    ),
  }),
  {},
);
