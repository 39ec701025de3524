/**
 * How far a server's clock is ahead of this machine's, learned from times that the server sends. Every hint bounds the
 * offset from both sides; hints are narrowed to what they have in common. A clock that may be right is left alone.
 */
export interface ClockSkew {
  /** Milliseconds to add to this machine's time to get the server's; 0 while both may agree. */
  readonly offset: number;
  /** True once anything was learned. */
  readonly known: boolean;
  /**
   * @param serverTime milliseconds since 1970 that the server named, rounded down
   * @param resolution milliseconds that rounding may have taken away
   * @param sentAt local time before the server can have named it
   * @param receivedAt local time after it did
   */
  observe(serverTime: number, resolution: number, sentAt: number, receivedAt: number): void;
  /** A server's time as this machine's clock would show it. */
  toLocal(serverTime: number): number;
}

export function createClockSkew(): ClockSkew {
  let low = Number.NEGATIVE_INFINITY;
  let high = Number.POSITIVE_INFINITY;

  const offset = () => {
    if ((low <= 0 && high >= 0) || low === Number.NEGATIVE_INFINITY) return 0;
    return Math.round((low + high) / 2);
  };

  return {
    get offset() {
      return offset();
    },
    get known() {
      return low !== Number.NEGATIVE_INFINITY;
    },
    observe(serverTime, resolution, sentAt, receivedAt) {
      const from = serverTime - receivedAt;
      const to = serverTime + resolution - sentAt;
      if (!Number.isFinite(from) || !Number.isFinite(to) || to < from) return;
      // Hints that cannot both be true: one of the clocks was set. The newer one counts.
      const apart = from > high || to < low;
      low = apart ? from : Math.max(low, from);
      high = apart ? to : Math.min(high, to);
    },
    toLocal: (serverTime) => serverTime - offset(),
  };
}
