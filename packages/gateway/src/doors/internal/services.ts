/** What the internal door asks of the rest of the gateway. */
import type { Account } from '../../session/principal.ts';

/** One live connection, as operators and the backend see it. */
export interface ConnectionInfo {
  id: string;
  /** `websocket`, `socketio`. */
  door: string;
  dialect: string | null;
  source: string;
  /** Wall-clock milliseconds. */
  openedAt: number;
  userId: number | null;
  address: string | null;
  accounts: readonly Account[];
  subscriptions: number;
}

export interface ConnectionRegistry {
  list(): Iterable<ConnectionInfo>;
}

export interface DrainControl {
  draining(): boolean;
  /** Begins to drain; resolves at once. Calling it again does nothing. */
  start(actor: string): void;
}
