/** The internal door: health, metrics, the admin API and the backend API. Bind it to loopback or a private network. */
import type { Server } from 'node:http';
import type { FastifyInstance } from 'fastify';
import type { Logger } from 'pino';
import type { Registry } from 'prom-client';
import type { Confirmations } from '../../backend/confirmations.ts';
import type { Explanations } from '../../backend/explanations.ts';
import type { Leases } from '../../backend/leases.ts';
import type { Config } from '../../operations/config.ts';
import type { Health } from '../../operations/health.ts';
import type { ApiKeys } from '../../session/api-keys.ts';
import type { HandshakeTokens } from '../../session/handshake-tokens.ts';
import { createListener, type ListenerOptions } from '../http/listener.ts';
import { createSources } from '../source.ts';
import { type AdminRouteServices, useAdminRoutes } from './admin-routes.ts';
import { type BackendRouteServices, useBackendRoutes } from './backend-routes.ts';
import { requireToken } from './bearer.ts';
import type { TokenFile } from './credentials-file.ts';
import { useExplainRoutes } from './explain-routes.ts';
import { useHandshakeTokenRoutes } from './handshake-token-routes.ts';
import { useHealthRoutes } from './health-routes.ts';
import { useAdminKeyRoutes } from './key-routes.ts';
import { useLeaseRoutes } from './lease-routes.ts';
import { useNodeRoutes } from './node-routes.ts';

export interface InternalDoorOptions {
  config: Pick<Config, 'internalHost' | 'internalPort'>;
  health: Health;
  registry: Registry;
  admin: Omit<AdminRouteServices, 'sources'>;
  /** Absent: this gateway has no API keys. */
  keys?: ApiKeys;
  /** Absent: this gateway has no handshake tokens. */
  handshakeTokens?: HandshakeTokens;
  /** Absent: nothing is explained here. */
  explanations?: Explanations;
  backend: BackendRouteServices;
  /** Absent: this gateway knows nothing of other nodes. */
  confirmations?: Confirmations;
  /** Absent: this gateway has no leases. */
  leases?: { leases: Leases; newId: () => string };
  adminToken: Pick<TokenFile, 'matches'>;
  backendToken: Pick<TokenFile, 'matches'>;
  log: Logger;
  observe?: NonNullable<ListenerOptions['observe']>;
  tracing?: NonNullable<ListenerOptions['tracing']>;
  refused?: NonNullable<ListenerOptions['refused']>;
}

export interface InternalDoor {
  server: Server;
  /** For what else belongs behind this listener, such as the console. Add it before `listen`. */
  fastify: FastifyInstance;
  listen(): Promise<{ host: string; port: number }>;
  close(): Promise<void>;
}

/** A batch of 1,000 publications, or the reset of a deep book, is larger than anything a client may send. */
const BACKEND_BODY_LIMIT = 8 * 1024 * 1024;
const ADMIN_BODY_LIMIT = 64 * 1024;

export function createInternalDoor(options: InternalDoorOptions): InternalDoor {
  const sources = createSources([]);
  const listener = createListener({
    host: options.config.internalHost,
    port: options.config.internalPort,
    bodyLimit: BACKEND_BODY_LIMIT,
    log: options.log,
    sourceOf: (request) => sources.source(request.raw),
    ...(options.observe === undefined ? {} : { observe: options.observe }),
    ...(options.tracing === undefined ? {} : { tracing: options.tracing }),
    ...(options.refused === undefined ? {} : { refused: options.refused }),
  });
  const { fastify } = listener;
  fastify.register(async (scope) => useHealthRoutes(scope, options));
  fastify.register(
    async (scope) => {
      scope.addHook('onRoute', (route) => {
        route.bodyLimit = ADMIN_BODY_LIMIT;
      });
      scope.addHook('onRequest', requireToken(options.adminToken));
      if (options.confirmations !== undefined) useNodeRoutes(scope, options.confirmations);
      useAdminRoutes(scope, { ...options.admin, sources });
      if (options.explanations !== undefined) useExplainRoutes(scope, options.explanations);
      const { keys, handshakeTokens } = options;
      if (keys !== undefined) useAdminKeyRoutes(scope, { ...options.admin, keys, sources });
      if (handshakeTokens !== undefined)
        useHandshakeTokenRoutes(scope, { ...options.admin, handshakeTokens, sources });
    },
    { prefix: '/admin/v1' },
  );
  fastify.register(
    async (scope) => {
      scope.addHook('onRequest', requireToken(options.backendToken));
      useBackendRoutes(scope, options.backend);
      if (options.leases !== undefined) useLeaseRoutes(scope, options.leases.leases, options.leases.newId);
    },
    { prefix: '/backend/v1' },
  );
  return listener;
}
