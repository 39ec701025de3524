/** What every replay cache promises, whoever keeps it. */
import { createFakeClock, type FakeClock } from '@countersign/testkit';
import fc from 'fast-check';
import { afterEach, describe, expect, it } from 'vitest';
import type { ReplayCache } from '../../src/session/replay-cache.ts';

export interface ReplayUnderTest {
  /**
   * One or more nodes that share a cache which began to remember long ago.
   *
   * @returns `forget` makes it lose everything
   */
  make(clock: FakeClock, nodes: number): Promise<{ nodes: ReplayCache[]; forget(): Promise<void> }>;
  /** Nodes that can share it. */
  most: number;
  /** Milliseconds that strict tokens wait after it was lost. */
  wait: number;
}

export function replayContract(name: string, { make, most, wait }: ReplayUnderTest): void {
  const opened: ReplayCache[] = [];
  afterEach(() => {
    for (const cache of opened.splice(0)) cache.close();
  });

  async function open(nodes = 1) {
    const clock = createFakeClock(Date.now());
    const made = await make(clock, nodes);
    opened.push(...made.nodes);
    const times = (from = 0, life = 120_000) => ({
      since: clock.now() + from,
      until: clock.now() + from + life,
    });
    return { clock, ...made, cache: made.nodes[0] as ReplayCache, times };
  }

  describe(name, () => {
    it('spends a token once', async () => {
      const { cache, times } = await open();
      expect(await cache.spend('a', times())).toBe('spent');
      expect(await cache.spend('a', times())).toBe('used');
      expect(await cache.spend('b', times())).toBe('spent');
    });

    it('remembers it until it is too old, and refuses it from then on', async () => {
      const { clock, cache, times } = await open();
      const token = times();
      await cache.spend('a', token);
      clock.advance(119_000);
      expect(await cache.spend('a', token)).toBe('used');
      clock.advance(1001);
      expect(await cache.spend('a', token)).toBe('over');
    });

    it('refuses what is not valid yet', async () => {
      const { cache, times } = await open();
      expect(await cache.spend('a', times(1001))).toBe('early');
      expect(await cache.spend('b', times(1000))).toBe('spent');
    });

    it('accepts nothing again after it lost its memory, and fresh tokens soon (R22)', async () => {
      const { clock, cache, times, forget } = await open();
      const tokens = Array.from({ length: 100 }, (_, n) => ({ id: `t${n}`, times: times(n * 10) }));
      for (const { id, times } of tokens) expect(await cache.spend(id, times)).toBe('spent');
      await forget();
      for (let passed = 0; passed < 130_000; passed += 10_000) {
        for (const { id, times } of tokens) expect(await cache.spend(id, times)).not.toBe('spent');
        clock.advance(10_000);
      }
      await forget();
      expect(await cache.spend('old', times(-1))).toBe('forgotten');
      clock.advance(wait);
      expect(await cache.spend('fresh', times())).toBe('spent');
    });

    it('binds a token to the first source that shows it', async () => {
      const { cache, times } = await open();
      const { until } = times();
      expect(await cache.bind('a', 'here', until)).toBe(true);
      expect(await cache.bind('a', 'here', until)).toBe(true);
      expect(await cache.bind('a', 'there', until)).toBe(false);
    });

    it('counts a use under one policy of the key against the other', async () => {
      const { cache, times } = await open();
      const token = times();
      await cache.spend('a', token);
      expect(await cache.bind('a', 'here', token.until)).toBe(false);
      await cache.bind('b', 'here', token.until);
      expect(await cache.spend('b', token)).toBe('used');
    });

    it('spends each token at most once over all nodes, whatever comes between', async () => {
      const step = fc.oneof(
        {
          weight: 8,
          arbitrary: fc.record({
            do: fc.constant('spend' as const),
            token: fc.nat({ max: 5 }),
            copies: fc.integer({ min: 1, max: 20 }),
          }),
        },
        {
          weight: 2,
          arbitrary: fc.record({
            do: fc.constant('wait' as const),
            ms: fc.integer({ min: 0, max: 3000 }),
          }),
        },
        { weight: 1, arbitrary: fc.record({ do: fc.constant('forget' as const) }) },
      );
      await fc.assert(
        fc.asyncProperty(fc.array(step, { minLength: 5, maxLength: 30 }), async (steps) => {
          const { clock, nodes, times, forget } = await open(Math.min(2, most));
          const tokens = Array.from({ length: 6 }, (_, n) => times(n * 400 - 800, 8000));
          const spent = tokens.map(() => 0);
          for (const one of steps) {
            if (one.do === 'wait') clock.advance(one.ms);
            else if (one.do === 'forget') await forget();
            else {
              const copies = Array.from({ length: one.copies }, (_, n) =>
                (nodes[n % nodes.length] as ReplayCache).spend(
                  `t${one.token}`,
                  tokens[one.token] as (typeof tokens)[0],
                ),
              );
              for (const answer of await Promise.all(copies))
                if (answer === 'spent') spent[one.token] = (spent[one.token] ?? 0) + 1;
            }
          }
          expect(Math.max(...spent)).toBeLessThanOrEqual(1);
        }),
        { numRuns: 50 },
      );
    });
  });
}
