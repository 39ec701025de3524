/**
 * Puts a gateway together: what is opened in which order, how it starts, drains and closes. No rule about
 * access, tokens or streams lives here.
 */
import { randomBytes, randomInt } from 'node:crypto';
import { mkdirSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { CHAINWORKS_REQUESTS, CLOSE, Refusal } from '@countersign/protocol';
import { createMemoryBudgets } from './access/budget.ts';
import { createLimits } from './access/limits.ts';
import { createAdministration } from './backend/administration.ts';
import { createExplanations } from './backend/explanations.ts';
import { createForwarder } from './backend/forward.ts';
import { createPublisher } from './backend/publish.ts';
import { createRouteTable } from './backend/routes.ts';
import { createIdentitySigner } from './backend/venue-identity.ts';
import { createMemoryBroker } from './broker/memory.ts';
import { ConnectionRegistry } from './connection/registry.ts';
import type { ConnectionServices, Peer, Proof } from './connection/services.ts';
import { createChainworksDialect } from './dialects/chainworks.ts';
import { createCoinbaseDialect } from './dialects/coinbase.ts';
import { createEthgasDialect } from './dialects/ethgas.ts';
import { ethgasQueries } from './dialects/ethgas-channels.ts';
import { createFaultSimulator } from './doors/faults/simulator.ts';
import { createHttpDoor } from './doors/http/server.ts';
import { openTokenFile } from './doors/internal/credentials-file.ts';
import { createInternalDoor } from './doors/internal/server.ts';
import { createOrigins } from './doors/origin.ts';
import { createHandshakeCheck } from './doors/socketio/handshake.ts';
import { createSocketIoDoor } from './doors/socketio.ts';
import { createSources, sourceGroup } from './doors/source.ts';
import { createWebSocketDoor } from './doors/websocket.ts';
import { type Clock, systemClock } from './operations/clock.ts';
import { type Config, type ConfigInput, parseConfig } from './operations/config.ts';
import { createGauges } from './operations/gauges.ts';
import { brokerRoundTrip, createHealth } from './operations/health.ts';
import { createLog, type Logger } from './operations/log.ts';
import { createMetrics, httpObserver, refusalCounter } from './operations/metrics.ts';
import { createSweeper } from './operations/sweeper.ts';
import { type ApiKeyScheme, createApiKeyScheme } from './session/api-key-scheme.ts';
import { createApiKeys } from './session/api-keys.ts';
import { createFailureLimiter } from './session/failure-limiter.ts';
import { createHandshakeTokenScheme, type HandshakeTokenScheme } from './session/handshake-token-scheme.ts';
import { createHandshakeTokenUsage } from './session/handshake-token-usage.ts';
import { createHandshakeTokens } from './session/handshake-tokens.ts';
import { createIdentity } from './session/identity.ts';
import { openKeyEncryption } from './session/key-encryption.ts';
import type { Credential, Permission, Principal } from './session/principal.ts';
import { createMemoryReplayCache } from './session/replay-cache.ts';
import { openSqliteStore } from './store/sqlite.ts';
import { channelTable } from './streams/channel.ts';
import { createFlusher } from './streams/flusher.ts';
import { createHub } from './streams/hub.ts';
import { createStreamProbe, PROBE_CHANNEL } from './streams/probe.ts';

export interface GatewayUrls {
  /** Origin of the public listener; clients append `/v1/...` or `/api/v1/...`. */
  rest: string;
  websocket: string;
  socketio: string;
  /** Origin of the internal listener: health, metrics, admin, backend. */
  internal: string;
}

export interface Gateway {
  readonly config: Config;
  /** Files that hold the credentials of operators and of the venue's backend. */
  readonly credentials: { admin: { tokenFile: string }; backend: { tokenFile: string } };
  /** Opens both listeners. @throws the system's error if a port is taken */
  start(): Promise<GatewayUrls>;
  /** Stops taking connections, tells the clients, closes them over the configured window, then closes. Idempotent. */
  drain(): Promise<void>;
  /** Closes everything now. What was acknowledged is durable. Idempotent. */
  close(): Promise<void>;
  [Symbol.asyncDispose](): Promise<void>;
}

export interface GatewayOptions {
  clock?: Clock;
  log?: Logger;
}

const QUERIES_IN_FLIGHT = 32;
/** Values of the gauge. */
const CIRCUIT = { closed: 0, 'half-open': 1, open: 2 } as const;
const REQUESTS: ReadonlyMap<string, Permission> = new Map(
  CHAINWORKS_REQUESTS.map(({ event, permission }) => [event, permission]),
);
/** Of one refused token from one address: as often at once, and per second for ever. */
const REPEATS = { capacity: 5, refillPerSecond: 0.1 };

/**
 * Opens the store and the keys and builds every part; nothing listens before `start`.
 *
 * @throws ConfigError, StoreError, or an Error in one clear line about a file that cannot be used
 */
export async function createGateway(input: ConfigInput = {}, options: GatewayOptions = {}): Promise<Gateway> {
  const config = parseConfig(input);
  const clock = options.clock ?? systemClock;
  const log = options.log ?? createLog({ level: config.logLevel });
  const dataDir = resolve(config.dataDir);
  mkdirSync(dataDir, { recursive: true, mode: 0o700 });

  const fault = (event: string, error: unknown): void => {
    log.error({ event, err: error instanceof Error ? error : new Error(String(error)) }, 'fault');
  };
  const kek = openKeyEncryption(dataDir);
  const adminToken = openTokenFile(join(dataDir, 'admin.token'), 'csa_');
  const backendToken = openTokenFile(join(dataDir, 'backend.token'), 'csb_');
  const store = await openSqliteStore({ path: join(dataDir, 'countersign.db'), clock });

  const dialects = [
    createEthgasDialect({ idleSeconds: config.websocket.loginDeadline }),
    createCoinbaseDialect({
      now: clock.now,
      idleSeconds: config.coinbase.firstSubscribe,
      level2PerConnection: config.coinbase.level2PerConnection,
      sequence: config.coinbase.sequence,
    }),
  ] as const;
  const channels = channelTable(dialects.flatMap((dialect) => [...dialect.channels.values()]));
  const carried = channelTable([...channels.values(), PROBE_CHANNEL]);
  const broker = createMemoryBroker({ clock, channels: carried });
  const hub = createHub({ broker, channels: carried, clock });
  const metrics = createMetrics();
  const registry = new ConnectionRegistry(clock);
  let publicHosts: readonly string[] = [];
  let apiKeys: ApiKeyScheme | undefined;
  let handshakes: HandshakeTokenScheme | undefined;
  const usage = createHandshakeTokenUsage({
    store,
    clock,
    onProblem: (problem) => fault('token-usage', problem),
  });

  const identity = await createIdentity({
    store,
    broker,
    clock,
    config,
    kek,
    random: randomBytes,
    onProblem: (problem) => fault('identity', problem),
    schemes: ({ directory, changes }) => {
      apiKeys = createApiKeyScheme({
        store,
        changes,
        directory,
        clock,
        config: config.keys,
        replay: createMemoryReplayCache({ clock }),
        failures: createFailureLimiter({ clock }),
        hosts: () => publicHosts,
      });
      handshakes = createHandshakeTokenScheme({
        store,
        changes,
        directory,
        failures: createFailureLimiter({ clock }),
        usage,
        clock,
      });
      return [apiKeys, handshakes];
    },
  });
  const { changes, directory, sessions, authenticator, signingKeys } = identity;

  async function principalOf(
    userId: number,
    credential: Credential,
    peer: Pick<Peer, 'address'>,
  ): Promise<Principal | null> {
    if (credential.kind === 'session') return directory.principal(userId, credential);
    const found =
      credential.kind === 'api-key'
        ? await apiKeys?.principal(credential.keyId, peer.address)
        : await handshakes?.principal(credential.tokenId, peer.address);
    return found ?? null;
  }

  changes.onChange((change, { at }) => {
    metrics.revocations.inc({ kind: change.kind });
    registry
      .apply(change, async ({ userId, credential, peer }) =>
        userId === null || credential === null ? null : principalOf(userId, credential, peer),
      )
      .then(() =>
        metrics.revocationLatency.observe(Math.max(0, clock.now() - Math.min(change.at, at)) / 1000),
      )
      .catch((error: unknown) => fault('revocation', error));
  });
  changes.onSessionExtended((sid, expiresAt) => registry.extend(sid, expiresAt));

  const keys = createApiKeys({
    store,
    changes,
    clock,
    random: randomBytes,
    issuer: config.issuer,
    registered: (name) => apiKeys?.registered(name),
  });

  const budgets = { users: createMemoryBudgets({ clock }), addresses: createMemoryBudgets({ clock }) };
  const limits = createLimits({
    config,
    ...budgets,
    refused: (kind, tier) => metrics.rateLimited.inc({ kind, tier }),
  });

  const routes = createRouteTable(config.routes);
  const forwarder =
    config.venue.url === null
      ? null
      : createForwarder({
          baseUrl: config.venue.url,
          timeoutMs: config.venue.timeoutMs,
          clock,
          signIdentity: createIdentitySigner({ signingKeys, clock, issuer: config.issuer }),
          routes,
          breaker: config.venue.breaker,
          circuit: (service, state) => {
            metrics.venueCircuit.set({ service }, CIRCUIT[state]);
            log.warn({ event: 'venue.circuit', service, state }, 'circuit');
          },
          observe: ({ kind, outcome, seconds }) => metrics.venueDuration.observe({ kind, outcome }, seconds),
        });

  const httpDoor = createHttpDoor({
    config,
    walletLogin: identity.walletLogin,
    sessions,
    profiles: store.users,
    keys,
    authenticator,
    signingKeys,
    limits,
    venue: forwarder,
    routes,
    clock,
    log,
    observe: httpObserver(metrics, 'public'),
    refused: refusalCounter(metrics, 'public'),
  });

  const costOf: ConnectionServices['meter']['costOf'] = (command) =>
    (command.kind === 'query' ? routes.query(command.query) : routes.event(command.request)) ?? { weight: 1 };
  const productChannels = [...channels.values()].filter(({ keyedBy }) => keyedBy === 'product');
  const services: ConnectionServices = {
    hub,
    clock,
    dialects,
    limits: {
      messagesPerSecond: config.websocket.messagesPerSecond,
      messageBurst: config.websocket.messageBurst,
      subscriptionsPerConnection: config.websocket.subscriptionsPerConnection,
      privateHold: config.websocket.privateHold,
      leeway: config.tokens.leeway * 1000,
      queriesInFlight: QUERIES_IN_FLIGHT,
    },
    authenticate(token, { address, source }) {
      const asOf = changes.position();
      const proof = authenticator.bearer(token, { door: 'websocket', address, source });
      return proof instanceof Promise ? proof.then((later) => ({ ...later, asOf })) : { ...proof, asOf };
    },
    meter: { limits, weights: config.limits.weights, costOf },
    roomFor: (who) => {
      const { connections, subscriptions } = limits.tierOf(who);
      const held = registry.heldBy(who.userId);
      return {
        connections: connections - held.connections,
        subscriptions: subscriptions - held.subscriptions,
      };
    },
    changesApplied: () => changes.position(),
    principal: principalOf,
    // Async, because without a venue both must reject, not throw.
    async query(name, args, who) {
      if (forwarder === null) throw new Refusal('unavailable', 'no venue is configured');
      return forwarder.query(name, args, who);
    },
    permissionFor: (request) => {
      const route = routes.event(request);
      return route === undefined ? REQUESTS.get(request) : route.permission;
    },
    async request(name, args, who) {
      if (forwarder === null || who === null) throw new Refusal('unavailable', 'no venue is configured');
      return forwarder.event(name, args, who);
    },
    knows: (channel, key) =>
      channels.get(channel)?.keyedBy !== 'product' || productChannels.some(({ name }) => hub.has(name, key)),
    identityChanged: (connection) => registry.identityChanged(connection),
    refused: ({ peer }, { code, reason }) => {
      metrics.failedAuths.inc({ door: peer.door, code });
      log.info(
        { event: 'connection.refused', connectionId: peer.id, source: peer.source, code, reason },
        'refused',
      );
    },
    fault,
  };
  const flusher = createFlusher({ clock, coalesceMs: config.websocket.coalesce });
  const sources = createSources(config.http.trustedProxies);
  const originAllowed = createOrigins(config.http.origins, sources).mayConnect;
  const webSocketDoor = createWebSocketDoor({
    server: httpDoor.server,
    config: config.websocket,
    clock,
    flusher,
    registry,
    services,
    sources,
    originAllowed,
    faults: createFaultSimulator({ config, clock, log, randomSeed: () => randomBytes(4).toString('hex') }),
    authenticate: services.authenticate,
    log,
    observe: {
      opened: () => metrics.connectionsAccepted.inc({ door: 'websocket' }),
      closed: (code) =>
        metrics.disconnects.inc({ code: String(code), by: code >= 4000 ? 'gateway' : 'peer' }),
      refused: (status) => metrics.connectionsRefused.inc({ door: 'websocket', code: String(status) }),
    },
  });

  /** A handshake token or a session's access token: what else there is belongs to other dialects. */
  async function verifyHandshake(token: string, { address, source }: Peer): Promise<Proof> {
    const asOf = changes.position();
    const proof = handshakes?.claims(token)
      ? await handshakes.authenticate(token, { door: 'socketio', address, source })
      : await authenticator.accessToken(token);
    return { ...proof, asOf };
  }
  const socketIoDoor = createSocketIoDoor({
    server: httpDoor.server,
    fastify: httpDoor.fastify,
    config,
    clock,
    flusher,
    registry,
    services: {
      ...services,
      dialects: [createChainworksDialect({ channels })],
      authenticate: verifyHandshake,
    },
    sources,
    originAllowed,
    checkHandshake: createHandshakeCheck({
      verify: verifyHandshake,
      failures: createFailureLimiter({ clock }),
      repeats: createFailureLimiter({ clock, ...REPEATS }),
    }),
    used(credential) {
      if (credential.kind === 'handshake-token') usage.count(credential.tokenId, 'request');
    },
    log,
    observe: {
      opened: () => metrics.connectionsAccepted.inc({ door: 'socketio' }),
      closed: (code, by) => metrics.disconnects.inc({ code, by }),
      refused: (status) => metrics.connectionsRefused.inc({ door: 'socketio', code: String(status) }),
    },
  });

  let state: 'new' | 'serving' | 'draining' | 'closed' = 'new';
  let draining: Promise<void> | null = null;
  createGauges(metrics.registry, {
    connections: () => registry.list(),
    hub: hub.stats,
    draining: () => state === 'draining',
  });
  const sweeper = createSweeper({
    store,
    clock,
    keepMs: config.tokens.keepEnded * 1000,
    log,
    onProblem: (problem) => fault('sweep', problem),
  });
  const internalDoor = createInternalDoor({
    config,
    health: createHealth({
      clock,
      draining: () => state === 'draining',
      checks: {
        store: store.probe,
        broker: brokerRoundTrip(broker, clock, () => randomInt(2 ** 47) / 2 ** 47),
        streams: createStreamProbe({ hub, broker, clock, node: randomBytes(8).toString('hex') }),
      },
      facts: () => ({ changes: changes.position(), connections: registry.size }),
    }),
    registry: metrics.registry,
    admin: {
      administration: createAdministration({ store, sessions, changes, clock, config }),
      signingKeys,
      connections: registry,
      drain: {
        draining: () => state === 'draining',
        start: (actor) => {
          log.warn({ event: 'drain', actor }, 'draining by command');
          drain().catch((error: unknown) => fault('drain', error));
        },
      },
      tiers: Object.keys(config.tiers),
    },
    explanations: createExplanations({
      store,
      clock,
      limits,
      vocabulary: {
        channels,
        routes,
        queries: ethgasQueries,
        events: REQUESTS,
        weights: config.limits.weights,
      },
      principal: (userId, credential, address) => principalOf(userId, credential, { address }),
      sourceOf: sourceGroup,
      roomFor: services.roomFor,
    }),
    keys,
    handshakeTokens: createHandshakeTokens({ store, changes, clock, random: randomBytes, usage }),
    backend: {
      publisher: createPublisher({ channels, broker, clock }),
      channels,
      connections: registry,
      accountsOf: async (userId) => (await store.users.find(userId))?.accounts ?? null,
    },
    adminToken,
    backendToken,
    log,
    observe: httpObserver(metrics, 'internal'),
    refused: refusalCounter(metrics, 'internal'),
  });

  async function start(): Promise<GatewayUrls> {
    // Never in silence: both are for one machine and not for a venue.
    if (!config.limits.enabled)
      log.warn({ event: 'limits.off' }, 'limits.enabled is false: nothing is limited');
    else if (limits.sparesLoopback) {
      log.info(
        { event: 'limits.loopback' },
        'sources on loopback have limits of their own (limits.loopback)',
      );
    }
    const internal = await internalDoor.listen();
    const open = await httpDoor.listen();
    const host = urlHost(open.host);
    publicHosts = [`${host}:${open.port}`, `localhost:${open.port}`];
    state = 'serving';
    return {
      rest: `http://${host}:${open.port}`,
      websocket: `ws://${host}:${open.port}/ws`,
      socketio: `http://${host}:${open.port}`,
      internal: `http://${urlHost(internal.host)}:${internal.port}`,
    };
  }

  function drain(): Promise<void> {
    draining ??= (async () => {
      if (state === 'closed') return;
      state = 'draining';
      webSocketDoor.stopAccepting();
      socketIoDoor.stopAccepting();
      const limit = new Promise<void>((done) => void clock.after(config.drain.limit * 1000, done));
      const window = config.drain.window * 1000;
      const closed = [webSocketDoor, socketIoDoor].map((door) => door.closeAll(CLOSE.restart, window));
      await Promise.race([Promise.all(closed), limit]);
      await close();
    })();
    return draining;
  }

  let closing: Promise<void> | null = null;
  function close(): Promise<void> {
    closing ??= (async () => {
      state = 'closed';
      webSocketDoor.close();
      socketIoDoor.close();
      await httpDoor.close();
      await internalDoor.close();
      forwarder?.close();
      budgets.users.close();
      budgets.addresses.close();
      flusher.close();
      registry.close();
      sweeper.close();
      hub.close();
      identity.close();
      await broker.close();
      await usage.close();
      await store.close();
    })();
    return closing;
  }

  return {
    config,
    credentials: { admin: { tokenFile: adminToken.path }, backend: { tokenFile: backendToken.path } },
    start,
    drain,
    close,
    [Symbol.asyncDispose]: close,
  };
}

/** An address as it stands in a URL; one that means "everywhere" is reached on loopback. */
function urlHost(address: string): string {
  if (address === '0.0.0.0' || address === '::') return '127.0.0.1';
  return address.includes(':') ? `[${address}]` : address;
}
