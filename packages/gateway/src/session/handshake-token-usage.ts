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
  /** On their way to the store. */
  let writing = new Map<string, HandshakeTokenUse>();
  let closed = false;

  function add(tokenId: string, lastUsedAt: number, connects: number, requests: number): void {
    const use = uses.get(tokenId);
    if (use !== undefined) {
      use.lastUsedAt = Math.max(use.lastUsedAt, lastUsedAt);
      use.connects += connects;
      use.requests += requests;
    } else if (uses.size < MAX_PENDING) uses.set(tokenId, { tokenId, lastUsedAt, connects, requests });
  }

  async function write(): Promise<void> {
    if (uses.size === 0) return;
    writing = uses;
    uses = new Map();
    try {
      await store.handshakeTokens.addUses([...writing.values()]);
    } catch (error) {
      for (const { tokenId, lastUsedAt, connects, requests } of writing.values()) {
        add(tokenId, lastUsedAt, connects, requests);
      }
      throw error;
    } finally {
      writing = new Map();
    }
  }

  /** One write at a time, in order. */
  let last: Promise<void> = Promise.resolve();
  function flush(): Promise<void> {
    last = last.then(write, write);
    return last;
  }

  const stop = clock.every(WRITE_EVERY, () => {
    flush().catch(onProblem);
  });

  return {
    count: (tokenId, what) =>
      add(tokenId, clock.now(), what === 'connect' ? 1 : 0, what === 'request' ? 1 : 0),
    pending(tokenId) {
      const [counted, written] = [uses.get(tokenId), writing.get(tokenId)];
      if (counted === undefined || written === undefined) return counted ?? written ?? null;
      return {
        ...counted,
        connects: counted.connects + written.connects,
        requests: counted.requests + written.requests,
      };
    },
    flush,
    async close() {
      if (closed) return;
      closed = true;
      stop();
      await flush().catch(onProblem);
    },
  };
}
