import { createFakeClock } from '@countersign/testkit';
import { describe, expect, it } from 'vitest';
import { createMemoryReplayCache, type ReplayCache } from '../../src/session/replay-cache.ts';
import { replayContract } from './replay-contract.ts';

replayContract('a replay cache in memory', {
  async make(clock) {
    let inner = createMemoryReplayCache({ clock });
    clock.advance(86_400_000);
    const cache: ReplayCache = {
      spend: (id, times) => inner.spend(id, times),
      bind: (id, source, until) => inner.bind(id, source, until),
      close: () => inner.close(),
    };
    return {
      nodes: [cache],
      // A new process.
      async forget() {
        inner = createMemoryReplayCache({ clock });
      },
    };
  },
  most: 1,
  wait: 1000,
});

describe('a replay cache that is full', () => {
  it('spends nothing more, and lets go of the oldest binding', () => {
    const clock = createFakeClock();
    const cache = createMemoryReplayCache({ clock, capacity: 2 });
    clock.advance(5000);
    const times = { since: clock.now(), until: clock.now() + 1000 };
    expect([cache.spend('a', times), cache.spend('b', times), cache.spend('c', times)]).toEqual([
      'spent',
      'spent',
      'unavailable',
    ]);
    for (const id of ['d', 'e', 'f']) expect(cache.bind(id, 'here', times.until)).toBe(true);
    expect(cache.boundTo('d')).toBeNull();
    expect(cache.boundTo('f')).toBe('here');
  });
});
