import type { Io } from '../io.ts';
import { DEFAULT_URL } from '../session/api.ts';

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

/** `2026-11-21 10:00:00 UTC` for UNIX seconds. */
export const instant = (seconds: number): string =>
  `${new Date(seconds * 1000).toISOString().slice(0, 19).replace('T', ' ')} UTC`;
