/** What every door stands on: the store, the keys, who is who, the streams, the limits. Opened in this order. */
import { randomBytes } from 'node:crypto';
import { mkdirSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { createLimits } from '../access/limits.ts';
import { openRedis } from '../broker/redis/connection.ts';
import { ConnectionRegistry } from '../connection/registry.ts';
import type { Peer } from '../connection/services.ts';
import { createCoinbaseDialect } from '../dialects/coinbase.ts';
import { createEthgasDialect } from '../dialects/ethgas.ts';
import { openTokenFile } from '../doors/internal/credentials-file.ts';
import type { Clock } from '../operations/clock.ts';
import type { Config } from '../operations/config.ts';
import type { Logger } from '../operations/log.ts';
import { createMetrics } from '../operations/metrics.ts';
import { createSharedClock, MOST_SKEW_MS } from '../operations/shared-clock.ts';
import { createSteadyClock } from '../operations/steady-clock.ts';
import { createSweeper } from '../operations/sweeper.ts';
import { openTracing } from '../operations/tracing.ts';
import { createApiKeyScheme } from '../session/api-key-scheme.ts';
import { createApiKeys } from '../session/api-keys.ts';
import { createFailureLimiter } from '../session/failure-limiter.ts';
import { createHandshakeTokenScheme } from '../session/handshake-token-scheme.ts';
import { createHandshakeTokenUsage } from '../session/handshake-token-usage.ts';
import { createHandshakeTokens } from '../session/handshake-tokens.ts';
import { createIdentity } from '../session/identity.ts';
import { openKeyEncryption } from '../session/key-encryption.ts';
import type { Credential, Principal } from '../session/principal.ts';
import { openStore } from '../store/open-store.ts';
import { channelTable } from '../streams/channel.ts';
import { createFlusher } from '../streams/flusher.ts';
import { createHub } from '../streams/hub.ts';
import { PROBE_CHANNEL } from '../streams/probe.ts';
import { openBroker } from './broker.ts';
import { openMembership } from './membership.ts';
import { observedBroker, observedStore } from './observed.ts';
import { openSharedLimits } from './shared-limits.ts';
import { tracedLogin } from './traced.ts';

export type Core = Awaited<ReturnType<typeof openCore>>;

/** @throws StoreError, or an Error in one clear line about a file that cannot be used */
export async function openCore({ config, clock, log }: { config: Config; clock: Clock; log: Logger }) {
  const dataDir = resolve(config.dataDir);
  mkdirSync(dataDir, { recursive: true, mode: 0o700 });
  const fault = (event: string, error: unknown, connectionId?: string): void => {
    const err = error instanceof Error ? error : new Error(String(error));
    log.error({ event, connectionId, err }, 'fault');
  };

  const kek = openKeyEncryption(dataDir);
  const adminToken = openTokenFile(join(dataDir, 'admin.token'), 'csa_');
  const backendToken = openTokenFile(join(dataDir, 'backend.token'), 'csb_');
  const metrics = createMetrics();
  const tracing = openTracing();
  const watch = { clock, metrics, span: tracing?.span ?? null };
  const store = observedStore(await openStore({ ...config.store, dataDir }, clock), watch);

  const proofClock = createSteadyClock(clock);
  let agreed = true;
  const time = createSharedClock({ time: store.nodes.time, clock, onReading: noteSkew });
  await time.read();

  function noteSkew(): void {
    if (time.agrees()) proofClock.confirm();
    if (time.agrees() === agreed) return;
    agreed = !agreed;
    const ms = Math.round(time.skew() ?? 0);
    if (agreed) log.warn({ event: 'clock.agrees', ms }, 'the clock is that of the database again');
    else
      log.error(
        { event: 'clock.skewed', ms, limit: MOST_SKEW_MS },
        'the clock differs from that of the database: no token is issued',
      );
  }

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
  const { url, sentinel, cluster } = config.broker;
  const redis =
    url === null && sentinel.name === null && cluster.nodes.length === 0
      ? null
      : await openRedis(config.broker, {
          clock,
          onProblem: (line) => log.warn({ event: 'redis.problem' }, line),
        });
  const broker = observedBroker(await openBroker({ redis, config, clock, log, channels: carried }), watch);
  const hub = createHub({ broker, channels: carried, clock });
  const flusher = createFlusher({ clock, coalesceMs: config.websocket.coalesce });
  const registry = new ConnectionRegistry(clock);
  const usage = createHandshakeTokenUsage({
    store,
    clock,
    onProblem: (error) => fault('token-usage', error),
  });
  /** Hosts with port that the public listener answers to; known once it listens. */
  const listening: { hosts: readonly string[] } = { hosts: [] };

  /** Position in the log of changes of access that this node has applied; known once it follows the log. */
  let applied = () => 0;
  const membership = openMembership({
    store,
    config,
    clock,
    log,
    fault,
    metrics,
    time,
    address: () => listening.hosts[0] ?? '',
    position: () => applied(),
  });
  const shared = openSharedLimits({
    redis,
    config,
    clock,
    log,
    metrics,
    living: membership.living,
    held: (userId) => registry.heldBy(userId),
  });

  const opened = await createIdentity({
    store,
    broker,
    clock: proofClock,
    config,
    kek,
    random: randomBytes,
    clockAgrees: time.agrees,
    onProblem: (error) => fault('identity', error),
    schemes: (common) => ({
      apiKeys: createApiKeyScheme({
        ...common,
        store,
        clock,
        config: config.keys,
        replay: shared.replay,
        failures: createFailureLimiter({ clock }),
        hosts: () => listening.hosts,
      }),
      handshakes: createHandshakeTokenScheme({
        ...common,
        store,
        usage,
        clock: proofClock,
        failures: createFailureLimiter({ clock }),
      }),
    }),
  });
  const identity = { ...opened, walletLogin: tracedLogin(opened.walletLogin, tracing) };
  const { changes, directory, schemes } = identity;
  applied = () => changes.position();
  changes.onChange(() => membership.moved());

  /** The principal that a credential stands for now, at this address; null if it has no access left. */
  async function principalOf(
    userId: number,
    credential: Credential,
    { address }: Pick<Peer, 'address'>,
  ): Promise<Principal | null> {
    if (credential.kind === 'session') return directory.principal(userId, credential);
    if (credential.kind === 'api-key') return schemes.apiKeys.principal(credential.keyId, address);
    return schemes.handshakes.principal(credential.tokenId, address);
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
  changes.onFreshness((fresh) => {
    const upTo = { sequence: changes.position() };
    if (fresh) log.warn({ event: 'access.confirmed', ...upTo }, 'access is confirmed again');
    else {
      metrics.accessUnconfirmed.inc();
      log.error(
        { event: 'access.unconfirmed', ...upTo },
        'the change log could not be read for 30 s: private work stops',
      );
    }
  });
  changes.onSessionExtended((sid, expiresAt) => registry.extend(sid, expiresAt));

  const limits = createLimits({
    config,
    ...shared.budgets,
    refused: (kind, tier) => metrics.rateLimited.inc({ kind, tier }),
  });
  const keys = createApiKeys({
    store,
    changes,
    clock,
    random: randomBytes,
    issuer: config.issuer,
    registered: (name) => schemes.apiKeys.registered(name),
  });
  const handshakeTokens = createHandshakeTokens({
    store,
    changes,
    clock,
    random: randomBytes,
    usage,
    clockAgrees: time.agrees,
  });
  const sweeper = createSweeper({
    store,
    clock,
    keepMs: config.tokens.keepEnded * 1000,
    clockAgrees: time.agrees,
    log,
    onProblem: (error) => fault('sweep', error),
  });

  return {
    config,
    clock,
    /** By which sessions and their tokens begin and end. */
    proofClock,
    log,
    fault,
    adminToken,
    backendToken,
    store,
    time,
    membership,
    dialects,
    channels,
    broker,
    hub,
    flusher,
    metrics,
    tracing,
    registry,
    usage,
    listening,
    identity,
    principalOf,
    limits,
    /** What nodes share beside the store: budgets, replay cache, caps. */
    shared,
    keys,
    handshakeTokens,
    /** Closes from the top down. What was acknowledged is durable. */
    async close(): Promise<void> {
      await shared.close();
      flusher.close();
      registry.close();
      sweeper.close();
      hub.close();
      identity.close();
      await broker.close();
      await redis?.close();
      await usage.close();
      await store.close();
    },
  };
}
