/**
 * Who uses which handshake token, and how much (seed 004: "Monitor usage"). Counted in memory and written now and
 * then: a request must not wait for the disk because of a statistic.
 */
import type { Clock } from '../operations/clock.ts';
import type { HandshakeTokenUse } from '../store/handshake-tokens.ts';
import type { Store } from '../store/store.ts';

export interface HandshakeTokenUsage {
  /** A connection was opened, or a request made, with the token. */
  count(tokenId: string, what: 'connect' | 'request'): void;
  /** What has not been written yet; null if nothing. */
  pending(tokenId: string): Readonly<HandshakeTokenUse> | null;
  /** Writes what has been counted. Rejects with the store's error; the counts are then written next time. */
  flush(): Promise<void>;
  /** Stops the timer and writes the rest. Idempotent. */
  close(): Promise<void>;
}

/** Milliseconds between two writes: what a crash may lose. */
const WRITE_EVERY = 60_000;
/** Only tokens that exist are counted, so this is far more than there are. */
const MAX_PENDING = 50_000;

export function createHandshakeTokenUsage({
  store,
  clock,
  onProblem = () => {},
}: {
  store: Pick<Store, 'handshakeTokens'>;
  clock: Clock;
  onProblem?: (problem: unknown) => void;
}): HandshakeTokenUsage {
  let uses = new Map<string, HandshakeTokenUse>();
  let closed = false;

  function add(tokenId: string, lastUsedAt: number, connects: number, requests: number): void {
    const use = uses.get(tokenId);
    if (use !== undefined) {
      use.lastUsedAt = Math.max(use.lastUsedAt, lastUsedAt);
      use.connects += connects;
      use.requests += requests;
    } else if (uses.size < MAX_PENDING) uses.set(tokenId, { tokenId, lastUsedAt, connects, requests });
  }

  async function flush(): Promise<void> {
    if (uses.size === 0) return;
    const taken = uses;
    uses = new Map();
    try {
      await store.handshakeTokens.addUses([...taken.values()]);
    } catch (error) {
      for (const { tokenId, lastUsedAt, connects, requests } of taken.values()) {
        add(tokenId, lastUsedAt, connects, requests);
      }
      throw error;
    }
  }

  const stop = clock.every(WRITE_EVERY, () => {
    flush().catch(onProblem);
  });

  return {
    count: (tokenId, what) =>
      add(tokenId, clock.now(), what === 'connect' ? 1 : 0, what === 'request' ? 1 : 0),
    pending: (tokenId) => uses.get(tokenId) ?? null,
    flush,
    async close() {
      if (closed) return;
      closed = true;
      stop();
      await flush().catch(onProblem);
    },
  };
}
