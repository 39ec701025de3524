import type { Route } from '../http/server.ts';
import type { Brokerage } from './brokerage.ts';

export function brokerageRoutes(_venue: Brokerage, _now: () => number): Route[] {
  return [];
}
