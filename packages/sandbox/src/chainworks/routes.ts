import type { Route } from '../http/server.ts';

export function chainworksRoutes(_seed: string): Route[] {
  return [];
}
