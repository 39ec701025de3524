/** The door of operators and of the venue's backend: health, metrics, admin, publish. */
import { randomBytes, randomInt } from 'node:crypto';
import { createAdministration } from '../backend/administration.ts';
import { createExplanations } from '../backend/explanations.ts';
import { createPublisher } from '../backend/publish.ts';
import type { ConnectionServices } from '../connection/services.ts';
import { ethgasQueries } from '../dialects/ethgas-channels.ts';
import { createInternalDoor, type InternalDoor } from '../doors/internal/server.ts';
import { sourceGroup } from '../doors/source.ts';
import { createGauges } from '../operations/gauges.ts';
import { brokerRoundTrip, createHealth } from '../operations/health.ts';
import { httpObserver, refusalCounter } from '../operations/metrics.ts';
import { createStreamProbe } from '../streams/probe.ts';
import type { Core } from './core.ts';
import type { LeaseParts } from './leases.ts';
import { requestTracing } from './traced.ts';
import type { Venue } from './venue.ts';

/** Whether the gateway drains, and how an operator begins it. */
export interface Draining {
  draining(): boolean;
  begin(): void;
}

export function createOperatorsDoor(
  core: Core,
  { routes }: Venue,
  services: ConnectionServices,
  { confirmations, leases, newLeaseId }: LeaseParts,
  { draining, begin }: Draining,
): InternalDoor {
  const { config, clock, log, metrics, identity, store, broker, hub, registry, flusher, channels, limits } =
    core;
  const { sessions, changes, signingKeys } = identity;
  const confirmedAge = () => (clock.monotonic() - changes.confirmedAt()) / 1000;
  const health = createHealth({
    clock,
    draining,
    checks: {
      store: store.probe,
      broker: brokerRoundTrip(broker, clock, () => randomInt(2 ** 47) / 2 ** 47),
      streams: createStreamProbe({ hub, broker, clock, node: randomBytes(8).toString('hex') }),
      ...(core.time.skew() === null
        ? {}
        : {
            // It issues nothing: logins belong to the others.
            clock: async () => {
              if (!core.time.agrees()) throw new Error('the clock differs from that of the database');
              return Math.abs(core.time.skew() ?? 0);
            },
          }),
      // A node that cannot confirm access refuses private work (R47): others can still do it.
      access: async () => {
        if (!changes.fresh()) throw new Error('access is not confirmed');
        return confirmedAge() * 1000;
      },
    },
    facts: () => ({
      changes: changes.position(),
      changesAge: Math.round(confirmedAge() * 1000) / 1000,
      connections: registry.size,
    }),
  });
  createGauges(metrics.registry, {
    connections: () => registry.list(),
    hub: hub.stats,
    outboxes: flusher.stats,
    draining,
    living: core.membership.living,
    changesPosition: changes.position,
    confirmedAge,
    clockSkew: () => (core.time.skew() ?? 0) / 1000,
    pool: store.pool,
    readiness: health.newest,
  });

  return createInternalDoor({
    config,
    health,
    registry: metrics.registry,
    admin: {
      administration: createAdministration({ store, sessions, changes, clock, config }),
      signingKeys,
      connections: registry,
      drain: {
        draining,
        start: (actor) => {
          log.warn({ event: 'drain', actor }, 'draining by command');
          begin();
        },
      },
      tiers: Object.keys(config.tiers),
    },
    explanations: createExplanations({
      store,
      clock: core.proofClock,
      limits,
      vocabulary: {
        channels,
        routes,
        queries: ethgasQueries,
        weights: config.limits.weights,
      },
      principal: (userId, credential, address) => core.principalOf(userId, credential, { address }),
      sourceOf: sourceGroup,
      roomFor: services.roomFor,
    }),
    keys: core.keys,
    handshakeTokens: core.handshakeTokens,
    backend: {
      publisher: createPublisher({ channels, broker, clock }),
      channels,
      connections: registry,
      accountsOf: async (userId) => (await store.users.find(userId))?.accounts ?? null,
    },
    confirmations,
    leases: { leases, newId: newLeaseId },
    adminToken: core.adminToken,
    backendToken: core.backendToken,
    log,
    observe: httpObserver(metrics, 'internal'),
    ...requestTracing(core),
    refused: refusalCounter(metrics, 'internal'),
  });
}
