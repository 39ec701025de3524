/** Reads what somebody wants to do, as an operator writes it: `subscribe level2/ETH-USD`, `call POST /v1/user/update`. */

import type { Wish } from '../access/explain.ts';
import type { Cost } from '../access/limits.ts';
import type { Permission } from '../session/principal.ts';
import type { ChannelTable } from '../streams/channel.ts';
import type { RouteTable } from './routes.ts';

export interface ReadWish extends Wish {
  cost: Cost;
  kind: 'login' | 'handshake' | 'public' | 'private';
}

export interface WishVocabulary {
  channels: ChannelTable;
  routes: RouteTable;
  /** Queries of the ethgas dialect: true where only a signed-in principal is answered. */
  queries: ReadonlyMap<string, boolean>;
  weights: { subscribe: number };
}

type Fixed = readonly [
  method: string,
  path: RegExp,
  access: 'open' | 'login' | 'session' | Permission | null,
];

const path = (text: string): RegExp => new RegExp(`^${text.replace(/\/:[a-z]+/gi, '/[^/]+')}/?$`);

/** Routes of the gateway's own, as their handlers decide. A test asks each of them at the real door. */
export const OWN_ROUTES: readonly Fixed[] = [
  ['GET', path('/'), 'open'],
  ['GET', path('/.well-known/jwks.json'), 'open'],
  ['POST', path('/v1/user/login'), 'login'],
  ['POST', path('/v1/user/login/verify'), 'login'],
  ['POST', path('/v1/user/login/refresh'), 'login'],
  ['POST', path('/v1/user/logout'), 'login'],
  ['GET', path('/v1/user/info'), null],
  ['GET', path('/v1/user/accounts'), null],
  ['GET', path('/v1/user/account/txs'), 'account_updates'],
  ['GET', path('/v1/user/account/:id/txs'), 'account_updates'],
  ['GET', path('/v1/user/account/:id'), null],
  ['POST', path('/v1/user/update'), 'trading'],
  ['POST', path('/v1/user/payoutAddress'), 'trading'],
  ['POST', path('/v1/user/collateralPerSlot'), 'trading'],
  ['POST', path('/v1/user/delegate/(?:pricer|builder)'), 'trading'],
  ['GET', path('/v1/user/sessions'), 'session'],
  ['DELETE', path('/v1/user/sessions/:sid'), 'session'],
  ['POST', path('/v1/user/logout/all'), 'session'],
  ['GET', path('/v1/user/keys'), 'account_updates'],
  ['GET', path('/v1/user/keys/:key'), 'account_updates'],
  ['POST', path('/v1/user/keys'), 'session'],
  ['(?:PATCH|DELETE)', path('/v1/user/keys/:key'), 'session'],
  ['POST', path('/v1/user/keys/:key/rotate'), 'session'],
  ['GET', path('/api/v3/brokerage/time'), 'open'],
  ['GET', path('/api/v3/brokerage/market/.+'), 'open'],
  ['GET', path('/api/v3/brokerage/key_permissions'), null],
  ['GET', path('/api/v3/brokerage/(?:products(?:/.*)?|best_bid_ask|product_book)'), 'market_data'],
  ['GET', path('/api/v3/brokerage/.+'), 'account_updates'],
  [
    '(?:POST|PUT|DELETE)',
    path('/api/v3/brokerage/(?:.*/)?(?:move_funds|transfers?|withdrawals?)(?:/.*)?'),
    'transfer',
  ],
  ['(?:POST|PUT|DELETE)', path('/api/v3/brokerage/.+'), 'trading'],
];

const ONE: Cost = { weight: 1 };
const NOTHING: ReadWish = { action: null, sessionOnly: false, occupies: null, cost: ONE, kind: 'public' };

/** @returns null if the text is no wish at all; a wish without an action if there is no such thing */
export function readWish(text: string, vocabulary: WishVocabulary): ReadWish | null {
  const [verb = '', first = '', second = '', ...more] = text.trim().split(/\s+/);
  if (more.length > 0 || first === '') return null;
  const { channels, routes, queries, weights } = vocabulary;
  switch (verb) {
    case 'subscribe': {
      const channel = channels.get(first.split('/', 1)[0] ?? '');
      if (channel === undefined) return NOTHING;
      const cost = { weight: weights.subscribe };
      return { ...NOTHING, action: { do: 'join', channel }, occupies: 'subscriptions', cost };
    }
    case 'query': {
      const isPrivate = queries.get(first);
      if (isPrivate === undefined) return NOTHING;
      const cost = routes.query(first) ?? ONE;
      return { ...NOTHING, action: { do: 'query', query: first, private: isPrivate }, cost };
    }
    case 'event': {
      const permission = routes.requests.get(first);
      if (permission === undefined) return NOTHING;
      const cost = routes.event(first) ?? ONE;
      return { ...NOTHING, action: { do: 'call', permission }, cost, kind: 'private' };
    }
    case 'call':
      return second === '' ? null : readCall(first.toUpperCase(), second.split('?', 1)[0] ?? '', vocabulary);
    case 'connect':
      if (first !== 'websocket' && first !== 'socketio') return NOTHING;
      return { ...NOTHING, action: { do: 'open' }, occupies: 'connections', kind: 'handshake' };
    case 'publish':
      return NOTHING;
    default:
      return null;
  }
}

function readCall(method: string, given: string, { routes }: WishVocabulary): ReadWish {
  const asked = given.startsWith('/api/v1/') ? given.slice('/api'.length) : given;
  for (const { method: own, path: pattern, route } of routes.rest) {
    if (own !== method || !path(pattern.replace(/[.*+?^${}()|[\]\\]/g, '\\$&')).test(asked)) continue;
    const action = route.public
      ? ({ do: 'open' } as const)
      : ({ do: 'call', permission: route.permission } as const);
    return { ...NOTHING, action, cost: route, kind: route.public ? 'public' : 'private' };
  }
  const found = OWN_ROUTES.find(
    ([own, pattern]) => new RegExp(`^${own}$`).test(method) && pattern.test(asked),
  );
  if (found === undefined) return NOTHING;
  const [, , access] = found;
  if (access === 'open') return { ...NOTHING, action: { do: 'open' } };
  if (access === 'login') {
    return { ...NOTHING, action: { do: 'open' }, kind: 'login' };
  }
  const sessionOnly = access === 'session';
  const action = { do: 'call', permission: sessionOnly ? null : access } as const;
  return { ...NOTHING, action, sessionOnly, kind: 'private' };
}
