/** The doors that clients come through: HTTP, WebSocket and Socket.IO on one listener. */
import { randomBytes } from 'node:crypto';
import type { ConnectionServices, Peer, Proof } from '../connection/services.ts';
import { createChainworksDialect } from '../dialects/chainworks.ts';
import { createFaultSimulator } from '../doors/faults/simulator.ts';
import { createHttpDoor } from '../doors/http/server.ts';
import { createOrigins } from '../doors/origin.ts';
import { createHandshakeCheck } from '../doors/socketio/handshake.ts';
import { createSocketIoDoor } from '../doors/socketio.ts';
import { createSources } from '../doors/source.ts';
import { SourceCounter } from '../doors/source-counter.ts';
import { createWebSocketDoor } from '../doors/websocket.ts';
import { closeLabel, httpObserver, refusalCounter } from '../operations/metrics.ts';
import { createFailureLimiter } from '../session/failure-limiter.ts';
import type { Core } from './core.ts';
import { requestTracing } from './traced.ts';
import type { Venue } from './venue.ts';

/** Of one refused token from one address: as often at once, and per second for ever. */
const REPEATS = { capacity: 5, refillPerSecond: 0.1 };

export function createPublicDoors(
  core: Core,
  { routes, forwarder }: Venue,
  services: ConnectionServices,
  { draining }: { draining: () => boolean },
) {
  const { config, clock, log, metrics, identity, store, keys, limits, registry, flusher, channels, usage } =
    core;
  const { walletLogin, sessions, authenticator, signingKeys, schemes, changes } = identity;

  const http = createHttpDoor({
    config,
    walletLogin,
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
    ...requestTracing(core),
    draining,
    refused: refusalCounter(metrics, 'public'),
  });
  const sources = createSources(config.http.trustedProxies);
  const perSource = new SourceCounter(config.websocket.connectionsPerSource);
  const originAllowed = createOrigins(config.http.origins, sources).mayConnect;
  const opened = (door: string) => () => metrics.connectionsAccepted.inc({ door });
  const refused = (door: string) => (status: number) =>
    metrics.connectionsRefused.inc({ door, code: String(status) });

  const faults = createFaultSimulator({
    config,
    clock,
    log,
    randomSeed: () => randomBytes(4).toString('hex'),
  });
  const webSocket = createWebSocketDoor({
    server: http.server,
    config: config.websocket,
    clock,
    flusher,
    registry,
    services,
    sources,
    perSource,
    originAllowed,
    faults,
    authenticate: services.authenticate,
    log,
    observe: {
      opened: opened('websocket'),
      closed: (code) =>
        metrics.disconnects.inc({
          door: 'websocket',
          code: closeLabel(code),
          by: code >= 4000 ? 'gateway' : 'peer',
        }),
      refused: refused('websocket'),
    },
  });

  /** A handshake token or a session's access token: what else there is belongs to other dialects. */
  async function verifyHandshake(token: string, { address, source }: Peer): Promise<Proof> {
    const asOf = changes.position();
    const proof = schemes.handshakes.claims(token)
      ? await schemes.handshakes.authenticate(token, { door: 'socketio', address, source })
      : await authenticator.accessToken(token);
    return { ...proof, asOf };
  }
  const socketIo = createSocketIoDoor({
    server: http.server,
    fastify: http.fastify,
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
    perSource,
    originAllowed,
    faults,
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
      opened: opened('socketio'),
      closed: (code, by) => metrics.disconnects.inc({ door: 'socketio', code, by }),
      refused: refused('socketio'),
    },
  });
  return { http, webSocket, socketIo };
}
