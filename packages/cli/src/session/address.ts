/** Which service a command talks to. */
import type { Io } from '../io.ts';
import { baseOf, DEFAULT_URL } from './api.ts';

/** The base of every call: as `baseOf` gives it. */
export const chosenOrigin = (flag: string | undefined, env: Io['env'], saved?: string): string =>
  baseOf(flag ?? (env.COUNTERSIGN_URL || saved || DEFAULT_URL));

/** Where the WebSocket of a service is: what the profile says, unless an address was given; else `/ws` of its host. */
export function webSocketUrlOf(base: string, flag: string | undefined, env: Io['env']): string {
  if (flag === undefined && env.COUNTERSIGN_WEBSOCKET_URL) return env.COUNTERSIGN_WEBSOCKET_URL;
  return `${new URL(base).origin.replace(/^http/, 'ws')}/ws`;
}
