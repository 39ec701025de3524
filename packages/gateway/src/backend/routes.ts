/** Which requests go to the venue, and on what terms: those of the configuration, then those that are shipped. */
import { CHAINWORKS_REQUESTS } from '@countersign/protocol';
import { type RouteConfig, routeSchema } from '../operations/routes-config.ts';
import type { Permission } from '../session/principal.ts';

export type Route = RouteConfig;

export interface RouteTable {
  /** REST routes, each method and path once. */
  readonly rest: readonly RestRoute[];
  query(name: string): Route | undefined;
  event(name: string): Route | undefined;
  /** Every request by event that exists, and what it needs; those without a route go to `POST {venue.url}/events`. */
  readonly requests: ReadonlyMap<string, Permission | null>;
}

export interface RestRoute {
  readonly method: string;
  readonly path: string;
  readonly route: Route;
}

const shipped = (rest: string, more: object): Route =>
  routeSchema.parse({ match: { rest }, to: { path: rest.slice(rest.indexOf(' ') + 1) }, ...more });

const SHIPPED: readonly Route[] = [
  ...[
    '/v1/p/network',
    '/v1/p/tokens',
    '/v1/p/inclusion-preconf/markets',
    '/v1/p/wholeblock/markets',
    '/v1/p/wholeblock/market',
    '/v1/p/user/fees',
    '/v1/p/builders',
    '/v1/p/builder/:slot',
    '/v1/p/validators',
  ].map((path) => shipped(`GET ${path}`, { public: true })),
  shipped('POST /v1/validator/register', { permission: 'trading' }),
  shipped('POST /v1/validator/verify/batch', { permission: 'trading' }),
  // Whoever is over the limit must still be able to get out of the market.
  shipped('POST /api/v3/brokerage/orders/batch_cancel', { permission: 'trading', reducesRisk: true }),
];

/** The first route that matches counts, so a configured one replaces a shipped one. */
export function createRouteTable(configured: readonly Route[]): RouteTable {
  const rest = new Map<string, RestRoute>();
  const queries = new Map<string, Route>();
  const events = new Map<string, Route>();
  for (const route of [...configured, ...SHIPPED]) {
    const { rest: line, query, event } = route.match;
    if (line !== undefined) {
      const space = line.indexOf(' ');
      const path = line.slice(space + 1);
      // Two spellings of one parameter are one path to the router.
      const id = line.replace(/:[^/]+/g, ':');
      if (!rest.has(id)) rest.set(id, { method: line.slice(0, space), path, route });
    }
    if (query !== undefined && !queries.has(query)) queries.set(query, route);
    if (event !== undefined && !events.has(event)) events.set(event, route);
  }
  const requests = new Map<string, Permission | null>([
    ...CHAINWORKS_REQUESTS.map(({ event, permission }) => [event, permission] as const),
    ...[...events].map(([name, { permission }]) => [name, permission] as const),
  ]);
  return {
    requests,
    rest: [...rest.values()],
    query: (name) => queries.get(name),
    event: (name) => events.get(name),
  };
}

const PARAMETER = /:([A-Za-z0-9_]+)/g;

/** Makes the path of `to` with the parameters of a request in it. */
export function targetPath({ to }: Route): (params: Readonly<Record<string, string>>) => string {
  if (to.path.search(PARAMETER) < 0) return () => to.path;
  return (params) => to.path.replace(PARAMETER, (whole, name: string) => params[name] ?? whole);
}
