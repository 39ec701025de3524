/** What the internal door asks of the rest of the gateway. */
import type { ConnectionInfo } from '../../connection/registry.ts';

export type { ConnectionInfo };

export interface ConnectionRegistry {
  list(): Iterable<ConnectionInfo>;
}

export interface DrainControl {
  draining(): boolean;
  /** Begins to drain; resolves at once. Calling it again does nothing. */
  start(actor: string): void;
}
