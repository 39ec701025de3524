/** What is needed of a WebSocket: the part of the browser's interface (WHATWG WebSockets) that is used here. */
import { UsageError } from '../errors.ts';

/** Listeners take `never`, so that every platform's own events fit: what is read of them is named where it is read. */
export interface SocketLike {
  binaryType: string;
  onopen: ((event: never) => void) | null;
  /** With `data`: text, or bytes as `binaryType` says. */
  onmessage: ((event: never) => void) | null;
  /** With `code` and `reason`. */
  onclose: ((event: never) => void) | null;
  onerror: ((event: never) => void) | null;
  send(data: string): void;
  close(code?: number, reason?: string): void;
  /** Where there is one (Node's `ws`), a dead connection is given up without a closing handshake. */
  terminate?(): void;
  /** Where the platform tells: how the server answered an upgrade that it refused. Browsers do not. */
  readonly refusal?: { readonly status: number; readonly retryAfter: number | null } | null;
}

export type SocketConstructor = new (url: string) => SocketLike;

/** @throws UsageError `invalid_option` where the platform has no WebSocket and none is given */
export function socketConstructor(given: SocketConstructor | undefined): SocketConstructor {
  const found = given ?? (globalThis as { WebSocket?: unknown }).WebSocket;
  if (typeof found === 'function') return found as SocketConstructor;
  throw new UsageError(
    'invalid_option',
    'There is no WebSocket here: pass `WebSocket`, for Node 20 from "@countersign/client/node".',
  );
}

/** Wire facts: a slow answer may be seen as none, and credentials never travel in an address. */
export function checkUrl(url: string): string {
  let parsed: URL;
  try {
    parsed = new URL(url);
  } catch {
    throw new UsageError('invalid_option', 'The address of a feed is a ws: or wss: URL.');
  }
  if (parsed.protocol !== 'ws:' && parsed.protocol !== 'wss:') {
    throw new UsageError('invalid_option', 'The address of a feed begins with ws: or wss:.');
  }
  if (parsed.username !== '' || parsed.password !== '') {
    throw new UsageError('invalid_option', 'The address of a feed holds no user name or password.');
  }
  return parsed.href;
}
