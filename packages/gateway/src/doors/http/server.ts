/** The public HTTP door: puts the routes of every scheme on one listener, under one set of rules. */
import type { Server } from 'node:http';
import type { FastifyInstance } from 'fastify';
import type { Logger } from 'pino';
import type { RouteTable } from '../../backend/routes.ts';
import type { Clock } from '../../operations/clock.ts';
import type { Config } from '../../operations/config.ts';
import type { ApiKeys } from '../../session/api-keys.ts';
import type { WalletLogin } from '../../session/wallet-login.ts';
import { createOrigins } from '../origin.ts';
import { createSources } from '../source.ts';
import { createBalances } from './balances.ts';
import { useBrokerageRoutes } from './brokerage-routes.ts';
import { createChargeRequest, useBudgetHeaders } from './charge.ts';
import { useCors } from './cors.ts';
import { createIdentify } from './guard.ts';
import { useKeyRoutes } from './key-routes.ts';
import { createListener, type ListenerOptions } from './listener.ts';
import { useLoginRoutes } from './login-routes.ts';
import { useRootRoutes } from './public-routes.ts';
import type {
  AuthenticatorService,
  KeySetService,
  LimitService,
  ProfileService,
  SessionService,
  VenueService,
} from './services.ts';
import { useUserRoutes } from './user-routes.ts';
import { sendVenueAnswer } from './venue-answer.ts';
import { useVenueRoutes } from './venue-routes.ts';

export interface HttpDoorOptions {
  config: Pick<Config, 'host' | 'port' | 'http' | 'tokens'>;
  walletLogin: WalletLogin;
  sessions: SessionService;
  profiles: ProfileService;
  /** Absent: users do not manage keys here. */
  keys?: ApiKeys;
  authenticator: AuthenticatorService;
  signingKeys: KeySetService;
  limits: LimitService;
  /** Null where no venue is configured: public data is then unavailable, and private lists are empty. */
  venue: VenueService | null;
  /** What goes to the venue as it is. */
  routes: Pick<RouteTable, 'rest'>;
  clock: Clock;
  log: Logger;
  /** Default: those of the requirements. */
  timeouts?: NonNullable<ListenerOptions['timeouts']>;
  observe?: NonNullable<ListenerOptions['observe']>;
  draining?: NonNullable<ListenerOptions['draining']>;
  tracing?: NonNullable<ListenerOptions['tracing']>;
  refused?: NonNullable<ListenerOptions['refused']>;
}

export interface HttpDoor {
  /** Other doors take their upgrades here. */
  server: Server;
  fastify: FastifyInstance;
  listen(): Promise<{ host: string; port: number }>;
  close(): Promise<void>;
}

/** The same routes answer under both: clients disagree about the base URL (wire facts 1.10). */
const PREFIXES = ['/v1', '/api/v1'];
const BROKERAGE = '/api/v3/brokerage';

export function createHttpDoor(options: HttpDoorOptions): HttpDoor {
  const { config, sessions, limits, venue, clock, log } = options;
  const sources = createSources(config.http.trustedProxies);
  const origins = createOrigins(config.http.origins, sources);
  const identify = createIdentify(options.authenticator, sources);

  const listener = createListener({
    host: config.host,
    port: config.port,
    bodyLimit: config.http.bodyLimit,
    log,
    sourceOf: (request) => sources.source(request.raw),
    ...(options.timeouts === undefined ? {} : { timeouts: options.timeouts }),
    ...(options.observe === undefined ? {} : { observe: options.observe }),
    ...(options.draining === undefined ? {} : { draining: options.draining }),
    ...(options.tracing === undefined ? {} : { tracing: options.tracing }),
    ...(options.refused === undefined ? {} : { refused: options.refused }),
  });
  const { fastify } = listener;
  fastify.decorateRequest('authentication', null);
  useBudgetHeaders(fastify, limits, sources);
  useCors(fastify, origins);
  useRootRoutes(fastify, options.signingKeys, Math.min(300, Math.floor(config.tokens.signingKeyLead / 2)));

  const balances = createBalances({ venue, clock, log });
  const charge = createChargeRequest(limits, sources);
  const shared = { sessions, charge, identify, sources, venue };
  for (const prefix of PREFIXES) {
    // Each family of routes in a scope of its own, so that a hook of one never runs for another.
    fastify.register(
      async (scope) => useLoginRoutes(scope, { ...shared, walletLogin: options.walletLogin, origins, clock }),
      { prefix },
    );
    fastify.register(
      async (scope) => {
        useUserRoutes(scope, { ...shared, profiles: options.profiles, balances });
        if (options.keys !== undefined) useKeyRoutes(scope, { keys: options.keys, sources });
      },
      { prefix },
    );
  }
  const passed = { charge, identify, venue, bodyLimit: config.http.bodyLimit };
  const beginning = (start: string) => options.routes.rest.filter(({ path }) => path.startsWith(start));
  const brokerage = beginning(`${BROKERAGE}/`);
  for (const prefix of ['', '/api']) {
    const routes =
      prefix === '' ? options.routes.rest.filter((one) => !brokerage.includes(one)) : beginning('/v1/');
    fastify.register(async (scope) => useVenueRoutes(scope, routes, { ...passed, answer: sendVenueAnswer }), {
      prefix,
    });
  }
  fastify.register(
    async (scope) =>
      useBrokerageRoutes(scope, {
        ...shared,
        clock,
        refusalOf: listener.refusalOf,
        routes: brokerage.map((one) => ({ ...one, path: one.path.slice(BROKERAGE.length) })),
        bodyLimit: config.http.bodyLimit,
      }),
    {
      prefix: BROKERAGE,
    },
  );
  return listener;
}
