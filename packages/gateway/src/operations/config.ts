/**
 * Every setting of a gateway, with its default beside its validation. Unknown keys are errors. The sources
 * are read elsewhere (the CLI merges file, environment and flags); this file only says what is valid.
 */
import { z } from 'zod';
import { brokerSchema } from './broker-config.ts';
import { leasesSchema, nodesSchema } from './leases-config.ts';
import { limitsSchema, tiersSchema } from './limits-config.ts';
import { routeSchema } from './routes-config.ts';
import { socketioSchema } from './socketio-config.ts';

const seconds = (fallback: number, min = 0, max = 90 * 86_400) =>
  z.number().min(min).max(max).default(fallback);
const count = (fallback: number, max = 10_000_000) => z.number().int().min(0).max(max).default(fallback);
const port = (fallback: number) => z.number().int().min(0).max(65_535).default(fallback);

export const configSchema = z.strictObject({
  /** Address of the public listener. */
  host: z.string().default('127.0.0.1'),
  /** 0 lets the system choose. */
  port: port(4400),
  /** Address of the internal listener (health, metrics, admin, backend): never expose it. */
  internalHost: z.string().default('127.0.0.1'),
  internalPort: port(4401),
  /** Folder for keys, and for the database without `store.url`; made with mode 0700. */
  dataDir: z.string().min(1).default('.countersign'),
  /** Where the truth is kept. */
  store: z.prefault(
    z.strictObject({
      /** `postgres://user@host:port/database` of what several gateways share; null = a SQLite file in `dataDir`. */
      url: z
        .string()
        .regex(/^postgres(?:ql)?:\/\//, 'must begin with postgres://')
        .nullable()
        .default(null),
      /** Connections to PostgreSQL at most, for each gateway. */
      poolSize: z.number().int().min(1).max(200).default(10),
      /**
       * Milliseconds between two looks at the log of revocations, for signals that were lost; null = 250 on
       * PostgreSQL, 1000 on a file. A look is one read by primary key.
       */
      pollMs: z.number().int().min(50).max(5000).nullable().default(null),
    }),
    {},
  ),
  /** Speed: what several gateways share besides the store. */
  broker: brokerSchema,
  /** `iss` and base of links in tokens. */
  issuer: z.string().min(1).max(256).default('countersign'),
  /** `aud` of access and refresh tokens. */
  audience: z.string().min(1).max(256).default('countersign'),
  logLevel: z.enum(['silent', 'fatal', 'error', 'warn', 'info', 'debug', 'trace']).default('info'),

  tokens: z.prefault(
    z.strictObject({
      /** Life of an access token in seconds. */
      accessTtl: seconds(3600, 1),
      /** Absolute life of a session and of its refresh tokens, in seconds. */
      refreshTtl: seconds(7 * 86_400, 1),
      /** Life of a login nonce in seconds. */
      nonceTtl: seconds(300, 1, 3600),
      /** Seconds for which an expired access token is still accepted (python-ethgas refreshes at exactly 3,600 s). */
      leeway: seconds(60, 0, 300),
      /** Bytes of randomness in a login nonce: 4 as the seeds, up to 32. */
      nonceBytes: z.number().int().min(4).max(32).default(4),
      /** Seconds in which a retired refresh token still gets its one successor again. */
      rotationGrace: z.prefault(
        z.strictObject({ adaptive: seconds(30, 0, 300), strict: seconds(10, 0, 300) }),
        {},
      ),
      /** Seconds after which a new signing key takes over; 0 = only by command. */
      signingKeyLife: seconds(30 * 86_400),
      /** Seconds a key is published before its first use: the cache life of the key set plus skew. */
      signingKeyLead: seconds(600, 0, 86_400),
      /**
       * Live sessions that a user may have; the oldest ends when one more is opened (R50). Null = any number:
       * several programs may share a wallet, and each login of theirs opens a session.
       */
      sessionsPerUser: z.number().int().min(1).max(10_000).nullable().default(null),
      /** Seconds for which a session that ended is still known, for whoever investigates. */
      keepEnded: seconds(30 * 86_400, 3600, 3650 * 86_400),
    }),
    {},
  ),

  wallet: z.prefault(
    z.strictObject({
      /** Chains that may be signed for; the first is offered when a login names none. */
      chainIds: z.array(z.number().int().positive()).min(1).default([1, 560048, 32382]),
      /** `domain` inside the signed message: the site that the person signs in to. */
      domain: z.string().min(1).max(128).default('ethgas.com'),
      /** Scheme and host of the EIP-4361 `URI` field. */
      uri: z.string().min(1).max(256).default('https://ethgas.com'),
      /** Live challenges per address and source, and per source. */
      challengesPerAddress: count(100),
      challengesPerSource: count(10_000),
      /** JSON-RPC endpoint per chain id; contract wallets are off for chains that are not listed (R35). */
      rpc: z.record(z.string().regex(/^[1-9][0-9]*$/), z.url()).default({}),
      /** ERC-6492 factories that may deploy inside an `eth_call`; empty = ERC-6492 is off (R36). */
      factories: z.array(z.string().regex(/^0x[0-9a-fA-F]{40}$/)).default([]),
      /** Access of a user that signs in for the first time. */
      newUser: z.prefault(
        z.strictObject({
          roles: z.array(z.string()).default(['ROLE_USER']),
          permissions: z.array(z.string()).default(['market_data', 'account_updates', 'trading']),
          tier: z.string().default('free'),
        }),
        {},
      ),
    }),
    {},
  ),

  keys: z.prefault(
    z.strictObject({
      /** Hosts that the `uri` claim of a REST token may name besides the listener's own. */
      hosts: z.array(z.string()).default([]),
      issuers: z.array(z.string()).default(['cdp', 'coinbase-cloud']),
      audiences: z
        .array(z.string())
        .default(['cdp_service', 'retail_rest_api_proxy', 'public_websocket_api']),
      /** Longest `exp` - `nbf` of an API-key token, and clock skew allowed on either side, in seconds. */
      maxLife: seconds(120, 1, 3600),
      leeway: seconds(5, 0, 60),
    }),
    {},
  ),

  http: z.prefault(
    z.strictObject({
      /** Origins (scheme://host[:port]) that browsers may call from, besides the gateway's own. */
      origins: z.array(z.string()).default([]),
      bodyLimit: count(64 * 1024),
      /** Addresses or CIDR blocks of proxies whose `X-Forwarded-For` and `-Proto` are believed. */
      trustedProxies: z.array(z.string()).default([]),
    }),
    {},
  ),

  websocket: z.prefault(
    z.strictObject({
      messageLimit: count(64 * 1024),
      fragmentLimit: count(64),
      /** Seconds between protocol pings; a peer that has not answered one by the next is gone (R64). */
      pingInterval: seconds(15, 1, 300),
      /** Pings that a peer may send per second (R62). */
      pingsPerSecond: count(10),
      /** Over both kinds of sockets; IPv6 by its /64. */
      connectionsPerSource: count(20_000),
      /**
       * Messages that one connection may send per second on average, and at once, unless the tier of who has
       * signed in has `messages`. As many commands may wait behind one that is being carried out.
       */
      messagesPerSecond: count(250),
      messageBurst: count(500),
      subscriptionsPerConnection: count(500),
      /** The same while nobody has signed in. */
      anonymousSubscriptions: count(250),
      /**
       * Messages, and their bytes together, that may lead nowhere before a connection has signed in or asked for a
       * public channel (R57): one more closes it with 1008.
       */
      beforeLogin: z.prefault(z.strictObject({ messages: count(5), bytes: count(16 * 1024) }), {}),
      /** Seconds without a login or a public channel after which an ethgas connection is closed (R57). */
      loginDeadline: seconds(10, 1, 300),
      /** Milliseconds for which a private subscription waits for a login that is on its way. */
      privateHold: z.number().int().min(0).max(10_000).default(1500),
      /** Bytes a connection may be behind before its channels' slow-reader policy applies, and before it is cut. */
      softBacklog: count(256 * 1024),
      hardBacklog: count(1024 * 1024),
      /** Longest wait for more frames before a flush while the loop is busy, in milliseconds. */
      coalesce: z.number().min(0).max(100).default(10),
    }),
    {},
  ),

  socketio: socketioSchema,

  coinbase: z.prefault(
    z.strictObject({
      sequence: z.enum(['stream', 'connection']).default('stream'),
      /** Seconds until the first subscribe must have come. */
      firstSubscribe: seconds(5, 1, 300),
      level2PerConnection: count(30),
    }),
    {},
  ),

  venue: z.prefault(
    z.strictObject({
      /** Base URL of the venue's own HTTP service, which answers queries and private REST calls; null = none. */
      url: z.url().nullable().default(null),
      timeoutMs: z.number().int().min(1).max(60_000).default(5000),
      /** After so many failed calls in a row a service is left alone for `pauseMs`; then one call tries again. */
      breaker: z.prefault(
        z.strictObject({
          failures: z.number().int().min(1).max(10_000).default(20),
          pauseMs: z.number().int().min(1).max(60_000).default(1000),
        }),
        {},
      ),
    }),
    {},
  ),

  leases: leasesSchema,
  nodes: nodesSchema,
  tiers: tiersSchema,
  limits: limitsSchema,
  /** Ways to the venue's services, before those that are shipped (`backend/routes.ts`). */
  routes: z.array(routeSchema).max(1000).default([]),

  sandbox: z.prefault(
    z.strictObject({
      /** Connections may ask for faults (docs/guides/fault-simulator.md). Never where people trade. */
      faults: z.boolean().default(false),
      /** Faults that every WebSocket connection has which names none itself. */
      everywhere: z.string().max(512).default(''),
      /** Seed of the faults where a connection gives none; empty = another one for each. */
      seed: z.string().max(64).default(''),
    }),
    {},
  ),

  tracing: z.prefault(
    z.strictObject({
      /** Goes on with the trace that a client names in `traceparent`. Only behind a proxy that sets it itself. */
      inbound: z.boolean().default(false),
    }),
    {},
  ),

  drain: z.prefault(
    z.strictObject({
      /** Seconds for which a node that drains says that it is not ready and goes on, until balancers have noticed. */
      notice: seconds(0, 0, 120),
      /** Seconds over which connections are closed on SIGTERM, and the most the whole drain may take. */
      window: seconds(2, 0, 300),
      limit: seconds(25, 1, 600),
    }),
    {},
  ),
});

/** Settings as a file or a caller writes them: everything may be left out. */
export type ConfigInput = z.input<typeof configSchema>;
/** Settings with all defaults in place. */
export type Config = z.output<typeof configSchema>;

export class ConfigError extends Error {
  override readonly name = 'ConfigError';
}

/**
 * Validates settings and fills in defaults.
 *
 * @throws ConfigError naming the first key that is wrong and what it should be
 */
export function parseConfig(input: unknown): Config {
  const result = configSchema.safeParse(input);
  if (result.success) {
    const { tiers, wallet } = result.data;
    // Also the tier of users whose own is not configured any more.
    if (!Object.hasOwn(tiers, wallet.newUser.tier)) {
      throw new ConfigError(`wallet.newUser.tier: there is no tier "${wallet.newUser.tier}" in tiers`);
    }
    return deepFreeze(result.data);
  }
  const issue = result.error.issues[0];
  const where = issue?.path.join('.') || 'config';
  throw new ConfigError(`${where}: ${issue?.message ?? 'not valid'}`);
}

function deepFreeze<T>(value: T): T {
  if (typeof value === 'object' && value !== null && !Object.isFrozen(value)) {
    Object.freeze(value);
    for (const inner of Object.values(value)) deepFreeze(inner);
  }
  return value;
}
