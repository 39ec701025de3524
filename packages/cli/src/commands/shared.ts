import type { Io } from '../io.ts';
import { baseOf, DEFAULT_URL } from '../session/api.ts';

export const jsonFlag = {
  json: { type: 'boolean', description: 'Answer with one JSON object a line' },
} as const;

export const urlFlag = {
  url: {
    type: 'string',
    valueHint: 'address',
    description: `Address of the gateway (default: COUNTERSIGN_URL, else the saved session's, else ${DEFAULT_URL})`,
  },
} as const;

/** What a command was given to work with: citty passes it as `data`, untyped. */
export const ioOf = (context: { data?: unknown }): Io => context.data as Io;

/** The base of every call: as `baseOf` gives it. */
export const chosenOrigin = (flag: string | undefined, env: Io['env'], saved?: string): string =>
  baseOf(flag ?? (env.COUNTERSIGN_URL || saved || DEFAULT_URL));

/** Where the WebSocket of a service is: what the profile says, unless an address was given; else `/ws` of its host. */
export function webSocketUrlOf(base: string, flag: string | undefined, env: Io['env']): string {
  if (flag === undefined && env.COUNTERSIGN_WEBSOCKET_URL) return env.COUNTERSIGN_WEBSOCKET_URL;
  return `${new URL(base).origin.replace(/^http/, 'ws')}/ws`;
}

/** `2026-11-21 10:00:00 UTC` for UNIX seconds. */
export const instant = (seconds: number): string =>
  `${new Date(seconds * 1000).toISOString().slice(0, 19).replace('T', ' ')} UTC`;
