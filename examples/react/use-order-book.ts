/**
 * A hook for a live order book: `const { bestBid, bestAsk, stale } = useOrderBook(feed, 'ETH-USD')`.
 *
 * The feed is made once, outside of the components, and shared: every hook for one product reads the same stream.
 */
import type { Feed, Level } from '@countersign/client';
import { useCallback, useRef, useSyncExternalStore } from 'react';

export interface BookState {
  readonly bestBid: Level | null;
  readonly bestAsk: Level | null;
  /** Show the prices, but let nobody trade on them. */
  readonly stale: boolean;
}

const EMPTY: BookState = { bestBid: null, bestAsk: null, stale: true };

export function useOrderBook(feed: Feed, product: string): BookState {
  // React compares snapshots by identity: a new object for each change, and only then.
  const state = useRef(EMPTY);
  const subscribe = useCallback(
    (changed: () => void) => {
      const book = feed.orderBook(product);
      let frame = 0;
      const take = () => {
        frame = 0;
        state.current = { bestBid: book.bestBid, bestAsk: book.bestAsk, stale: book.stale };
        changed();
      };
      // Books change more often than screens: one render for each frame is enough.
      const later = () => {
        frame ||= requestAnimationFrame(take);
      };
      const undo = [book.on('change', later), book.on('stale', later), book.on('live', later)];
      later();
      return () => {
        for (const off of undo) off();
        cancelAnimationFrame(frame);
        state.current = EMPTY;
        void book.close();
      };
    },
    [feed, product],
  );
  return useSyncExternalStore(
    subscribe,
    () => state.current,
    () => EMPTY,
  );
}
